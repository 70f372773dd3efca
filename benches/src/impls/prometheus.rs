//! `prometheus`, the client of TiKV: vectors of counters, asked for a child by its label values.

use std::hint::black_box;

use prometheus::local::{LocalHistogram, LocalIntCounterVec};
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::case::{Case, Counted, Format, Setup, StoreSetup, exposed, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{BOUNDS, Draw, Tags, ThreeLabels};

/// As documented: `with_label_values` at the place of use.
#[derive(Debug)]
pub struct Prometheus;

/// Where the user keeps the children of all series himself.
#[derive(Debug)]
pub struct PrometheusHeld;

/// With the local forms, which a thread flushes by hand.
#[derive(Debug)]
pub struct PrometheusLocal;

const TAGS: [&str; 2] = ["route", "status"];

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_else(|error| format!("not encoded: {error}"))
}

fn counters(labels: &[&str]) -> Result<(Registry, IntCounterVec), prometheus::Error> {
    let registry = Registry::new();
    let counters = IntCounterVec::new(Opts::new("requests_total", "Requests."), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok((registry, counters))
}

fn options() -> HistogramOpts {
    HistogramOpts::new("latency_seconds", "How long requests took.").buckets(BOUNDS.to_vec())
}

fn histograms(labels: &[&str]) -> Result<(Registry, HistogramVec), prometheus::Error> {
    let registry = Registry::new();
    let histograms = HistogramVec::new(options(), labels)?;
    registry.register(Box::new(histograms.clone()))?;
    Ok((registry, histograms))
}

fn counter() -> Result<(Registry, IntCounter), prometheus::Error> {
    let registry = Registry::new();
    let counter = IntCounter::new("requests_total", "Requests.")?;
    registry.register(Box::new(counter.clone()))?;
    Ok((registry, counter))
}

fn histogram() -> Result<(Registry, Histogram), prometheus::Error> {
    let registry = Registry::new();
    let histogram = Histogram::with_opts(options())?;
    registry.register(Box::new(histogram.clone()))?;
    Ok((registry, histogram))
}

impl Implementation for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`vec.with_label_values(&[route, status]).inc()`"
    }

    fn counter_held(&self) -> Setup {
        let (registry, counter) = counter()?;
        exposed(move |_| counter.inc(), move || text(&registry))
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, counters) = counters(&TAGS)?;
        let count = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counters.with_label_values(&[drawn.route, drawn.status]).inc();
        };
        exposed(count, move || text(&registry))
    }

    fn counter_enum_tags(&self) -> Setup {
        let (registry, counters) = counters(&TAGS)?;
        let count = move |draw: &mut Draw| {
            let (route, status, _) = draw.words();
            counters.with_label_values(&[route.as_str(), status.as_str()]).inc();
        };
        exposed(count, move || text(&registry))
    }

    fn histogram_held(&self) -> Setup {
        let (registry, histogram) = histogram()?;
        exposed(move |draw| histogram.observe(draw.value()), move || text(&registry))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, histograms) = histograms(&TAGS)?;
        let observe = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            histograms.with_label_values(&[drawn.route, drawn.status]).observe(drawn.value);
        };
        exposed(observe, move || text(&registry))
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, counters) = counters(&TAGS)?;
        let histograms = HistogramVec::new(options(), &TAGS)?;
        registry.register(Box::new(histograms.clone()))?;
        let both = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counters.with_label_values(&[drawn.route, drawn.status]).inc();
            histograms.with_label_values(&[drawn.route, drawn.status]).observe(drawn.value);
        };
        exposed(both, move || text(&registry))
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        let (registry, counters) = counters(&TAGS)?;
        let histograms = HistogramVec::new(options(), &TAGS)?;
        registry.register(Box::new(histograms.clone()))?;
        let both = move |draw: &mut Draw| {
            let (route, status, value) = draw.words();
            counters.with_label_values(&[route.as_str(), status.as_str()]).inc();
            histograms.with_label_values(&[route.as_str(), status.as_str()]).observe(value);
        };
        exposed(both, move || text(&registry))
    }

    fn gauge_set(&self) -> Setup {
        let registry = Registry::new();
        let gauge = Gauge::new("depth", "A depth.")?;
        registry.register(Box::new(gauge.clone()))?;
        exposed(move |draw| gauge.set(draw.value()), move || text(&registry))
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        let (registry, histograms) = histograms(&TAGS)?;
        let time = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            histograms.with_label_values(&[drawn.route, drawn.status]).start_timer().observe_duration();
        };
        exposed(time, move || text(&registry))
    }

    fn counter_series(&self, _series: usize) -> StoreSetup {
        let (registry, counters) = counters(&ThreeLabels::NAMES)?;
        stored(
            move |labels| counters.with_label_values(&labels).inc(),
            move |format| (format == Format::Text).then(|| text(&registry)),
        )
    }

    fn histogram_series(&self, _series: usize) -> StoreSetup {
        let (registry, histograms) = histograms(&ThreeLabels::NAMES)?;
        stored(
            move |labels| histograms.with_label_values(&labels).observe(0.02),
            move |format| (format == Format::Text).then(|| text(&registry)),
        )
    }
}

impl Implementation for PrometheusHeld {
    fn name(&self) -> &'static str {
        "prometheus-held"
    }

    fn kind(&self) -> Kind {
        Kind::Held
    }

    fn about(&self) -> &'static str {
        "the user keeps the child of each series in a table of his own"
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, counters) = counters(&TAGS)?;
        let held: Vec<IntCounter> =
            tags.iter().map(|(route, status)| counters.with_label_values(&[route, status])).collect();
        exposed(move |draw| held[draw.event(tags).pair].inc(), move || text(&registry))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, histograms) = histograms(&TAGS)?;
        let held: Vec<Histogram> =
            tags.iter().map(|(route, status)| histograms.with_label_values(&[route, status])).collect();
        let observe = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            held[drawn.pair].observe(drawn.value);
        };
        exposed(observe, move || text(&registry))
    }
}

impl Implementation for PrometheusLocal {
    fn name(&self) -> &'static str {
        "prometheus-local"
    }

    fn kind(&self) -> Kind {
        Kind::Unsync
    }

    fn about(&self) -> &'static str {
        "local counters and histograms of one thread, flushed by hand at the end of a burst"
    }

    fn counter_held(&self) -> Setup {
        let (registry, counter) = counter()?;
        local(registry, move || counter.local(), |counter, _| counter.inc(), |counter| counter.flush())
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let (registry, counters) = counters(&TAGS)?;
        let count = |counters: &mut LocalIntCounterVec, draw: &mut Draw| {
            let drawn = draw.event(tags);
            counters.with_label_values(&[drawn.route, drawn.status]).inc();
        };
        local(registry, move || counters.local(), count, |counters| counters.flush())
    }

    fn histogram_held(&self) -> Setup {
        let (registry, histogram) = histogram()?;
        let observe = |histogram: &mut LocalHistogram, draw: &mut Draw| histogram.observe(draw.value());
        local(registry, move || histogram.local(), observe, |histogram| histogram.flush())
    }
}

/// A case whose threads have instruments of their own, from `make`, for a burst.
struct Local<M, O, F> {
    registry: Registry,
    make: M,
    operation: O,
    flush: F,
}

fn local<L: 'static>(
    registry: Registry,
    make: impl Fn() -> L + Send + Sync + 'static,
    operation: impl Fn(&mut L, &mut Draw) + Send + Sync + 'static,
    flush: impl Fn(&mut L) + Send + Sync + 'static,
) -> Setup {
    let case: Box<dyn Case> = Box::new(Local { registry, make, operation, flush });
    Ok(Some(case))
}

impl<L, M, O, F> Case for Local<M, O, F>
where
    M: Fn() -> L + Send + Sync,
    O: Fn(&mut L, &mut Draw) + Send + Sync,
    F: Fn(&mut L) + Send + Sync,
{
    fn run(&self, times: u64, draw: &mut Draw) {
        let mut local = (self.make)();
        for _ in 0..times {
            (self.operation)(black_box(&mut local), draw);
        }
        (self.flush)(&mut local);
    }

    fn counted(&self) -> Counted {
        Counted::Exposition(text(&self.registry))
    }
}
