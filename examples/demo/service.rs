//! The shop over HTTP.
//!
//! | | |
//! | --- | --- |
//! | `GET /products` | all of them |
//! | `GET /products/{name}` | one |
//! | `POST /products/{name}/orders` | the body is the quantity |

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use telemetry_core::Registry;
use telemetry_core::instrument::{Counter, Gauge};
use telemetry_core::metric::{counter, last_value};
use tokio::net::TcpListener;

use crate::GRACE;
use crate::events::RequestStop;
use crate::shop::{PaymentError, Refusal, Shop};

/// The most bytes of a body that is read.
const LARGEST_BODY: usize = 1024;

/// The service: a shop, and what is held beside its events.
pub(crate) struct Service {
    shop: Shop,
    // A request that is being answered is no event yet, so this is an instrument that the service holds.
    in_flight: Gauge,
    connections: Counter,
}

/// An answer, before it is one of HTTP.
struct Reply {
    route: &'static str,
    status: StatusCode,
    body: String,
}

impl Service {
    pub(crate) fn new(shop: Shop, registry: &Registry) -> Result<Self, Box<dyn Error>> {
        let in_flight = last_value("http.server.requests.in_flight").description("Requests that are being answered.");
        let connections = counter("http.server.connections").description("Connections that were accepted.");
        Ok(Self {
            shop,
            in_flight: registry.register::<Gauge>(in_flight)?.single()?,
            connections: registry.register::<Counter>(connections)?.single()?,
        })
    }

    /// Answers until `end` comes, then finishes what is under way.
    pub(crate) async fn serve(self, listener: TcpListener, end: impl Future<Output = ()>) {
        let (service, connections) = (Arc::new(self), GracefulShutdown::new());
        let mut end = pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut end => break,
            };
            let Ok((stream, _)) = accepted else {
                // The client is gone already, or the process has no more descriptors for a while.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            service.connections.increment();
            let of_connection = Arc::clone(&service);
            let respond = service_fn(move |request| Arc::clone(&of_connection).respond(request));
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), respond);
            // A client that breaks off is no fault of ours, and not ours to report.
            tokio::spawn(connections.watch(connection));
        }
        drop(listener);
        // What takes longer is cut.
        let _ = tokio::time::timeout(GRACE, connections.shutdown()).await;
    }

    /// Answers one request, and tells of it.
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let started = Instant::now();
        let _in_flight = InFlight::new(&self.in_flight);
        let method = tag_of(request.method());
        let Reply { route, status, body } = self.reply(request).await;
        RequestStop { duration: started.elapsed(), body: body.len() as u64, route, method, status: status.as_u16() }
            .emit();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        Ok(response)
    }

    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["products"]) => {
                let lines = self.shop.products().map(|product| format!("{} {:.2}\n", product.name, product.price()));
                Reply::new("/products", StatusCode::OK, lines.collect())
            }
            (&Method::GET, ["products", name]) => match self.shop.product(name) {
                Some(product) => Reply::new("/products/{name}", StatusCode::OK, format!("{:.2}\n", product.price())),
                None => Reply::new("/products/{name}", StatusCode::NOT_FOUND, format!("there is no {name:?}\n")),
            },
            (&Method::POST, ["products", name, "orders"]) => {
                let (status, body) = self.order(name, request.into_body()).await;
                Reply::new("/products/{name}/orders", status, body)
            }
            // One route for all that there is not, or whoever asks for them makes the series.
            _ => Reply::new("none", StatusCode::NOT_FOUND, "try /products\n".to_owned()),
        }
    }

    async fn order(&self, name: &str, body: Incoming) -> (StatusCode, String) {
        let Some(product) = self.shop.product(name) else {
            return (StatusCode::NOT_FOUND, format!("there is no {name:?}\n"));
        };
        let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
            return (StatusCode::BAD_REQUEST, "the body is too long, or was cut\n".to_owned());
        };
        match product.order(&String::from_utf8_lossy(&body.to_bytes())).await {
            Ok(revenue) => (StatusCode::CREATED, format!("paid {revenue:.2}\n")),
            Err(refusal) => (status_of(&refusal), format!("{refusal}\n")),
        }
    }
}

impl Reply {
    fn new(route: &'static str, status: StatusCode, body: String) -> Self {
        Self { route, status, body }
    }
}

fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Quantity => StatusCode::BAD_REQUEST,
        Refusal::SoldOut => StatusCode::CONFLICT,
        Refusal::Payment(PaymentError::Declined) => StatusCode::PAYMENT_REQUIRED,
        Refusal::Payment(PaymentError::Unreachable) => StatusCode::BAD_GATEWAY,
    }
}

/// The method as the value of a tag: a client can invent methods, but no series.
fn tag_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Counts a request while it is being answered, also when the client hangs up before it is.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.add(1_u8);
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.subtract(1_u8);
    }
}
