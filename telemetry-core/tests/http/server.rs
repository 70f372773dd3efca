//! The layer of servers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, ready as now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Response, Version};
use http_body::Body;
use telemetry_core::http::{Route, Scheme, ServerLayer, server};
use telemetry_core::test::Capture;
use telemetry_core::{Number, emit};
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Broken, Step, Steps};
use super::*;

const START: &str = "http.server.request.start";
const STOP: &str = "http.server.request.stop";
const EXCEPTION: &str = "http.server.request.exception";

fn sizes(event: &CapturedEvent) -> (Option<Number>, Option<Number>) {
    (event.measurement("request_body_size"), event.measurement("response_body_size"))
}

fn numbers(request: u64, response: u64) -> (Option<Number>, Option<Number>) {
    (Some(Number::U64(request)), Some(Number::U64(response)))
}

/// T17, T19: start and stop are a span, with the tags of the conventions.
#[test]
fn a_request_starts_and_stops() {
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(200, Steps::whole(b"sugar")));
    let response = ready(service.call(get("/products/sugar"))).unwrap();
    assert!(capture.named(STOP).is_empty(), "its body is not sent yet");
    assert_eq!(read(response.into_body()), Ok(b"sugar".to_vec()));

    let (start, stop) = (only(&capture, START), only(&capture, STOP));
    let tag = |name| stop.tag(name);
    assert_eq!(tag("http.request.method"), Some("GET"));
    assert_eq!(tag("url.scheme"), Some("http"));
    assert_eq!(tag("http.response.status_code"), Some("200"));
    assert_eq!(tag("network.protocol.version"), Some("1.1"));
    assert_eq!(tag("outcome"), Some("ok"));
    for absent in ["http.route", "error.type"] {
        assert_eq!(tag(absent).unwrap_or_default(), "", "{absent}");
    }
    assert!(!stop.to_string().contains("products"), "a path is never a tag: {stop}");
    assert_eq!(sizes(&stop), numbers(0, 5));
    let duration = |name| match stop.measurement(name) {
        Some(Number::Duration(duration)) => duration,
        other => panic!("{name}: {other:?}"),
    };
    assert!(duration("time_to_head") <= duration("duration"));

    assert!(
        matches!(start.measurement("system_time"), Some(Number::Duration(time)) if time > Duration::from_secs(1_000_000_000))
    );
    assert_eq!(start.tag("http.request.method"), Some("GET"));
    assert_eq!(start.span(), stop.span());
    assert!(start.span().is_some());
}

/// T19: what the service and the body emit belongs to the request, and nothing else does.
#[test]
fn what_happens_within_a_request_belongs_to_it() {
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(Answer(|_| {
        emit!("http_test.called");
        async {
            emit!("http_test.polled");
            Ok::<_, Infallible>(Response::new(Steps::none()))
        }
    }));
    let future = service.call(get("/"));
    emit!("http_test.between");
    drop(ready(future).unwrap());
    let span = only(&capture, START).span();
    assert_eq!(only(&capture, "http_test.called").span(), span);
    assert_eq!(only(&capture, "http_test.polled").span(), span);
    assert_eq!(only(&capture, "http_test.between").span(), None);
}

#[test]
fn methods_that_are_not_known_are_one() {
    let methods = |layer: ServerLayer, methods: &[&str]| {
        let capture = Capture::start();
        let mut service = layer.layer(answering(200, Steps::none()));
        for method in methods {
            drop(ready(service.call(request(method, "/", Steps::none()))).unwrap());
        }
        let stops = capture.named(STOP);
        stops.iter().map(|stop| stop.tag("http.request.method").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let standard = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    assert_eq!(methods(ServerLayer::new(), &standard), standard);
    assert_eq!(methods(ServerLayer::new(), &["BREW", "get", "GETT", "_OTHER"]), ["_OTHER"; 4]);
    let brewing = ServerLayer::new().methods(&["BREW"]);
    assert_eq!(methods(brewing, &["BREW", "GET"]), ["BREW", "_OTHER"], "a list is all that is known");
}

#[test]
fn the_scheme_is_what_the_target_says_or_else_what_the_layer_does() {
    let scheme = |layer: ServerLayer, uri: &str| {
        let capture = Capture::start();
        drop(ready(layer.layer(answering(200, Steps::none())).call(get(uri))).unwrap());
        only(&capture, STOP).tag("url.scheme").unwrap().to_owned()
    };
    let over_tls = || ServerLayer::new().scheme(Scheme::Https);
    assert_eq!(scheme(ServerLayer::new(), "/"), "http");
    assert_eq!(scheme(over_tls(), "/"), "https");
    assert_eq!(scheme(over_tls(), "http://shop.test/"), "http");
    assert_eq!(scheme(ServerLayer::new(), "https://shop.test/"), "https");
    assert_eq!(scheme(ServerLayer::new(), "gopher://shop.test/"), "http", "a client invents no scheme");
}

/// Also HTTP/1.0, which has neither chunks nor a `Host`.
#[test]
fn the_version_is_that_of_the_request() {
    for (version, expected) in [
        (Version::HTTP_09, "0.9"),
        (Version::HTTP_10, "1.0"),
        (Version::HTTP_11, "1.1"),
        (Version::HTTP_2, "2"),
        (Version::HTTP_3, "3"),
    ] {
        let capture = Capture::start();
        let mut request = get("/");
        *request.version_mut() = version;
        drop(ready(ServerLayer::new().layer(answering(200, Steps::none())).call(request)).unwrap());
        assert_eq!(only(&capture, STOP).tag("network.protocol.version"), Some(expected));
    }
}

#[test]
fn the_route_is_an_extension_of_the_request_or_of_the_response() {
    #[derive(Clone)]
    struct Matched(String);
    impl Matched {
        fn template(&self) -> &str {
            &self.0
        }
    }
    let capture = Capture::start();
    let mut service = ServerLayer::new().route_from(Matched::template).layer(Answer(|request: Counted| {
        let mut response = Response::new(Steps::none());
        if request.uri().path() == "/behind" {
            response.extensions_mut().insert(Matched("/{behind}".to_owned()));
        }
        now(Ok::<_, Infallible>(response))
    }));
    let mut routes = |uri: &str, before: Option<&str>| {
        let mut request = get(uri);
        if let Some(before) = before {
            request.extensions_mut().insert(Matched(before.to_owned()));
        }
        drop(ready(service.call(request)).unwrap());
        let events = capture.take();
        let route = |name: &str| {
            let event = events.iter().find(|event| event.name() == name).unwrap();
            event.tag("http.route").unwrap_or_default().to_owned()
        };
        (route(START), route(STOP))
    };
    assert_eq!(routes("/", None), (String::new(), String::new()));
    assert_eq!(routes("/", Some("/{before}")), ("/{before}".to_owned(), "/{before}".to_owned()));
    assert_eq!(routes("/behind", None), (String::new(), "/{behind}".to_owned()));
    assert_eq!(routes("/behind", Some("/{before}")), ("/{before}".to_owned(), "/{behind}".to_owned()));

    // Without a word, it is a `Route`.
    let mut service = ServerLayer::new().layer(answering(200, Steps::none()));
    let mut with_route = get("/");
    with_route.extensions_mut().insert(Route::new(String::from("/carts/{id}")));
    drop(ready(service.call(with_route)).unwrap());
    assert_eq!(only(&capture, STOP).tag("http.route"), Some("/carts/{id}"));
}

#[test]
fn a_request_without_a_body_in_its_response_ends_at_the_head() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 101), ("CONNECT", 200)] {
        let capture = Capture::start();
        // It says what it would be, as `HEAD` does; nobody reads it.
        let mut service = ServerLayer::new().layer(answering(status, Steps::whole(b"never sent")));
        let response = ready(service.call(request(method, "/", Steps::none()))).unwrap();
        let stop = only(&capture, STOP);
        assert_eq!(stop.tag("outcome"), Some("ok"), "{method} {status}");
        assert_eq!(sizes(&stop), numbers(0, 0), "{method} {status}");
        drop(response);
        assert_eq!(capture.named(STOP).len(), 1, "once");
    }
    // A tunnel that is refused has a body.
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(403, Steps::whole(b"no")));
    let response = ready(service.call(request("CONNECT", "shop.test:443", Steps::none()))).unwrap();
    assert!(capture.named(STOP).is_empty());
    drop(read(response.into_body()));
    assert_eq!(sizes(&only(&capture, STOP)), numbers(0, 2));
}

#[test]
fn sizes_are_those_that_were_transferred() {
    let capture = Capture::start();
    // A chunked request of 3 and 4 bytes, trailers behind it; the response is as long in all, in other chunks.
    let upload = Steps::of([Step::Data(b"one"), Step::Data(b"four"), Step::Trailers]);
    let mut service = ServerLayer::new().layer(Answer(|request: Counted| async {
        let whole = request.into_body().collect().await?;
        assert!(whole.trailers().is_some(), "trailers pass");
        let all: &'static [u8] = whole.to_bytes().to_vec().leak();
        Ok::<_, Broken>(Response::new(Steps::of([Step::Data(&all[..1]), Step::Data(&all[1..]), Step::Trailers])))
    }));
    let response = ready(service.call(request("POST", "/", upload))).unwrap();
    let whole = ready(response.into_body().collect()).unwrap();
    assert!(whole.trailers().is_some(), "trailers pass");
    assert_eq!(whole.to_bytes(), b"onefour"[..]);
    assert_eq!(sizes(&only(&capture, STOP)), numbers(7, 7));
}

#[test]
fn of_a_request_that_is_not_read_no_bytes_were_taken() {
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(413, Steps::whole(b"too long")));
    let response = ready(service.call(request("POST", "/", Steps::whole(b"ten bytes.")))).unwrap();
    drop(read(response.into_body()));
    let stop = only(&capture, STOP);
    assert_eq!(sizes(&stop), numbers(0, 8));
    assert_eq!(
        (stop.tag("outcome"), stop.tag("error.type")),
        (Some("ok"), None),
        "a client's fault is none of the server"
    );
}

#[test]
fn a_status_from_500_on_is_an_error() {
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(503, Steps::whole(b"later")));
    drop(read(ready(service.call(get("/"))).unwrap().into_body()));
    let stop = only(&capture, STOP);
    assert_eq!((stop.tag("outcome"), stop.tag("error.type")), (Some("error"), Some("503")));
}

#[test]
fn an_error_of_the_service_is_named_by_its_type_or_by_the_layer() {
    let failing = || Answer(|_| now(Err::<Response<Steps>, _>(Broken)));
    let capture = Capture::start();
    ready(ServerLayer::new().layer(failing()).call(get("/"))).unwrap_err();
    let [stop] = &capture.take()[1..] else { panic!("a start and a stop") };
    assert_eq!((stop.tag("outcome"), stop.tag("error.type")), (Some("error"), Some("http::body::Broken")));
    assert_eq!(stop.tag("http.response.status_code"), None);
    assert_eq!(stop.measurement("time_to_head"), None);

    let named = ServerLayer::new().error_type(|_: &Broken| "broken");
    ready(named.layer(failing()).call(get("/"))).unwrap_err();
    assert_eq!(only(&capture, STOP).tag("error.type"), Some("broken"));
}

/// T18: a panic is an exception, whichever part of the request panics, and goes on.
#[test]
fn a_panic_is_an_exception_and_goes_on() {
    let says = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<&str>().unwrap();
    let check = |capture: &Capture, message: &str| {
        let exception = only(capture, EXCEPTION);
        assert_eq!((exception.tag("kind"), exception.tag("message")), (Some("panic"), Some(message)));
        assert!(exception.measurement("duration").is_some());
        assert_eq!(exception.span(), only(capture, START).span());
        assert!(capture.named(STOP).is_empty(), "a panic is no stop");
    };

    let capture = Capture::start();
    let mut service =
        ServerLayer::new().layer(Answer(|_: Counted| -> std::future::Ready<Result<Response<Steps>, Infallible>> {
            panic!("in the call")
        }));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(service.call(get("/"))))).unwrap_err();
    assert_eq!(says(panic), "in the call");
    check(&capture, "in the call");

    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(Answer(|_: Counted| async {
        if true {
            panic!("in the future");
        }
        Ok::<_, Infallible>(Response::new(Steps::none()))
    }));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(ready(service.call(get("/")))))).unwrap_err();
    assert_eq!(says(panic), "in the future");
    check(&capture, "in the future");

    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(200, Steps::of([Step::Data(b"some"), Step::Panic])));
    let response = ready(service.call(get("/"))).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(read(response.into_body())))).unwrap_err();
    assert_eq!(says(panic), "no more bytes");
    check(&capture, "no more bytes");
}

/// T18b: a client that hangs up before the head makes the server drop the future.
#[test]
fn a_future_that_is_dropped_is_cancelled() {
    struct Dropped;
    impl Drop for Dropped {
        fn drop(&mut self) {
            emit!("http_test.dropped");
        }
    }
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(Answer(|_: Counted| async {
        let _dropped = Dropped;
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Steps::none()))
    }));
    let mut future = Box::pin(service.call(get("/")));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(capture.named(STOP).is_empty());
    drop(future);
    let stop = only(&capture, STOP);
    assert_eq!((stop.tag("outcome"), stop.tag("error.type")), (Some("cancelled"), Some("cancelled")));
    assert_eq!(stop.tag("http.response.status_code"), None);
    assert_eq!(only(&capture, "http_test.dropped").span(), stop.span());

    // One that was never polled, too.
    drop(capture.take());
    drop(service.call(get("/")));
    assert_eq!(only(&capture, STOP).tag("outcome"), Some("cancelled"));
}

/// T18b
#[test]
fn a_body_that_is_dropped_midway_is_cancelled() {
    for (status, error_type) in [(200, "cancelled"), (500, "500")] {
        let capture = Capture::start();
        let body = Steps::of([Step::Data(b"some"), Step::Wait, Step::Data(b"more")]);
        let mut service = ServerLayer::new().layer(answering(status, body));
        let mut body = Box::pin(ready(service.call(get("/"))).unwrap().into_body());
        let mut context = Context::from_waker(Waker::noop());
        assert!(body.as_mut().poll_frame(&mut context).is_ready());
        assert!(body.as_mut().poll_frame(&mut context).is_pending());
        drop(body);
        let stop = only(&capture, STOP);
        assert_eq!((stop.tag("outcome"), stop.tag("error.type")), (Some("cancelled"), Some(error_type)));
        assert_eq!(stop.tag("http.response.status_code"), Some(status.to_string().as_str()));
        assert_eq!(sizes(&stop), numbers(0, 4));
    }
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(200, Steps::of([Step::Data(b"some"), Step::Break])));
    assert_eq!(read(ready(service.call(get("/"))).unwrap().into_body()), Err(Broken));
    let stop = only(&capture, STOP);
    assert_eq!((stop.tag("outcome"), stop.tag("error.type")), (Some("error"), Some("http::body::Broken")));
    assert_eq!(sizes(&stop), numbers(0, 4));

    // A request that breaks off is told as far as it came; what the service makes of it is its own.
    drop(capture.take());
    let mut service = ServerLayer::new().layer(Answer(|request: Counted| async {
        let status = if request.into_body().collect().await.is_ok() { 200 } else { 400 };
        Ok::<_, Infallible>(Response::builder().status(status).body(Steps::none()).unwrap())
    }));
    let upload = Steps::of([Step::Data(b"three"), Step::Break]);
    drop(ready(service.call(request("PUT", "/", upload))).unwrap());
    let stop = only(&capture, STOP);
    assert_eq!(stop.tag("http.response.status_code"), Some("400"));
    assert_eq!(sizes(&stop), numbers(5, 0));
}

/// A server that has sent as many bytes as it said drops the body, and does not ask for its end.
#[test]
fn a_body_that_is_dropped_with_nothing_to_come_is_whole() {
    let outcome = |response: Response<Steps>| {
        let capture = Capture::start();
        let response = RefCell::new(Some(response));
        let mut service = ServerLayer::new()
            .layer(Answer(|_: Counted| now(Ok::<_, Infallible>(response.borrow_mut().take().expect("one request")))));
        let mut body = ready(service.call(get("/"))).unwrap().into_body();
        let _ = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        drop(body);
        only(&capture, STOP).tag("outcome").unwrap().to_owned()
    };
    let declared = |length: &str, body| Response::builder().header("content-length", length).body(body).unwrap();
    let streamed = || Steps::of([Step::Data(b"five!")]);
    assert_eq!(outcome(Response::new(Steps::whole(b"five!"))), "ok", "it knows");
    assert_eq!(outcome(declared("5", streamed())), "ok", "the header says so");
    assert_eq!(outcome(declared("6", streamed())), "cancelled");
    assert_eq!(outcome(declared("five", streamed())), "cancelled");
    assert_eq!(outcome(Response::new(streamed())), "cancelled", "nobody says how much there is");
}

#[test]
fn a_body_that_knows_its_end_ends_with_its_last_frame() {
    let capture = Capture::start();
    let mut service = ServerLayer::new().layer(answering(200, Steps::whole(b"sugar")));
    let mut body = ready(service.call(get("/"))).unwrap().into_body();
    assert!(Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready());
    // A server may keep the body until its bytes are sent.
    assert_eq!(sizes(&only(&capture, STOP)), numbers(0, 5));
    drop(body);
    assert_eq!(capture.named(STOP).len(), 1, "once");
}

#[test]
fn a_body_is_what_it_was_but_for_the_counting() {
    let _capture = Capture::start();
    let mut service = ServerLayer::new().layer(Answer(|request: Counted| {
        assert_eq!(request.body().size_hint().exact(), Some(3));
        assert!(!request.body().is_end_stream());
        assert_eq!(request.into_body().into_inner().size_hint().exact(), Some(3));
        now(Ok::<_, Infallible>(Response::new(Steps::whole(b"four"))))
    }));
    let response = ready(service.call(request("POST", "/", Steps::whole(b"abc")))).unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(4));
    assert!(!response.body().is_end_stream());
    let response = ready(ServerLayer::new().layer(answering(200, Steps::none())).call(get("/"))).unwrap();
    assert!(response.body().is_end_stream());
}

#[test]
fn an_event_declares_units_and_descriptions() {
    let metadata = server::RequestStop::EVENT.metadata();
    for measurement in metadata.measurements() {
        assert!(measurement.unit.is_some() && !measurement.description.is_empty(), "{}", measurement.name);
    }
    assert!(metadata.tags().iter().all(|tag| !tag.description.is_empty() || tag.name == "outcome"));
}
