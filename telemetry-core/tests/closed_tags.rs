//! Events whose tags are all of closed sets: they take a way of their own to their series, which has to end at the same
//! ones.

use std::thread;
use std::time::Duration;

use telemetry_core::metric::{Metric, counter, distribution};
use telemetry_core::snapshot::Snapshot;
use telemetry_core::value::Variant;
use telemetry_core::{Clock, Dispatch, Event, Registry, TagValue, Value};

#[derive(Clone, Copy, TagValue)]
enum Method {
    Get,
    Put,
}

/// Declares one set, and has values of another, of the same size, and some that are of none.
struct Liar(u8);

impl TagValue for Liar {
    const VARIANTS: Option<&'static [&'static str]> = Some(&["a", "b"]);

    fn value(&self) -> Value<'_> {
        match self.0 {
            0 => Value::Variant(Variant::new(0, &["x", "y"])),
            1 => Value::Str("z"),
            2 => Value::Bool(true),
            n => Value::U64(n.into()),
        }
    }
}

#[derive(Event)]
#[event(name = "closed.call")]
struct Call {
    #[measurement(unit = "second")]
    duration: Duration,
    #[tag]
    method: Method,
    #[tag]
    retried: Option<bool>,
}

#[derive(Event)]
#[event(name = "closed.lie")]
struct Lie {
    #[tag]
    liar: Liar,
    #[tag]
    method: Method,
}

/// What the metrics hold after `body` has emitted.
fn collect(metrics: impl IntoIterator<Item = Metric>, body: impl FnOnce()) -> Snapshot {
    let registry = Registry::new();
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    dispatch.run(body);
    registry.snapshot()
}

fn call(method: Method, retried: Option<bool>) {
    Call { duration: Duration::from_millis(5), method, retried }.emit();
}

/// V5, M1: every combination is its own series, an absent tag too, and every event is counted.
#[test]
fn every_combination_of_values_is_a_series() {
    let all = [(Method::Get, None), (Method::Get, Some(true)), (Method::Put, Some(false)), (Method::Put, None)];
    let snapshot = collect(
        [
            counter("closed.call.count").tags(["method", "retried"]),
            distribution("closed.call.duration").tags(["method", "retried"]),
            counter("calls.count").event("closed.call").tags(["retried"]),
        ],
        || {
            thread::scope(|scope| {
                for _ in 0..2 {
                    let dispatch = Dispatch::current();
                    scope.spawn(move || {
                        dispatch.run(|| {
                            for (times, (method, retried)) in (1..).zip(all) {
                                (0..times * 100).for_each(|_| call(method, retried));
                            }
                        });
                    });
                }
            });
        },
    );
    let count = |method, retried| snapshot.total("closed.call.count", &[("method", method), ("retried", retried)]);
    assert_eq!(count("get", ""), Some(200.0));
    assert_eq!(count("get", "true"), Some(400.0));
    assert_eq!(count("put", "false"), Some(600.0));
    assert_eq!(count("put", ""), Some(800.0));
    assert_eq!(count("get", "false"), None);
    assert_eq!(snapshot.family("closed.call.duration").unwrap().series.len(), 4);
    assert_eq!(snapshot.total("calls.count", &[("retried", "")]), Some(1000.0));
}

/// V5: a type that declares one set of values and has others is taken by what it has.
#[test]
fn a_value_that_was_not_declared_is_taken_by_its_text() {
    let snapshot = collect([counter("closed.lie.count").tags(["liar", "method"])], || {
        for liar in [0, 1, 2, 3, 0, 1, 2, 3] {
            Lie { liar: Liar(liar), method: Method::Put }.emit();
        }
    });
    for text in ["x", "z", "true", "3"] {
        assert_eq!(snapshot.total("closed.lie.count", &[("liar", text), ("method", "put")]), Some(2.0), "{text}");
    }
    assert_eq!(snapshot.family("closed.lie.count").unwrap().series.len(), 4);
}

/// M17-M24: the limit holds, and what lies beyond it is counted in the overflow series, each time.
#[test]
fn the_limit_holds_for_closed_sets() {
    let snapshot = collect([counter("closed.call.count").tags(["method", "retried"]).limit(1)], || {
        for _ in 0..10 {
            call(Method::Get, None);
            call(Method::Put, Some(true));
        }
    });
    assert_eq!(snapshot.total("closed.call.count", &[("method", "get")]), Some(10.0));
    let family = snapshot.family("closed.call.count").unwrap();
    assert_eq!(family.series.len(), 2, "{family:?}");
    assert_eq!(snapshot.total("closed.call.count", &[("otel_metric_overflow", "true")]), Some(10.0));
}

/// V9: a series that was forgotten begins again, although its cells are another's by now.
#[test]
fn series_of_closed_sets_expire() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let dispatch = Dispatch::new();
    let metric = counter("closed.call.count").tags(["method"]).expiry(Duration::from_secs(60), Duration::from_secs(60));
    registry.aggregator([metric]).unwrap().attach_to(&dispatch, "metrics").unwrap();
    dispatch.run(|| (0..7).for_each(|_| call(Method::Get, None)));
    for _ in 0..20 {
        hands.advance(Duration::from_secs(600));
        registry.sweep();
    }
    assert_eq!(registry.snapshot().total("closed.call.count", &[("method", "get")]), None);
    dispatch.run(|| call(Method::Put, None));
    dispatch.run(|| call(Method::Get, None));
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("closed.call.count", &[("method", "get")]), Some(1.0));
    assert_eq!(snapshot.total("closed.call.count", &[("method", "put")]), Some(1.0));
}
