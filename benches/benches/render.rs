//! What a scrape costs, by format: `cargo bench -p telemetry-benches --bench render`.

#![allow(missing_docs)] // Criterion's macros write functions.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemetry_benches::impls::ours::{Attached, latency, requests};
use telemetry_benches::tags::ThreeLabels;
use telemetry_core::emit;
use telemetry_core::instrument::Exponential;
use telemetry_exporter::Format;

const FORMATS: [(&str, Format); 4] = [
    ("ours_text", Format::Text),
    ("ours_openmetrics", Format::OpenMetrics),
    ("ours_protobuf", Format::Protobuf),
    ("ours_json", Format::Json),
];

fn render(criterion: &mut Criterion, path: &str, series: u64, attached: &Attached) {
    let mut group = criterion.benchmark_group(path);
    group.sample_size(20).throughput(Throughput::Elements(series));
    for (who, format) in FORMATS {
        group.bench_function(who, |bencher| bencher.iter(|| attached.rendered_bytes(format)));
    }
    group.finish();
}

fn counters(criterion: &mut Criterion) {
    let metric = requests("bench.many_counters").tags(ThreeLabels::NAMES).limit(100_001);
    let attached = Attached::new([metric]).expect("the definition is right");
    for n in 0..100_000 {
        let [cluster, host, queue] = ThreeLabels::all().of(n);
        emit!("bench.many_counters", {}, { cluster, host, queue });
    }
    render(criterion, "render/100k_counters", 100_000, &attached);
}

fn histograms(criterion: &mut Criterion) {
    let metric = latency("bench.many_histograms").tags(ThreeLabels::NAMES).limit(10_001);
    let attached = Attached::new([metric]).expect("the definition is right");
    for n in 0..10_000 {
        let [cluster, host, queue] = ThreeLabels::all().of(n);
        emit!("bench.many_histograms", { duration: 0.02 }, { cluster, host, queue });
    }
    render(criterion, "render/10k_histograms", 10_000, &attached);
}

fn native_histograms(criterion: &mut Criterion) {
    let metric = latency("bench.many_native_histograms").tags(ThreeLabels::NAMES).limit(10_001);
    let attached = Attached::new([metric.exponential(Exponential::default())]).expect("the definition is right");
    for n in 0..10_000 {
        let [cluster, host, queue] = ThreeLabels::all().of(n);
        for duration in [0.005, 0.02, 0.03, 0.5] {
            emit!("bench.many_native_histograms", { duration }, { cluster, host, queue });
        }
    }
    render(criterion, "render/10k_native_histograms", 10_000, &attached);
}

criterion_group!(benches, counters, histograms, native_histograms);
criterion_main!(benches);
