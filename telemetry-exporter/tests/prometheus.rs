//! A real Prometheus scrapes a process, in each text format, and stores what that holds: every sample, and no other.
//!
//! The metrics are of every kind and fed by events, with label values that have broken expositions, and more than a
//! thousand series. When several scrapes have been taken, the values are frozen, read back over the query API, and
//! compared with a snapshot by `==`.

mod encode_fixture;
mod expected_samples;
mod prometheus_server;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use encode_fixture::HOSTILE;
use expected_samples::{Samples, expand, float, normalize};
use prometheus_server::{Prometheus, Relay};
use telemetry_core::family::{Family, Kind};
use telemetry_core::instrument::{Buckets, Counter, Exponential, Gauge, Histogram, Info, StateSet};
use telemetry_core::metric::{Metric, counter, distribution, info, last_value, spiral, state_set, sum, summary};
use telemetry_core::scrape::{Sample, Source, Total, Visit};
use telemetry_core::snapshot::{FamilySnapshot, SeriesSnapshot, ValueSnapshot};
use telemetry_core::{Clock, Dispatch, Registry, Unit, emit};
use telemetry_exporter::name::Naming;
use telemetry_exporter::{Builder, Escaping, Exporter, Format};
use telemetry_testkit::client::TEXT;

/// How many series the largest metric has.
const SERIES: u32 = 1_500;

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

/// What a registry holds, as the samples that Prometheus should have of it when it was scraped so.
fn expected(registry: &Registry, (format, naming): (Format, Naming)) -> Samples {
    let mut samples = Samples::new();
    for family in registry.snapshot().families() {
        expand(family, format, naming, &mut samples);
    }
    // What the exporter says of the source beside the registry: it never failed.
    let series = ["panicked", "late", "thread"].map(|reason| SeriesSnapshot {
        labels: [("source", HostileNames.name()), ("reason", reason)]
            .map(|(name, text)| (name.into(), text.into()))
            .into(),
        created: None,
        value: ValueSnapshot::Total(Total::U64(0)),
    });
    let family = Family::new("telemetry.source.failures", Kind::Counter);
    expand(&FamilySnapshot { family, series: series.into() }, format, naming, &mut samples);
    samples
}

/// Names that definitions may not have, and sources may.
struct HostileNames;

impl Source for HostileNames {
    fn collect(&self, visitor: &mut dyn Visit) {
        for (at, text) in HOSTILE.into_iter().enumerate() {
            let (metric, label) = (format!("{text} metric {at}"), format!("label {text}"));
            visitor.family(&Family::new(metric, Kind::Counter).description(text).labels([label.as_str()]));
            let labels = [(label.as_str(), text), ("größe.😱", "x")];
            visitor.series(&encode_fixture::series(&labels, Sample::Total(Total::U64(1))));
            visitor.series(&encode_fixture::series(&[], Sample::Total(Total::U64(2))));
        }
    }
}

/// The same of what was stored under `job`.
fn stored(prometheus: &Prometheus, job: &str) -> Samples {
    let series = prometheus.query(&format!("{{job=\"{job}\"}}"));
    let mut samples = Samples::new();
    for (mut labels, value) in series {
        assert_eq!(labels.remove("job").as_deref(), Some(job));
        assert!(labels.remove("instance").is_some());
        normalize(&mut labels);
        assert!(samples.insert(labels, value.into()).is_none());
    }
    samples
}

/// A process whose metrics change, the formats in which a Prometheus scrapes it, and what it stored in the end.
struct Scraped {
    prometheus: Prometheus,
    content_types: BTreeMap<&'static str, Vec<String>>,
}

/// Has `program` scrape a process with something of everything, under a job for each of `jobs`, and compares what was
/// stored under each with what the process holds. A job has its name, what the process is asked with (`None` for what
/// Prometheus asks by itself), and how the samples of the answer are named.
fn scrape(
    program: Command,
    builder: Builder,
    jobs: &[(&'static str, Option<&'static str>, (Format, Naming))],
) -> Scraped {
    // A clock that stands still: windows move only when the test says so.
    let (clock, hands) = Clock::manual();
    let (registry, dispatch) = (Registry::with_clock(clock), Dispatch::new());
    let exporter = builder
        .registry(&registry)
        .dispatch(&dispatch)
        .metrics(definitions())
        .source(Arc::new(HostileNames))
        .resource([("service.name", "shop \"7\"")])
        .build_info([("version", "1.2.3")])
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    let in_flight = registry.register::<Gauge>(last_value("e2e.in_flight").tags(["kind"])).unwrap();
    let done = registry.register::<Counter>(counter("e2e.jobs.done")).unwrap().single().unwrap();
    let waits = registry.register::<Histogram>(distribution("e2e.jobs.wait").unit(Unit::Second)).unwrap();
    let config = registry.register::<Info>(info("e2e.config").tags(["hash"])).unwrap();
    let pool = state_set("e2e.pool.state", ["up", "\"down\""]).tag_as("pool", "pool.name");
    let pool = registry.register::<StateSet>(pool).unwrap().with(["a"]).unwrap();
    config.with(["5f3a"]).unwrap();

    let relays: Vec<(&str, Option<Relay>)> = jobs
        .iter()
        .map(|(job, accept, _)| (*job, accept.map(|accept| Relay::to(exporter.local_addr(), accept))))
        .collect();
    let address = |relay: &Option<Relay>| relay.as_ref().map_or(exporter.local_addr(), Relay::address);
    let targets: Vec<_> = relays.iter().map(|(job, relay)| (*job, address(relay))).collect();
    let prometheus = Prometheus::start(program, &targets);
    let mut rounds = 0;
    while rounds < 3 || jobs.iter().any(|(job, ..)| prometheus.scrapes_of(job) < 3) {
        dispatch.run(|| emit_everything(rounds));
        in_flight.with(["\"quoted\""]).unwrap().set(f64::from(rounds) / 3.0);
        done.add(1 << 53); // Sums beyond that are no longer exact as floats, on neither side.
        waits.single().unwrap().record(Duration::from_millis(u64::from(rounds) * 7));
        pool.set_only(if rounds % 2 == 0 { "up" } else { "\"down\"" }).unwrap();
        hands.advance(Duration::from_secs(25)); // Into another slot; the first rounds fall out of the window.
        rounds += 1;
        prometheus.pause();
    }

    let frozen = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (job, _, made) in jobs {
        let expected = expected(&registry, *made);
        assert!(expected.len() > SERIES as usize + 200, "{} samples", expected.len());

        prometheus.wait_for_scrape_after(job, frozen);
        assert_eq!(prometheus.last_error_of(job), "", "{job}");
        let mut stored = stored(&prometheus, job);
        let mut own = |name: &str| stored.remove(&BTreeMap::from([("__name__".to_owned(), name.to_owned())]));
        assert_eq!(own("up"), Some(1.0.into()), "{job}");
        let number = float(expected.len() as u64);
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
    let content_types = relays.iter().filter_map(|(job, relay)| Some((*job, relay.as_ref()?.content_types())));
    Scraped { content_types: content_types.collect(), prometheus }
}

/// V1, V2, V3, V5, V6, V7: what Prometheus stored is what the process holds, sample by sample, in each text format.
#[test]
fn prometheus_stores_what_the_process_holds() {
    let Some(program) = telemetry_testkit::peer::prometheus() else { return };
    // OpenMetrics is what it asks for by itself; a relay asks for the other in its place.
    let jobs = [
        ("openmetrics", None, (Format::OpenMetrics, Naming::default())),
        ("text", Some(TEXT), (Format::Text, Naming::default())),
    ];
    let scraped = scrape(program, Exporter::builder(), &jobs);
    assert_eq!(scraped.content_types["text"], ["text/plain; version=0.0.4; charset=utf-8"]);
    // Only OpenMetrics has units, so the other job was scraped in that format.
    assert_eq!(scraped.prometheus.unit_of("openmetrics", "e2e_jobs_wait_seconds"), "seconds");
    assert_eq!(scraped.prometheus.unit_of("text", "e2e_jobs_wait_seconds"), "");
}

/// V1, V2, V3, V4, V5: a Prometheus that reads UTF-8 names stores them, in each format, and one that asks for them escaped
/// stores those.
#[test]
fn prometheus_3_stores_utf8_names() {
    let Some(program) = telemetry_testkit::peer::prometheus_3() else { return };
    let utf8 = Naming::default().utf8(true);
    let job = |name, accept, format, escaping| (name, accept, (format, utf8.escaping(escaping)));
    // It asks for UTF-8 names by itself, and which format it then gets is between the two.
    let jobs = [
        job("own", None, Format::OpenMetrics, Escaping::AllowUtf8),
        job("text", Some("text/plain;version=1.0.0;escaping=allow-utf-8"), Format::Text1, Escaping::AllowUtf8),
        job("old", Some(TEXT), Format::Text, Escaping::Underscores),
        job(
            "dots",
            Some("application/openmetrics-text;version=1.0.0;escaping=dots"),
            Format::OpenMetrics,
            Escaping::Dots,
        ),
        job("values", Some("text/plain;version=1.0.0;escaping=values"), Format::Text1, Escaping::Values),
    ];
    let scraped = scrape(program, Exporter::builder().utf8_names(true), &jobs);
    let content_type = |job| scraped.content_types[job].join(" and ");
    assert_eq!(content_type("text"), "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8");
    assert_eq!(content_type("old"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(content_type("dots"), "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots");
    assert_eq!(content_type("values"), "text/plain; version=1.0.0; charset=utf-8; escaping=values");
    let found = scraped.prometheus.query("{\"e2e.request.stop_total\",job=\"own\",route=\"/größe\"}");
    assert_eq!(found.len(), 1, "a query by its UTF-8 name finds it");
    assert_eq!(scraped.prometheus.unit_of("own", "e2e.jobs.wait_seconds"), "seconds");
}
