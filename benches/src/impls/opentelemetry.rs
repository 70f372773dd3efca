//! `opentelemetry_sdk` with `opentelemetry-prometheus`: attributes at the place of use, a reader that a registry asks.

use std::error::Error;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

use crate::case::{Counted, Format, Setup, StoreSetup, each, exposed, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{BOUNDS, Draw, Tags};

/// As documented: `add` with attributes at the place of use.
#[derive(Debug)]
pub struct OpenTelemetry;

/// Where the user keeps the bound instruments of all series himself.
#[derive(Debug)]
pub struct OpenTelemetryBound;

/// A provider, which stops when it is dropped, and what is read from it.
struct Provider {
    provider: SdkMeterProvider,
    registry: Registry,
}

impl Provider {
    fn new(series: usize) -> Result<Self, Box<dyn Error>> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()?;
        // Its own limit is 2,000 series, with the overflow among them.
        let limit = move |_: &Instrument| Stream::builder().with_cardinality_limit(series + 2).build().ok();
        let provider = SdkMeterProvider::builder().with_reader(exporter).with_view(limit).build();
        Ok(Self { provider, registry })
    }

    fn meter(&self) -> Meter {
        self.provider.meter("bench")
    }

    fn counter(&self) -> Counter<u64> {
        self.meter().u64_counter("requests").build()
    }

    fn histogram(&self) -> Histogram<f64> {
        self.meter().f64_histogram("latency_seconds").with_boundaries(BOUNDS.to_vec()).build()
    }

    fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| format!("not encoded: {error}"))
    }
}

fn attributes(route: &str, status: &str) -> [KeyValue; 2] {
    [KeyValue::new("route", route.to_owned()), KeyValue::new("status", status.to_owned())]
}

fn three([cluster, host, queue]: [&str; 3]) -> [KeyValue; 3] {
    [
        KeyValue::new("cluster", cluster.to_owned()),
        KeyValue::new("host", host.to_owned()),
        KeyValue::new("queue", queue.to_owned()),
    ]
}

impl Implementation for OpenTelemetry {
    fn name(&self) -> &'static str {
        "opentelemetry"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`counter.add(1, &[KeyValue::new(\"route\", route.to_owned()), ..])`"
    }

    fn emit_disabled(&self) -> Setup {
        // No provider is installed.
        let counter = opentelemetry::global::meter("bench").u64_counter("requests").build();
        each(
            move |_| counter.add(1, &[KeyValue::new("route", "/"), KeyValue::new("status", "ok")]),
            || Counted::Nothing,
        )
    }

    fn emit_disabled_two_tags(&self, tags: &'static Tags) -> Setup {
        let counter = opentelemetry::global::meter("bench").u64_counter("requests").build();
        let count = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counter.add(1, &attributes(drawn.route, drawn.status));
        };
        each(count, || Counted::Nothing)
    }

    fn counter_held(&self) -> Setup {
        let provider = Provider::new(1)?;
        let counter = provider.counter();
        exposed(move |_| counter.add(1, &[]), move || provider.text())
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let provider = Provider::new(tags.pairs())?;
        let counter = provider.counter();
        let count = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counter.add(1, &attributes(drawn.route, drawn.status));
        };
        exposed(count, move || provider.text())
    }

    fn counter_enum_tags(&self) -> Setup {
        let provider = Provider::new(Tags::words().pairs())?;
        let counter = provider.counter();
        let count = move |draw: &mut Draw| {
            let (route, status, _) = draw.words();
            counter.add(1, &[KeyValue::new("route", route.as_str()), KeyValue::new("status", status.as_str())]);
        };
        exposed(count, move || provider.text())
    }

    fn histogram_held(&self) -> Setup {
        let provider = Provider::new(1)?;
        let histogram = provider.histogram();
        exposed(move |draw| histogram.record(draw.value(), &[]), move || provider.text())
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let provider = Provider::new(tags.pairs())?;
        let histogram = provider.histogram();
        let record = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            histogram.record(drawn.value, &attributes(drawn.route, drawn.status));
        };
        exposed(record, move || provider.text())
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let provider = Provider::new(tags.pairs())?;
        let (counter, histogram) = (provider.counter(), provider.histogram());
        let both = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let attributes = attributes(drawn.route, drawn.status);
            counter.add(1, &attributes);
            histogram.record(drawn.value, &attributes);
        };
        exposed(both, move || provider.text())
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        let provider = Provider::new(Tags::words().pairs())?;
        let (counter, histogram) = (provider.counter(), provider.histogram());
        let both = move |draw: &mut Draw| {
            let (route, status, value) = draw.words();
            let attributes = [KeyValue::new("route", route.as_str()), KeyValue::new("status", status.as_str())];
            counter.add(1, &attributes);
            histogram.record(value, &attributes);
        };
        exposed(both, move || provider.text())
    }

    fn gauge_set(&self) -> Setup {
        let provider = Provider::new(1)?;
        let gauge = provider.meter().f64_gauge("depth").build();
        exposed(move |draw| gauge.record(draw.value(), &[]), move || provider.text())
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        let provider = Provider::new(tags.pairs())?;
        let histogram = provider.histogram();
        let time = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            let start = Instant::now();
            histogram.record(start.elapsed().as_secs_f64(), &attributes(drawn.route, drawn.status));
        };
        exposed(time, move || provider.text())
    }

    fn counter_series(&self, series: usize) -> StoreSetup {
        let provider = Provider::new(series)?;
        let counter = provider.counter();
        stored(
            move |labels| counter.add(1, &three(labels)),
            move |format| (format == Format::Text).then(|| provider.text()),
        )
    }

    fn histogram_series(&self, series: usize) -> StoreSetup {
        let provider = Provider::new(series)?;
        let histogram = provider.histogram();
        stored(
            move |labels| histogram.record(0.02, &three(labels)),
            move |format| (format == Format::Text).then(|| provider.text()),
        )
    }
}

impl Implementation for OpenTelemetryBound {
    fn name(&self) -> &'static str {
        "opentelemetry-bound"
    }

    fn kind(&self) -> Kind {
        Kind::Held
    }

    fn about(&self) -> &'static str {
        "the user keeps the bound instrument of each series in a table of his own (experimental there)"
    }

    fn counter_held(&self) -> Setup {
        let provider = Provider::new(1)?;
        let counter = provider.counter().bind(&[]);
        exposed(move |_| counter.add(1), move || provider.text())
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let provider = Provider::new(tags.pairs())?;
        let counter = provider.counter();
        let held: Vec<BoundCounter<u64>> =
            tags.iter().map(|(route, status)| counter.bind(&attributes(route, status))).collect();
        exposed(move |draw| held[draw.event(tags).pair].add(1), move || provider.text())
    }

    fn histogram_held(&self) -> Setup {
        let provider = Provider::new(1)?;
        let histogram = provider.histogram().bind(&[]);
        exposed(move |draw| histogram.record(draw.value()), move || provider.text())
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let provider = Provider::new(tags.pairs())?;
        let histogram = provider.histogram();
        let held: Vec<BoundHistogram<f64>> =
            tags.iter().map(|(route, status)| histogram.bind(&attributes(route, status))).collect();
        let record = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            held[drawn.pair].record(drawn.value);
        };
        exposed(record, move || provider.text())
    }
}
