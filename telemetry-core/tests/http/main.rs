//! The layers of HTTP: every way in which a request can end, and what is told of it.

#[path = "../../src/allocations.rs"]
mod allocations;
mod body;
mod client;
mod cost;
mod metrics;
mod server;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body_util::BodyExt;
use telemetry_core::http::RequestBody;
use telemetry_core::test::{Capture, CapturedEvent};
use tower_service::Service;

use body::{Broken, Steps};

/// A request as the service behind a layer gets it.
type Counted = Request<RequestBody<Steps>>;

/// A service that is a function.
#[derive(Clone)]
struct Answer<F>(F);

impl<F, R, E> Service<Counted> for Answer<F>
where
    F: FnMut(Counted) -> R,
    R: Future<Output = Result<Response<Steps>, E>>,
{
    type Response = Response<Steps>;
    type Error = E;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Counted) -> R {
        (self.0)(request)
    }
}

/// A service that answers with `body`, whatever it is asked.
fn answering(
    status: u16,
    body: Steps,
) -> Answer<impl FnMut(Counted) -> std::future::Ready<Result<Response<Steps>, Infallible>> + Clone> {
    Answer(move |_| {
        std::future::ready(Ok(Response::builder().status(status).body(body.clone()).expect("the status is one")))
    })
}

/// Polls once.
fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The output of a future that needs nobody to wake it.
fn ready<F: Future>(future: F) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Reads a body to its end: the bytes that came, or the error.
fn read<B>(body: B) -> Result<Vec<u8>, Broken>
where
    B: http_body::Body<Data = &'static [u8], Error = Broken>,
{
    ready(body.collect()).map(|whole| whole.to_bytes().to_vec())
}

fn get(uri: &str) -> Request<Steps> {
    request("GET", uri, Steps::none())
}

fn request(method: &str, uri: &str, body: Steps) -> Request<Steps> {
    Request::builder().method(method).uri(uri).body(body).expect("a request")
}

/// The only event of this name.
#[track_caller]
fn only(capture: &Capture, name: &str) -> CapturedEvent {
    let events = capture.named(name);
    assert_eq!(events.len(), 1, "{name}: {events:?}");
    events.into_iter().next().expect("there is one")
}
