//! Both layers over bare hyper: `cargo run --release --example hyper_server`, then open the URL that it prints.
//!
//! A server answers, and a client of its own asks it ten times a second. Both are told of; the endpoint shows it.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../arguments.rs"]
mod arguments;

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use telemetry_core::http::{ClientLayer, RequestBody, Route, ServerLayer, client, server};
use telemetry_exporter::Exporter;
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer;
use tower_service::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments =
        arguments::Arguments::read("A server and a client on bare hyper, and an endpoint with what both tell.");
    let exporter = Exporter::builder()
        .metrics(server::metrics())
        .metrics(client::metrics())
        .source(server::active_requests())
        .source(client::active_requests())
        .listen(arguments.listen)
        .serve()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("server   http://{address}/products/tea");
    println!("metrics  http://{}/metrics", exporter.local_addr());
    tokio::select! {
        result = serve(listener) => result?,
        () = ask(address) => {}
        () = arguments.end() => {}
    }
    exporter.shutdown(Duration::from_secs(5))?;
    Ok(())
}

async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    let service = TowerToHyperService::new(ServerLayer::new().layer(Shop));
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection broke off: {error}");
            }
        });
    }
}

#[derive(Clone)]
struct Shop;

/// The layer passes the body of a request on as one that counts: that is all there is to see of it.
impl Service<Request<RequestBody<Incoming>>> for Shop {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Incoming>>) -> Self::Future {
        let mut response = Response::new(Full::default());
        match request.uri().path().strip_prefix("/products/") {
            Some(name) => {
                *response.body_mut() = format!("{name} 4.50\n").into();
                // Only who matched a path knows its template.
                response.extensions_mut().insert(Route::from_static("/products/{name}"));
            }
            None => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        ready(Ok(response))
    }
}

/// A connection of a client, as a service.
struct Sender(SendRequest<RequestBody<Empty<Bytes>>>);

impl Service<Request<RequestBody<Empty<Bytes>>>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody<Empty<Bytes>>>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Asks for ever, now and then for what there is not.
async fn ask(address: SocketAddr) {
    loop {
        if let Err(error) = ask_over_one_connection(address).await {
            eprintln!("the client starts anew: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn ask_over_one_connection(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let mut client = ClientLayer::new()
        .error_type(|error: &hyper::Error| if error.is_incomplete_message() { "closed" } else { "hyper" })
        .layer(Sender(sender));
    for path in ["/products/tea", "/products/coffee", "/nothing"].into_iter().cycle() {
        let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
        poll_fn(|cx| Service::<Request<Empty<Bytes>>>::poll_ready(&mut client, cx)).await?;
        let response = client.call(request).await?;
        // The request ends with its body.
        response.into_body().collect().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
