//! Crates that record through the facade of `metrics`, unchanged, and one endpoint that serves what they record, beside
//! metrics that are made of events.
//!
//! ```sh
//! cargo run --release --example facade -- --listen 127.0.0.1:9465
//! curl http://127.0.0.1:9465/metrics
//! ```
//!
//! A small service with a middleware of `axum-prometheus`; `tokio-metrics` watches its runtime, `metrics-process` the
//! process, and `metrics-tracing-context` makes labels of the fields of spans.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a program that talks to its user.

mod arguments;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, HELP, Request};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use axum_prometheus::BaseMetricLayer;
use metrics_process::Collector;
use metrics_tracing_context::{MetricsLayer, TracingContextLayer};
use metrics_util::layers::Layer;
use telemetry_core::facade::{Recorder, Shape};
use telemetry_core::instrument::Buckets;
use telemetry_core::metric::{counter, distribution};
use telemetry_core::{Unit, emit};
use telemetry_exporter::Exporter;
use tokio::net::TcpListener;
use tokio_metrics::RuntimeMetricsReporterBuilder;
use tracing_subscriber::layer::SubscriberExt;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("facade: {error}; --help tells what there is");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("facade: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    // What is made of events, and the endpoint.
    let exporter = Exporter::builder()
        .metric(counter("page.visit.count").tags(["page"]))
        .metric(distribution("page.visit.size").unit(Unit::Byte).buckets(Buckets::exponential(64.0, 4.0, 6)?))
        .listen(arguments.listen)
        .serve()?;

    // What comes through the facade: the same registry, so the same endpoint. A layer that others wrote lies around.
    let recorder = Recorder::builder(exporter.registry())
        .shape("*_duration_seconds", Shape::new().buckets(Buckets::latency()))
        .shape("axum_*", Shape::new().limit(500).expiry(Duration::from_secs(3_600), Duration::from_secs(3_600)))
        .build();
    metrics::set_global_recorder(TracingContextLayer::all().layer(recorder))?;
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(MetricsLayer::new()))?;

    // Crates that know nothing of this one.
    let process = Collector::default();
    process.describe();
    let watch = RuntimeMetricsReporterBuilder::default().with_interval(Duration::from_millis(200)).describe_and_run();
    tokio::spawn(watch);
    let service = Router::new().route("/pages/{page}", get(page)).layer(BaseMetricLayer::new());

    let listener = TcpListener::bind(arguments.service)
        .await
        .map_err(|error| format!("--service: {}: {error}; choose another port", arguments.service))?;
    println!("the service  http://{}/pages/home", listener.local_addr()?);
    println!("its metrics  http://{}/metrics", exporter.local_addr());
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });

    let started = std::time::Instant::now();
    while arguments.seconds.is_none_or(|seconds| started.elapsed() < Duration::from_secs(seconds)) {
        process.collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if serving.is_finished() {
            serving.await??;
            return Err("the service ended".into());
        }
    }
    exporter.shutdown(Duration::from_secs(1))?;
    Ok(())
}

/// Everything at once: an event, the facade, and a span whose fields become labels.
async fn page(Path(page): Path<String>) -> String {
    let text = format!("This is {page}.\n");
    let _span = tracing::info_span!("page", page).entered();
    metrics::counter!("page_bytes_total").increment(text.len() as u64);
    emit!("page.visit", { size: text.len() => Byte }, { page: page.as_str() });
    text
}
