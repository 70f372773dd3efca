//! What the service answers, without a server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::{Request, Response};
use telemetry_core::metric::counter;
use telemetry_core::scrape::{Source, Visit};
use telemetry_core::{Dispatch, Registry, emit};
use telemetry_exporter::{Exporter, Format, MetricsBody, MetricsService, Options, render};
use tokio::runtime;
use tower_service::Service;

fn ask(service: &MetricsService, method: &str, accept: &[&str]) -> Response<MetricsBody> {
    let mut request = Request::builder().method(method).uri("/whatever");
    for accept in accept {
        request = request.header("accept", *accept);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    block_on(service.clone().call(request)).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn header<'r>(response: &'r Response<MetricsBody>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn text(response: Response<MetricsBody>) -> String {
    let bytes = block_on(response.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A registry whose exposition takes many chunks.
fn large() -> Registry {
    let registry = Registry::new();
    let dispatch = Dispatch::new();
    let metric = counter("tower_test.large.count").tags(["number"]).limit(20_000);
    registry.aggregator([metric]).unwrap().attach_to(&dispatch, "large").unwrap();
    dispatch.run(|| (0..10_000_u64).for_each(|number| emit!("tower_test.large", {}, { number })));
    registry
}

#[test]
fn the_format_is_negotiated_as_at_the_endpoint() {
    let registry = Registry::new();
    registry.register::<telemetry_core::instrument::Counter>(counter("tower_test.jobs")).unwrap();
    let service = MetricsService::new(&registry);
    for (accept, format) in [
        (vec![], Format::Text),
        (vec!["application/openmetrics-text;version=1.0.0"], Format::OpenMetrics),
        // Two lines are one list.
        (vec!["text/plain;q=0.5", "application/openmetrics-text"], Format::OpenMetrics),
        (vec!["image/png"], Format::Text),
    ] {
        let response = ask(&service, "GET", &accept);
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), Some(format.content_type()), "{accept:?}");
        assert_eq!(header(&response, "vary"), Some("Accept"));
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        let expected = render(&registry, format);
        assert_eq!(response.body().size_hint().exact(), Some(expected.len() as u64));
        assert_eq!(text(response), expected);
    }
    let response = ask(&service.json(), "GET", &["text/plain"]);
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "vary"), None);
    assert!(serde_json::from_str::<serde_json::Value>(&text(response)).is_ok());
}

#[test]
fn names_in_the_query_choose_families() {
    let service = MetricsService::new(&large());
    let ask = |query: &str| {
        let request = Request::get(format!("/metrics?{query}")).body(Empty::<Bytes>::new()).unwrap();
        block_on(service.clone().call(request)).unwrap()
    };
    let chosen = text(ask("name[]=telemetry_metric_overflow_total"));
    assert!(chosen.starts_with("# HELP telemetry_metric_overflow_total "), "{chosen}");
    assert!(!chosen.contains("tower_test_large"), "{chosen}");
    let response = ask("name[]=");
    assert_eq!(response.status(), 400);
    assert!(text(response).contains("name[]"));
}

#[test]
fn a_large_exposition_comes_in_chunks_between_which_others_have_their_turn() {
    let registry = large();
    let response = ask(&MetricsService::new(&registry), "GET", &[]);
    assert_eq!(response.body().size_hint().exact(), None);
    let (mut body, mut context) = (response.into_body(), Context::from_waker(Waker::noop()));
    let (mut chunks, mut turns, mut whole) = (0, 0, Vec::new());
    while !body.is_end_stream() {
        match Pin::new(&mut body).poll_frame(&mut context) {
            std::task::Poll::Pending => turns += 1,
            std::task::Poll::Ready(Some(frame)) => {
                let chunk = frame.unwrap().into_data().unwrap();
                assert!(chunk.len() < 80 * 1024, "{}", chunk.len());
                whole.extend_from_slice(&chunk);
                chunks += 1;
            }
            std::task::Poll::Ready(None) => break,
        }
    }
    assert!(chunks > 4, "{chunks}");
    assert!(turns >= chunks - 1, "{turns} turns between {chunks} chunks");
    assert_eq!(String::from_utf8(whole).unwrap(), render(&registry, Format::Text));
}

#[test]
fn other_methods_are_told_what_there_is() {
    let service = MetricsService::new(&Registry::new());
    let head = ask(&service, "HEAD", &["application/openmetrics-text"]);
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-type"), Some(Format::OpenMetrics.content_type()));
    assert_eq!(head.body().size_hint().exact(), None, "a server must not say that it is empty");
    assert_eq!(text(head), "");
    for (method, status) in [("POST", 405), ("DELETE", 405), ("BREW", 405), ("OPTIONS", 204)] {
        let response = ask(&service, method, &[]);
        assert_eq!(response.status(), status, "{method}");
        assert_eq!(header(&response, "allow"), Some("GET, HEAD, OPTIONS"), "{method}");
        assert_eq!(text(response).is_empty(), status == 204);
    }
}

struct Panics;

impl Source for Panics {
    fn collect(&self, _: &mut dyn Visit) {
        panic!("a source of an application");
    }
}

#[test]
fn a_scrape_that_panics_at_once_is_an_error_500_and_later_breaks_off() {
    let registry = Registry::new();
    registry.source(Arc::new(Panics));
    let response = ask(&MetricsService::new(&registry), "GET", &[]);
    assert_eq!(response.status(), 500);
    assert_eq!(text(response), "the scrape failed: a source panicked\n");

    let registry = large();
    registry.source(Arc::new(Panics));
    let response = ask(&MetricsService::new(&registry), "GET", &[]);
    assert_eq!(response.status(), 200);
    let error = block_on(response.into_body().collect()).unwrap_err();
    assert_eq!(error.to_string(), "a source panicked");
}

#[test]
fn metrics_are_attached_as_long_as_a_clone_lives() {
    let dispatch = Dispatch::new();
    let build = || {
        let builder = Exporter::builder().metric(counter("tower_test.life.count")).dispatch(&dispatch);
        builder.options(Options::default().created(true)).service()
    };
    let service = build().unwrap();
    let message = build().unwrap_err().to_string();
    assert!(message.contains("telemetry.exporter") && message.contains(".id("), "{message}");

    let clone = service.clone();
    drop(service);
    dispatch.run(|| emit!("tower_test.life"));
    let body = text(ask(&clone, "GET", &["application/openmetrics-text"]));
    assert!(body.contains("\ntower_test_life_total 1\n") && body.contains("\ntower_test_life_created "), "{body}");
    assert!(body.contains("telemetry_emit_recursion_cut"), "the figures of the dispatcher are there: {body}");
    assert_eq!(dispatch.handlers("").len(), 1);
    drop(clone);
    assert_eq!(dispatch.handlers("").len(), 0);
}
