//! A real Prometheus with native histograms scrapes protobuf, and stores what the process holds: every value, every
//! bucket, and no other.
//!
//! What it asks for by itself is protobuf then. When it has scraped, the values are frozen, the body is read by `prost`,
//! and both are compared with what the query API answers.

mod encode_fixture;
mod prometheus_server;
mod protobuf_messages;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use encode_fixture::HOSTILE;
use prometheus_server::Prometheus;
use protobuf_messages::{families, values};
use serde_json::Value;
use telemetry_core::instrument::{Buckets, Exponential, Histogram};
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::{Dispatch, Registry, Unit, emit};
use telemetry_exporter::encode::Options;
use telemetry_exporter::{Escaping, Exporter, Format};

type Labels = BTreeMap<String, String>;

fn definitions() -> Vec<Metric> {
    let size = |name| distribution(name).event("pb.request").measurement("size").tags(["text"]);
    let exponential = |schema| Exponential::new(schema).unwrap();
    vec![
        counter("pb.request.count").tags(["text"]),
        sum("pb.request.cost"),
        last_value("pb.request.size").tags(["text"]),
        summary("pb.request.wait").measurement("size"),
        spiral("pb.request.items"),
        size("pb.classic").buckets(Buckets::exponential(0.001, 10.0, 6).unwrap()).unit(Unit::Second),
        size("pb.native").exponential(exponential(3)),
        size("pb.coarse").exponential(exponential(-4)),
        size("pb.fine").exponential(exponential(8).zero_threshold(1e-3)),
        size("pb.both").buckets(Buckets::latency()).exponential(Exponential::default()),
        distribution("pb.widened")
            .event("pb.request")
            .measurement("size")
            .exponential(exponential(2).max_buckets(12).max_zero_threshold(1e-2)),
    ]
}

fn emit_everything(round: u32) {
    for (at, text) in HOSTILE.into_iter().chain(["plain"]).enumerate() {
        for step in 0..40 {
            // Both signs, gaps of every length, and zero.
            let size = f64::from(step % 7 - 3) * 1.7_f64.powi(step * step / 40 - 20) * f64::from(at as u32 + 1);
            emit!("pb.request", { size, cost: 0.25, items: round + 1 }, { text });
        }
    }
}

/// All NaN are one.
fn exact(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

#[allow(clippy::cast_precision_loss)] // Prometheus stores floats.
fn float(count: u64) -> f64 {
    count as f64
}

/// The series of the job that were not made by Prometheus itself.
fn own(mut labels: Labels) -> Option<Labels> {
    assert_eq!(labels.remove("job").as_deref(), Some("protobuf"));
    assert!(labels.remove("instance").is_some());
    for name in ["le", "quantile"] {
        if let Some(text) = labels.get_mut(name) {
            *text = format!("{:?}", text.parse::<f64>().unwrap());
        }
    }
    let name = &labels["__name__"];
    (name != "up" && !name.starts_with("scrape_")).then_some(labels)
}

/// Lower bound, upper bound and count of each bucket that a native histogram should have, ascending.
fn buckets(schema: i32, threshold: f64, zero: u64, [above, below]: [&[(i32, u64)]; 2]) -> Vec<(f64, f64, u64)> {
    // A bucket that reaches into the zero bucket is told to begin where that ends.
    let bound = |index: i32| (f64::from(index) * 2.0_f64.powi(-schema)).exp2().max(threshold);
    let below = below.iter().rev().map(|(index, count)| (-bound(*index), -bound(index - 1), *count));
    let zero = (zero > 0).then_some((-threshold, threshold, zero));
    let above = above.iter().map(|(index, count)| (bound(index - 1), bound(*index), *count));
    below.chain(zero).chain(above).collect()
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn assert_near(one: f64, other: f64) {
    assert!((one - other).abs() <= 1e-12 * one.abs(), "{one:e} and {other:e}");
}

/// V2, V3, V5: what Prometheus stored is what the process holds, bucket by bucket.
#[test]
fn prometheus_stores_native_histograms_as_they_are() {
    let Some(program) = telemetry_testkit::peer::prometheus() else { return };
    // It takes an empty histogram without a zero bucket for a classic one, whatever is done.
    check_stored(program, Options::default(), false);
}

/// V2, V3, V4, V5: so does one that reads UTF-8 names; it says that beside the other formats, and gets them in protobuf too.
#[test]
fn prometheus_3_stores_native_histograms_under_utf8_names() {
    let Some(program) = telemetry_testkit::peer::prometheus_3() else { return };
    check_stored(program, Options::default().utf8_names(true).escaping(Escaping::AllowUtf8), true);
}

/// Has `program` scrape a process whose names are those of `options`, and compares what it stored with what the process
/// holds; `tells_empty` says whether it tells an empty native histogram from a classic one.
fn check_stored(mut program: Command, options: Options, tells_empty: bool) {
    let (registry, dispatch) = (Registry::new(), Dispatch::new());
    let exporter = Exporter::builder()
        .registry(&registry)
        .dispatch(&dispatch)
        .metrics(definitions())
        .options(options)
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    let empty = distribution("pb.never.seen").exponential(Exponential::default().zero_threshold(0.0));
    registry.register::<Histogram>(empty).unwrap().single().unwrap();
    program.arg("--enable-feature=native-histograms");
    let prometheus = Prometheus::start(program, &[("protobuf", exporter.local_addr())]);
    let mut round = 0;
    while prometheus.scrapes_of("protobuf") < 3 {
        dispatch.run(|| emit_everything(round));
        round += 1;
        prometheus.pause();
    }
    // The windows of the summary and the spiral move on, so what lies in them is left out.
    let is_windowed = |labels: &Labels| labels["__name__"].ends_with("window60s") || labels.contains_key("quantile");

    let frozen = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    prometheus.wait_for_scrape_after("protobuf", frozen);
    let mut encoder = Format::Protobuf.encoder(options);
    registry.scrape().run(&mut encoder.as_mut());
    encoder.finish();
    let families = families(&encoder.take());
    let expected: BTreeMap<_, _> =
        values(&families).into_iter().map(|(labels, value)| (labels, exact(value))).collect();
    assert!(expected.len() > 100, "{} values", expected.len());
    let stored = prometheus.query("{job=\"protobuf\"}").into_iter();
    let stored: BTreeMap<_, _> = stored.filter_map(|(labels, value)| Some((own(labels)?, exact(value)))).collect();
    let is_never_seen = |labels: &Labels| !tells_empty && labels["__name__"].starts_with("pb_never_seen");
    for (labels, value) in expected.iter().filter(|(labels, _)| !is_windowed(labels)) {
        assert_eq!(stored.get(labels), Some(value), "{labels:?}");
    }
    for labels in stored.keys().filter(|labels| !is_never_seen(labels)) {
        assert!(expected.contains_key(labels), "{labels:?} is stored, and not held");
    }

    let snapshot = registry.snapshot();
    let mut seen = 0;
    for (labels, stored) in prometheus.histograms("{job=\"protobuf\"}") {
        let mut labels = own(labels).unwrap();
        let name = labels.remove("__name__").unwrap();
        let name = if name.contains('.') { name } else { name.replace('_', ".") };
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let held = snapshot.sample(&name, &labels).unwrap_or_else(|| panic!("{name}{labels:?}"));
        let ValueSnapshot::Histogram { sum, exponential: Some(held), .. } = held else { panic!("{held:?}") };
        let expected =
            buckets(held.schema.into(), held.zero_threshold, held.zero_count, [&held.positive, &held.negative]);
        let count: u64 = expected.iter().map(|(.., count)| count).sum();
        assert_eq!((number(&stored["count"]), number(&stored["sum"])), (float(count), *sum), "{name}{labels:?}");
        // One that is empty is told without any.
        let read = stored["buckets"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(read.len(), expected.len(), "{name}{labels:?}: {read:?}");
        for (read, (lower, upper, count)) in read.iter().zip(expected) {
            assert_near(number(&read[1]), lower);
            assert_near(number(&read[2]), upper);
            assert_eq!(number(&read[3]), float(count), "{name}{labels:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 4 * (HOSTILE.len() + 1) + 1 + usize::from(tells_empty));
    // Every scrape was taken, from the first to the last.
    assert_eq!(prometheus.query("min_over_time(up{job=\"protobuf\"}[1h])")[0].1, 1.0);
}
