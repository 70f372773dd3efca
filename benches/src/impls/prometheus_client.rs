//! `prometheus-client`: families of label sets that are structs. It has OpenMetrics and no other text.

use std::fmt::{Error, Write};
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::case::{Setup, StoreSetup, exposed, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{BOUNDS, Draw, Endpoint, Outcome, Tags};

/// As documented: `get_or_create` at the place of use.
#[derive(Debug)]
pub struct PrometheusClient;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    route: String,
    status: String,
}

impl Labels {
    fn new(route: &str, status: &str) -> Self {
        Self { route: route.to_owned(), status: status.to_owned() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Words {
    route: Endpoint,
    status: Outcome,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
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
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), Error> {
        encoder.write_str(self.as_str())
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), Error> {
        encoder.write_str(self.as_str())
    }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => text,
        Err(error) => format!("not encoded: {error}"),
    }
}

/// Counters of label sets, in a registry.
fn counters<L>() -> (Registry, Family<L, Counter>)
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
{
    let (mut registry, counters) = (Registry::default(), Family::<L, Counter>::default());
    registry.register("requests", "Requests", counters.clone());
    (registry, counters)
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

/// Histograms of label sets, added to a registry.
fn histograms<L>(registry: &mut Registry) -> Histograms<L>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
{
    let histograms = Histograms::<L>::new_with_constructor(histogram);
    registry.register("latency_seconds", "How long requests took", histograms.clone());
    histograms
}

impl Implementation for PrometheusClient {
    fn name(&self) -> &'static str {
        "prometheus-client"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`family.get_or_create(&Labels { route: route.to_owned(), .. }).inc()`; it renders OpenMetrics only"
    }

    fn counter_held(&self) -> Setup {
        let (mut registry, counter) = (Registry::default(), Counter::<u64>::default());
        registry.register("requests", "Requests", counter.clone());
        let count = move |_: &mut Draw| {
            counter.inc();
        };
        exposed(count, move || text(&registry))
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, counters) = counters::<Labels>();
        let count = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counters.get_or_create(&Labels::new(drawn.route, drawn.status)).inc();
        };
        exposed(count, move || text(&registry))
    }

    fn counter_enum_tags(&self) -> Setup {
        let (registry, counters) = counters::<Words>();
        let count = move |draw: &mut Draw| {
            let (route, status, _) = draw.words();
            counters.get_or_create(&Words { route, status }).inc();
        };
        exposed(count, move || text(&registry))
    }

    fn histogram_held(&self) -> Setup {
        let (mut registry, histogram) = (Registry::default(), histogram());
        registry.register("latency_seconds", "How long requests took", histogram.clone());
        exposed(move |draw| histogram.observe(draw.value()), move || text(&registry))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let mut registry = Registry::default();
        let histograms = histograms::<Labels>(&mut registry);
        let observe = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            histograms.get_or_create(&Labels::new(drawn.route, drawn.status)).observe(drawn.value);
        };
        exposed(observe, move || text(&registry))
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let (mut registry, counters) = counters::<Labels>();
        let histograms = histograms::<Labels>(&mut registry);
        let both = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let labels = Labels::new(drawn.route, drawn.status);
            counters.get_or_create(&labels).inc();
            histograms.get_or_create(&labels).observe(drawn.value);
        };
        exposed(both, move || text(&registry))
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        let (mut registry, counters) = counters::<Words>();
        let histograms = histograms::<Words>(&mut registry);
        let both = move |draw: &mut Draw| {
            let (route, status, value) = draw.words();
            let labels = Words { route, status };
            counters.get_or_create(&labels).inc();
            histograms.get_or_create(&labels).observe(value);
        };
        exposed(both, move || text(&registry))
    }

    fn gauge_set(&self) -> Setup {
        let mut registry = Registry::default();
        let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        registry.register("depth", "A depth", gauge.clone());
        let set = move |draw: &mut Draw| {
            gauge.set(draw.value());
        };
        exposed(set, move || text(&registry))
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        let mut registry = Registry::default();
        let histograms = histograms::<Labels>(&mut registry);
        let time = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let start = Instant::now();
            let histogram = histograms.get_or_create(&Labels::new(drawn.route, drawn.status));
            histogram.observe(start.elapsed().as_secs_f64());
        };
        exposed(time, move || text(&registry))
    }

    fn counter_series(&self, _series: usize) -> StoreSetup {
        let (registry, counters) = counters::<Three>();
        let touch = move |labels: [&str; 3]| {
            counters.get_or_create(&Three::new(labels)).inc();
        };
        stored(touch, move |_| Some(text(&registry)))
    }

    fn histogram_series(&self, _series: usize) -> StoreSetup {
        let mut registry = Registry::default();
        let histograms = histograms::<Three>(&mut registry);
        stored(
            move |labels| histograms.get_or_create(&Three::new(labels)).observe(0.02),
            move |_| Some(text(&registry)),
        )
    }
}
