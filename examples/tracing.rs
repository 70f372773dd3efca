//! A program that traces already, with metrics from its spans: `cargo run --release --example tracing`, then open the URL
//! that it prints; with `curl -H 'Accept: application/openmetrics-text'` there are exemplars behind the buckets.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, TracerProvider};
use telemetry_core::handler::attachment;
use telemetry_core::metric::{counter, distribution};
use telemetry_core::tracing::{EventLayer, Log, Rule, SpanTags, Trace, Traces};
use telemetry_core::{Unit, emit};
use telemetry_exporter::Exporter;
use tracing::{Level, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Spans named `request` become events; so do warnings.
    let events = EventLayer::new([
        Rule::span("request").emit("web.request").tags(["route", "status"]).measurement("body", Unit::Byte),
        Rule::event().level(Level::WARN).emit("log.warning").level_as("level").target_as("target"),
    ])?;
    // Of the spans around an event, metrics may have the tenant as a label, and nothing else.
    let spans = SpanTags::new(["tenant"]);
    // Which trace an event is in: here, that of OpenTelemetry.
    let traces = Traces::new(|span| {
        let context = tracing_opentelemetry::get_otel_context(span.id(), span.dispatch())?;
        let ids = context.span().span_context().clone();
        Some(Trace {
            trace_id: u128::from_be_bytes(ids.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(ids.span_id().to_bytes()),
            is_sampled: ids.is_sampled(),
        })
    });

    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::new("info"))
        .with(spans.layer())
        .with(traces.layer())
        .with(events)
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")))
        .with(tracing_subscriber::fmt::layer())
        .init();
    // What the program emits itself is written to the log, too.
    attachment("log", Log::at(Level::INFO)).event("shop.*").attach()?;

    let exporter = Exporter::builder()
        .metric(distribution("web.request.duration").tags(["route", "status"]).exemplars(&traces.sampler()))
        .metric(counter("shop.checkout.count").tags(["country"]).span_tags(&spans).exemplars(&traces.sampler()))
        .metric(counter("log.warning.count").tags(["level", "target"]))
        .listen("127.0.0.1:0")
        .serve()?;
    println!("http://{}/metrics", exporter.local_addr());

    for request in 0_u64.. {
        let tenant = if request.is_multiple_of(3) { "acme" } else { "globex" };
        let span = info_span!("request", route = "/checkout", tenant, body = 512, status = tracing::field::Empty);
        span.in_scope(|| span.record("status", checkout(request)));
    }
    Ok(())
}

#[instrument]
fn checkout(request: u64) -> u16 {
    std::thread::sleep(Duration::from_millis(50 + request % 100));
    emit!("shop.checkout", {}, { country: "de" });
    if request % 10 == 9 {
        tracing::warn!("the card was refused");
        return 402;
    }
    200
}
