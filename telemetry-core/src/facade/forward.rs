//! The way out: metrics over events, recorded through the facade.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Key, KeyName, Label, Level, SharedString};

use crate::aggregate::{Member, ValueSource};
use crate::dispatch::Dispatch;
use crate::event::{Event, Metadata};
use crate::family::Kind;
use crate::handler::{AttachError, Bound, Handler, attachment};
use crate::instrument::Quantity;
use crate::metric::{ComputeTag, Metric, MetricError, Plan, Rule, TagChoice, TagSource, compile};
use crate::unit::Unit;
use crate::value::{Number, TextBuffer};

/// Records metrics over events through the facade: with the recorder that is installed, or with one that is given.
///
/// A counter becomes a counter, and so do a sum and a spiral; a last value becomes a gauge, a distribution or a summary a
/// histogram: buckets, quantiles and windows are the recorder's business, and so are limits and expiry. Names are those of
/// the definitions. A sum adds whole numbers to its counter, as those take no others, and keeps the rest for the next event
/// of its series.
///
/// What a recorder emits while it is being recorded with is not forwarded again, so there is no loop.
///
/// ```
/// use metrics_util::debugging::{DebugValue, DebuggingRecorder};
/// use telemetry_core::emit;
/// use telemetry_core::facade::Forward;
/// use telemetry_core::metric::{counter, distribution};
///
/// let recorder = DebuggingRecorder::new();
/// let snapshotter = recorder.snapshotter();
/// let forward = Forward::new([
///     counter("forwarded.order.count").tags(["country"]),
///     distribution("forwarded.order.total"),
/// ])?;
/// forward.to(recorder).attach("forward")?;
/// emit!("forwarded.order", { total: 12.5 }, { country: "de" });
///
/// let recorded = snapshotter.snapshot().into_vec();
/// assert_eq!(recorded[0].0.key().to_string(), "Key(forwarded.order.count, [country = de])");
/// assert_eq!(recorded[0].3, DebugValue::Counter(1));
/// assert_eq!(recorded[1].3, DebugValue::Histogram(vec![12.5.into()]));
/// # telemetry_core::detach("forward")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is forwarded before `attach`"]
pub struct Forward(Arc<Inner>);

struct Inner {
    metrics: Vec<Arc<Forwarded>>,
    /// `None`: the one that is installed.
    recorder: Option<Arc<dyn metrics::Recorder + Send + Sync>>,
    skipped: AtomicU64,
    cut: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("metrics", &self.metrics.len()).finish_non_exhaustive()
    }
}

/// One metric.
struct Forwarded {
    event: String,
    tags: Vec<TagChoice>,
    rule: Option<Rule>,
    member: Member,
    name: KeyName,
    limit: usize,
    /// Of a sum, what its counters have not been given yet: of each series, and together of those beyond the limit.
    rests: Mutex<HashMap<Option<Key>, f64>>,
}

thread_local! {
    static FORWARDING: Cell<bool> = const { Cell::new(false) };
}

impl Forward {
    /// Forwards these metrics, to the recorder that is installed: at each event, that of the thread or of the process.
    ///
    /// # Errors
    ///
    /// [`MetricError`], which names the metric, what is wrong with it and what to do.
    pub fn new(metrics: impl IntoIterator<Item = Metric>) -> Result<Self, MetricError> {
        let forwarded = metrics.into_iter().map(|metric| Forwarded::new(metric).map(Arc::new));
        let metrics: Vec<Arc<Forwarded>> = forwarded.collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { metrics, recorder: None, skipped: AtomicU64::new(0), cut: AtomicU64::new(0) })))
    }

    /// Forwards to this recorder instead.
    pub fn to(self, recorder: impl metrics::Recorder + Send + Sync + 'static) -> Self {
        let metrics = self.0.metrics.clone();
        let recorder: Option<Arc<dyn metrics::Recorder + Send + Sync>> = Some(Arc::new(recorder));
        Self(Arc::new(Inner { metrics, recorder, skipped: AtomicU64::new(0), cut: AtomicU64::new(0) }))
    }

    /// Attaches this handler, under an id, to every event that its metrics are made of, and describes them to the
    /// recorder.
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] if the id is attached already.
    pub fn attach(&self, id: &str) -> Result<(), AttachError> {
        self.attach_to(&Dispatch::current(), id)
    }

    /// Attaches this handler to a dispatcher: see [`Forward::attach`].
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] if the id is attached already.
    pub fn attach_to(&self, dispatch: &Dispatch, id: &str) -> Result<(), AttachError> {
        let events = self.0.metrics.iter().map(|metric| metric.event.as_str());
        attachment(id, self.clone()).events(events).attach_to(dispatch)?;
        self.describe();
        Ok(())
    }

    /// Describes the metrics to the recorder, for one that is installed after this was attached.
    pub fn describe(&self) {
        for metric in &self.0.metrics {
            let family = metric.member.compiled.family();
            let (name, text) = (metric.name.clone(), SharedString::from(family.help().to_owned()));
            let unit = family.values_unit().and_then(unit);
            self.0.record(|recorder| match metric.target() {
                Target::Counter => recorder.describe_counter(name, unit, text),
                Target::Gauge => recorder.describe_gauge(name, unit, text),
                Target::Histogram => recorder.describe_histogram(name, unit, text),
            });
        }
    }

    /// How often a metric saw an event that it could make nothing of: the measurement was missing or invalid, or its own
    /// code panicked.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        // Relaxed: a figure to show.
        self.0.skipped.load(Ordering::Relaxed)
    }

    /// Events that were not forwarded, because a recorder emitted them while it was being recorded with.
    #[must_use]
    pub fn cut(&self) -> u64 {
        // Relaxed: a figure to show.
        self.0.cut.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Runs `body` with the recorder.
    fn record(&self, body: impl FnOnce(&dyn metrics::Recorder)) {
        match &self.recorder {
            Some(recorder) => body(&**recorder),
            None => metrics::with_recorder(body),
        }
    }
}

/// What a metric is to the facade.
#[derive(Clone, Copy)]
enum Target {
    Counter,
    Gauge,
    Histogram,
}

impl Forwarded {
    fn new(metric: Metric) -> Result<Self, MetricError> {
        let plan = Plan::over_events(metric)?;
        let (compiled, _) = compile(&[&plan]);
        let name = KeyName::from(plan.metric.name.clone()).to_retained();
        let limit = plan.metric.limit as usize;
        let Plan { key, measurement, metric, .. } = plan;
        // One plan makes one metric.
        let member = Member { compiled: Arc::clone(&compiled[0]), measurement, compute: metric.compute };
        Ok(Self { event: key.event, tags: key.tags, rule: key.rule, member, name, limit, rests: Mutex::default() })
    }

    fn target(&self) -> Target {
        match self.member.compiled.family().kind() {
            Kind::Counter | Kind::Sum | Kind::Spiral => Target::Counter,
            // Infos and state sets are held: none is made of events.
            Kind::LastValue | Kind::Info | Kind::StateSet => Target::Gauge,
            Kind::Distribution | Kind::Summary => Target::Histogram,
        }
    }

    fn key(&self, tags: &[BoundTag], event: &Event<'_>) -> Key {
        let mut buffer = TextBuffer::new();
        let mut labels = Vec::with_capacity(tags.len());
        for (choice, tag) in self.tags.iter().zip(tags) {
            let value = match tag {
                BoundTag::At(position) => event.tag_at(*position).text(&mut buffer).to_owned(),
                BoundTag::Absent => continue,
                BoundTag::Computed(compute) => {
                    let mut value = String::new();
                    compute(event, &mut value);
                    value
                }
            };
            if !value.is_empty() {
                labels.push(Label::new(choice.label.clone(), value));
            }
        }
        Key::from_parts(self.name.clone(), labels)
    }

    /// How many whole ones a sum's counter is given for a value, the rest being kept.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // Saturates.
    fn whole(&self, key: &Key, value: Quantity) -> u64 {
        let unit = self.member.compiled.unit();
        match value {
            Quantity::Whole(n) if unit.is_whole() => n.unsigned_abs(),
            _ => {
                let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
                let mut key = Some(key.to_retained());
                if rests.len() >= self.limit && !rests.contains_key(&key) {
                    key = None;
                }
                let rest = rests.entry(key).or_default();
                let due = *rest + value.to_f64(unit);
                *rest = due.fract();
                due as u64
            }
        }
    }
}

impl Handler for Forward {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        let metrics = self.0.metrics.iter().filter(|metric| metric.event == metadata.name());
        let bind = |metric: &Arc<Forwarded>| {
            let tag = |choice: &TagChoice| match &choice.source {
                TagSource::Named(named) => metadata.tag(named).map_or(BoundTag::Absent, BoundTag::At),
                TagSource::Computed(compute) => BoundTag::Computed(Arc::clone(compute)),
            };
            BoundMetric {
                metric: Arc::clone(metric),
                tags: metric.tags.iter().map(tag).collect(),
                value: metric.member.bind(metadata),
            }
        };
        let metrics: Box<[BoundMetric]> = metrics.map(bind).collect();
        (!metrics.is_empty()).then(|| {
            let module = metadata.location().module;
            let metadata = metrics::Metadata::new(module, Level::INFO, Some(module));
            Arc::new(BoundForward { forward: Arc::clone(&self.0), metrics, metadata }) as Arc<dyn Bound>
        })
    }
}

/// The metrics over the event of one callsite.
struct BoundForward {
    forward: Arc<Inner>,
    metrics: Box<[BoundMetric]>,
    metadata: metrics::Metadata<'static>,
}

struct BoundMetric {
    metric: Arc<Forwarded>,
    tags: Box<[BoundTag]>,
    /// `None`: it never has one here.
    value: Option<ValueSource>,
}

enum BoundTag {
    At(usize),
    Absent,
    Computed(ComputeTag),
}

/// Says that this thread forwards, until it is dropped.
struct Forwarding;

impl Drop for Forwarding {
    fn drop(&mut self) {
        FORWARDING.set(false);
    }
}

impl Bound for BoundForward {
    fn handle(&self, event: &Event<'_>) {
        if FORWARDING.replace(true) {
            // Relaxed: a figure to show.
            self.forward.cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let _forwarding = Forwarding;
        for metric in &self.metrics {
            // What users wrote is caught here, so that one bad closure never takes all metrics away; what a recorder
            // throws is a failure of this handler.
            match catch_unwind(AssertUnwindSafe(|| metric.read(event))) {
                Ok(Reading::KeptOut) => {}
                Ok(Reading::Taken(key, value)) => {
                    self.forward.record(|recorder| metric.record(recorder, &key, value, &self.metadata));
                }
                // Relaxed: a figure to show.
                Ok(Reading::Skipped) | Err(_) => drop(self.forward.skipped.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }
}

/// What a metric makes of an event.
enum Reading {
    KeptOut,
    Skipped,
    Taken(Key, Quantity),
}

impl BoundMetric {
    /// Runs what users wrote.
    fn read(&self, event: &Event<'_>) -> Reading {
        let Forwarded { rule, member, .. } = &*self.metric;
        if rule.as_ref().is_some_and(|rule| !(rule.0)(event)) {
            return Reading::KeptOut;
        }
        let own = member.compiled.own_scale();
        let (number, scale) = match &self.value {
            None => return Reading::Skipped,
            Some(ValueSource::One | ValueSource::CountOne(_)) => (Some(Number::U64(1)), own),
            Some(ValueSource::OneIf(at)) => (event.measurement_at(*at).map(|_| Number::U64(1)), own),
            Some(ValueSource::At(at, scale)) => (event.measurement_at(*at), scale),
            Some(ValueSource::Computed(compute, scale)) => (compute(event), scale),
        };
        let value = number.and_then(|number| scale.apply(number));
        match value.filter(|value| member.compiled.instrument().takes(*value)) {
            Some(value) => Reading::Taken(self.metric.key(&self.tags, event), value),
            None => Reading::Skipped,
        }
    }

    fn record(
        &self,
        recorder: &dyn metrics::Recorder,
        key: &Key,
        value: Quantity,
        metadata: &metrics::Metadata<'static>,
    ) {
        let compiled = &self.metric.member.compiled;
        match (self.metric.target(), compiled.family().kind()) {
            (Target::Counter, Kind::Counter) => recorder.register_counter(key, metadata).increment(1),
            (Target::Counter, _) => recorder.register_counter(key, metadata).increment(self.metric.whole(key, value)),
            (Target::Gauge, _) => recorder.register_gauge(key, metadata).set(value.to_f64(compiled.unit())),
            (Target::Histogram, _) => recorder.register_histogram(key, metadata).record(value.to_f64(compiled.unit())),
        }
    }
}

/// A unit as one of the facade, which does not have all.
fn unit(unit: Unit) -> Option<metrics::Unit> {
    Some(match unit {
        Unit::Nanosecond => metrics::Unit::Nanoseconds,
        Unit::Microsecond => metrics::Unit::Microseconds,
        Unit::Millisecond => metrics::Unit::Milliseconds,
        Unit::Second => metrics::Unit::Seconds,
        Unit::Byte => metrics::Unit::Bytes,
        Unit::Kibibyte => metrics::Unit::Kibibytes,
        Unit::Mebibyte => metrics::Unit::Mebibytes,
        Unit::Percent => metrics::Unit::Percent,
        Unit::Other(name) => metrics::Unit::from_string(name)?,
        Unit::Minute | Unit::Kilobyte | Unit::Megabyte | Unit::Ratio => return None,
    })
}
