//! Emission asks nothing of the allocator for a series that exists: row 5 of what an emission never does.
#![cfg(feature = "derive")]

#[path = "../src/allocations.rs"]
mod allocations;

use std::hint::black_box;
use std::time::Duration;

use telemetry_core::handler::attachment;
use telemetry_core::instrument::{Buckets, Counter, Exponential, Gauge, Histogram, Spiral, Sum, Summary};
use telemetry_core::lane::Lane;
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::{Dispatch, Event, Registry, TagValue, emit};

const TIMES: usize = 1_000;
const MS: Duration = Duration::from_millis(1);

/// Metrics of each kind over one event, all with these tags, on a dispatcher of their own.
fn metrics_of_each_kind(event: &str, tags: &[&str]) -> (Registry, Dispatch) {
    let registry = Registry::new();
    let named = |make: fn(String) -> Metric, name: &str, measurement: &str| {
        make(name.to_owned()).event(event).measurement(measurement).tags(tags)
    };
    let metrics = [
        named(counter, "calls", "count"),
        named(distribution, "duration", "duration"),
        named(distribution, "fine", "duration").exponential(Exponential::default()).buckets(Buckets::latency()),
        named(sum, "bytes", "bytes"),
        named(last_value, "load", "load"),
        named(spiral, "recently", "bytes"),
        named(summary, "quantiles", "duration"),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    (registry, dispatch)
}

/// Emits twice, so that all series, pages and chunks are there, and then counts.
fn asked_of_the_allocator(dispatch: &Dispatch, emit: impl Fn()) -> usize {
    dispatch.run(|| {
        emit();
        emit();
        allocations::and_frees_during(|| (0..TIMES).for_each(|_| emit()))
    })
}

#[track_caller]
fn assert_counted(registry: &Registry, labels: &[(&str, &str)]) {
    let snapshot = registry.snapshot();
    for name in ["calls", "duration", "fine", "quantiles"] {
        assert_eq!(snapshot.total(name, labels), Some((TIMES + 2) as f64), "{name} {labels:?}");
    }
}

fn emit_one(route: &str, status: u16) {
    emit!(
        "memory.request",
        { duration: black_box(5 * MS) => Second, bytes: black_box(1_200_u64) => Byte, load: black_box(0.5) },
        { route: black_box(route), status: black_box(status) }
    );
}

/// Two dynamic tags, one of them an integer, into a metric of each kind.
#[test]
fn an_event_of_a_series_that_exists_allocates_nothing() {
    let (registry, dispatch) = metrics_of_each_kind("memory.request", &["route", "status"]);
    assert_eq!(asked_of_the_allocator(&dispatch, || emit_one("/carts", 200)), 0);
    assert_counted(&registry, &[("route", "/carts"), ("status", "200")]);
}

/// Keys that do not fit on the stack are built in a buffer that the thread keeps.
#[test]
fn an_event_with_long_tags_allocates_nothing_from_the_second_on() {
    let (registry, dispatch) = metrics_of_each_kind("memory.request", &["route", "status"]);
    for length in [254, 255, 256, 1_000, 100_000] {
        let long = "x".repeat(length);
        assert_eq!(asked_of_the_allocator(&dispatch, || emit_one(&long, 404)), 0, "{length} bytes");
        assert_counted(&registry, &[("route", &long), ("status", "404")]);
    }
}

/// V7: events beyond the limit go to the overflow series, at the same cost.
#[test]
fn an_event_of_the_overflow_series_allocates_nothing() {
    let registry = Registry::new();
    let dispatch = Dispatch::new();
    let metric = counter("calls").event("memory.request").measurement("count").tags(["route"]).limit(1);
    registry.aggregator([metric]).unwrap().attach_to(&dispatch, "metrics").unwrap();
    dispatch.run(|| emit_one("/taken", 200));
    assert_eq!(asked_of_the_allocator(&dispatch, || emit_one("/refused", 200)), 0);
    let overflow = registry.snapshot().total("calls", &[("otel_metric_overflow", "true")]);
    assert_eq!(overflow, Some((TIMES + 2) as f64));
}

/// M9: nor where a rule chooses the events, and values are computed.
#[test]
fn an_event_that_a_rule_lets_pass_allocates_nothing() {
    let registry = Registry::new();
    let dispatch = Dispatch::new();
    let metric =
        sum("cost").event("memory.request").tags(["route", "status"]).keep(|event| event.tag("route").is_some());
    let metric = metric.value(|event| event.measurement("bytes"));
    registry.aggregator([metric]).unwrap().attach_to(&dispatch, "metrics").unwrap();
    assert_eq!(asked_of_the_allocator(&dispatch, || emit_one("/kept", 200)), 0);
    let total = registry.snapshot().total("cost", &[("route", "/kept"), ("status", "200")]);
    assert_eq!(total, Some(1_200.0 * (TIMES + 2) as f64));
}

#[derive(Clone, Copy, TagValue)]
enum Cache {
    Hit,
    Miss,
}

/// A request.
#[derive(telemetry_core::Event)]
#[event(name = "memory.typed")]
struct Request<'a> {
    #[measurement]
    duration: Duration,
    #[measurement(unit = "byte")]
    bytes: u64,
    #[measurement]
    load: f64,
    #[tag]
    route: &'a str,
    #[tag]
    status: u16,
    #[tag]
    cache: Option<Cache>,
}

/// Typed events, with enums and absent values as tags.
#[test]
fn a_typed_event_allocates_nothing() {
    let (registry, dispatch) = metrics_of_each_kind("memory.typed", &["route", "status", "cache"]);
    let route = String::from("/typed");
    for (cache, name) in [(Some(Cache::Hit), "hit"), (Some(Cache::Miss), "miss"), (None, "")] {
        let emit = || {
            Request { duration: 5 * MS, bytes: 1, load: 0.5, route: &route, status: 200, cache: black_box(cache) }
                .emit();
        };
        assert_eq!(asked_of_the_allocator(&dispatch, emit), 0);
        assert_counted(&registry, &[("route", &route), ("status", "200"), ("cache", name)]);
    }
}

/// Instruments that code holds.
#[test]
fn a_held_instrument_allocates_nothing() {
    let registry = Registry::new();
    let (tag, value) = (["queue"], ["mail"]);
    let count = registry.register::<Counter>(counter("count").tags(tag)).unwrap().with(value).unwrap();
    let total = registry.register::<Sum>(sum("total").tags(tag)).unwrap().with(value).unwrap();
    let level = registry.register::<Gauge>(last_value("level").tags(tag)).unwrap().with(value).unwrap();
    let sizes = distribution("sizes").tags(tag).exponential(Exponential::default()).buckets(Buckets::latency());
    let sizes = registry.register::<Histogram>(sizes).unwrap().with(value).unwrap();
    let quantiles = registry.register::<Summary>(summary("quantiles").tags(tag)).unwrap().with(value).unwrap();
    let recently = registry.register::<Spiral>(spiral("recently").tags(tag)).unwrap().with(value).unwrap();
    let update = || {
        count.increment();
        total.add(2.5);
        level.set(3);
        level.add(1);
        sizes.record(0.25);
        quantiles.record(0.25);
        recently.mark(1);
        // A clone is another reference to the same series.
        count.clone().add(1);
    };
    assert_eq!(asked_of_the_allocator(&Dispatch::new(), update), 0);
    assert_eq!(registry.snapshot().total("count", &[("queue", "mail")]), Some(2.0 * (TIMES + 2) as f64));
}

/// An event that is cast to a lane is copied into memory that is there, on the side of who emits.
#[test]
fn an_event_that_is_cast_to_a_lane_allocates_nothing() {
    let registry = Registry::new();
    let metric = counter("calls").event("memory.request").measurement("count").tags(["route", "status"]);
    let aggregator = registry.aggregator([metric]).unwrap();
    let lane = Lane::builder("memory").capacity(4096).build().unwrap();
    let dispatch = Dispatch::new();
    attachment("metrics", aggregator).event("memory.request").lane(&lane).attach_to(&dispatch).unwrap();
    let seen = |event: &Event<'_>| assert_eq!(black_box(event.name()), "memory.request");
    attachment("seen", seen).event("memory.request").lane(&lane).attach_to(&dispatch).unwrap();
    assert_eq!(asked_of_the_allocator(&dispatch, || emit_one("/lane", 200)), 0);
    lane.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(lane.stats().dropped, 0);
    let total = registry.snapshot().total("calls", &[("route", "/lane"), ("status", "200")]);
    assert_eq!(total, Some((TIMES + 2) as f64));
}
