//! Customers: they come over the network, as everybody does.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::dice;

const CUSTOMERS: usize = 8;
/// The longest time that a customer thinks before the next request.
const THOUGHT: Duration = Duration::from_millis(100);
/// How many requests a customer makes on one connection.
const VISIT: u64 = 40;

/// Customers that come again and again; they are gone when this is dropped.
pub(crate) fn customers(shop: SocketAddr) -> JoinSet<()> {
    (0..CUSTOMERS)
        .map(|_| async move {
            loop {
                // A shop that breaks off is visited again later.
                let _ = visit(shop).await;
                tokio::time::sleep(THOUGHT).await;
            }
        })
        .collect()
}

async fn visit(shop: SocketAddr) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(shop).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let requests = async move {
        for _ in 0..dice::roll(VISIT) {
            let (method, path, body) = wish();
            let request = Request::builder().method(method).uri(path).header(header::HOST, shop.to_string());
            let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
            answer.into_body().collect().await?;
            tokio::time::sleep(dice::pause(THOUGHT)).await;
        }
        // The sender is dropped here, which ends the connection.
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    };
    let (connection, requests) = tokio::join!(connection, requests);
    connection?;
    requests
}

/// What a customer wants next; now and then what there is not.
fn wish() -> (Method, String, String) {
    let product = ["mug", "mug", "shirt", "poster"][usize::try_from(dice::roll(4)).unwrap_or_default()];
    let quantity = match dice::roll(20) {
        0 => "many".to_owned(),
        1 => "50".to_owned(),
        _ => (1 + dice::roll(4)).to_string(),
    };
    match dice::roll(20) {
        0 => (Method::GET, "/favicon.ico".to_owned(), String::new()),
        1 => (Method::GET, "/products/teapot".to_owned(), String::new()),
        2 => (Method::DELETE, format!("/products/{product}"), String::new()),
        3..=8 => (Method::GET, "/products".to_owned(), String::new()),
        9..=14 => (Method::GET, format!("/products/{product}"), String::new()),
        _ => (Method::POST, format!("/products/{product}/orders"), quantity),
    }
}
