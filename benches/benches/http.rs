//! What a layer costs a request: `cargo bench -p telemetry-benches --bench http`.
//!
//! The same axum application each time, asked for the same path without a network, and its response read to the end. Each
//! layer is as its documentation tells to use it, and counts requests, their duration and the size of responses by method,
//! route and status; what they do beside that:
//!
//! | | |
//! | --- | --- |
//! | `no_layer` | nothing: it is the application alone |
//! | `empty_layer` | nothing: what axum takes to put any layer in place, two boxes and a clone |
//! | `ours` | requests in flight, the size of requests, start and stop as events |
//! | `ours_unheard` | requests in flight |
//! | `axum_prometheus` | requests in flight |
//! | `opentelemetry` | requests in flight, the size of requests; spans are switched off |

#![allow(missing_docs)] // Criterion's macros write functions.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::Request;
use axum::routing::get;
use axum_prometheus::PrometheusMetricLayerBuilder;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http_body_util::BodyExt;
use opentelemetry::global;
use opentelemetry_instrumentation_tower::http::server::LayerBuilder;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use telemetry_core::http::{ServerLayer, server};
use telemetry_core::{Registry, detach};
use tower_layer::Identity;
use tower_service::Service;

fn application() -> Router {
    Router::new().route("/products/{name}", get(async || "sugar"))
}

fn request() -> Request<Body> {
    Request::get("/products/sugar").body(Body::empty()).expect("a request")
}

/// The output of a future that waits for nothing.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn ask(application: &mut Router, request: Request<Body>) -> usize {
    let Ok(response) = ready(application.call(request));
    ready(response.into_body().collect()).expect("a body").to_bytes().len()
}

fn measure(criterion: &mut Criterion, name: &str, mut application: Router) {
    assert_eq!(ask(&mut application, request()), 5);
    criterion.bench_function(&format!("http/request/{name}"), |bencher| {
        bencher.iter_batched(request, |request| ask(&mut application, request), BatchSize::SmallInput);
    });
}

fn layers(criterion: &mut Criterion) {
    measure(criterion, "no_layer", application());
    measure(criterion, "empty_layer", application().layer(Identity::new()));

    let ours = || application().layer(ServerLayer::new().route_from(MatchedPath::as_str));
    measure(criterion, "ours_unheard", ours());
    let registry = Registry::new();
    let aggregator = registry.aggregator(server::metrics()).expect("the definitions are valid");
    aggregator.attach("http").expect("the id is free");
    measure(criterion, "ours", ours());
    detach("http").expect("it was attached");
    let counted = registry.snapshot();
    assert!(counted.family("http.server.request.duration").is_some_and(|family| family.series.len() == 1));

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _within = runtime.enter();
    let builder = PrometheusMetricLayerBuilder::new().enable_response_body_size(true);
    let (layer, handle) = builder.with_default_metrics().build_pair();
    measure(criterion, "axum_prometheus", application().layer(layer));
    assert!(handle.render().contains("/products/{name}"));

    let exposed = prometheus::Registry::new();
    let reader = opentelemetry_prometheus::exporter().with_registry(exposed.clone()).build().expect("a reader");
    global::set_meter_provider(SdkMeterProvider::builder().with_reader(reader).build());
    let layer = LayerBuilder::builder().with_tracing(false).build().expect("a layer");
    measure(criterion, "opentelemetry", application().layer(layer));
    assert!(exposed.gather().iter().any(|family| family.name().starts_with("http_server_request_duration")));
}

criterion_group!(benches, layers);
criterion_main!(benches);
