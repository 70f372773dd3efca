//! The ready metrics of both layers.

use http::Response;
use telemetry_core::http::{ClientLayer, Route, Scheme, ServerLayer, client, server};
use telemetry_core::metric::Metric;
use telemetry_core::snapshot::{Snapshot, ValueSnapshot};
use telemetry_core::test::Capture;
use telemetry_core::{Registry, Unit};
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Step, Steps};
use super::*;

fn attached(capture: &Capture, metrics: Vec<Metric>) -> Registry {
    let registry = Registry::new();
    registry.aggregator(metrics).unwrap().attach_to(capture.dispatch(), "metrics").unwrap();
    registry
}

fn histogram<'s>(snapshot: &'s Snapshot, name: &str, labels: &[(&str, &str)]) -> (u64, f64, &'s [f64]) {
    match snapshot.sample(name, labels) {
        Some(ValueSnapshot::Histogram { bounds, counts, sum, .. }) => (counts.iter().sum(), *sum, bounds),
        other => panic!("{name}: {other:?} of {:#?}", snapshot.family(name)),
    }
}

#[test]
fn a_servers_requests_are_counted_by_the_conventions() {
    let capture = Capture::start();
    let registry = attached(&capture, server::metrics());
    let mut service = ServerLayer::new().layer(Answer(|_: Counted| {
        let mut response = Response::new(Steps::whole(b"sugar"));
        response.extensions_mut().insert(Route::from_static("/products/{name}"));
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    for name in ["sugar", "salt"] {
        drop(read(ready(service.call(get(&format!("/products/{name}")))).unwrap().into_body()));
    }
    let mut panics = ServerLayer::new().layer(answering(200, Steps::of([Step::Panic])));
    let response = ready(panics.call(get("/"))).unwrap();
    let read = std::panic::AssertUnwindSafe(|| drop(read(response.into_body())));
    assert!(std::panic::catch_unwind(read).is_err());

    let labels = [
        ("http_request_method", "GET"),
        ("url_scheme", "http"),
        ("http_route", "/products/{name}"),
        ("http_response_status_code", "200"),
        ("network_protocol_version", "1.1"),
        ("error_type", ""),
    ];
    let snapshot = registry.snapshot();
    let (count, _, bounds) = histogram(&snapshot, "http.server.request.duration", &labels);
    assert_eq!(count, 2);
    assert_eq!(bounds, [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]);
    let (count, sum, bounds) = histogram(&snapshot, "http.server.response.body.size", &labels);
    assert_eq!((count, sum, bounds[0]), (2, 10.0, 0.0));
    let (count, sum, _) = histogram(&snapshot, "http.server.request.body.size", &labels);
    assert_eq!((count, sum), (2, 0.0));
    let exceptions = [labels[0], labels[1], labels[4]];
    assert_eq!(snapshot.total("http.server.request.exceptions", &exceptions), Some(1.0));
    for (name, unit) in [
        ("http.server.request.duration", Unit::Second),
        ("http.server.request.body.size", Unit::Byte),
        ("http.server.response.body.size", Unit::Byte),
    ] {
        let family = &snapshot.family(name).unwrap().family;
        assert_eq!(family.values_unit(), Some(unit));
        assert!(family.help().contains("HTTP server"), "{name}: {}", family.help());
    }
}

#[test]
fn a_clients_requests_are_counted_by_the_conventions() {
    let capture = Capture::start();
    let registry = attached(&capture, client::metrics());
    let mut service = ClientLayer::new().layer(answering(404, Steps::whole(b"nothing")));
    drop(read(ready(service.call(get("http://shop.test/products/tea"))).unwrap().into_body()));
    let labels = [
        ("http_request_method", "GET"),
        ("url_scheme", "http"),
        ("server_address", "shop.test"),
        ("server_port", "80"),
        ("http_response_status_code", "404"),
        ("network_protocol_version", "1.1"),
        ("error_type", "404"),
    ];
    let snapshot = registry.snapshot();
    assert_eq!(histogram(&snapshot, "http.client.request.duration", &labels).0, 1);
    let (count, sum, _) = histogram(&snapshot, "http.client.response.body.size", &labels);
    assert_eq!((count, sum), (1, 7.0));
}

/// Requests are in flight until their bodies end, whoever listens. The methods are this test's own, as the figures are
/// the process's.
#[test]
fn requests_in_flight_are_those_that_have_not_ended() {
    let registry = Registry::new();
    registry.source(server::active_requests());
    registry.source(client::active_requests());
    let layer = ServerLayer::new().methods(&["BREW", "WHEN"]).scheme(Scheme::Https);
    let labels = [("http_request_method", "BREW"), ("url_scheme", "https")];
    let active = || registry.snapshot().total("http.server.active_requests", &labels);

    let mut service = layer.layer(answering(200, Steps::whole(b"sugar")));
    assert_eq!(active(), None, "a method that was never seen is not shown");
    let brew = || request("BREW", "/", Steps::none());
    let (first, second) = (service.call(brew()), service.call(brew()));
    assert_eq!(active(), Some(2.0));
    drop(first);
    assert_eq!(active(), Some(1.0));
    let response = ready(second).unwrap();
    assert_eq!(active(), Some(1.0), "its body is to be sent");
    drop(read(response.into_body()));
    assert_eq!(active(), Some(0.0));

    // On another thread, and by a panic.
    let future = service.call(brew());
    std::thread::scope(|scope| {
        scope.spawn(|| drop(future));
    });
    assert_eq!(active(), Some(0.0));
    let mut panics = layer.layer(answering(200, Steps::of([Step::Panic])));
    let response = ready(panics.call(brew())).unwrap();
    assert_eq!(active(), Some(1.0));
    let read_it = std::panic::AssertUnwindSafe(|| drop(read(response.into_body())));
    assert!(std::panic::catch_unwind(read_it).is_err());
    assert_eq!(active(), Some(0.0));

    let mut service = ClientLayer::new().methods(&["BREW"]).layer(answering(200, Steps::none()));
    let future = service.call(request("BREW", "https://a.test/", Steps::none()));
    assert_eq!(registry.snapshot().total("http.client.active_requests", &labels), Some(1.0));
    drop(future);
    assert_eq!(registry.snapshot().total("http.client.active_requests", &labels), Some(0.0));
}
