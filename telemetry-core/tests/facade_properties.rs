//! The facade's whole surface agrees with the `DebuggingRecorder` of `metrics-util`: both are given the same random calls,
//! plainly and through each of that crate's layers.
#![cfg(feature = "metrics")]

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Unit, with_local_recorder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use metrics_util::layers::{FanoutBuilder, FilterLayer, PrefixLayer, Router, RouterBuilder, Stack};
use metrics_util::{MetricKind, MetricKindMask};
use proptest::prelude::*;
use telemetry_core::Registry;
use telemetry_core::facade::{Recorder, Shape};
use telemetry_core::snapshot::ValueSnapshot;

/// One call of the facade.
#[derive(Clone, Debug)]
enum Call {
    Describe {
        kind: MetricKind,
        name: usize,
        unit: Option<Unit>,
        text: usize,
    },
    Increment(Place, u64),
    Absolute(Place, u64),
    Set(Place, f64),
    Add(Place, f64),
    Subtract(Place, f64),
    Record(Place, f64),
    RecordMany(Place, f64, usize),
    /// Asks for a handle and does nothing with it.
    Touch(MetricKind, Place),
}

/// Which series, at which level; whether by a handle that is held since the first call.
#[derive(Clone, Debug)]
struct Place {
    name: usize,
    labels: Vec<(usize, usize)>,
    level: usize,
    held: bool,
}

const NAMES: [&str; 5] = ["jobs", "http.requests", "tokio_tasks", "app::queue depth", "ab"];
const LABELS: [&str; 4] = ["queue", "shard", "a", "b"];
const VALUES: [&str; 5] = ["mail", "7", "ab", "a", "\"\\\n"];
const TEXTS: [&str; 3] = ["", "What it is.", "Something else."];
const LEVELS: [Level; 5] = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
const UNITS: [Unit; 17] = [
    Unit::Count,
    Unit::Percent,
    Unit::Seconds,
    Unit::Milliseconds,
    Unit::Microseconds,
    Unit::Nanoseconds,
    Unit::Tebibytes,
    Unit::Gibibytes,
    Unit::Mebibytes,
    Unit::Kibibytes,
    Unit::Bytes,
    Unit::TerabitsPerSecond,
    Unit::GigabitsPerSecond,
    Unit::MegabitsPerSecond,
    Unit::KilobitsPerSecond,
    Unit::BitsPerSecond,
    Unit::CountPerSecond,
];

/// One kind never has the name of another, which our registry refuses.
fn name(kind: MetricKind, at: usize) -> String {
    let kind = match kind {
        MetricKind::Counter => "c",
        MetricKind::Gauge => "g",
        MetricKind::Histogram => "h",
    };
    format!("{}.{kind}", NAMES[at])
}

fn kind() -> impl Strategy<Value = MetricKind> {
    prop_oneof![Just(MetricKind::Counter), Just(MetricKind::Gauge), Just(MetricKind::Histogram)]
}

fn place() -> impl Strategy<Value = Place> {
    let labels = prop::collection::btree_map(0..LABELS.len(), 0..VALUES.len(), 0..4);
    (
        0..NAMES.len(),
        labels.prop_map(|labels| labels.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        0..5_usize,
        any::<bool>(),
    )
        .prop_map(|(name, labels, level, held)| Place { name, labels, level, held })
}

/// Sums of these are exact, whatever the order.
fn value() -> impl Strategy<Value = f64> {
    (-4_000..4_000_i32).prop_map(|n| f64::from(n) / 8.0)
}

fn call() -> impl Strategy<Value = Call> {
    let unit = prop::option::of(prop::sample::select(UNITS.to_vec()));
    prop_oneof![
        (kind(), 0..NAMES.len(), unit, 0..TEXTS.len()).prop_map(|(kind, name, unit, text)| Call::Describe {
            kind,
            name,
            unit,
            text
        }),
        (place(), 0..1_000_u64).prop_map(|(place, n)| Call::Increment(place, n)),
        (place(), 0..5_000_u64).prop_map(|(place, n)| Call::Absolute(place, n)),
        (place(), value()).prop_map(|(place, x)| Call::Set(place, x)),
        (place(), value()).prop_map(|(place, x)| Call::Add(place, x)),
        (place(), value()).prop_map(|(place, x)| Call::Subtract(place, x)),
        (place(), value()).prop_map(|(place, x)| Call::Record(place, x)),
        (place(), value(), 0..50_usize).prop_map(|(place, x, n)| Call::RecordMany(place, x, n)),
        (kind(), place()).prop_map(|(kind, place)| Call::Touch(kind, place)),
    ]
}

/// Makes calls with a recorder, and keeps handles.
#[derive(Default)]
struct Caller {
    counters: BTreeMap<String, Counter>,
    gauges: BTreeMap<String, Gauge>,
    histograms: BTreeMap<String, Histogram>,
}

fn key(kind: MetricKind, place: &Place) -> Key {
    let labels = place.labels.iter().map(|(label, value)| Label::new(LABELS[*label], VALUES[*value]));
    Key::from_parts(name(kind, place.name), labels.collect::<Vec<_>>())
}

impl Caller {
    fn counter(&mut self, place: &Place) -> Counter {
        let key = key(MetricKind::Counter, place);
        let metadata = Metadata::new("tests", LEVELS[place.level], None);
        let make = || metrics::with_recorder(|recorder| recorder.register_counter(&key, &metadata));
        if place.held {
            self.counters.entry(format!("{key} {}", place.level)).or_insert_with(make).clone()
        } else {
            make()
        }
    }

    fn gauge(&mut self, place: &Place) -> Gauge {
        let key = key(MetricKind::Gauge, place);
        let metadata = Metadata::new("tests", LEVELS[place.level], None);
        let make = || metrics::with_recorder(|recorder| recorder.register_gauge(&key, &metadata));
        if place.held {
            self.gauges.entry(format!("{key} {}", place.level)).or_insert_with(make).clone()
        } else {
            make()
        }
    }

    fn histogram(&mut self, place: &Place) -> Histogram {
        let key = key(MetricKind::Histogram, place);
        let metadata = Metadata::new("tests", LEVELS[place.level], None);
        let make = || metrics::with_recorder(|recorder| recorder.register_histogram(&key, &metadata));
        if place.held {
            self.histograms.entry(format!("{key} {}", place.level)).or_insert_with(make).clone()
        } else {
            make()
        }
    }

    fn make(&mut self, call: &Call) {
        match call {
            Call::Describe { kind, name: at, unit, text } => metrics::with_recorder(|recorder| {
                let (name, text) = (KeyName::from(name(*kind, *at)), TEXTS[*text].into());
                match kind {
                    MetricKind::Counter => recorder.describe_counter(name, *unit, text),
                    MetricKind::Gauge => recorder.describe_gauge(name, *unit, text),
                    MetricKind::Histogram => recorder.describe_histogram(name, *unit, text),
                }
            }),
            Call::Increment(place, n) => self.counter(place).increment(*n),
            Call::Absolute(place, n) => self.counter(place).absolute(*n),
            Call::Set(place, x) => self.gauge(place).set(*x),
            Call::Add(place, x) => self.gauge(place).increment(*x),
            Call::Subtract(place, x) => self.gauge(place).decrement(*x),
            Call::Record(place, x) => self.histogram(place).record(*x),
            Call::RecordMany(place, x, n) => self.histogram(place).record_many(*x, *n),
            Call::Touch(MetricKind::Counter, place) => drop(self.counter(place)),
            Call::Touch(MetricKind::Gauge, place) => drop(self.gauge(place)),
            Call::Touch(MetricKind::Histogram, place) => drop(self.histogram(place)),
        }
    }

    fn run(calls: &[Call], recorder: &dyn metrics::Recorder) {
        let mut caller = Self::default();
        with_local_recorder(recorder, || calls.iter().for_each(|call| caller.make(call)));
    }
}

/// What a recorder has of one series, as far as both can say it.
#[derive(Debug, PartialEq)]
struct Seen {
    unit: Option<&'static str>,
    text: Option<String>,
    value: Value,
}

#[derive(Debug, PartialEq)]
enum Value {
    Counter(f64),
    Gauge(f64),
    /// Count and sum.
    Histogram(u64, f64),
}

type SeriesKey = (String, BTreeMap<String, String>);

fn debugging(snapshotter: &Snapshotter) -> BTreeMap<SeriesKey, Seen> {
    let series = snapshotter.snapshot().into_vec().into_iter().map(|(key, unit, text, value)| {
        let key = key.key();
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        // Said otherwise with us, on purpose.
        let unit = unit.filter(|unit| *unit != Unit::Count);
        let unit = unit.map(|unit| if unit == Unit::Percent { "ratio" } else { unit.as_str() });
        let text = text.map(|text| text.to_string()).filter(|text| !text.is_empty());
        let value = match value {
            #[allow(clippy::cast_precision_loss)] // Far below.
            DebugValue::Counter(n) => Value::Counter(n as f64),
            DebugValue::Gauge(x) => Value::Gauge(*x),
            DebugValue::Histogram(values) => {
                Value::Histogram(values.len() as u64, values.iter().map(|value| **value).sum())
            }
        };
        ((key.name().to_owned(), labels), Seen { unit, text, value })
    });
    series.collect()
}

fn ours(registry: &Registry) -> BTreeMap<SeriesKey, Seen> {
    let snapshot = registry.snapshot();
    let own = snapshot.families().iter().filter(|family| !family.family.name().starts_with("telemetry."));
    let series = own.flat_map(|family| {
        family.series.iter().map(|series| {
            let value = match &series.value {
                ValueSnapshot::Total(total) => Value::Counter(total.to_f64()),
                ValueSnapshot::Gauge(x) => Value::Gauge(*x),
                ValueSnapshot::Histogram { counts, sum, .. } => Value::Histogram(counts.iter().sum(), *sum),
                ValueSnapshot::Summary { count, sum, .. } => Value::Histogram(*count, *sum),
                other => panic!("{other:?}"),
            };
            let unit = family.family.values_unit().map(telemetry_core::Unit::plural);
            let said = (family.family.help() != "Recorded through the metrics facade.").then(|| family.family.help());
            let key = (family.family.name().to_owned(), series.labels.clone());
            (key, Seen { unit, text: said.map(str::to_owned), value })
        })
    });
    series.collect()
}

fn pair() -> (DebuggingRecorder, Snapshotter, Registry) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    (recorder, snapshotter, Registry::new())
}

/// Counters and histograms that begin with `http` to one, all else to another.
fn route<R, O>(rest: R, one: Arc<O>) -> Router
where
    R: metrics::Recorder + Sync + 'static,
    O: metrics::Recorder + Send + Sync + 'static,
{
    let mut router = RouterBuilder::from_recorder(rest);
    router.add_route(MetricKindMask::COUNTER, "http", Arc::clone(&one));
    router.add_route(MetricKindMask::HISTOGRAM, "http", one);
    router.build()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// T3: each method, all units, descriptions, held handles and fresh ones.
    #[test]
    fn a_local_recorder_agrees(calls in prop::collection::vec(call(), 1..80)) {
        let (theirs, snapshotter, registry) = pair();
        Caller::run(&calls, &theirs);
        Caller::run(&calls, &Recorder::new(&registry));
        prop_assert_eq!(ours(&registry), debugging(&snapshotter));
    }

    /// V2, V3: a summary and exponential buckets count the same.
    #[test]
    fn other_shapes_agree(calls in prop::collection::vec(call(), 1..40)) {
        for shape in [Shape::new().summary([0.5]), Shape::new().exponential(Default::default())] {
            let (theirs, snapshotter, registry) = pair();
            Caller::run(&calls, &theirs);
            Caller::run(&calls, &Recorder::builder(&registry).shape("*", shape).build());
            prop_assert_eq!(ours(&registry), debugging(&snapshotter));
        }
    }

    /// What lies below the level is as if it had not been recorded.
    #[test]
    fn levels_agree(calls in prop::collection::vec(call(), 1..80), least in 0..5_usize) {
        let (theirs, snapshotter, registry) = pair();
        let passes = |call: &&Call| match call {
            Call::Describe { .. } => true,
            Call::Increment(place, _) | Call::Absolute(place, _) | Call::Set(place, _) | Call::Add(place, _)
            | Call::Subtract(place, _) | Call::Record(place, _) | Call::RecordMany(place, ..)
            | Call::Touch(_, place) => place.level >= least,
        };
        let passing: Vec<Call> = calls.iter().filter(passes).cloned().collect();
        Caller::run(&passing, &theirs);
        Caller::run(&calls, &Recorder::builder(&registry).level(LEVELS[least]).build());
        prop_assert_eq!(ours(&registry), debugging(&snapshotter));
    }

    /// Names that a layer puts something before, or keeps out.
    #[test]
    fn prefix_and_filter_layers_agree(calls in prop::collection::vec(call(), 1..60)) {
        let (theirs, snapshotter, registry) = pair();
        Caller::run(&calls, &Stack::new(theirs).push(PrefixLayer::new("app")).push(FilterLayer::from_patterns(["tokio"])));
        let layered = Stack::new(Recorder::new(&registry));
        Caller::run(&calls, &layered.push(PrefixLayer::new("app")).push(FilterLayer::from_patterns(["tokio"])));
        let ours = ours(&registry);
        prop_assert!(ours.keys().all(|(name, _)| name.starts_with("app.") && !name.contains("tokio")));
        prop_assert_eq!(ours, debugging(&snapshotter));
    }

    /// One call to both at once.
    #[test]
    fn a_fanout_agrees(calls in prop::collection::vec(call(), 1..60)) {
        let (theirs, snapshotter, registry) = pair();
        let fanout = FanoutBuilder::default().add_recorder(theirs).add_recorder(Recorder::new(&registry)).build();
        Caller::run(&calls, &fanout);
        prop_assert_eq!(ours(&registry), debugging(&snapshotter));
    }

    /// Some to one and the rest to the other: together they have all, and each what a lone one would have of it.
    #[test]
    fn a_router_agrees(calls in prop::collection::vec(call(), 1..60)) {
        let (theirs, snapshotter, registry) = pair();
        let (rest, rest_snapshotter, rest_registry) = pair();
        Caller::run(&calls, &route(rest, Arc::new(theirs)));
        Caller::run(&calls, &route(Recorder::new(&rest_registry), Arc::new(Recorder::new(&registry))));
        prop_assert_eq!(ours(&registry), debugging(&snapshotter));
        prop_assert_eq!(ours(&rest_registry), debugging(&rest_snapshotter));
    }
}
