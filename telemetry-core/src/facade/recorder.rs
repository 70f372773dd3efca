//! The recorder: what code records through the facade, counted in a registry.

use std::fmt;
use std::sync::{Arc, Weak};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, SharedString};

use crate::instrument;
use crate::metric::MetricError;
use crate::registry::{Registry, Sweep};
use crate::unit::Unit;

use super::families::{Description, Families, Family, open};
use super::refusal::Refusals;
use super::shape::{Matcher, Shape};

/// How many metrics there may be unless [`Builder::metrics`] says otherwise.
pub const DEFAULT_METRICS: usize = 2_000;

/// Takes what code records through the macros of the crate `metrics`, and counts it in a [`Registry`].
///
/// A metric comes to be at its first use, and each of its series too; calls for one metric may have different labels. A
/// series that is there is found without a lock. Cloning gives another handle to the same recorder.
///
/// One recorder for a registry is enough: two would contend for the names of metrics. See [`facade`](crate::facade).
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    shapes: Vec<(Matcher, Shape)>,
    labels: Vec<(String, String)>,
    level: Level,
    most: usize,
    shows_units: bool,
    refusals: Arc<Refusals>,
    counters: Families<Counter>,
    gauges: Families<Gauge>,
    histograms: Families<Histogram>,
}

/// How a recorder is to be; see [`Recorder::builder`].
#[derive(Debug)]
#[must_use = "nothing is recorded before `build`"]
pub struct Builder {
    registry: Registry,
    shapes: Vec<(Matcher, Shape)>,
    labels: Vec<(String, String)>,
    level: Level,
    most: usize,
    shows_units: bool,
}

impl Builder {
    /// Keeps the metrics that match in this shape.
    ///
    /// Where several match, each later one overrides what it says, and nothing else: begin with `"*"`, end with names. A
    /// metric has the shapes of its first use for good.
    pub fn shape(mut self, metrics: impl Into<Matcher>, shape: Shape) -> Self {
        self.shapes.push((metrics.into(), shape));
        self
    }

    /// Gives every series this label, unless it has one of that name.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Records what is of this level or above; all of it unless this is called. What lies below gets handles that do
    /// nothing, and is never seen.
    pub fn level(mut self, least: Level) -> Self {
        self.level = least;
        self
    }

    /// The most metrics, [`DEFAULT_METRICS`] unless told; those beyond are refused, since code that makes names out of
    /// values would fill the memory otherwise.
    pub fn metrics(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Whether units that code describes are a part of the exposed names, as `_seconds` is; they are unless told
    /// otherwise. Values are never converted.
    pub fn units(mut self, are_shown: bool) -> Self {
        self.shows_units = are_shown;
        self
    }

    /// Makes the recorder; nothing reaches it before it is installed.
    pub fn build(self) -> Recorder {
        let Self { registry, shapes, labels, level, most, shows_units } = self;
        let refusals = Arc::new(Refusals::default());
        registry.source(refusals.clone());
        let inner = Arc::new(Inner {
            registry,
            shapes,
            labels,
            level,
            most,
            shows_units,
            refusals,
            counters: Families::new(),
            gauges: Families::new(),
            histograms: Families::new(),
        });
        let sweeper: Weak<Inner> = Arc::downgrade(&inner);
        inner.registry.sweeper(sweeper);
        Recorder(inner)
    }
}

/// Why a recorder is not the one of the process: another is, for good.
pub struct InstallError(Recorder);

impl InstallError {
    /// The recorder that was not installed.
    #[must_use]
    pub fn into_recorder(self) -> Recorder {
        self.0
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the metrics facade has a recorder already; install one at the start of `main`, and for two use `metrics_util::layers::FanoutBuilder`",
        )
    }
}

impl fmt::Debug for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for InstallError {}

impl Recorder {
    /// A recorder that counts in this registry.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self::builder(registry).build()
    }

    /// Begins a recorder that counts in this registry.
    pub fn builder(registry: &Registry) -> Builder {
        Builder {
            registry: registry.clone(),
            shapes: Vec::new(),
            labels: Vec::new(),
            level: Level::TRACE,
            most: DEFAULT_METRICS,
            shows_units: true,
        }
    }

    /// Makes this the recorder of the process. To put layers around it, give it to those instead; for one thread, use
    /// [`metrics::with_local_recorder`].
    ///
    /// # Errors
    ///
    /// [`InstallError`] if the process has one already; the recorder comes back in it.
    pub fn install(self) -> Result<(), InstallError> {
        metrics::set_global_recorder(self).map_err(|error| InstallError(error.into_inner()))
    }

    /// The registry that it counts in.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }
}

impl Inner {
    fn shape(&self, name: &str) -> Shape {
        let matching = self.shapes.iter().filter(|(matcher, _)| matcher.matches(name));
        matching.fold(Shape::new(), |shape, (_, other)| shape.overridden_by(other))
    }

    fn unit(&self, unit: Option<metrics::Unit>) -> Option<Unit> {
        unit.filter(|_| self.shows_units).and_then(shown)
    }

    /// The handle of a series; `None` if it is below the level that is recorded, or its metric is refused.
    #[inline]
    fn handle<H: Clone>(
        &self,
        families: &Families<H>,
        key: &Key,
        metadata: &Metadata<'_>,
        open: impl FnOnce(&Description, &Shape) -> Result<Arc<dyn Family<H>>, MetricError>,
    ) -> Option<H> {
        if *metadata.level() < self.level {
            return None;
        }
        families.ready(key).or_else(|| self.make(families, key, open))
    }

    /// The handle of a series that was not used before; `None` if its metric is refused.
    #[cold]
    fn make<H: Clone>(
        &self,
        families: &Families<H>,
        key: &Key,
        open: impl FnOnce(&Description, &Shape) -> Result<Arc<dyn Family<H>>, MetricError>,
    ) -> Option<H> {
        let name = key.name();
        let handle = families.make(key, &self.labels).or_else(|()| {
            if self.counters.len() + self.gauges.len() + self.histograms.len() >= self.most && !families.is_known(name)
            {
                self.refusals.count_number(name, self.most);
                return Err(());
            }
            let entered = families.enter(name, |description| open(description, &self.shape(name)));
            // Handlers run here, so no lock is held.
            entered.unwrap_or_else(|error| self.refusals.tell(&error));
            families.make(key, &self.labels)
        });
        if let Ok(None) = handle {
            self.refusals.count_name();
        }
        handle.ok().flatten()
    }

    fn describe<H: Clone>(
        &self,
        families: &Families<H>,
        name: &KeyName,
        unit: Option<metrics::Unit>,
        text: SharedString,
    ) {
        let described = families.describe(name.as_str(), unit, text, self.most, |unit| self.unit(unit));
        described.unwrap_or_else(|error| self.refusals.tell(&error));
    }
}

impl Sweep for Inner {
    fn sweep(&self) {
        self.counters.let_go();
        self.gauges.let_go();
        self.histograms.let_go();
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<metrics::Unit>, description: SharedString) {
        self.0.describe(&self.0.counters, &key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<metrics::Unit>, description: SharedString) {
        self.0.describe(&self.0.gauges, &key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<metrics::Unit>, description: SharedString) {
        self.0.describe(&self.0.histograms, &key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let inner = &*self.0;
        let handle = inner.handle(&inner.counters, key, metadata, |said, shape| {
            let (metric, unit) = (said.on(shape.counter(key.name()), shape), inner.unit(said.unit));
            if shape.is_spiral() {
                open::<instrument::Spiral, _>(&inner.registry, metric, unit, Counter::from_arc)
            } else {
                open::<instrument::Counter, _>(&inner.registry, metric, unit, Counter::from_arc)
            }
        });
        handle.unwrap_or_else(Counter::noop)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let inner = &*self.0;
        let handle = inner.handle(&inner.gauges, key, metadata, |said, shape| {
            let metric = said.on(shape.gauge(key.name()), shape);
            open::<instrument::Gauge, _>(&inner.registry, metric, inner.unit(said.unit), Gauge::from_arc)
        });
        handle.unwrap_or_else(Gauge::noop)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let inner = &*self.0;
        let handle = inner.handle(&inner.histograms, key, metadata, |said, shape| {
            let metric = said.on(shape.histogram(key.name(), said.unit), shape);
            let unit = inner.unit(said.unit);
            if shape.is_spiral() {
                open::<instrument::Spiral, _>(&inner.registry, metric, unit, Histogram::from_arc)
            } else if shape.is_summary() {
                open::<instrument::Summary, _>(&inner.registry, metric, unit, Histogram::from_arc)
            } else {
                open::<instrument::Histogram, _>(&inner.registry, metric, unit, Histogram::from_arc)
            }
        });
        handle.unwrap_or_else(Histogram::noop)
    }
}

/// A unit of the facade as ours; a count is no unit, since all that is counted is one. What is described as percent is
/// most often a ratio, and other exporters call it so.
fn shown(unit: metrics::Unit) -> Option<Unit> {
    Some(match unit {
        metrics::Unit::Count => return None,
        metrics::Unit::Percent => Unit::Ratio,
        metrics::Unit::Seconds => Unit::Second,
        metrics::Unit::Milliseconds => Unit::Millisecond,
        metrics::Unit::Microseconds => Unit::Microsecond,
        metrics::Unit::Nanoseconds => Unit::Nanosecond,
        metrics::Unit::Bytes => Unit::Byte,
        metrics::Unit::Kibibytes => Unit::Kibibyte,
        metrics::Unit::Mebibytes => Unit::Mebibyte,
        other => Unit::Other(other.as_str()),
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A series that is there is found and written to while every lock is held by somebody else.
    #[test]
    fn a_series_that_exists_takes_no_lock() {
        let registry = Registry::new();
        let shape = Shape::new().expiry(Duration::from_secs(1), Duration::from_secs(1));
        let recorder = Recorder::builder(&registry).shape("*", shape).build();
        let record = {
            let recorder = recorder.clone();
            move || {
                metrics::with_local_recorder(&recorder, || {
                    metrics::counter!("calls", "route" => "/").increment(1);
                    metrics::gauge!("depth", "route" => "/").increment(1.0);
                    metrics::histogram!("took", "route" => "/").record_many(0.3, 2);
                });
            }
        };
        let (ready, is_ready) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        let thread = thread::spawn(move || {
            record();
            ready.send(()).unwrap();
            may_go.recv().unwrap();
            record();
            done.send(()).unwrap();
        });
        is_ready.recv().unwrap();
        registry.locked(|| {
            let inner = &recorder.0;
            let _locked = (inner.counters.locked(), inner.gauges.locked(), inner.histograms.locked());
            go.send(()).unwrap();
            is_done.recv_timeout(Duration::from_secs(60)).expect("nothing waits for a lock");
        });
        thread.join().unwrap();
        assert_eq!(registry.snapshot().total("took", &[("route", "/")]), Some(4.0));
    }
}
