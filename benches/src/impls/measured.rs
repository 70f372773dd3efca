//! `measured`: vectors whose label sets the compiler knows; tags that are not known beforehand are interned.

use std::sync::Arc;

use measured::metric::MetricFamilyEncoding;
use measured::metric::histogram::Thresholds;
use measured::metric::name::MetricName;
use measured::text::BufferedTextEncoder;
use measured::{Counter, CounterVec, FloatGauge, Histogram, HistogramVec, LabelGroup};
use paracord::ParaCord;

use crate::case::{Format, Setup, StoreSetup, exposed, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{BOUNDS, Draw, Endpoint, Outcome, Tags};

/// As documented: a vector, told a label group at the place of use.
#[derive(Debug)]
pub struct Measured;

#[derive(Clone, Copy, LabelGroup)]
#[label(set = LabelsSet)]
struct Labels<'a> {
    #[label(dynamic_with = ParaCord, default)]
    route: &'a str,
    #[label(dynamic_with = ParaCord, default)]
    status: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = WordsSet)]
struct Words {
    route: Endpoint,
    status: Outcome,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = ThreeSet)]
struct Three<'a> {
    #[label(dynamic_with = ParaCord, default)]
    cluster: &'a str,
    #[label(dynamic_with = ParaCord, default)]
    host: &'a str,
    #[label(dynamic_with = ParaCord, default)]
    queue: &'a str,
}

const BUCKETS: usize = BOUNDS.len();
const REQUESTS: &MetricName = MetricName::from_str("requests_total");
const LATENCY: &MetricName = MetricName::from_str("latency_seconds");
const DEPTH: &MetricName = MetricName::from_str("depth");

fn thresholds() -> Thresholds<BUCKETS> {
    Thresholds::with_buckets(BOUNDS)
}

fn histograms<L: measured::label::LabelGroupSet>(labels: L) -> HistogramVec<L, BUCKETS> {
    HistogramVec::with_label_set_and_metadata(labels, thresholds())
}

/// A family as text, through the encoder that is documented.
fn text(families: &[(&'static MetricName, &dyn Family)]) -> String {
    let mut encoder = BufferedTextEncoder::new();
    for (name, family) in families {
        family.write(name, &mut encoder);
    }
    // Without a copy: it is the only reference.
    String::from_utf8(encoder.finish().into()).expect("the encoder writes UTF-8")
}

trait Family {
    fn write(&self, name: &'static MetricName, encoder: &mut BufferedTextEncoder);
}

impl<F: MetricFamilyEncoding<BufferedTextEncoder>> Family for F {
    fn write(&self, name: &'static MetricName, encoder: &mut BufferedTextEncoder) {
        match self.collect_family_into(name, encoder) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}

impl Implementation for Measured {
    fn name(&self) -> &'static str {
        "measured"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`vec.inc(Labels { route, status })`, with tags interned by `paracord`; 0.0.25, since 0.1 needs a newer compiler"
    }

    fn counter_held(&self) -> Setup {
        let counter = Arc::new(Counter::new());
        let shown = Arc::clone(&counter);
        exposed(move |_| counter.get_metric().inc(), move || text(&[(REQUESTS, &*shown)]))
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let counters = Arc::new(CounterVec::<LabelsSet>::new());
        let shown = Arc::clone(&counters);
        let count = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counters.inc(Labels { route: drawn.route, status: drawn.status });
        };
        exposed(count, move || text(&[(REQUESTS, &*shown)]))
    }

    fn counter_enum_tags(&self) -> Setup {
        let counters = Arc::new(CounterVec::<WordsSet>::new());
        let shown = Arc::clone(&counters);
        let count = move |draw: &mut Draw| {
            let (route, status, _) = draw.words();
            counters.inc(Words { route, status });
        };
        exposed(count, move || text(&[(REQUESTS, &*shown)]))
    }

    fn histogram_held(&self) -> Setup {
        let histogram = Arc::new(Histogram::<BUCKETS>::with_metadata(thresholds()));
        let shown = Arc::clone(&histogram);
        exposed(move |draw| histogram.observe(draw.value()), move || text(&[(LATENCY, &*shown)]))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let histograms = Arc::new(histograms(LabelsSet::new()));
        let shown = Arc::clone(&histograms);
        let observe = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            histograms.observe(Labels { route: drawn.route, status: drawn.status }, drawn.value);
        };
        exposed(observe, move || text(&[(LATENCY, &*shown)]))
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let both = Arc::new((CounterVec::<LabelsSet>::new(), histograms(LabelsSet::new())));
        let shown = Arc::clone(&both);
        let observe = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let labels = Labels { route: drawn.route, status: drawn.status };
            both.0.inc(labels);
            both.1.observe(labels, drawn.value);
        };
        exposed(observe, move || text(&[(REQUESTS, &shown.0), (LATENCY, &shown.1)]))
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        let both = Arc::new((CounterVec::<WordsSet>::new(), histograms(WordsSet::new())));
        let shown = Arc::clone(&both);
        let observe = move |draw: &mut Draw| {
            let (route, status, value) = draw.words();
            both.0.inc(Words { route, status });
            both.1.observe(Words { route, status }, value);
        };
        exposed(observe, move || text(&[(REQUESTS, &shown.0), (LATENCY, &shown.1)]))
    }

    fn gauge_set(&self) -> Setup {
        let gauge = Arc::new(FloatGauge::new());
        let shown = Arc::clone(&gauge);
        exposed(move |draw| gauge.get_metric().set(draw.value()), move || text(&[(DEPTH, &*shown)]))
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        let histograms = Arc::new(histograms(LabelsSet::new()));
        let shown = Arc::clone(&histograms);
        let time = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            // Records when it is dropped.
            drop(histograms.start_timer(Labels { route: drawn.route, status: drawn.status }));
        };
        exposed(time, move || text(&[(LATENCY, &*shown)]))
    }

    fn counter_series(&self, _series: usize) -> StoreSetup {
        let counters = Arc::new(CounterVec::<ThreeSet>::new());
        let shown = Arc::clone(&counters);
        stored(
            move |[cluster, host, queue]| counters.inc(Three { cluster, host, queue }),
            move |format| (format == Format::Text).then(|| text(&[(REQUESTS, &*shown)])),
        )
    }

    fn histogram_series(&self, _series: usize) -> StoreSetup {
        let histograms = Arc::new(histograms(ThreeSet::new()));
        let shown = Arc::clone(&histograms);
        stored(
            move |[cluster, host, queue]| histograms.observe(Three { cluster, host, queue }, 0.02),
            move |format| (format == Format::Text).then(|| text(&[(LATENCY, &*shown)])),
        )
    }
}
