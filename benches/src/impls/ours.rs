//! Ours, as an application uses it.

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry_core::handler::attachment;
use telemetry_core::instrument::{Buckets, Counter, Gauge, Histogram, Spiral};
use telemetry_core::lane::Lane;
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral};
use telemetry_core::{Event, Registry, Unit, detach, emit, span};
use telemetry_exporter::{render, render_bytes, render_to};

use crate::case::{Case, Counted, Format, Setup, Store, StoreSetup, each, exposed};
use crate::implementation::{Implementation, Kind};
use crate::tags::{Draw, Endpoint, Outcome, Tags, ThreeLabels};

/// Events, metrics over them, and the exporter.
#[derive(Debug)]
pub struct Ours;

/// Metrics over events, attached as long as this lives.
#[derive(Debug)]
pub struct Attached {
    registry: Registry,
    id: String,
}

impl Attached {
    /// Attaches the metrics to the dispatcher of this thread.
    ///
    /// # Errors
    ///
    /// When a definition can't become a metric.
    pub fn new(metrics: impl IntoIterator<Item = Metric>) -> Result<Self, Box<dyn std::error::Error>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let registry = Registry::new();
        // Relaxed: the number alone matters.
        let id = format!("bench.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        registry.aggregator(metrics)?.attach(&id)?;
        Ok(Self { registry, id })
    }

    /// What a scraper is shown.
    #[must_use]
    pub fn text(&self) -> String {
        render(&self.registry, telemetry_exporter::Format::Text)
    }

    /// What a scraper is shown.
    #[must_use]
    pub fn rendered(&self, format: telemetry_exporter::Format) -> String {
        render(&self.registry, format)
    }

    /// What a scraper is shown, in any format.
    #[must_use]
    pub fn rendered_bytes(&self, format: telemetry_exporter::Format) -> Vec<u8> {
        render_bytes(&self.registry, format)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It was attached when this was made, and nobody else knows the id.
        let _ = detach(&self.id);
    }
}

const TAGS: [&str; 2] = ["route", "status"];

/// A definition of the counter of all cases.
pub fn requests(event: &str) -> Metric {
    counter("requests").event(event).measurement("count")
}

/// A definition of the histogram of all cases.
pub fn latency(event: &str) -> Metric {
    distribution("latency").event(event).measurement("duration").unit(Unit::Second).buckets(Buckets::latency())
}

/// The limit that lets all series be.
#[allow(clippy::cast_possible_truncation)] // A case has a million series at the most.
fn room(tags: &Tags) -> u32 {
    tags.pairs() as u32 + 1
}

/// A case of ours that emits, and is checked by its exposition: the way to measure an event pattern of one's own.
///
/// # Errors
///
/// When a definition can't become a metric.
pub fn emitting(metrics: impl IntoIterator<Item = Metric>, emit: impl Fn(&mut Draw) + Send + Sync + 'static) -> Setup {
    let attached = Attached::new(metrics)?;
    exposed(emit, move || attached.text())
}

#[derive(Event)]
#[event(name = "bench.enum_counter")]
struct Requested {
    #[tag]
    route: Endpoint,
    #[tag]
    status: Outcome,
}

#[derive(Event)]
#[event(name = "bench.enum_both")]
struct Timed {
    #[measurement(unit = "second")]
    duration: f64,
    #[tag]
    route: Endpoint,
    #[tag]
    status: Outcome,
}

impl Implementation for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn kind(&self) -> Kind {
        Kind::Ours
    }

    fn about(&self) -> &'static str {
        "`emit!` with metrics attached; `registry.register(..)?.with(..)?` where a handle is held"
    }

    fn emit_disabled(&self) -> Setup {
        // Somebody listens, to something else.
        let attached = Attached::new([requests("bench.something_else")])?;
        each(
            |_| emit!("bench.disabled", { duration: 0.02 }, { route: "/", status: "ok" }),
            move || {
                let _ = &attached;
                Counted::Nothing
            },
        )
    }

    fn emit_disabled_two_tags(&self, tags: &'static Tags) -> Setup {
        let attached = Attached::new([requests("bench.something_else")])?;
        let emit = |draw: &mut Draw| {
            let drawn = draw.event(tags);
            emit!("bench.disabled_tags", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
        };
        each(emit, move || {
            let _ = &attached;
            Counted::Nothing
        })
    }

    fn counter_held(&self) -> Setup {
        let registry = Registry::new();
        let held = registry.register::<Counter>(counter("requests"))?.single()?;
        exposed(move |_| held.increment(), move || render(&registry, telemetry_exporter::Format::Text))
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        emitting([requests("bench.two_tags").tags(TAGS).limit(room(tags))], |draw| {
            let drawn = draw.event(tags);
            emit!("bench.two_tags", {}, { route: drawn.route, status: drawn.status });
        })
    }

    fn counter_enum_tags(&self) -> Setup {
        emitting([requests("bench.enum_counter").tags(TAGS)], |draw| {
            let (route, status, _) = draw.words();
            Requested { route, status }.emit();
        })
    }

    fn histogram_held(&self) -> Setup {
        let registry = Registry::new();
        let metric = distribution("latency").unit(Unit::Second).buckets(Buckets::latency());
        let held = registry.register::<Histogram>(metric)?.single()?;
        exposed(move |draw| held.record(draw.value()), move || render(&registry, telemetry_exporter::Format::Text))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        emitting([latency("bench.timed").tags(TAGS)], |draw| {
            let drawn = draw.event(tags);
            emit!("bench.timed", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
        })
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        emitting([requests("bench.both").tags(TAGS), latency("bench.both").tags(TAGS)], |draw| {
            let drawn = draw.event(tags);
            emit!("bench.both", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
        })
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        emitting([requests("bench.enum_both").tags(TAGS), latency("bench.enum_both").tags(TAGS)], |draw| {
            let (route, status, duration) = draw.words();
            Timed { duration, route, status }.emit();
        })
    }

    fn gauge_set(&self) -> Setup {
        let registry = Registry::new();
        let held = registry.register::<Gauge>(last_value("depth"))?.single()?;
        exposed(move |draw| held.set(draw.value()), move || render(&registry, telemetry_exporter::Format::Text))
    }

    fn spiral_mark(&self) -> Setup {
        let registry = Registry::new();
        let held = registry.register::<Spiral>(spiral("marks"))?.single()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A count.
        let total = move || registry.snapshot().total("marks", &[]).unwrap_or(0.0) as u64;
        each(move |_| held.mark(1), move || Counted::Total(total()))
    }

    fn emit_to_lane(&self, tags: &'static Tags) -> Setup {
        let lane = Lane::builder("bench").capacity(1 << 17).build()?;
        let delivered = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&delivered);
        attachment("bench.lane", move |_: &Event<'_>| {
            // Relaxed: read after a flush, which orders it.
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .event("bench.lane")
        .lane(&lane)
        .attach()?;
        Ok(Some(Box::new(Cast { tags, lane, delivered })))
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        emitting([latency("bench.span.stop").tags(TAGS)], |draw| {
            let drawn = draw.event(tags);
            span!("bench.span", { route: drawn.route, status: drawn.status }).run(|| ());
        })
    }

    fn counter_series(&self, series: usize) -> StoreSetup {
        Ok(Some(Box::new(counter_store(series)?)))
    }

    fn histogram_series(&self, series: usize) -> StoreSetup {
        Ok(Some(Box::new(histogram_store(series)?)))
    }
}

#[allow(clippy::cast_possible_truncation)] // A case has a million series at the most.
const fn at_most(series: usize) -> u32 {
    series as u32 + 1
}

/// Many series of one metric.
struct Series {
    attached: Attached,
    touch: fn([&str; 3]),
}

fn counter_store(series: usize) -> Result<Series, Box<dyn std::error::Error>> {
    let metric = requests("bench.series").tags(ThreeLabels::NAMES).limit(at_most(series));
    let touch = |[cluster, host, queue]: [&str; 3]| emit!("bench.series", {}, { cluster, host, queue });
    Ok(Series { attached: Attached::new([metric])?, touch })
}

fn histogram_store(series: usize) -> Result<Series, Box<dyn std::error::Error>> {
    let metric = latency("bench.timed_series").tags(ThreeLabels::NAMES).limit(at_most(series));
    let touch = |[cluster, host, queue]: [&str; 3]| {
        emit!("bench.timed_series", { duration: 0.02 }, { cluster, host, queue });
    };
    Ok(Series { attached: Attached::new([metric])?, touch })
}

impl Store for Series {
    fn touch(&self, labels: [&str; 3]) {
        (self.touch)(labels);
    }

    fn render(&self, format: Format) -> Option<String> {
        Some(self.attached.rendered(exported(format)))
    }
}

const fn exported(format: Format) -> telemetry_exporter::Format {
    match format {
        Format::Text => telemetry_exporter::Format::Text,
        Format::OpenMetrics => telemetry_exporter::Format::OpenMetrics,
    }
}

/// A scrape as the endpoint does it: no text is made as a whole.
#[derive(Debug)]
pub struct OursStreamed;

impl Implementation for OursStreamed {
    fn name(&self) -> &'static str {
        "ours-streamed"
    }

    fn kind(&self) -> Kind {
        Kind::Ours
    }

    fn about(&self) -> &'static str {
        "`render_to`: given out piece by piece, as the endpoint does"
    }

    fn scraped_counter_series(&self, series: usize) -> StoreSetup {
        Ok(Some(Box::new(Streamed(counter_store(series)?))))
    }

    fn scraped_histogram_series(&self, series: usize) -> StoreSetup {
        Ok(Some(Box::new(Streamed(histogram_store(series)?))))
    }
}

struct Streamed(Series);

impl Store for Streamed {
    fn touch(&self, labels: [&str; 3]) {
        self.0.touch(labels);
    }

    fn render(&self, format: Format) -> Option<String> {
        self.0.render(format)
    }

    fn scrape(&self, format: Format) -> Option<usize> {
        let mut given = Given(0);
        render_to(&self.0.attached.registry, exported(format), &mut given).ok()?;
        Some(given.0)
    }
}

/// Takes pieces as a connection does, without sending them anywhere.
struct Given(usize);

impl Write for Given {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0 += black_box(piece).len();
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Events that are cast to a lane, whose worker counts them.
struct Cast {
    tags: &'static Tags,
    lane: Lane,
    delivered: Arc<AtomicU64>,
}

impl Case for Cast {
    fn run(&self, times: u64, draw: &mut Draw) {
        for _ in 0..times {
            let drawn = draw.event(self.tags);
            emit!("bench.lane", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
        }
    }

    /// No more than the lane holds, so that nothing is dropped.
    fn burst(&self) -> u64 {
        1 << 16
    }

    fn settle(&self) {
        // If it takes longer, `counted` tells.
        let _ = self.lane.flush(Duration::from_secs(10));
    }

    fn counted(&self) -> Counted {
        self.settle();
        // Relaxed: `flush` came after all deliveries.
        Counted::Total(self.delivered.load(Ordering::Relaxed))
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        // It was attached when this was made.
        let _ = detach("bench.lane");
    }
}

/// Ours, where the user keeps the handles of all series himself.
#[derive(Debug)]
pub struct OursHeld;

impl Implementation for OursHeld {
    fn name(&self) -> &'static str {
        "ours-held"
    }

    fn kind(&self) -> Kind {
        Kind::Held
    }

    fn about(&self) -> &'static str {
        "the user keeps the handle of each series in a table of his own"
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let registry = Registry::new();
        let all = registry.register::<Counter>(counter("requests").tags(TAGS).limit(room(tags)))?;
        let held: Vec<Counter> =
            tags.iter().map(|(route, status)| all.with([route, status])).collect::<Result<_, _>>()?;
        exposed(
            move |draw| held[draw.event(tags).pair].increment(),
            move || render(&registry, telemetry_exporter::Format::Text),
        )
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        let registry = Registry::new();
        let metric = distribution("latency").unit(Unit::Second).buckets(Buckets::latency()).tags(TAGS);
        let all = registry.register::<Histogram>(metric)?;
        let held: Vec<Histogram> =
            tags.iter().map(|(route, status)| all.with([route, status])).collect::<Result<_, _>>()?;
        let record = move |draw: &mut Draw| {
            let drawn = draw.event(tags);
            held[drawn.pair].record(drawn.value);
        };
        exposed(record, move || render(&registry, telemetry_exporter::Format::Text))
    }
}
