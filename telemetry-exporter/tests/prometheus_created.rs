//! A real Prometheus stores when the series of a process came to be, and when they were reset.
//!
//! It does so by a sample at that time: a zero, before the first value that it scraped.

mod prometheus_server;

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_server::{Prometheus, Relay};
use telemetry_core::Registry;
use telemetry_core::instrument::{Buckets, Counter, Exponential, Gauge, Histogram, Sum};
use telemetry_core::metric::{counter, distribution, last_value, sum};
use telemetry_exporter::encode::Options;
use telemetry_exporter::name::Names;
use telemetry_exporter::{Exporter, Format};
use telemetry_testkit::peer;

/// By the name of a sample and the labels of the process: when the series came to be, in milliseconds.
type Created = BTreeMap<(String, BTreeMap<String, String>), u64>;

/// What the process holds of the series that count, in a format.
fn held(registry: &Registry, format: Format) -> Created {
    let mut held = Created::new();
    for family in registry.snapshot().families().iter().filter(|family| family.family.name().starts_with("made.")) {
        let names = Names::new(&family.family);
        for series in &family.series {
            // A native histogram is one series, and only protobuf has it.
            let name = match family.family.name() {
                "made.waits" => format!("{}_count", names.base()),
                "made.native" if format != Format::Protobuf => continue,
                _ => names.main().into_owned(),
            };
            let created = series.created.expect("everything has a time of creation");
            held.insert((name, series.labels.clone()), u64::try_from(created.as_millis()).unwrap());
        }
    }
    held
}

/// What Prometheus has of those: the newest zero in its history, which has to be followed by the value.
fn stored(prometheus: &Prometheus, job: &str, expected: &Created) -> Created {
    let mut stored = Created::new();
    for (mut labels, samples) in prometheus.history(&format!("{{job=\"{job}\"}}")) {
        let name = labels.remove("__name__").unwrap();
        labels.retain(|name, _| name != "job" && name != "instance");
        let key = (name, labels);
        let zero = samples.iter().rposition(|(_, value)| *value == 0.0);
        if let Some(zero) = zero.filter(|_| expected.contains_key(&key)) {
            assert!(samples.get(zero + 1).is_some_and(|(_, value)| *value > 0.0), "{key:?}: {samples:?}");
            stored.insert(key, samples[zero].0);
        }
    }
    stored
}

/// V8: every time of creation is read back to the millisecond, in protobuf, where it always is, and in OpenMetrics, where it
/// was asked for; a series that was reset has the time of that.
#[test]
fn prometheus_3_stores_when_series_came_to_be() {
    let Some(mut program) = peer::prometheus_3() else { return };
    program.arg("--enable-feature=created-timestamp-zero-ingestion,native-histograms");
    let registry = Registry::new();
    let exporter = Exporter::builder()
        .registry(&registry)
        .options(Options::default().created(true))
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    let jobs = registry.register::<Counter>(counter("made.jobs").tags(["queue"])).unwrap();
    jobs.with(["first"]).unwrap().add(3);
    // Times of creation are kept in tenths of a second.
    std::thread::sleep(Duration::from_millis(250));
    jobs.with(["second \"é\""]).unwrap().add(4);
    registry.register::<Sum>(sum("made.bytes")).unwrap().single().unwrap().add(5_u64);
    let waits = distribution("made.waits").buckets(Buckets::new([1.0]).unwrap());
    registry.register::<Histogram>(waits).unwrap().single().unwrap().record(0.5);
    let native = distribution("made.native").exponential(Exponential::default());
    registry.register::<Histogram>(native).unwrap().single().unwrap().record(0.5);
    // A value that counts nothing has no such time.
    registry.register::<Gauge>(last_value("level")).unwrap().single().unwrap().set(1.0);

    let relay = Relay::to(exporter.local_addr(), "application/openmetrics-text;version=1.0.0");
    let prometheus =
        Prometheus::start(program, &[("protobuf", exporter.local_addr()), ("openmetrics", relay.address())]);
    let scrapes = |count| {
        while ["protobuf", "openmetrics"].iter().any(|job| prometheus.scrapes_of(job) < count) {
            prometheus.pause();
        }
    };
    let check = || {
        for (job, format) in [("protobuf", Format::Protobuf), ("openmetrics", Format::OpenMetrics)] {
            assert_eq!(prometheus.last_error_of(job), "", "{job}");
            let held = held(&registry, format);
            assert_eq!(stored(&prometheus, job, &held), held, "{job}");
            assert_eq!(prometheus.query(&format!("min_over_time(up{{job=\"{job}\"}}[1h])"))[0].1, 1.0);
            // There is a zero for what counts, and for nothing else.
            let level = prometheus.history(&format!("level{{job=\"{job}\"}}"));
            assert!(level[0].1.iter().all(|(_, value)| *value == 1.0), "{level:?}");
        }
    };
    scrapes(2);
    check();
    let before = held(&registry, Format::Protobuf);

    // Between two scrapes, so that none shows the series at zero.
    registry.reset("made.jobs", &[("queue", "first")]);
    jobs.with(["first"]).unwrap().add(7);
    scrapes(5);
    let after = held(&registry, Format::Protobuf);
    assert_eq!(before.iter().filter(|(key, created)| after[*key] != **created).count(), 1, "one was reset");
    check();
}
