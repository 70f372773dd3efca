//! Registries made at random, with texts that have broken expositions, come back from readers that others wrote.
//!
//! Each case is a registry and a way to write it. `prometheus_client` reads all bodies and finds the samples and the help
//! texts that went in; `promtool` reads those of text 0.0.4, and `prost` the same registries as protobuf. `TELEMETRY_CASES` says how many cases there are, 1,000
//! unless told; `ci/expositions` runs 100,000. `TELEMETRY_SEED` repeats a run: a failure names its seed.

#![allow(clippy::print_stdout, reason = "a failure has to say how it is repeated")]

mod expected_samples;
#[cfg(feature = "openmetrics2")]
mod openmetrics2_reader;
mod protobuf_messages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expected_samples::{Samples, expand, normalize};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use telemetry_core::family::{Family, Kind};
use telemetry_core::instrument::{Buckets, Counter, Gauge, Histogram, Info, Spiral, StateSet, Sum, Summary};
use telemetry_core::metric::{Metric, counter, distribution, info, last_value, spiral, state_set, sum, summary};
use telemetry_core::registry::{Handle, Instruments};
use telemetry_core::scrape::{Labels, Sample, Series, Source, States, Total, Visit};
use telemetry_core::{Registry, Unit};
use telemetry_exporter::encode::Options;
use telemetry_exporter::{Escaping, Format};
use telemetry_testkit::peer;

/// How many bodies a reader is given at once.
const BATCH: usize = 250;

/// A metric that code holds, of any kind.
#[derive(Clone, Debug)]
struct Held {
    name: String,
    kind: usize,
    unit: Option<Unit>,
    tags: Vec<String>,
    help: String,
    // The label values of each series, and a number to record.
    series: Vec<(Vec<String>, f64)>,
}

/// A family that a source shows: nothing about its texts was checked.
#[derive(Clone, Debug)]
struct Shown {
    name: String,
    kind: usize,
    labels: Vec<String>,
    help: String,
    series: Vec<(Vec<String>, f64)>,
}

#[derive(Clone, Debug)]
struct Case {
    held: Vec<Held>,
    shown: Vec<Shown>,
    utf8: bool,
    escaping: Escaping,
}

/// A text with many of the characters that matter.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\"", "\\", "\n", "\\n", "\r", "\t", "\0", "{", "}", ",", "=", " ", "  ", "#", "# EOF", "é", "😱", "\u{2028}",
        "\u{85}", "_", "__", ".", ":", "0", "a", "_total", "} 1\nx{",
    ])
    .prop_map(str::to_owned);
    let any = any::<char>().prop_map(String::from);
    prop::collection::vec(prop_oneof![4 => special, 1 => any], 0..8).prop_map(|parts| parts.concat())
}

/// Labels that stay apart and are not reserved, whatever the escaping: those that don't are another test's.
fn names(number: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..number)
        .prop_map(|texts| texts.into_iter().enumerate().map(|(at, text)| format!("l{text}n{at}x")).collect())
}

/// The lax reader takes white space off both ends, so there is none.
fn help() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("<{text}>"))
}

fn number() -> impl Strategy<Value = f64> {
    let special = vec![0.0, 1.0, 1e6, 0.5, 1e-7, 9_007_199_254_740_993.0, 1e300, 5e-324];
    prop_oneof![prop::sample::select(special), 0.0..1e9]
}

fn series(labels: usize) -> impl Strategy<Value = Vec<(Vec<String>, f64)>> {
    prop::collection::vec((prop::collection::vec(text(), labels), number()), 0..4)
}

fn held() -> impl Strategy<Value = Held> {
    let plain = prop::collection::vec("[a-z][a-z0-9_]{0,5}", 0..3);
    let unit = prop::sample::select(vec![None, Some(Unit::Second), Some(Unit::Byte), Some(Unit::Other("items/s"))]);
    (plain.clone(), plain, 0_usize..8, unit, help()).prop_flat_map(|(name, tags, kind, unit, help)| {
        series(tags.len()).prop_map(move |series| Held {
            name: name.join("."),
            kind,
            unit,
            tags: tags.iter().enumerate().map(|(at, tag)| format!("{tag}.n{at}")).collect(),
            help: help.clone(),
            series,
        })
    })
}

fn shown() -> impl Strategy<Value = Shown> {
    (text(), 0_usize..4, names(3), help()).prop_flat_map(|(name, kind, labels, help)| {
        series(labels.len()).prop_map(move |series| Shown {
            name: name.clone(),
            kind,
            labels: labels.clone(),
            help: help.clone(),
            series,
        })
    })
}

fn case() -> impl Strategy<Value = Case> {
    let families = (prop::collection::vec(held(), 0..4), prop::collection::vec(shown(), 0..4));
    (families, any::<bool>(), prop::sample::select(Escaping::ALL.to_vec())).prop_map(
        |((mut held, mut shown), utf8, escaping)| {
            // Neither do those of one registry meet.
            for (at, held) in held.iter_mut().enumerate() {
                held.name = format!("{}h{at}y", held.name);
            }
            for (at, shown) in shown.iter_mut().enumerate() {
                // The name of a state set is that of a label, too.
                let first = if shown.kind == 3 { "l" } else { "" };
                shown.name = format!("{first}{}s{at}y", shown.name);
            }
            Case { held, shown, utf8, escaping }
        },
    )
}

impl Case {
    /// The same under names that no other case of a batch has.
    fn named_apart(mut self, number: usize) -> Self {
        let held = self.held.iter_mut().map(|held| &mut held.name);
        held.chain(self.shown.iter_mut().map(|shown| &mut shown.name)).for_each(|name| *name += &format!("c{number}z"));
        self
    }

    fn registry(&self) -> Registry {
        let registry = Registry::new();
        for held in &self.held {
            held.register(&registry);
        }
        registry.source(Arc::new(AsShown(self.shown.clone())));
        registry
    }

    fn options(&self) -> Options {
        Options::default().utf8_names(self.utf8).escaping(self.escaping)
    }
}

struct AsShown(Vec<Shown>);

impl Source for AsShown {
    fn collect(&self, visitor: &mut dyn Visit) {
        for shown in &self.0 {
            let kind = [Kind::Counter, Kind::LastValue, Kind::Info, Kind::StateSet][shown.kind];
            let labels = shown.labels.iter().map(String::as_str);
            visitor.family(&Family::new(&*shown.name, kind).description(&*shown.help).labels(labels));
            for (values, number) in distinct(&shown.series) {
                let labels: Vec<(&str, &str)> =
                    shown.labels.iter().zip(values).map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let states = [("a \"state\"", *number > 1.0), ("another\n", *number < 1.0)];
                let sample = match kind {
                    Kind::Counter => Sample::Total(Total::F64(*number)),
                    Kind::LastValue => Sample::Gauge(1.5 - *number),
                    Kind::Info => Sample::Info,
                    _ => Sample::States(States::from_pairs(&states)),
                };
                visitor.series(&Series {
                    labels: Labels::from_pairs(&labels),
                    created: None,
                    sample,
                    exemplars: telemetry_core::scrape::Exemplars::default(),
                });
            }
        }
    }
}

/// The series without those whose labels another has.
fn distinct(series: &[(Vec<String>, f64)]) -> impl Iterator<Item = &(Vec<String>, f64)> {
    series
        .iter()
        .enumerate()
        .filter(|(at, (values, _))| !series[..*at].iter().any(|(other, _)| other == values))
        .map(|(_, one)| one)
}

impl Held {
    fn register(&self, registry: &Registry) {
        let name = self.name.as_str();
        match self.kind {
            0 => self.record(registry, counter(name), |counter: Counter, number| counter.add(number as u64)),
            1 => self.record(registry, self.unit(sum(name)), |sum: Sum, number| sum.add(number)),
            2 => self.record(registry, self.unit(last_value(name)), |gauge: Gauge, number| gauge.set(number)),
            3 => {
                let buckets = Buckets::new([0.5, 1.0, 1e6]).unwrap();
                let metric = self.unit(distribution(name)).buckets(buckets);
                self.record(registry, metric, |histogram: Histogram, number| histogram.record(number));
            }
            4 => self.record(registry, self.unit(summary(name)), |summary: Summary, number| summary.record(number)),
            5 => self.record(registry, spiral(name), |spiral: Spiral, number| spiral.mark(number as u64)),
            6 => self.record(registry, info(name), |_: Info, _| ()),
            _ => self.record(registry, state_set(name, ["up", "\"down\"\n"]), |states: StateSet, number| {
                states.set("up", number > 1.0).unwrap();
            }),
        }
    }

    fn unit(&self, metric: Metric) -> Metric {
        self.unit.into_iter().fold(metric, Metric::unit)
    }

    fn record<I: Handle>(&self, registry: &Registry, metric: Metric, record: impl Fn(I, f64)) {
        let metric = metric.tags(&self.tags).description(&*self.help);
        let instruments: Instruments<I> = registry.register(metric).unwrap();
        for (values, number) in &self.series {
            record(instruments.with(values.iter().map(String::as_str)).unwrap(), *number);
        }
    }
}

/// Leaves out what the registry says of itself, which is the same for all.
struct WithoutOwn<'a> {
    visitor: &'a mut dyn Visit,
    is_own: bool,
}

fn is_own(family: &Family) -> bool {
    family.name().starts_with("telemetry.metric.")
}

impl Visit for WithoutOwn<'_> {
    fn family(&mut self, family: &Family) {
        self.is_own = is_own(family);
        if !self.is_own {
            self.visitor.family(family);
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        if !self.is_own {
            self.visitor.series(series);
        }
    }
}

/// A body, and what is to be read from it.
struct Body {
    format: Format,
    text: String,
    samples: Samples,
    helps: Vec<String>,
}

fn bodies(case: &Case) -> Vec<Body> {
    let (registry, options) = (case.registry(), case.options());
    let snapshot = registry.snapshot();
    let formats =
        [if case.escaping == Escaping::AllowUtf8 { Format::Text1 } else { Format::Text }, Format::OpenMetrics];
    formats
        .into_iter()
        .map(|format| {
            let mut encoder = format.encoder(options);
            registry.scrape().run(&mut WithoutOwn { visitor: &mut encoder.as_mut(), is_own: false });
            encoder.finish();
            assert_eq!(encoder.skipped(), 0, "{case:?}");
            let (mut samples, mut helps) = (Samples::new(), Vec::new());
            let families = snapshot.families().iter();
            for family in families.filter(|family| !family.series.is_empty() && !is_own(&family.family)) {
                expand(family, format, options.naming(), &mut samples);
                let exposed = if family.family.kind() == Kind::Spiral { 2 } else { 1 };
                helps.extend(std::iter::repeat_n(family.family.help().to_owned(), exposed));
            }
            Body { format, text: String::from_utf8(encoder.take()).unwrap(), samples, helps }
        })
        .collect()
}

/// Has `prost` read the registry of a case: the names, labels, values and help texts are those of the text formats.
fn check_with_prost(case: &Case) {
    let (registry, options) = (case.registry(), case.options());
    let mut encoder = Format::Protobuf.encoder(options);
    registry.scrape().run(&mut WithoutOwn { visitor: &mut encoder.as_mut(), is_own: false });
    encoder.finish();
    assert_eq!(encoder.skipped(), 0, "{case:?}");
    let read = protobuf_messages::families(&encoder.take());
    let (mut samples, mut helps) = (Samples::new(), Vec::new());
    let snapshot = registry.snapshot();
    let families = snapshot.families().iter();
    for family in families.filter(|family| !family.series.is_empty() && !is_own(&family.family)) {
        expand(family, Format::Protobuf, options.naming(), &mut samples);
        let exposed = if family.family.kind() == Kind::Spiral { 2 } else { 1 };
        helps.extend(std::iter::repeat_n(family.family.help().to_owned(), exposed));
    }
    let mut read_helps: Vec<String> = read.iter().map(|family| family.help.clone().unwrap_or_default()).collect();
    helps.sort();
    read_helps.sort();
    assert_eq!(read_helps, helps, "{case:?}");
    let read = protobuf_messages::values(&read).into_iter().map(|(labels, value)| (labels, value.into()));
    assert_eq!(read.collect::<Samples>(), samples, "{case:?}");
}

/// Reads the registry of a case as OpenMetrics 2.0, of which nobody else has a reader: what is in a composite value are the
/// samples of the other formats.
#[cfg(feature = "openmetrics2")]
fn check_openmetrics_2(case: &Case) {
    let (registry, options) = (case.registry(), case.options());
    let mut encoder = Format::OpenMetrics2.encoder(options);
    registry.scrape().run(&mut WithoutOwn { visitor: &mut encoder.as_mut(), is_own: false });
    encoder.finish();
    assert_eq!(encoder.skipped(), 0, "{case:?}");
    let body = String::from_utf8(encoder.take()).unwrap();
    let mut read = Samples::new();
    for family in openmetrics2_reader::read(&body).families {
        for sample in family.samples {
            let mut add = |suffix: &str, more: Option<(&str, f64)>, value: f64| {
                let name = [("__name__".to_owned(), format!("{}{suffix}", family.name))];
                let more = more.map(|(name, value)| (name.to_owned(), expected_samples::threshold(value)));
                let labels = sample.labels.clone().into_iter().chain(name).chain(more).collect();
                assert!(read.insert(labels, value.into()).is_none(), "{body}");
            };
            if let openmetrics2_reader::Value::Number(value) = sample.value {
                add("", None, value);
                continue;
            }
            for (list, suffix, label) in [("bucket", "_bucket", "le"), ("quantile", "", "quantile")] {
                for (threshold, value) in sample.list(list).iter().copied() {
                    add(suffix, Some((label, threshold)), value.unwrap());
                }
            }
            add("_sum", None, sample.number("sum"));
            add("_count", None, sample.number("count"));
        }
    }
    let (mut samples, snapshot) = (Samples::new(), registry.snapshot());
    for family in snapshot.families().iter().filter(|family| !is_own(&family.family)) {
        expand(family, Format::OpenMetrics2, options.naming(), &mut samples);
    }
    assert_eq!(read, samples, "{body}");
}

/// What `prometheus_client` reads: families, each with its type, its help, and its samples.
type Read = Vec<(String, String, Vec<(String, BTreeMap<String, String>, String)>)>;

fn check_with_prometheus_client(bodies: &[Body]) -> bool {
    let request: Vec<(bool, &str)> =
        bodies.iter().map(|body| (body.format == Format::OpenMetrics, body.text.as_str())).collect();
    let Some(answer) = peer::families_as_json(&serde_json::to_string(&request).unwrap()) else { return false };
    let answers: Vec<serde_json::Value> = serde_json::from_str(&answer).unwrap();
    assert_eq!(answers.len(), bodies.len());
    for (body, answer) in bodies.iter().zip(answers) {
        let Ok(families) = serde_json::from_value::<Read>(answer.clone()) else {
            panic!("prometheus_client refuses {:?}: {answer}\n{}", body.format, body.text);
        };
        let (mut samples, mut helps) = (Samples::new(), Vec::new());
        for (_, help, own) in families {
            helps.push(help);
            for (name, mut labels, value) in own {
                normalize(&mut labels);
                labels.insert("__name__".to_owned(), name);
                let value: f64 = value.parse().unwrap();
                assert!(samples.insert(labels, value.into()).is_none(), "a sample is there twice\n{}", body.text);
            }
        }
        let mut expected = body.helps.clone();
        expected.sort();
        helps.sort();
        assert_eq!(helps, expected, "{:?}\n{}", body.format, body.text);
        for (labels, value) in &body.samples {
            assert_eq!(samples.remove(labels).as_ref(), Some(value), "{labels:?} of {:?}\n{}", body.format, body.text);
        }
        assert_eq!(samples, Samples::new(), "{:?}\n{}", body.format, body.text);
    }
    true
}

/// Has `promtool` read the bodies of the text format, as one: no two have a family of one name.
fn check_with_promtool(bodies: &[Body]) {
    let bodies: String =
        bodies.iter().filter(|body| body.format == Format::Text).map(|body| body.text.as_str()).collect();
    let Some(mut promtool) = peer::promtool() else { return };
    let output = peer::answer(promtool.args(["check", "metrics"]), &bodies);
    // 3 is a matter of style, of which these names have none.
    let is_read = matches!(output.status.code(), Some(0 | 3));
    assert!(is_read, "promtool: {}\n{bodies}", String::from_utf8_lossy(&output.stderr));
}

fn setting(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// V3, V4, V5: 1,000 registries, or as many as are asked for, are read as they are, in each text format and in protobuf.
#[test]
fn registries_made_at_random_come_back_from_independent_readers() {
    let cases = usize::try_from(setting("TELEMETRY_CASES").unwrap_or(1_000)).unwrap();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64;
    let seed = setting("TELEMETRY_SEED").unwrap_or_else(clock);
    // A failure's output holds it.
    println!("TELEMETRY_SEED={seed} TELEMETRY_CASES={cases}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = case();

    let mut left = cases;
    while left > 0 {
        let number = left.min(BATCH);
        left -= number;
        let mut made = Vec::new();
        for at in 0..number {
            let case = strategy.new_tree(&mut runner).unwrap().current().named_apart(at);
            check_with_prost(&case);
            #[cfg(feature = "openmetrics2")]
            check_openmetrics_2(&case);
            made.extend(bodies(&case));
        }
        check_with_prometheus_client(&made);
        check_with_promtool(&made);
    }
}
