//! Clients that know what they are to get, and hang up on what never comes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use telemetry_core::http::{ClientLayer, ClientService, RequestBody};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use super::server::{Arrived, BEFORE, CHUNK};
use super::until;

pub(crate) const REQUESTS: u64 = 10_000;
pub(crate) const CONNECTIONS: usize = 16;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Product,
    Head,
    Order,
    Stream,
    Unknown,
    Fails,
    Panics,
    Breaks,
    Stalls,
    Never,
}

/// How the server tells of a kind.
pub(crate) struct Expected {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) server_error: &'static str,
}

/// What was sent of one kind, and what came back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) requests: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

impl Kind {
    /// One in ten fails or is cancelled, as many in each way.
    fn of(number: u64) -> Self {
        if number.is_multiple_of(10) {
            return [Self::Fails, Self::Panics, Self::Breaks, Self::Stalls, Self::Never][(number / 10 % 5) as usize];
        }
        [Self::Product, Self::Head, Self::Order, Self::Stream, Self::Unknown][(number % 5) as usize]
    }

    pub(crate) fn fails(self) -> bool {
        matches!(self, Self::Fails | Self::Panics | Self::Breaks | Self::Stalls | Self::Never)
    }

    pub(crate) fn expected(self) -> Expected {
        let expected = |method, route, status, server_error| Expected { method, route, status, server_error };
        match self {
            Self::Product => expected("GET", "/products/{name}", Some(200), ""),
            Self::Head => expected("HEAD", "/products/{name}", Some(200), ""),
            Self::Order => expected("POST", "/orders", Some(201), ""),
            Self::Stream => expected("GET", "/stream/{chunks}", Some(200), ""),
            Self::Unknown => expected("GET", "", Some(404), ""),
            Self::Fails => expected("GET", "/fails", Some(500), "500"),
            Self::Panics => expected("GET", "/panics", None, ""),
            Self::Breaks => expected("GET", "/breaks", Some(200), "axum_core::error::Error"),
            Self::Stalls => expected("GET", "/stalls", Some(200), "cancelled"),
            Self::Never => expected("GET", "/never", None, "cancelled"),
        }
    }

    fn request(self, number: u64) -> Request<Full<Bytes>> {
        let path = match self {
            Self::Product | Self::Head => format!("/products/{}", "x".repeat((number % 100) as usize + 1)),
            Self::Order => "/orders".to_owned(),
            Self::Stream => format!("/stream/{}", number % 7),
            Self::Unknown => format!("/nothing/{number}"),
            Self::Fails => "/fails".to_owned(),
            Self::Panics => "/panics".to_owned(),
            Self::Breaks => "/breaks".to_owned(),
            Self::Stalls => "/stalls".to_owned(),
            Self::Never => format!("/never?{number}"),
        };
        let body = if self == Self::Order { vec![b'o'; (number % 300) as usize] } else { Vec::new() };
        Request::builder().method(self.expected().method).uri(path).body(Full::from(body)).unwrap()
    }

    /// How many bytes the response is to have.
    fn response_bytes(self, number: u64) -> u64 {
        match self {
            Self::Product => number % 100 + 1,
            Self::Order => (number % 300).to_string().len() as u64,
            Self::Stream => number % 7 * CHUNK.len() as u64,
            Self::Fails => 2,
            Self::Breaks | Self::Stalls => BEFORE,
            Self::Head | Self::Unknown | Self::Panics | Self::Never => 0,
        }
    }
}

/// Sends everything, over as many connections as there are; each is opened anew when it was cut.
pub(crate) async fn send(address: SocketAddr, arrived: &Arrived) -> BTreeMap<Kind, Sent> {
    let next = Arc::<AtomicU64>::default();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (next, arrived) = (Arc::clone(&next), Arc::clone(arrived));
            tokio::spawn(async move {
                let mut sent = BTreeMap::<Kind, Sent>::new();
                let mut connection = None;
                loop {
                    let number = next.fetch_add(1, SeqCst);
                    if number >= REQUESTS {
                        return sent;
                    }
                    let kind = Kind::of(number);
                    let open = match connection.take() {
                        Some(open) => open,
                        None => Connection::open(address).await,
                    };
                    connection = open.ask(kind, number, sent.entry(kind).or_default(), &arrived).await;
                }
            })
        })
        .collect();
    let mut all = BTreeMap::<Kind, Sent>::new();
    for client in clients {
        for (kind, sent) in client.await.unwrap() {
            let total = all.entry(kind).or_default();
            total.requests += sent.requests;
            total.request_bytes += sent.request_bytes;
            total.response_bytes += sent.response_bytes;
        }
    }
    all
}

/// The sender of a connection as a service.
struct Sender(SendRequest<RequestBody<Full<Bytes>>>);

impl Service<Request<RequestBody<Full<Bytes>>>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

struct Connection {
    service: ClientService<Sender, fn(&hyper::Error) -> &'static str>,
    address: SocketAddr,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The socket goes with it.
        self.driver.abort();
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(async move {
            // Cut on purpose, in many ways.
            let _ = connection.await;
        });
        let layer = ClientLayer::new().error_type((|_| "hung up") as fn(&hyper::Error) -> &'static str);
        Self { service: layer.layer(Sender(sender)), address, driver }
    }

    /// Sends one request, and checks what comes; gives the connection back if it still stands.
    async fn ask(mut self, kind: Kind, number: u64, sent: &mut Sent, arrived: &Arrived) -> Option<Self> {
        let mut request = kind.request(number);
        request.headers_mut().insert("host", self.address.to_string().parse().unwrap());
        sent.requests += 1;
        sent.request_bytes += request.body().size_hint().exact().unwrap();
        sent.response_bytes += kind.response_bytes(number);
        let ready = |cx: &mut Context<'_>| Service::<Request<Full<Bytes>>>::poll_ready(&mut self.service, cx);
        std::future::poll_fn(ready).await.unwrap();
        let response = self.service.call(request);

        if kind == Kind::Never {
            // Dropped when it is known to be with the handler.
            let mut response = Box::pin(response);
            tokio::select! {
                answer = &mut response => panic!("an answer: {:?}", answer.map(|answer| answer.status())),
                () = until("the request", || arrived.lock().unwrap().contains(&number)) => {}
            }
            return None;
        }
        let response = match response.await {
            Ok(response) => response,
            Err(error) => {
                assert_eq!(kind, Kind::Panics, "{error}");
                return None;
            }
        };
        assert_eq!(Some(response.status().as_u16()), kind.expected().status, "{kind:?}");
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => length += frame.into_data().map_or(0, |data| data.len() as u64),
                Err(error) => {
                    assert_eq!(kind, Kind::Breaks, "{error}");
                    break;
                }
            }
            if kind == Kind::Stalls && length == BEFORE {
                break;
            }
        }
        assert_eq!(length, kind.response_bytes(number), "{kind:?}");
        (!kind.fails() || kind == Kind::Fails).then_some(self)
    }
}
