//! `fastmetrics`: families of label sets that are structs, in the manner of `prometheus-client`.

use std::hash::Hash;
use std::time::Instant;

use fastmetrics::derive::LabelSet;
use fastmetrics::encoder::{EncodeLabelSet, EncodeLabelValue, LabelEncoder};
use fastmetrics::format::text::{EscapingScheme, TextProfile, encode};
use fastmetrics::metrics::counter::Counter;
use fastmetrics::metrics::family::Family;
use fastmetrics::metrics::gauge::Gauge;
use fastmetrics::metrics::histogram::Histogram;
use fastmetrics::raw::LabelSetSchema;
use fastmetrics::registry::Registry;

use crate::case::{Format, Setup, StoreSetup, exposed, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{BOUNDS, Draw, Endpoint, Outcome, Tags};

/// As documented: `with_or_new` at the place of use.
#[derive(Debug)]
pub struct Fastmetrics;

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct Labels {
    route: String,
    status: String,
}

impl Labels {
    fn new(route: &str, status: &str) -> Self {
        Self { route: route.to_owned(), status: status.to_owned() }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct Words {
    route: Endpoint,
    status: Outcome,
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct Three {
    cluster: String,
    host: String,
    queue: String,
}

impl Three {
    fn new([cluster, host, queue]: [&str; 3]) -> Self {
        Self { cluster: cluster.to_owned(), host: host.to_owned(), queue: queue.to_owned() }
    }
}

impl EncodeLabelValue for Endpoint {
    fn encode(&self, encoder: &mut dyn LabelEncoder) -> fastmetrics::error::Result<()> {
        encoder.encode_str_value(self.as_str())
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut dyn LabelEncoder) -> fastmetrics::error::Result<()> {
        encoder.encode_str_value(self.as_str())
    }
}

fn text(registry: &Registry, format: Format) -> String {
    let profile = match format {
        Format::Text => TextProfile::PrometheusV0_0_4,
        Format::OpenMetrics => TextProfile::OpenMetricsV1_0_0 { escaping_scheme: EscapingScheme::Underscores },
    };
    let mut text = String::new();
    match encode(&mut text, registry, profile) {
        Ok(()) => text,
        Err(error) => format!("not encoded: {error}"),
    }
}

fn counters<L>(registry: &mut Registry) -> fastmetrics::error::Result<Family<L, Counter>>
where
    L: Clone + Eq + Hash + EncodeLabelSet + LabelSetSchema + Send + Sync + 'static,
{
    let counters = Family::<L, Counter>::default();
    registry.register("requests_total", "Requests", counters.clone())?;
    Ok(counters)
}

fn histograms<L>(registry: &mut Registry) -> fastmetrics::error::Result<Family<L, Histogram>>
where
    L: Clone + Eq + Hash + EncodeLabelSet + LabelSetSchema + Send + Sync + 'static,
{
    let histograms = Family::<L, Histogram>::new(|| Histogram::new(BOUNDS));
    registry.register("latency_seconds", "How long requests took", histograms.clone())?;
    Ok(histograms)
}

impl Implementation for Fastmetrics {
    fn name(&self) -> &'static str {
        "fastmetrics"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`family.with_or_new(&Labels { route: route.to_owned(), .. }, |counter| counter.inc())`"
    }

    fn counter_held(&self) -> Setup {
        let (mut registry, counter) = (Registry::default(), Counter::<u64>::default());
        registry.register("requests_total", "Requests", counter.clone())?;
        exposed(move |_| counter.inc(), move || text(&registry, Format::Text))
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let mut registry = Registry::default();
        let counters = counters::<Labels>(&mut registry)?;
        let count = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counters.with_or_new(&Labels::new(drawn.route, drawn.status), Counter::inc);
        };
        exposed(count, move || text(&registry, Format::Text))
    }

    fn counter_enum_tags(&self) -> Setup {
        let mut registry = Registry::default();
        let counters = counters::<Words>(&mut registry)?;
        let count = move |draw: &mut Draw| {
            let (route, status, _) = draw.words();
            counters.with_or_new(&Words { route, status }, Counter::inc);
        };
        exposed(count, move || text(&registry, Format::Text))
    }

    fn histogram_held(&self) -> Setup {
        let (mut registry, histogram) = (Registry::default(), Histogram::new(BOUNDS));
        registry.register("latency_seconds", "How long requests took", histogram.clone())?;
        exposed(move |draw| histogram.observe(draw.value()), move || text(&registry, Format::Text))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let mut registry = Registry::default();
        let histograms = histograms::<Labels>(&mut registry)?;
        let observe = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            histograms.with_or_new(&Labels::new(drawn.route, drawn.status), |one| one.observe(drawn.value));
        };
        exposed(observe, move || text(&registry, Format::Text))
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let mut registry = Registry::default();
        let (counters, histograms) = (counters::<Labels>(&mut registry)?, histograms::<Labels>(&mut registry)?);
        let both = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let labels = Labels::new(drawn.route, drawn.status);
            counters.with_or_new(&labels, Counter::inc);
            histograms.with_or_new(&labels, |one| one.observe(drawn.value));
        };
        exposed(both, move || text(&registry, Format::Text))
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        let mut registry = Registry::default();
        let (counters, histograms) = (counters::<Words>(&mut registry)?, histograms::<Words>(&mut registry)?);
        let both = move |draw: &mut Draw| {
            let (route, status, value) = draw.words();
            let labels = Words { route, status };
            counters.with_or_new(&labels, Counter::inc);
            histograms.with_or_new(&labels, |one| one.observe(value));
        };
        exposed(both, move || text(&registry, Format::Text))
    }

    fn gauge_set(&self) -> Setup {
        let (mut registry, gauge) = (Registry::default(), Gauge::<f64>::default());
        registry.register("depth", "A depth", gauge.clone())?;
        exposed(move |draw| gauge.set(draw.value()), move || text(&registry, Format::Text))
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        let mut registry = Registry::default();
        let histograms = histograms::<Labels>(&mut registry)?;
        let time = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let start = Instant::now();
            let labels = Labels::new(drawn.route, drawn.status);
            histograms.with_or_new(&labels, |one| one.observe(start.elapsed().as_secs_f64()));
        };
        exposed(time, move || text(&registry, Format::Text))
    }

    fn counter_series(&self, _series: usize) -> StoreSetup {
        let mut registry = Registry::default();
        let counters = counters::<Three>(&mut registry)?;
        stored(
            move |labels| counters.with_or_new(&Three::new(labels), Counter::inc),
            move |format| Some(text(&registry, format)),
        )
    }

    fn histogram_series(&self, _series: usize) -> StoreSetup {
        let mut registry = Registry::default();
        let histograms = histograms::<Three>(&mut registry)?;
        stored(
            move |labels| histograms.with_or_new(&Three::new(labels), |one| one.observe(0.02)),
            move |format| Some(text(&registry, format)),
        )
    }
}
