//! The facade of `metrics`, outwards: metrics over events are recorded by any recorder.
#![cfg(feature = "metrics")]

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit, with_local_recorder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use telemetry_core::facade::{Forward, Recorder};
use telemetry_core::handler::AttachError;
use telemetry_core::metric::{Fault, Rule, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::{Dispatch, Number, Registry, emit};

/// The series that were recorded, with unit and value.
fn recorded(snapshotter: &Snapshotter) -> Vec<(String, Option<Unit>, DebugValue)> {
    let series = snapshotter.snapshot().into_vec().into_iter();
    series.map(|(key, unit, _, value)| (key.key().to_string(), unit, value)).collect()
}

/// M8-M22, V1: each kind of metric as the facade's kind that it is, with its unit; tags chosen, renamed and computed.
#[test]
fn metrics_of_events_are_recorded() {
    let (recorder, dispatch) = (DebuggingRecorder::new(), Dispatch::new());
    let snapshotter = recorder.snapshotter();
    let paid = Rule::keep(|event| event.tag("paid").is_some());
    let forward = Forward::new([
        counter("out.order.count").tags(["country"]),
        counter("out.order.paid").measurement("count").rule(&paid),
        sum("out.order.bytes").unit(telemetry_core::Unit::Byte),
        sum("out.order.took").unit(telemetry_core::Unit::Second),
        last_value("out.order.depth").tag_as("country", "land"),
        distribution("out.order.took.spread")
            .event("out.order")
            .measurement("took")
            .unit(telemetry_core::Unit::Millisecond),
        summary("out.order.total").computed_tag("size", |event, text| {
            text.push_str(if event.measurement("total").map(Number::to_f64) > Some(10.0) { "large" } else { "" });
        }),
        spiral("out.order.items"),
    ])
    .unwrap();
    forward.to(recorder).attach_to(&dispatch, "forward").unwrap();
    dispatch.run(|| {
        for n in 0..4_u64 {
            emit!("out.order", { bytes: 1_500, took: Duration::from_millis(300), depth: n, total: 12.5, items: 3 }, { country: "de" });
        }
        emit!("out.order", { total: 2.5 }, { country: None::<&str>, paid: true });
    });
    let histogram = |values: &[f64]| DebugValue::Histogram(values.iter().map(|value| (*value).into()).collect());
    let mut seen = recorded(&snapshotter);
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        seen,
        [
            ("Key(out.order.bytes)".into(), Some(Unit::Bytes), DebugValue::Counter(6_000)),
            ("Key(out.order.count)".into(), None, DebugValue::Counter(1)),
            ("Key(out.order.count, [country = de])".into(), None, DebugValue::Counter(4)),
            ("Key(out.order.depth, [land = de])".into(), None, DebugValue::Gauge(3.0.into())),
            ("Key(out.order.items)".into(), None, DebugValue::Counter(12)),
            ("Key(out.order.paid)".into(), None, DebugValue::Counter(1)),
            // 1.2 s: the counter has the whole second, the rest waits.
            ("Key(out.order.took)".into(), Some(Unit::Seconds), DebugValue::Counter(1)),
            ("Key(out.order.took.spread)".into(), Some(Unit::Milliseconds), histogram(&[300.0; 4])),
            ("Key(out.order.total)".into(), None, histogram(&[2.5])),
            ("Key(out.order.total, [size = large])".into(), None, histogram(&[12.5; 4])),
        ]
    );
}

/// M34, V3: what is missing or no number is skipped and counted; a closure that panics takes nothing else away.
#[test]
fn what_can_not_be_recorded_is_counted() {
    let (recorder, dispatch) = (DebuggingRecorder::new(), Dispatch::new());
    let snapshotter = recorder.snapshotter();
    let forward = Forward::new([
        sum("out.bad.amount"),
        distribution("out.bad.none"),
        counter("out.bad.count").computed_tag("x", |_, _| panic!("as it is written")),
        counter("out.bad.seen").measurement("count"),
    ])
    .unwrap()
    .to(recorder);
    forward.attach_to(&dispatch, "forward").unwrap();
    dispatch.run(|| {
        emit!("out.bad", { amount: -1.0 });
        emit!("out.bad", { amount: f64::NAN });
    });
    assert_eq!(forward.skipped(), 6);
    assert_eq!(recorded(&snapshotter), [("Key(out.bad.seen)".into(), None, DebugValue::Counter(2))]);
    assert_eq!(dispatch.failures(), []);
}

/// Without a recorder of its own it takes the one of the thread that emits.
#[test]
fn the_installed_recorder_is_used() {
    let dispatch = Dispatch::new();
    let forward = Forward::new([counter("out.local.count")]).unwrap();
    forward.attach_to(&dispatch, "forward").unwrap();
    dispatch.run(|| emit!("out.local"));
    for _ in 0..3 {
        // One after the other, perhaps at the same address: none gets what is another's.
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        with_local_recorder(&recorder, || {
            forward.describe();
            dispatch.run(|| emit!("out.local"));
        });
        assert_eq!(recorded(&snapshotter), [("Key(out.local.count)".into(), None, DebugValue::Counter(1))]);
    }
}

/// A recorder that emits an event for each handle that it is asked for.
struct Emits(Arc<DebuggingRecorder>);

impl metrics::Recorder for Emits {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        emit!("out.loop", { n: 1 });
        self.0.describe_counter(key, unit, text);
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.0.describe_gauge(key, unit, text);
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.0.describe_histogram(key, unit, text);
    }
    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        emit!("out.loop", { n: 1 });
        self.0.register_counter(key, metadata)
    }
    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.0.register_gauge(key, metadata)
    }
    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.0.register_histogram(key, metadata)
    }
}

/// X3: events that come of forwarding are cut, and counted; the next event is forwarded again.
#[test]
fn there_is_no_loop() {
    let recorder = Arc::new(DebuggingRecorder::new());
    let (snapshotter, dispatch) = (recorder.snapshotter(), Dispatch::new());
    let forward = Forward::new([counter("out.loop.count")]).unwrap().to(Emits(recorder));
    dispatch.run(|| {
        forward.attach("forward").unwrap();
        emit!("out.loop", { n: 1 });
        emit!("out.loop", { n: 1 });
    });
    // Three were emitted by hand or by `attach`, and each made the recorder emit one more.
    assert_eq!(recorded(&snapshotter)[0].2, DebugValue::Counter(3));
    assert_eq!(forward.cut(), 3);
}

/// T7: there and back again: events, the facade, another registry.
#[test]
fn a_registry_can_be_at_both_ends() {
    let (registry, dispatch) = (Registry::new(), Dispatch::new());
    let forward = Forward::new([counter("out.both.count").name("both_total").tags(["country"])]).unwrap();
    forward.to(Recorder::new(&registry)).attach_to(&dispatch, "forward").unwrap();
    dispatch.run(|| emit!("out.both", {}, { country: "de" }));
    dispatch.detach("forward").unwrap();
    dispatch.run(|| emit!("out.both", {}, { country: "de" }));
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("both_total", &[("country", "de")]), Some(1.0));
    assert_eq!(snapshot.family("both_total").unwrap().family.help(), "Counter over events out.both.");
}

/// T2, M1-M7: what is wrong is an error, as it is everywhere.
#[test]
fn bad_definitions_and_taken_ids_are_errors() {
    let error = Forward::new([counter("alone")]).unwrap_err();
    assert_eq!(error.fault(), &Fault::NoEvent);
    let dispatch = Dispatch::new();
    let forward = Forward::new([counter("out.twice.count")]).unwrap();
    forward.attach_to(&dispatch, "forward").unwrap();
    assert!(matches!(forward.attach_to(&dispatch, "forward"), Err(AttachError::Taken { .. })));
}
