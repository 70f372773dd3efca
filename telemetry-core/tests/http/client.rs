//! The layer of clients.

use std::future::{pending, ready as now};

use http::Response;
use telemetry_core::Number;
use telemetry_core::http::ClientLayer;
use telemetry_core::test::Capture;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Broken, Step, Steps};
use super::*;

const STOP: &str = "http.client.request.stop";

fn tags<'e>(event: &'e CapturedEvent, names: [&str; 2]) -> [Option<&'e str>; 2] {
    names.map(|name| event.tag(name))
}

/// T17, T19
#[test]
fn a_request_names_the_server_that_it_asks() {
    let capture = Capture::start();
    let mut service = ClientLayer::new().layer(answering(200, Steps::whole(b"sugar")));
    let sent = request("POST", "https://Shop.test/carts/7?x=1", Steps::whole(b"two"));
    let response = ready(service.call(sent)).unwrap();
    assert_eq!(read(response.into_body()), Ok(b"sugar".to_vec()));
    let (start, stop) = (only(&capture, "http.client.request.start"), only(&capture, STOP));
    for event in [&start, &stop] {
        assert_eq!(event.tag("http.request.method"), Some("POST"));
        assert_eq!(event.tag("url.scheme"), Some("https"));
        assert_eq!(tags(event, ["server.address", "server.port"]), [Some("shop.test"), Some("443")]);
        assert!(!event.to_string().contains("carts"), "{event}");
    }
    assert_eq!(tags(&stop, ["http.response.status_code", "network.protocol.version"]), [Some("200"), Some("1.1")]);
    assert_eq!(tags(&stop, ["outcome", "error.type"]), [Some("ok"), None]);
    assert_eq!(stop.measurement("response_body_size"), Some(Number::U64(5)));
    assert_eq!(stop.measurement("request_body_size"), Some(Number::U64(0)), "the connection took nothing of it");
    assert_eq!(start.span(), stop.span());
}

#[test]
fn a_request_over_an_open_connection_has_its_host_in_a_header() {
    let capture = Capture::start();
    let mut service = ClientLayer::new().layer(answering(204, Steps::none()));
    let mut sent = get("/carts");
    sent.headers_mut().insert("host", "[::1]:8080".parse().unwrap());
    drop(ready(service.call(sent)).unwrap());
    assert_eq!(tags(&only(&capture, STOP), ["server.address", "server.port"]), [Some("::1"), Some("8080")]);
    drop(capture.take());
    drop(ready(service.call(get("/carts"))).unwrap());
    assert_eq!(tags(&only(&capture, STOP), ["server.address", "server.port"]), [None, Some("80")]);
}

#[test]
fn a_status_from_400_on_is_an_error() {
    let capture = Capture::start();
    for status in [200, 302, 404, 500] {
        drop(ready(ClientLayer::new().layer(answering(status, Steps::none())).call(get("http://a.test/"))).unwrap());
    }
    let stops = capture.named(STOP);
    let errors: Vec<_> = stops.iter().map(|stop| (stop.tag("outcome").unwrap(), stop.tag("error.type"))).collect();
    assert_eq!(errors, [("ok", None), ("ok", None), ("error", Some("404")), ("error", Some("500"))]);
}

#[test]
fn a_connection_that_fails_is_named_by_the_layer() {
    let refused = Answer(|_: Counted| now(Err::<Response<Steps>, _>(Broken)));
    let mut service = ClientLayer::new().error_type(|_: &Broken| "connect").layer(refused);
    let capture = Capture::start();
    assert_eq!(ready(service.call(get("http://a.test:81/"))).unwrap_err(), Broken);
    let stop = only(&capture, STOP);
    assert_eq!(tags(&stop, ["outcome", "error.type"]), [Some("error"), Some("connect")]);
    assert_eq!(tags(&stop, ["http.response.status_code", "network.protocol.version"]), [None, None]);
}

/// T18b: a client that has read enough is no error; one that gave up is.
#[test]
fn a_response_that_is_not_read_is_cancelled_and_no_error() {
    let capture = Capture::start();
    let body = Steps::of([Step::Data(b"some")]);
    drop(ready(ClientLayer::new().layer(answering(200, body)).call(get("http://a.test/"))).unwrap());
    let stop = only(&capture, STOP);
    assert_eq!(tags(&stop, ["outcome", "error.type"]), [Some("cancelled"), None]);
    drop(capture.take());

    let waiting = Answer(|_: Counted| pending::<Result<Response<Steps>, Broken>>());
    drop(ClientLayer::new().layer(waiting).call(get("http://a.test/")));
    assert_eq!(tags(&only(&capture, STOP), ["outcome", "error.type"]), [Some("cancelled"), Some("cancelled")]);
}

/// T18
#[test]
fn a_client_that_panics_emits_an_exception() {
    let capture = Capture::start();
    let mut service = ClientLayer::new().layer(answering(200, Steps::of([Step::Panic])));
    let response = ready(service.call(get("http://a.test/"))).unwrap();
    let read = std::panic::AssertUnwindSafe(|| drop(read(response.into_body())));
    assert!(std::panic::catch_unwind(read).is_err());
    let exception = only(&capture, "http.client.request.exception");
    assert_eq!(tags(&exception, ["kind", "server.address"]), [Some("panic"), Some("a.test")]);
    assert!(capture.named(STOP).is_empty());
}
