//! Metrics over events: rows M and V of the reference behaviours.

use std::sync::Arc;
use std::time::Duration;

use telemetry_core::event::{Location, MeasurementField, Metadata, Origin, TagField};
use telemetry_core::instrument::{Buckets, Counter, Exponential, Gauge, Histogram, Spiral, Sum, Window};
use telemetry_core::metric::{Fault, Metric, Rule, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::registry::Claim;
use telemetry_core::scrape::{SpiralSample, Total};
use telemetry_core::snapshot::{Snapshot, ValueSnapshot};
use telemetry_core::{Callsite, Clock, Dispatch, Measurement, Number, Registry, TagValue, Unit, Value};

const HERE: Location = Location { module: module_path!(), file: file!(), line: line!() };

const fn measurement(name: &'static str, unit: Option<Unit>) -> MeasurementField {
    MeasurementField { name, unit, description: "" }
}

const fn tag(name: &'static str) -> TagField {
    TagField { name, variants: None, description: "" }
}

static REQUEST: Metadata = Metadata::new(
    "http.request.stop",
    "",
    &[measurement("duration", Some(Unit::Second)), measurement("body", Some(Unit::Byte)), measurement("load", None)],
    &[tag("route"), tag("status")],
    Origin::AdHoc,
    HERE,
);
static REQUEST_SITE: Callsite = Callsite::new(&REQUEST);
static BARE: Metadata = Metadata::new("http.request.stop", "", &[], &[], Origin::AdHoc, HERE);
static BARE_SITE: Callsite = Callsite::new(&BARE);

fn request(duration: impl Measurement, body: impl Measurement, route: impl TagValue, status: impl TagValue) {
    request_with_load(duration, body, None::<f64>, route, status);
}

fn request_with_load(
    duration: impl Measurement,
    body: impl Measurement,
    load: impl Measurement,
    route: impl TagValue,
    status: impl TagValue,
) {
    REQUEST_SITE.emit(&[duration.number(), body.number(), load.number()], &[route.value(), status.value()]);
}

/// Metrics that see what this thread emits while `body` runs.
fn with(metrics: impl IntoIterator<Item = Metric>, body: impl FnOnce()) -> Snapshot {
    let registry = Registry::new();
    let aggregator = registry.aggregator(metrics).unwrap();
    let dispatch = Dispatch::new();
    aggregator.attach_to(&dispatch, "metrics").unwrap();
    dispatch.run(body);
    registry.snapshot()
}

fn fault(metric: Metric) -> Fault {
    let error = Registry::new().aggregator([metric]).unwrap_err();
    assert!(error.to_string().contains(error.metric()), "{error}");
    error.fault().clone()
}

const MS: Duration = Duration::from_millis(1);

/// M23: a metric that gets a name of its own still takes the measurement that the first name holds.
#[test]
fn a_name_of_its_own_leaves_the_source_as_it_is() {
    let snapshot = with([sum("http.request.stop.body").name("bytes.sent").name("bytes.out")], || {
        request(MS, 100_u64, "/a", 200);
    });
    assert_eq!(snapshot.total("bytes.out", &[]), Some(100.0));
}

/// M8, M23: one lookup feeds a metric of every kind.
#[test]
fn an_event_feeds_metrics_of_every_kind() {
    let snapshot = with(
        [
            counter("http.request.stop.count").tags(["route"]),
            sum("http.request.stop.body").tags(["route"]),
            last_value("http.request.stop.load").tags(["route"]),
            distribution("http.request.stop.duration").tags(["route"]),
            summary("latency")
                .event("http.request.stop")
                .measurement("duration")
                .tags(["route"])
                .unit(Unit::Millisecond),
            spiral("bytes.recently").event("http.request.stop").measurement("body").tags(["route"]),
        ],
        || {
            request_with_load(5 * MS, 100_u64, 0.5, "/a", 200);
            request_with_load(30 * MS, 20_u64, 0.25, "/a", 500);
            request_with_load(MS, 1_u64, 9, "/b", 200);
        },
    );
    let a = [("route", "/a")];
    assert_eq!(snapshot.total("http.request.stop.count", &a), Some(2.0));
    assert_eq!(snapshot.sample("http.request.stop.body", &a), Some(&ValueSnapshot::Total(Total::U64(120))));
    assert_eq!(snapshot.sample("http.request.stop.load", &a), Some(&ValueSnapshot::Gauge(0.25)));
    assert_eq!(snapshot.sample("http.request.stop.load", &[("route", "/b")]), Some(&ValueSnapshot::Gauge(9.0)));
    let Some(ValueSnapshot::Histogram { counts, sum, .. }) = snapshot.sample("http.request.stop.duration", &a) else {
        panic!("{snapshot:?}");
    };
    assert_eq!(counts, &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(*sum, 0.035);
    let Some(ValueSnapshot::Summary { count, sum, quantiles }) = snapshot.sample("latency", &a) else {
        panic!("{snapshot:?}");
    };
    assert_eq!((*count, *sum), (2, 35.0));
    assert!((quantiles[0].1 / 5.0 - 1.0).abs() < 0.011 && (quantiles[2].1 / 30.0 - 1.0).abs() < 0.011, "{quantiles:?}");
    assert_eq!(
        snapshot.sample("bytes.recently", &a),
        Some(&ValueSnapshot::Spiral(SpiralSample { count: 120, one: 120 }))
    );
    let family = snapshot.family("http.request.stop.duration").unwrap();
    assert_eq!(family.family.values_unit(), Some(Unit::Second), "the unit is the one that the event declares");
}

/// M1-M7, M16, M17, M25-M32: each fault of a definition is an error at build that names the metric.
#[test]
fn faults_of_definitions_are_errors_at_build() {
    assert!(matches!(fault(counter("")), Fault::Name(_)));
    assert!(matches!(fault(counter("a..count")), Fault::Name(_)));
    assert!(matches!(fault(counter("a.b-c")), Fault::Name(_)));
    assert_eq!(fault(counter("count")), Fault::NoEvent);
    assert!(matches!(fault(counter("a.count").event("x.")), Fault::EventName(..)));
    assert_eq!(fault(counter("a.count").tags(["x", "y", "x"])), Fault::RepeatedLabel("x".into()));
    assert_eq!(fault(counter("a.count").tags(["x"]).tag_as("y", "x")), Fault::RepeatedLabel("x".into()));
    for reserved in ["le", "quantile", "__x"] {
        assert_eq!(fault(counter("a.count").tags([reserved])), Fault::ReservedLabel(reserved.into()));
    }
    for bad in ["", "0a", "a-b", "é"] {
        assert_eq!(fault(counter("a.count").tags([bad])), Fault::LabelName(bad.into()));
    }
    assert_eq!(
        fault(sum("http.request.stop.body").unit(Unit::Second)),
        Fault::Units(Unit::Byte, Unit::Second),
        "the callsite declares bytes"
    );
    assert_eq!(fault(counter("a.count").keep(|_| true).drop(|_| false)), Fault::KeepAndDrop);
    assert!(matches!(fault(counter("a.count").buckets(Buckets::latency())), Fault::Option("buckets", _)));
    assert!(matches!(fault(sum("a.x").quantiles([0.5])), Fault::Option("quantiles", _)));
    assert!(matches!(fault(sum("a.x").window(Window::new(MS * 100, 10).unwrap())), Fault::Option("window", _)));
    assert!(matches!(fault(sum("a.x").exponential(Exponential::default())), Fault::Option("exponential", _)));
    assert!(matches!(fault(counter("a.count").unit(Unit::Second)), Fault::Option("unit", _)));
    for quantiles in [vec![], vec![0.5, 0.5], vec![1.5], vec![f64::NAN]] {
        assert_eq!(fault(summary("a.x").quantiles(quantiles)), Fault::Quantiles);
    }
    assert_eq!(fault(counter("a.count").limit(0)), Fault::NoSeries);
    assert_eq!(fault(counter("a.count").expiry(Duration::ZERO, MS)), Fault::Expiry);
    assert_eq!(fault(counter("a.count").tags(["x"]).values("y", ["1"])), Fault::UnknownLabel("y".into()));
    assert_eq!(fault(counter("a.count").tags(["x", "y"]).values("x", ["1"])), Fault::Undeclared("y".into()));
    assert_eq!(
        fault(counter("a.count").tags(["x"]).values("x", ["1", "2", "3"]).limit(2)),
        Fault::TooManyDeclared(3, 2)
    );
}

static TYPED: Metadata =
    Metadata::new("a.typed.event", "", &[measurement("size", Some(Unit::Byte))], &[tag("route")], Origin::Typed, HERE);
static TYPED_SITE: Callsite = Callsite::new(&TYPED);

/// A tag or a measurement that the typed event does not have is an error at build, which lists those that it has.
#[test]
fn fields_that_a_typed_event_lacks_are_errors_at_build() {
    TYPED_SITE.emit(&[None], &[Value::Absent]);
    assert_eq!(fault(sum("a.typed.event.sise")), Fault::UnknownMeasurement("sise".into(), vec!["size"]));
    assert_eq!(fault(sum("a.typed.event.size").tags(["rout"])), Fault::UnknownTag("rout".into(), vec!["route"]));
    assert!(Registry::new().aggregator([sum("a.typed.event.size").tags(["route"])]).is_ok());
    assert!(Registry::new().aggregator([counter("a.typed.event.count")]).is_ok());
}

/// V4: the same metric twice, and two that would be exposed under one name, are errors that name both.
#[test]
fn two_metrics_with_one_name_are_an_error() {
    let registry = Registry::new();
    let twice = registry.aggregator([counter("a.count"), counter("a.count").tags(["x"])]).unwrap_err();
    assert_eq!(twice.fault(), &Fault::Repeated);
    assert!(registry.snapshot().families().is_empty(), "none is made");

    registry.exposed_names(|family| vec![Claim::family(family.name().replace('.', "_"))]).unwrap();
    registry.aggregator([counter("a.b.count")]).unwrap();
    let error = registry.aggregator([counter("a_b.count")]).unwrap_err();
    assert_eq!(
        error.fault(),
        &Fault::Collision { other: "a.b.count".into(), exposed: "a_b_count".into(), escaping: None }
    );
    assert!(error.to_string().contains("a_b.count") && error.to_string().contains("a.b.count"), "{error}");
}

/// M9-M14, M18-M22: tags chosen, renamed and computed; values computed; events kept and dropped.
#[test]
fn tags_and_values_are_chosen_renamed_computed_and_filtered() {
    let ok_only = Rule::keep(|event| event.tag("status").is_some_and(|status| status == "200"));
    let snapshot = with(
        [
            counter("renamed.count").event("http.request.stop").tag_as("status", "code"),
            counter("classes.count").event("http.request.stop").computed_tag("class", |event, class| {
                let status = event.tag("status").map(|status| status.to_string()).unwrap_or_default();
                class.push_str(&status[..1]);
                class.push_str("xx");
            }),
            sum("kept.body").event("http.request.stop").rule(&ok_only),
            counter("kept.count").event("http.request.stop").rule(&ok_only),
            counter("dropped.count").event("http.request.stop").drop(|event| event.measurement("body").is_none()),
            sum("computed").event("http.request.stop").value(|event| match event.measurement("body")? {
                Number::U64(n) => Some(Number::U64(n * 10)),
                _ => None,
            }),
        ],
        || {
            request(MS, 1_u64, "/a", 200);
            request(MS, 2_u64, "/a", 404);
            request(MS, None::<u64>, "/a", 500);
        },
    );
    assert_eq!(snapshot.total("renamed.count", &[("code", "404")]), Some(1.0));
    assert_eq!(snapshot.total("classes.count", &[("class", "4xx")]), Some(1.0));
    assert_eq!(snapshot.total("kept.body", &[]), Some(1.0));
    assert_eq!(snapshot.total("kept.count", &[]), Some(1.0));
    assert_eq!(snapshot.total("dropped.count", &[]), Some(2.0));
    assert_eq!(snapshot.total("computed", &[]), Some(30.0));
    assert_eq!(skipped(&snapshot, "computed", "missing"), 1.0);
}

fn skipped(snapshot: &Snapshot, metric: &str, reason: &str) -> f64 {
    snapshot.total("telemetry.metric.skipped", &[("metric", metric), ("reason", reason)]).unwrap()
}

/// What an application computes may panic: the event is not counted, is known as invalid, and the others go on.
#[test]
fn a_panic_in_a_computed_value_takes_nothing_else_away() {
    let snapshot = with(
        [
            sum("bad").event("http.request.stop").value(|_| panic!("a fault of the application")),
            counter("http.request.stop.count"),
        ],
        || {
            request(MS, 1_u64, "/a", 200);
            request(MS, 1_u64, "/a", 200);
        },
    );
    assert_eq!(snapshot.total("http.request.stop.count", &[]), Some(2.0));
    assert_eq!(snapshot.total("bad", &[]), Some(0.0));
    assert_eq!(skipped(&snapshot, "bad", "invalid"), 2.0);
}

/// M34, M35: a measurement that is missing is counted for every kind; a `count` that no event carries counts events.
#[test]
fn missing_measurements_are_skipped_and_counted() {
    let of_every_kind = [
        counter("http.request.stop.nothing"),
        sum("http.request.stop.body"),
        last_value("http.request.stop.load"),
        distribution("http.request.stop.duration"),
        summary("b").event("http.request.stop").measurement("body"),
        spiral("c").event("http.request.stop").measurement("body"),
        counter("http.request.stop.count"),
        counter("d").event("http.request.stop").measurement("body"),
    ];
    let snapshot = with(of_every_kind, || {
        request(None::<Duration>, None::<u64>, "/a", 200);
        BARE_SITE.emit(&[], &[]);
    });
    for metric in ["http.request.stop.nothing", "http.request.stop.body", "http.request.stop.load", "b", "c", "d"] {
        assert_eq!(skipped(&snapshot, metric, "missing"), 2.0, "{metric}");
    }
    assert_eq!(snapshot.total("http.request.stop.count", &[]), Some(2.0));
    assert_eq!(snapshot.total("d", &[]), Some(0.0));
    assert_eq!(snapshot.total("http.request.stop.duration", &[]), Some(0.0));
    assert_eq!(snapshot.sample("http.request.stop.load", &[]), None, "a gauge that was never set is not shown");
}

/// V1: floats add up, and the sums of durations are exact.
#[test]
fn sums_are_exact() {
    let snapshot = with(
        [sum("http.request.stop.load"), distribution("http.request.stop.duration"), sum("http.request.stop.body")],
        || {
            for millis in [50, 300, 400, 450] {
                request_with_load(millis * MS, u64::MAX / 8, f64::from(millis) / 1000.0, "/a", 200);
            }
        },
    );
    assert_eq!(snapshot.total("http.request.stop.load", &[]), Some(1.2));
    let Some(ValueSnapshot::Histogram { sum, counts, .. }) = snapshot.sample("http.request.stop.duration", &[]) else {
        panic!("{snapshot:?}");
    };
    assert_eq!(*sum, 1.2);
    assert_eq!(counts, &[0, 0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0]);
    let body = ValueSnapshot::Total(Total::U64(u64::MAX / 8 * 4));
    assert_eq!(snapshot.sample("http.request.stop.body", &[]), Some(&body));
}

/// V1, V3: whole numbers and floats in one sum; it does not turn negative where whole numbers no longer fit a signed one.
#[test]
fn large_sums_do_not_turn_negative() {
    let registry = Registry::new();
    let sum = registry.register::<Sum>(sum("large")).unwrap().single().unwrap();
    sum.add(i64::MAX);
    sum.add(i64::MAX);
    let large = || registry.snapshot().sample("large", &[]).cloned();
    assert_eq!(large(), Some(ValueSnapshot::Total(Total::U64(u64::MAX - 1))));
    sum.add(0.5);
    assert_eq!(large(), Some(ValueSnapshot::Total(Total::F64(u64::MAX as f64))));
}

/// V2: a value on a bound is counted within it, as a duration, an integer and a float.
#[test]
fn a_value_on_a_bound_is_within_it() {
    let bounds = || Buckets::new([0.005, 0.3, 2.0]).unwrap();
    let snapshot = with(
        [
            distribution("http.request.stop.duration").buckets(bounds()),
            distribution("http.request.stop.load").buckets(bounds()),
        ],
        || {
            request_with_load(5 * MS, 0_u64, 0.005, "", 0);
            request_with_load(300 * MS, 0_u64, 0.3, "", 0);
            request_with_load(2000 * MS, 0_u64, 2, "", 0);
            request_with_load(Duration::from_nanos(2_000_000_001), 0_u64, 3, "", 0);
        },
    );
    for metric in ["http.request.stop.duration", "http.request.stop.load"] {
        let Some(ValueSnapshot::Histogram { counts, .. }) = snapshot.sample(metric, &[]) else {
            panic!("{snapshot:?}")
        };
        assert_eq!(counts, &[1, 1, 1, 1], "{metric}");
    }
}

/// V3: what is not finite, or negative where it can't be, is rejected and counted; extremes neither panic nor poison.
#[test]
fn hostile_numbers_are_rejected_and_counted() {
    let of_every_kind = [
        sum("http.request.stop.load"),
        distribution("b").event("http.request.stop").measurement("load"),
        last_value("c").event("http.request.stop").measurement("load"),
        spiral("d").event("http.request.stop").measurement("load"),
        summary("e").event("http.request.stop").measurement("load"),
    ];
    let snapshot = with(of_every_kind, || {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            request_with_load(MS, 0_u64, bad, "", 0);
        }
        request_with_load(MS, 0_u64, -1, "", 0);
        request_with_load(MS, 0_u64, 2.5, "", 0);
        request_with_load(MS, 0_u64, (1_u64 << 53) + 1, "", 0);
    });
    assert_eq!(skipped(&snapshot, "http.request.stop.load", "invalid"), 4.0);
    assert_eq!(skipped(&snapshot, "b", "invalid"), 3.0);
    assert_eq!(skipped(&snapshot, "c", "invalid"), 3.0);
    assert_eq!(skipped(&snapshot, "d", "invalid"), 5.0, "a spiral counts whole numbers that are not negative");
    assert_eq!(skipped(&snapshot, "e", "invalid"), 3.0);
    assert_eq!(snapshot.total("http.request.stop.load", &[]), Some((1_u64 << 53) as f64 + 1.0 + 2.5));
    assert_eq!(snapshot.total("d", &[]), Some(((1_u64 << 53) + 1) as f64));
    assert_eq!(snapshot.total("b", &[]), Some(3.0));
}

/// V5: distinct tag values stay distinct, equal ones are one series, and any text is a value.
#[test]
fn series_are_told_apart_by_the_texts_of_their_tags() {
    let long = "x".repeat(10_000);
    let snapshot = with([counter("http.request.stop.count").tags(["route", "status"])], || {
        request(MS, 0_u64, "1", 1);
        request(MS, 0_u64, 1, "1");
        request(MS, 0_u64, "ab", "c");
        request(MS, 0_u64, "a", "bc");
        request(MS, 0_u64, "", None::<&str>);
        request(MS, 0_u64, None::<&str>, "");
        for hostile in ["\"", "\\", "\n", "\0", long.as_str()] {
            request(MS, 0_u64, hostile, "");
            request(MS, 0_u64, hostile, "");
        }
    });
    let total =
        |route: &str, status: &str| snapshot.total("http.request.stop.count", &[("route", route), ("status", status)]);
    assert_eq!(total("1", "1"), Some(2.0));
    assert_eq!(total("ab", "c"), Some(1.0));
    assert_eq!(total("a", "bc"), Some(1.0));
    assert_eq!(total("", ""), Some(2.0));
    for hostile in ["\"", "\\", "\n", "\0", long.as_str()] {
        assert_eq!(total(hostile, ""), Some(2.0));
    }
    assert_eq!(snapshot.family("http.request.stop.count").unwrap().series.len(), 9);
}

/// V6: declared series are there at zero before the first event.
#[test]
fn declared_series_are_there_at_zero() {
    let snapshot = with(
        [
            counter("http.request.stop.count")
                .tags(["route", "status"])
                .values("route", ["/a", "/b"])
                .values("status", ["200", "500"]),
            last_value("http.request.stop.load").tags(["status"]).values("status", ["200"]),
            distribution("http.request.stop.duration"),
        ],
        || (),
    );
    for route in ["/a", "/b"] {
        for status in ["200", "500"] {
            let labels = [("route", route), ("status", status)];
            assert_eq!(snapshot.total("http.request.stop.count", &labels), Some(0.0));
        }
    }
    assert_eq!(snapshot.total("http.request.stop.load", &[("status", "200")]), Some(0.0));
    assert_eq!(snapshot.total("http.request.stop.duration", &[]), Some(0.0));
}

/// V7: beyond the limit everything lands in one series, totals stay right, and what was refused is counted.
#[test]
fn series_beyond_the_limit_land_in_one() {
    let snapshot = with([counter("http.request.stop.count").tags(["route"]).limit(3)], || {
        for route in 0..100_u64 {
            request(MS, 0_u64, route, 200);
            request(MS, 0_u64, route, 200);
        }
    });
    let family = snapshot.family("http.request.stop.count").unwrap();
    assert_eq!(family.series.len(), 4);
    assert_eq!(snapshot.total("http.request.stop.count", &[("route", "2")]), Some(2.0));
    assert_eq!(snapshot.total("http.request.stop.count", &[("otel_metric_overflow", "true")]), Some(194.0));
    let refused = snapshot.total("telemetry.metric.overflow", &[("metric", "http.request.stop.count")]);
    assert_eq!(refused, Some(194.0));
}

/// V7: ten million random tag values leave the store as large as its limit.
#[test]
fn the_limit_does_not_leak() {
    let snapshot = with([counter("http.request.stop.count").tags(["route"]).limit(10)], || {
        for route in 0..200_000_u64 {
            request(MS, 0_u64, route, 200);
        }
    });
    let series = snapshot.total("telemetry.metric.series", &[("metric", "http.request.stop.count")]);
    assert_eq!(series, Some(10.0));
    let total: f64 = snapshot
        .family("http.request.stop.count")
        .unwrap()
        .series
        .iter()
        .map(|series| match series.value {
            ValueSnapshot::Total(total) => total.to_f64(),
            _ => 0.0,
        })
        .sum();
    assert_eq!(total, 200_000.0);
}

/// Sweeps until a metric keeps so many series: one is forgotten when no thread is in the midst of an event, and another
/// test's may have lost its core there.
fn wait_for_series(registry: &Registry, metric: &str, expected: f64) {
    let start = std::time::Instant::now();
    while registry.snapshot().total("telemetry.metric.series", &[("metric", metric)]) != Some(expected) {
        assert!(start.elapsed() < Duration::from_secs(30), "the memory of {metric} is not given back");
        std::thread::yield_now();
    }
}

/// V8: an idle series is hidden, comes back where it was, and after a longer time is a new one.
#[test]
fn idle_series_are_hidden_then_forgotten() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let second = Duration::from_secs(1);
    let metrics = [
        counter("http.request.stop.count").tags(["route"]).expiry(10 * second, 20 * second),
        last_value("http.request.stop.load").tags(["route"]).expiry(10 * second, 20 * second),
    ];
    let aggregator = registry.aggregator(metrics).unwrap();
    let dispatch = Dispatch::new();
    aggregator.attach_to(&dispatch, "metrics").unwrap();
    let emit = |route: &str| dispatch.run(|| request_with_load(MS, 0_u64, 7, route, 200));
    let total = |route| registry.snapshot().total("http.request.stop.count", &[("route", route)]);

    emit("/a");
    emit("/b");
    assert_eq!(total("/a"), Some(1.0));
    hands.advance(9 * second);
    emit("/b");
    assert_eq!((total("/a"), total("/b")), (Some(1.0), Some(1.0 + 1.0)));
    hands.advance(2 * second);
    assert_eq!((total("/a"), total("/b")), (None, Some(2.0)), "hidden");
    emit("/a");
    assert_eq!(total("/a"), Some(2.0), "goes on where it was");
    let created = |route: &str| {
        let snapshot = registry.snapshot();
        let family = snapshot.family("http.request.stop.count").unwrap();
        family.series.iter().find(|series| series.labels["route"] == route).map(|series| series.created.unwrap())
    };
    assert_eq!(created("/a"), Some(Duration::ZERO));

    for _ in 0..4 {
        hands.advance(8 * second);
        emit("/b");
        let _ = registry.snapshot();
    }
    assert_eq!(total("/a"), None);
    wait_for_series(&registry, "http.request.stop.count", 1.0);
    emit("/a");
    assert_eq!(total("/a"), Some(1.0), "a new series");
    assert_eq!(created("/a"), Some(43 * second));
    assert_eq!(registry.snapshot().total("http.request.stop.load", &[("route", "/a")]), Some(7.0));
}

/// V8: a handle keeps its series; what it counts is never lost.
#[test]
fn a_held_series_is_hidden_but_never_forgotten() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let second = Duration::from_secs(1);
    let jobs = registry.register::<Counter>(counter("jobs").tags(["queue"]).expiry(second, second)).unwrap();
    let held = jobs.with(["mail"]).unwrap();
    let dropped = jobs.with(["print"]).unwrap();
    held.add(2);
    dropped.add(5);
    drop(dropped);
    for _ in 0..5 {
        hands.advance(second);
        let _ = registry.snapshot();
    }
    assert!(registry.snapshot().family("jobs").unwrap().series.is_empty());
    wait_for_series(&registry, "jobs", 1.0);
    held.increment();
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "mail")]), Some(3.0));
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "print")]), None);
    jobs.with(["print"]).unwrap().add(1);
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "print")]), Some(1.0), "counts from zero");
}

/// V9: series are reset and removed by name and labels; handles to them stay good.
#[test]
fn series_are_reset_and_removed() {
    let registry = Registry::new();
    let jobs = registry.register::<Counter>(counter("jobs").tags(["queue", "host"])).unwrap();
    let sizes = registry.register::<Histogram>(distribution("sizes").exponential(Exponential::default())).unwrap();
    let level = registry.register::<Gauge>(last_value("level")).unwrap().single().unwrap();
    let (a, b) = (jobs.with(["mail", "a"]).unwrap(), jobs.with(["mail", "b"]).unwrap());
    let other = jobs.with(["print", "a"]).unwrap();
    let size = sizes.single().unwrap();
    a.add(1);
    b.add(2);
    other.add(3);
    size.record(2.5);
    level.set(4);

    assert_eq!(registry.reset("jobs", &[("queue", "mail")]), 2);
    let total = |queue, host| registry.snapshot().total("jobs", &[("queue", queue), ("host", host)]);
    assert_eq!((total("mail", "a"), total("mail", "b"), total("print", "a")), (Some(0.0), Some(0.0), Some(3.0)));
    a.add(5);
    assert_eq!(total("mail", "a"), Some(5.0));

    assert_eq!(registry.remove("jobs", &[("host", "a")]), 2);
    assert_eq!((total("mail", "a"), total("mail", "b"), total("print", "a")), (None, Some(0.0), None));
    other.add(7);
    assert_eq!(total("print", "a"), Some(7.0));

    assert_eq!(registry.reset("sizes", &[]), 1);
    size.record(1.0);
    let Some(ValueSnapshot::Histogram { counts, sum, exponential, .. }) =
        registry.snapshot().sample("sizes", &[]).cloned()
    else {
        panic!("no histogram");
    };
    assert_eq!((counts, sum), (vec![1], 1.0));
    assert_eq!(exponential.unwrap().positive, [(0, 1)]);

    assert_eq!(registry.remove("level", &[]), 1);
    assert_eq!(registry.snapshot().total("level", &[]), None);
    level.set(2);
    assert_eq!(registry.snapshot().total("level", &[]), Some(2.0));
    assert_eq!(registry.remove("no.such.metric", &[]), 0);
}

/// A window answers zero when it has passed, and each slot leaves it in its turn.
#[test]
fn a_spiral_forgets_what_left_its_window() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let marks = registry.register::<Spiral>(spiral("marks")).unwrap().single().unwrap();
    let read = || match registry.snapshot().sample("marks", &[]) {
        Some(ValueSnapshot::Spiral(spiral)) => (spiral.count, spiral.one),
        other => panic!("{other:?}"),
    };
    marks.mark(3);
    hands.advance(Duration::from_secs(30));
    marks.mark(4);
    assert_eq!(read(), (7, 7));
    hands.advance(Duration::from_secs(30));
    assert_eq!(read(), (7, 4));
    hands.advance(Duration::from_secs(3600));
    assert_eq!(read(), (7, 0));
    marks.mark(1);
    assert_eq!(read(), (8, 1));
    assert_eq!(registry.reset("marks", &[]), 1);
    assert_eq!(read(), (0, 0));
    marks.mark(2);
    assert_eq!(read(), (2, 2));
}

/// Gauges go up and down, and are one value for all threads.
#[test]
fn a_gauge_is_one_value_for_all_threads() {
    let registry = Registry::new();
    let level = registry.register::<Gauge>(last_value("level")).unwrap().single().unwrap();
    assert_eq!(registry.snapshot().total("level", &[]), Some(0.0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    level.add(3);
                    level.subtract(1);
                }
            });
        }
    });
    assert_eq!(registry.snapshot().total("level", &[]), Some(8000.0));
    level.set(-0.5);
    level.set(f64::NAN);
    assert_eq!(registry.snapshot().total("level", &[]), Some(-0.5));
}

/// A handle of the wrong kind, options that held instruments can't have, and a wrong number of values are errors.
#[test]
fn instruments_that_do_not_fit_are_refused() {
    let registry = Registry::new();
    let error = registry.register::<Gauge>(counter("jobs")).unwrap_err();
    assert_eq!(error.fault(), &Fault::Kind { defined: "counter", asked: "last_value" });
    let error = registry.register::<Counter>(counter("jobs").event("a.b")).unwrap_err();
    assert_eq!(error.fault(), &Fault::EventOfHeld);
    let jobs = registry.register::<Counter>(counter("jobs").tags(["queue"])).unwrap();
    let error = jobs.single().unwrap_err().to_string();
    assert!(error.contains("\"jobs\" has 1 labels, and 0 values"), "{error}");
}

/// Totals are exact after threads came and went, and while somebody scrapes.
#[test]
fn totals_are_exact_under_thread_churn_and_scrapes() {
    const THREADS: u64 = 8;
    let rounds: u64 = if cfg!(debug_assertions) { 20 } else { 100 };
    let each: u64 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    let registry = Registry::new();
    let aggregator = registry
        .aggregator([
            counter("http.request.stop.count").tags(["route"]),
            distribution("http.request.stop.duration").tags(["route"]),
            sum("http.request.stop.body").tags(["status"]),
        ])
        .unwrap();
    let dispatch = Dispatch::new();
    aggregator.attach_to(&dispatch, "metrics").unwrap();
    let held = Arc::new(registry.register::<Sum>(sum("held")).unwrap().single().unwrap());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut before = 0.0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let snapshot = registry.snapshot();
                let now: f64 = (0..10)
                    .filter_map(|n| snapshot.total("http.request.stop.count", &[("route", &n.to_string())]))
                    .sum();
                assert!(now >= before, "a counter went back from {before} to {now}");
                before = now;
            }
        });
        for _ in 0..rounds {
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    let (dispatch, held) = (dispatch.clone(), Arc::clone(&held));
                    scope.spawn(move || {
                        let _scope = dispatch.enter();
                        for n in 0..each {
                            request(MS, n, n % 10, 200);
                            held.add(1);
                        }
                    });
                }
            });
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        scraper.join().unwrap();
    });
    let snapshot = registry.snapshot();
    for route in 0..10 {
        let route = route.to_string();
        let expected = (THREADS * rounds * each / 10) as f64;
        assert_eq!(snapshot.total("http.request.stop.count", &[("route", &route)]), Some(expected));
        assert_eq!(snapshot.total("http.request.stop.duration", &[("route", &route)]), Some(expected));
    }
    let bodies = THREADS * rounds * (each * (each - 1) / 2);
    assert_eq!(
        snapshot.sample("http.request.stop.body", &[("status", "200")]),
        Some(&ValueSnapshot::Total(Total::U64(bodies)))
    );
    assert_eq!(snapshot.total("held", &[]), Some((THREADS * rounds * each) as f64));
}
