//! What labels from spans of `tracing` cost, and exemplars: `cargo bench -p telemetry-benches --bench spans`.
//!
//! Each with and without, so that the difference can be seen; beside ours, `metrics-tracing-context` over the exporter of
//! `metrics`, as its documentation tells to use it, with the same field allowed.

#![allow(missing_docs)] // Criterion's macros write functions.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use metrics_tracing_context::{MetricsLayer, TracingContextLayer};
use metrics_util::layers::Layer as _;
use telemetry_benches::tags::{Draw, Tags};
use telemetry_core::exemplar::Sampler;
use telemetry_core::metric::{Metric, counter, distribution};
use telemetry_core::tracing::SpanTags;
use telemetry_core::{Dispatch, Registry, Unit, emit};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

const TAGS: [&str; 2] = ["route", "status"];

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

/// Runs `body` within two spans, of which the outer one has the field; with our metrics attached.
fn within(subscriber: impl Into<tracing::Dispatch>, metrics: impl IntoIterator<Item = Metric>, body: impl FnOnce()) {
    let dispatch = Dispatch::new();
    let metrics: Vec<Metric> = metrics.into_iter().collect();
    if !metrics.is_empty() {
        let aggregator = Registry::new().aggregator(metrics).expect("the definitions are right");
        aggregator.attach_to(&dispatch, "bench").expect("the id is free");
    }
    tracing::dispatcher::with_default(&subscriber.into(), || {
        dispatch.run(|| {
            info_span!("request", tenant = "acme", request = 4_711)
                .in_scope(|| info_span!("query", table = "prices").in_scope(body));
        });
    });
}

fn emit_ours(draw: &mut Draw) {
    let drawn = draw.event(Tags::few());
    emit!("bench.span_label", {}, { route: drawn.route, status: drawn.status });
}

fn count_theirs(draw: &mut Draw) {
    let drawn = draw.event(Tags::few());
    metrics::counter!("bench_span_label", "route" => drawn.route, "status" => drawn.status).increment(1);
}

/// A counter with two tags; and a label from the outer span beside them.
fn counted(criterion: &mut Criterion) {
    let mut bench = |name: &str, operation: fn(&mut Draw)| {
        let mut draw = Draw::seeded(1);
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(operation)(&mut draw)));
    };
    let requests = || counter("bench.span_label.count").tags(TAGS);
    let spans = SpanTags::new(["tenant"]);
    within(tracing_subscriber::registry().with(spans.layer()), [requests()], || bench("emit/two_tags/ours", emit_ours));
    within(tracing_subscriber::registry().with(spans.layer()), [requests().span_tags(&spans)], || {
        bench("emit/two_tags_and_span_label/ours", emit_ours);
    });
    within(tracing_subscriber::registry().with(MetricsLayer::new()), [], || {
        metrics::with_local_recorder(&recorder(), || bench("emit/two_tags/metrics", count_theirs));
        let labelled = TracingContextLayer::only_allow(["tenant"]).layer(recorder());
        metrics::with_local_recorder(&labelled, || bench("emit/two_tags_and_span_label/metrics", count_theirs));
    });
}

/// A span with two fields, one of them allowed: made, entered, left and closed; and entered and left alone.
fn spans(criterion: &mut Criterion) {
    let mut bench = |who: &str, subscriber: tracing::Dispatch| {
        within(subscriber, [], || {
            let name = format!("span/made/{who}");
            criterion.bench_function(&name, |bencher| {
                bencher.iter(|| info_span!("inner", tenant = "own", request = 4_712).in_scope(|| black_box(())));
            });
            let span = info_span!("inner", tenant = "own", request = 4_712);
            let name = format!("span/entered/{who}");
            criterion.bench_function(&name, |bencher| bencher.iter(|| span.in_scope(|| black_box(()))));
        });
    };
    let labels = SpanTags::new(["tenant"]);
    bench("tracing_alone", tracing_subscriber::registry().into());
    bench("ours", tracing_subscriber::registry().with(labels.layer()).into());
    bench("metrics", tracing_subscriber::registry().with(MetricsLayer::new()).into());
}

/// A counter and a histogram with two tags, whose exemplars are off; on, and not due; on, and never to be had.
fn exemplars(criterion: &mut Criterion) {
    let hourly = Sampler::new(|exemplar| exemplar.trace(0xabc, 0xdef)).every(Duration::from_secs(3_600));
    let untraced = Sampler::new(|_| ());
    let metrics = || {
        let duration = distribution("bench.exemplar.duration").unit(Unit::Second);
        (counter("bench.exemplar.count").tags(TAGS), duration.tags(TAGS))
    };
    let (requests, duration) = metrics();
    let mut cases = vec![("ours_off", [requests, duration])];
    for (who, sampler) in [("ours_not_due", &hourly), ("ours_untraced", &untraced)] {
        let (requests, duration) = metrics();
        cases.push((who, [requests.exemplars(sampler), duration.exemplars(sampler)]));
    }
    for (who, metrics) in cases {
        let mut draw = Draw::seeded(1);
        within(tracing_subscriber::registry(), metrics, || {
            criterion.bench_function(&format!("emit/exemplars/{who}"), |bencher| {
                bencher.iter(|| {
                    let drawn = draw.event(Tags::few());
                    emit!("bench.exemplar", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
                });
            });
        });
    }
}

criterion_group!(benches, counted, spans, exemplars);
criterion_main!(benches);
