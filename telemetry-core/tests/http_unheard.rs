//! A request that began while nobody listened.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use telemetry_core::http::{RequestBody, ServerLayer};
use telemetry_core::test::Capture;
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Shop;

impl Service<Request<RequestBody<Empty<&'static [u8]>>>> for Shop {
    type Response = Response<Full<&'static [u8]>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Empty<&'static [u8]>>>) -> Self::Future {
        ready(Ok(Response::new(Full::new(b"sugar"))))
    }
}

fn output<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// When it began is not known, so it has no stop, in the middle of which a handler came; the next one has.
#[test]
fn a_request_that_nobody_listened_to_at_its_start_has_no_stop() {
    let mut service = ServerLayer::new().layer(Shop);
    let Ok(response) = output(service.call(Request::new(Empty::new())));
    let capture = Capture::start();
    assert_eq!(output(response.into_body().collect()).map(|body| body.to_bytes().len()), Ok(5));
    assert_eq!(capture.events().len(), 0, "{:?}", capture.events());

    let Ok(response) = output(service.call(Request::new(Empty::new())));
    drop(output(response.into_body().collect()));
    assert_eq!(capture.named("http.server.request.stop").len(), 1);
}
