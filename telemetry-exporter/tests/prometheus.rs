//! A real Prometheus scrapes a process, in each text format, and stores what that holds: every sample, and no other.
//!
//! The metrics are of every kind and fed by events, with label values that have broken expositions, and more than a
//! thousand series. When several scrapes have been taken, the values are frozen, read back over the query API, and
//! compared with a snapshot by `==`.

mod encode_fixture;
mod prometheus_server;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use encode_fixture::HOSTILE;
use prometheus_server::{Prometheus, Relay};
use telemetry_core::instrument::{Buckets, Counter, Exponential, Gauge, Histogram};
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::snapshot::{FamilySnapshot, ValueSnapshot};
use telemetry_core::{Clock, Dispatch, Registry, Unit, emit};
use telemetry_exporter::name::{Names, label};
use telemetry_exporter::{Exporter, Format};
use telemetry_testkit::client::TEXT;

/// How many series the largest metric has.
const SERIES: u32 = 1_500;

/// A sample as it is stored: its name and labels, and what it is.
type Samples = BTreeMap<BTreeMap<String, String>, Exact>;

/// A value that is equal to itself only; all NaN are one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Exact(u64);

impl From<f64> for Exact {
    fn from(value: f64) -> Self {
        Self(if value.is_nan() { f64::NAN } else { value }.to_bits())
    }
}

impl std::fmt::Debug for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f64::from_bits(self.0).fmt(f)
    }
}

fn definitions() -> Vec<Metric> {
    vec![
        counter("e2e.request.stop.count").tags(["route", "status"]),
        sum("e2e.request.stop.body").tags(["route"]).unit(Unit::Byte),
        sum("e2e.request.stop.cost").tags(["route"]),
        distribution("e2e.request.stop.duration").tags(["route"]).buckets(Buckets::latency()),
        distribution("e2e.response.size")
            .event("e2e.request.stop")
            .measurement("body")
            .tags(["route"])
            .buckets(Buckets::exponential(16.0, 4.0, 5).unwrap())
            .exponential(Exponential::default()),
        distribution("e2e.temperature.read.degrees").buckets(Buckets::new([-10.0, 0.0, 10.5, 1e6]).unwrap()),
        summary("e2e.request.wait").event("e2e.request.stop").measurement("duration").tags(["route"]),
        spiral("e2e.request.stop.items").tags(["route"]),
        last_value("e2e.queue.fill").tags(["queue"]),
        counter("e2e.hostile.seen").event("e2e.text.seen").measurement("count").tags(["text", "place"]),
        counter("e2e.user.login.count").tags(["user"]).limit(SERIES),
        counter("e2e.declared.count").event("e2e.request.stop").tags(["status"]).values("status", ["200", "999"]),
    ]
}

/// Emits what real code would, and more of it each round.
fn emit_everything(round: u32) {
    for (at, route) in ["/", "/carts/{id}", "/größe"].into_iter().enumerate() {
        let (status, items) = (if at == 1 { 500_u16 } else { 200 }, round + 1);
        let duration = Duration::from_micros(1_234 * u64::from(round + 1)) * 10_u32.pow(u32::try_from(at).unwrap());
        emit!(
            "e2e.request.stop",
            { duration, body: 1_u64 << (at * 13), cost: 0.1, items },
            { route, status },
        );
    }
    emit!("e2e.temperature.read", { degrees: f64::from(round) - 12.5 });
    emit!("e2e.temperature.read", { degrees: f64::NAN }); // Rejected, and counted.
    for (queue, fill) in [("a", 0.25), ("b", -0.0), ("c", 1e6), ("d", 1e-7), ("e", f64::MAX), ("f", 5e-324)] {
        emit!("e2e.queue", { fill }, { queue });
    }
    let long = "é".repeat(1_000);
    for text in HOSTILE.into_iter().chain([long.as_str(), "", "1", "ab"]) {
        emit!("e2e.text.seen", {}, { text, place: "after" });
        emit!("e2e.text.seen", {}, { text, place: text });
    }
    // Beyond the limit there is one series for the rest.
    for user in 0..SERIES + 10 {
        emit!("e2e.user.login", {}, { user });
    }
}

/// What a registry holds, as the samples that Prometheus should have of it when it was scraped in a format.
fn expected(registry: &Registry, format: Format) -> Samples {
    let mut samples = Samples::new();
    for family in registry.snapshot().families() {
        expand(family, format, &mut samples);
    }
    samples
}

fn expand(family: &FamilySnapshot, format: Format, samples: &mut Samples) {
    let names = Names::new(&family.family);
    for series in &family.series {
        let mut add = |name: &str, more: Option<(&str, f64)>, value: f64| {
            let labels = series.labels.iter().map(|(name, value)| (label(name).into_owned(), value.clone()));
            let own = [("__name__".to_owned(), name.to_owned())];
            let more = more.map(|(name, value)| (name.to_owned(), threshold(value)));
            let replaced = samples.insert(labels.chain(own).chain(more).collect(), value.into());
            assert!(replaced.is_none(), "two samples of {name} have the same labels as {series:?}");
        };
        let suffixed = |suffix: &str| format!("{}{suffix}", names.base());
        match &series.value {
            ValueSnapshot::Total(total) => add(&names.main(), None, total.to_f64()),
            ValueSnapshot::Gauge(value) => add(&names.main(), None, *value),
            ValueSnapshot::Histogram { bounds, counts, sum, .. } => {
                let mut count = 0;
                for (bound, in_bucket) in bounds.iter().chain([&f64::INFINITY]).zip(counts) {
                    count += in_bucket;
                    add(&suffixed("_bucket"), Some(("le", *bound)), float(count));
                }
                // A sum that may go down is none in OpenMetrics, and sum and count come together.
                if format == Format::Text || bounds.iter().all(|bound| *bound >= 0.0) {
                    add(&suffixed("_sum"), None, *sum);
                    add(&suffixed("_count"), None, float(count));
                }
            }
            ValueSnapshot::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    add(names.base(), Some(("quantile", *quantile)), *value);
                }
                add(&suffixed("_sum"), None, *sum);
                add(&suffixed("_count"), None, float(*count));
            }
            ValueSnapshot::Spiral(spiral) => {
                add(&names.main(), None, float(spiral.count));
                add(names.window().unwrap(), None, float(spiral.one));
            }
            other => panic!("nothing is expected of {other:?}"),
        }
    }
}

#[allow(clippy::cast_precision_loss)] // Prometheus stores floats.
fn float(count: u64) -> f64 {
    count as f64
}

/// A threshold in a form of its own on both sides, so that only the number counts.
fn threshold(value: f64) -> String {
    format!("{value:?}")
}

/// The same of what was stored under `job`.
fn stored(prometheus: &Prometheus, job: &str) -> Samples {
    let series = prometheus.query(&format!("{{job=\"{job}\"}}"));
    let mut samples = Samples::new();
    for (mut labels, value) in series {
        assert_eq!(labels.remove("job").as_deref(), Some(job));
        assert!(labels.remove("instance").is_some());
        for name in ["le", "quantile"] {
            if let Some(text) = labels.get_mut(name) {
                *text = threshold(text.parse().unwrap());
            }
        }
        assert!(samples.insert(labels, value.into()).is_none());
    }
    samples
}

/// V1, V2, V3, V5, V6, V7: what Prometheus stored is what the process holds, sample by sample, in each text format.
#[test]
fn prometheus_stores_what_the_process_holds() {
    let Some(program) = telemetry_testkit::peer::prometheus() else { return };
    // A clock that stands still: windows move only when the test says so.
    let (clock, hands) = Clock::manual();
    let (registry, dispatch) = (Registry::with_clock(clock), Dispatch::new());
    let exporter = Exporter::builder()
        .registry(&registry)
        .dispatch(&dispatch)
        .metrics(definitions())
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    let in_flight = registry.register::<Gauge>(last_value("e2e.in_flight").tags(["kind"])).unwrap();
    let jobs = registry.register::<Counter>(counter("e2e.jobs.done")).unwrap().single().unwrap();
    let waits = registry.register::<Histogram>(distribution("e2e.jobs.wait").unit(Unit::Second)).unwrap();
    let relay = Relay::to(exporter.local_addr(), TEXT);

    // OpenMetrics is what it asks for by itself; the relay asks for the other in its place.
    let jobs_and_formats = [("openmetrics", Format::OpenMetrics), ("text", Format::Text)];
    let prometheus = Prometheus::start(program, &[("openmetrics", exporter.local_addr()), ("text", relay.address())]);
    let mut rounds = 0;
    while rounds < 3 || jobs_and_formats.iter().any(|(job, _)| prometheus.scrapes_of(job) < 3) {
        dispatch.run(|| emit_everything(rounds));
        in_flight.with(["\"quoted\""]).unwrap().set(f64::from(rounds) / 3.0);
        jobs.add(1 << 53); // Sums beyond that are no longer exact as floats, on neither side.
        waits.single().unwrap().record(Duration::from_millis(u64::from(rounds) * 7));
        hands.advance(Duration::from_secs(25)); // Into another slot; the first rounds fall out of the window.
        rounds += 1;
        prometheus.pause();
    }

    let frozen = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (job, format) in jobs_and_formats {
        let expected = expected(&registry, format);
        assert!(expected.len() > SERIES as usize + 200, "{} samples", expected.len());
        assert!(expected.keys().any(|labels| labels.contains_key("otel_metric_overflow")));

        prometheus.wait_for_scrape_after(job, frozen);
        let mut stored = stored(&prometheus, job);
        let mut own = |name: &str| stored.remove(&BTreeMap::from([("__name__".to_owned(), name.to_owned())]));
        assert_eq!(own("up"), Some(1.0.into()), "{job}");
        #[allow(clippy::cast_precision_loss)] // Thousands.
        let number = expected.len() as f64;
        assert_eq!(own("scrape_samples_scraped"), Some(number.into()), "{job}");
        for name in ["scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "scrape_series_added"] {
            assert!(own(name).is_some(), "{job} has no {name}");
        }
        for (labels, value) in &expected {
            assert_eq!(stored.remove(labels).as_ref(), Some(value), "{job}: {labels:?}");
        }
        assert_eq!(stored, Samples::new(), "{job} has what the process has not");
        // Every scrape was taken, from the first to the last.
        assert_eq!(prometheus.query(&format!("min_over_time(up{{job=\"{job}\"}}[1h])"))[0].1, 1.0);
    }
    assert_eq!(relay.content_types(), ["text/plain; version=0.0.4; charset=utf-8"]);
    // Only OpenMetrics has units, so the other job was scraped in that format.
    assert_eq!(prometheus.unit_of("openmetrics", "e2e_jobs_wait_seconds"), "seconds");
    assert_eq!(prometheus.unit_of("text", "e2e_jobs_wait_seconds"), "");
}
