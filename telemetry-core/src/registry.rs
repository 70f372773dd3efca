//! The registry: every family, and the walk over them.

mod open;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, Weak};

use crate::cells::Reader;
use crate::clock::Clock;
use crate::exemplar;
use crate::family::{Family, Kind};
use crate::instrument::{Moment, Scratch};
use crate::metric::{Compiled, Fault, Metric, MetricError, Plan, project};
use crate::row::{OVERFLOW, Row, UNCLEAN};
use crate::scrape::{Exemplars, Labels, Sample, Series, Source, Visit};
use crate::series::{Forget, Projection, Walk};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

use open::Open;
pub use open::OpenInstruments;

/// How many series one step of a scrape shows at the most.
const STEP: usize = 256;

/// Holds families and their series.
///
/// Cloning gives another handle to the same registry.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

struct Inner {
    clock: Clock,
    families: Mutex<Families>,
}

#[derive(Default)]
struct Families {
    // Copied when it changes, so that a walk holds no lock.
    entries: Arc<Vec<Arc<Entry>>>,
    sources: Arc<Vec<Arc<dyn Source>>>,
    names: Option<NamePolicy>,
    // By exposed name, the family that took it.
    taken: HashMap<String, String>,
    defined: HashSet<String>,
    sweepers: Vec<Weak<dyn Sweep>>,
}

/// Whether a walk shows a family.
type Wanted = Box<dyn Fn(&Family) -> bool + Send>;

/// Tells under which names a family is exposed.
type NamePolicy = Box<dyn Fn(&Family) -> Vec<String> + Send>;

/// Keeps handles of series, and lets go of those that nobody uses, so that the series can be forgotten.
#[cfg_attr(not(feature = "metrics"), allow(dead_code))] // The facade does.
pub(crate) trait Sweep: Send + Sync {
    fn sweep(&self);
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// A family and where its series are.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) metric: Arc<Compiled>,
    pub(crate) projection: Arc<Projection>,
    baselines: Arc<Baselines>,
    has_baselines: AtomicBool,
    /// What is shown of a family that takes labels as they come.
    open: Option<Arc<Open>>,
}

/// Series that were reset or removed, by first cell.
#[derive(Debug, Default)]
struct Baselines(Mutex<HashMap<u32, Baseline>>);

impl Baselines {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Baseline>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forget for Baselines {
    fn forget(&self, first: u32) {
        self.lock().remove(&first);
    }
}

/// What a series had counted when it was reset.
#[derive(Debug)]
struct Baseline {
    cells: Arc<crate::cells::Baseline>,
    /// Not shown until something changes.
    removed: bool,
}

impl Entry {
    pub(crate) fn new(metric: Arc<Compiled>, projection: Arc<Projection>) -> Self {
        let baselines = Arc::<Baselines>::default();
        let forgets: Weak<Baselines> = Arc::downgrade(&baselines);
        projection.tell_of_forgotten(forgets);
        Self { metric, projection, baselines, has_baselines: AtomicBool::new(false), open: None }
    }

    /// A family that takes labels as they come.
    fn open(metric: Arc<Compiled>, projection: Arc<Projection>, open: Arc<Open>) -> Self {
        Self { open: Some(open), ..Self::new(metric, projection) }
    }

    /// What is shown of an open family now.
    fn shown(&self) -> Option<Arc<Family>> {
        self.open.as_deref().map(Open::family)
    }

    /// The labels of a row; `None` if it has more of them than are shown.
    #[inline]
    fn labels<'a>(&'a self, row: Row, shown: Option<&'a Family>) -> Option<Labels<'a>> {
        if row.flags() & OVERFLOW != 0 {
            return Some(Labels::from_pairs(&[("otel_metric_overflow", "true")]));
        }
        // SAFETY: the walk that gave the row keeps its chunk, and it outlives the visit.
        let key = unsafe { row.key() };
        let clean = row.flags() & UNCLEAN == 0;
        match shown {
            None => Some(Labels::from_row(self.projection.labels(), key, clean)),
            Some(family) => Labels::from_open_row(family.label_names(), key, clean),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty registry on a clock that a test can drive.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, families: Mutex::default() }))
    }

    /// The clock behind windows, expiry and creation times.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn lock(&self) -> MutexGuard<'_, Families> {
        self.0.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `body` while every lock of the registry and its families is held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self, body: impl FnOnce()) {
        let families = self.lock();
        let mut projections: Vec<&Projection> = families.entries.iter().map(|entry| &*entry.projection).collect();
        projections.sort_by_key(|projection| std::ptr::from_ref(*projection));
        projections.dedup_by_key(|projection| std::ptr::from_ref(*projection));
        let _projections: Vec<_> = projections.into_iter().map(Projection::locked).collect();
        let _baselines: Vec<_> = families.entries.iter().map(|entry| entry.baselines.lock()).collect();
        body();
    }

    /// Makes an instrument that code holds, instead of feeding it from events.
    ///
    /// # Errors
    ///
    /// [`MetricError`], which names the metric, what is wrong with it and what to do.
    ///
    /// ```
    /// use telemetry_core::Registry;
    /// use telemetry_core::instrument::Counter;
    /// use telemetry_core::metric::counter;
    ///
    /// let registry = Registry::new();
    /// let jobs = registry.register::<Counter>(counter("jobs.done").tags(["queue"]))?;
    /// let mail = jobs.with(["mail"])?;
    /// mail.increment();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register<I: Handle>(&self, metric: Metric) -> Result<Instruments<I>, MetricError> {
        if metric.kind != I::KIND {
            let fault = Fault::Kind { defined: metric.kind.name(), asked: I::KIND.name() };
            return Err(MetricError::new(&metric.name, fault));
        }
        let plan = Plan::held(metric)?;
        let (projection, compiled) = project(self.clock(), &[&plan]);
        // One plan makes one metric.
        let metric = Arc::clone(&compiled[0]);
        self.enter(vec![Entry::new(Arc::clone(&metric), Arc::clone(&projection))])?;
        Ok(Instruments { metric, projection, kind: PhantomData })
    }

    /// Adds figures that are made when they are scraped.
    pub fn source(&self, source: Arc<dyn Source>) {
        let mut families = self.lock();
        Arc::make_mut(&mut families.sources).push(source);
    }

    /// Tells the registry under which names a family will be exposed, so that two families that would share one are
    /// an error when the second is defined, not a broken scrape.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if two families of now would share a name.
    pub fn exposed_names(&self, names: impl Fn(&Family) -> Vec<String> + Send + 'static) -> Result<(), MetricError> {
        let mut families = self.lock();
        let mut taken = HashMap::new();
        for entry in families.entries.iter() {
            let shown = entry.shown();
            let family = shown.as_deref().unwrap_or(entry.metric.family());
            claim(&mut taken, family, names(family))?;
        }
        families.taken = taken;
        families.names = Some(Box::new(names));
        Ok(())
    }

    /// Enters families, all or none.
    pub(crate) fn enter(&self, entries: Vec<Entry>) -> Result<(), MetricError> {
        let mut families = self.lock();
        let mut claimed: Vec<(String, String)> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let shown = entry.shown();
            let family = shown.as_deref().unwrap_or(entry.metric.family());
            let mut before = entries[..at].iter().map(|entry| entry.metric.family().name());
            if families.defined.contains(family.name()) || before.any(|name| name == family.name()) {
                return Err(MetricError::new(family.name(), Fault::Repeated));
            }
            for name in families.names.as_ref().map_or_else(Vec::new, |names| names(family)) {
                let before = claimed.iter().find(|(claimed, _)| *claimed == name).map(|(_, other)| other);
                if let Some(other) = families.taken.get(&name).or(before)
                    && other != family.name()
                {
                    return Err(MetricError::new(
                        family.name(),
                        Fault::Collision { other: other.clone(), exposed: name },
                    ));
                }
                claimed.push((name, family.name().to_owned()));
            }
        }
        families.taken.extend(claimed);
        families.defined.extend(entries.iter().map(|entry| entry.metric.family().name().to_owned()));
        Arc::make_mut(&mut families.entries).extend(entries.into_iter().map(Arc::new));
        Ok(())
    }

    /// Has handles let go before idle series are looked for.
    #[cfg(feature = "metrics")]
    pub(crate) fn sweeper(&self, sweeper: Weak<dyn Sweep>) {
        self.lock().sweepers.push(sweeper);
    }

    fn entries(&self) -> Arc<Vec<Arc<Entry>>> {
        Arc::clone(&self.lock().entries)
    }

    /// Begins a walk over all families, which the caller steps: see [`Scrape`].
    #[must_use]
    pub fn scrape(&self) -> Scrape {
        self.sweep();
        let families = self.lock();
        Scrape {
            clock: self.clock().clone(),
            entries: Arc::clone(&families.entries),
            sources: Arc::clone(&families.sources),
            wanted: None,
            next: 0,
            walk: None,
            shown: None,
            reader: Reader::new(),
            scratch: Scratch::default(),
            exemplars: exemplar::Scratch::default(),
        }
    }

    /// Hides and forgets idle series now; a scrape does so by itself.
    pub fn sweep(&self) {
        let sweepers: Vec<_> = self.lock().sweepers.iter().filter_map(Weak::upgrade).collect();
        sweepers.iter().for_each(|sweeper| sweeper.sweep());
        for entry in self.entries().iter() {
            // The families of one projection follow each other or not; a second sweep finds nothing to do.
            entry.projection.sweep();
        }
    }

    /// Sets series back to zero: those of the metric `name` that have all of these labels. Gives their number.
    pub fn reset(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.set_back(name, labels, false)
    }

    /// Removes series until their next event, from which they count from zero: those of the metric `name` that have
    /// all of these labels. Gives their number. Handles to them stay good.
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.set_back(name, labels, true)
    }

    fn set_back(&self, name: &str, labels: &[(&str, &str)], removed: bool) -> usize {
        let entries = self.entries();
        let moment = Moment::new(self.clock());
        let mut number = 0;
        for entry in entries.iter().filter(|entry| entry.metric.family().name() == name) {
            let mut walk = entry.projection.walk();
            let mut reader = Reader::new();
            let shown = entry.shown();
            while let Some(row) = walk.next() {
                let Some(own) = entry.labels(row, shown.as_deref()) else { continue };
                let has = |wanted: &(&str, &str)| own.iter().any(|label| label == *wanted) || wanted.1.is_empty();
                if labels.iter().all(has) {
                    let first = row.first_cell();
                    let cells = entry.metric.instrument().set_back(&mut reader, first, &moment, removed);
                    if let Some(kept) = entry.metric.exemplars() {
                        kept.place.clear(first);
                    }
                    let baseline = Baseline { cells: Arc::new(cells), removed };
                    entry.baselines.lock().insert(first, baseline);
                    number += 1;
                }
            }
            // Release: pairs with the acquire in `Scrape::step`, so that the map is seen.
            entry.has_baselines.store(true, Ordering::Release);
        }
        number
    }
}

fn claim(taken: &mut HashMap<String, String>, family: &Family, names: Vec<String>) -> Result<(), MetricError> {
    for name in names {
        if let Some(other) = taken.insert(name.clone(), family.name().to_owned())
            && other != family.name()
        {
            return Err(MetricError::new(family.name(), Fault::Collision { other, exposed: name }));
        }
    }
    Ok(())
}

/// A walk over the families of a registry, in the order in which they were defined, then over its sources.
///
/// It is stepped, so that a consumer can stop between steps, for as long as it likes, without holding up anybody: no lock
/// is held between or during steps that an emitter takes.
pub struct Scrape {
    clock: Clock,
    entries: Arc<Vec<Arc<Entry>>>,
    sources: Arc<Vec<Arc<dyn Source>>>,
    wanted: Option<Wanted>,
    next: usize,
    walk: Option<Walk>,
    /// What is shown of the family at hand, if it is open.
    shown: Option<Arc<Family>>,
    reader: Reader,
    scratch: Scratch,
    exemplars: exemplar::Scratch,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape")
            .field("families", &self.entries.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Scrape {
    /// Passes over the metrics of the registry that are not `wanted`, without a look at their series. What the registry
    /// says of itself, and the sources, are not asked, since their families are not known before they are shown.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&Family) -> bool + Send + 'static) -> Self {
        self.wanted = Some(Box::new(wanted));
        self
    }

    /// Takes the sources off this walk, for whoever reads them in a way of their own: on another thread, say, since a
    /// source is code of users and may hang.
    pub fn take_sources(&mut self) -> Arc<Vec<Arc<dyn Source>>> {
        std::mem::take(&mut self.sources)
    }

    /// Shows some more series; false when there are no more.
    pub fn step(&mut self, visitor: &mut impl Visit) -> bool {
        let Some(entry) = self.entries.get(self.next).map(Arc::clone) else {
            return self.step_source(visitor);
        };
        if self.walk.is_none() && self.wanted.as_ref().is_some_and(|wanted| !wanted(entry.metric.family())) {
            self.next += 1;
            return true;
        }
        let walk = self.walk.get_or_insert_with(|| {
            // Before the walk: rows that come with yet more labels are for the next scrape.
            self.shown = entry.shown();
            visitor.family(self.shown.as_deref().unwrap_or(entry.metric.family()));
            // What was taken off for the last family is not this one's, though both may count by the same buckets.
            self.reader.take_off(None);
            entry.projection.walk()
        });
        // The step before may have been long ago: whatever threads that were joined since have counted is to be seen.
        self.reader.refresh();
        let moment = Moment::new(&self.clock);
        for _ in 0..STEP {
            let Some(row) = walk.next() else {
                self.walk = None;
                self.next += 1;
                return true;
            };
            // Acquire: pairs with the release in `set_back`.
            if entry.has_baselines.load(Ordering::Acquire) && !entry.set_baseline(&mut self.reader, row) {
                continue;
            }
            let sample = entry.metric.instrument().read(&mut self.reader, row.first_cell(), &moment, &mut self.scratch);
            if let Some(sample) = sample {
                let created = Some(entry.projection.created(row));
                let Some(labels) = entry.labels(row, self.shown.as_deref()) else { continue };
                let exemplars = match entry.metric.exemplars() {
                    Some(kept) => kept.place.read(row.first_cell(), &mut self.exemplars),
                    None => Exemplars::default(),
                };
                visitor.series(&Series { labels, created, sample, exemplars });
            }
        }
        true
    }

    /// Shows everything.
    pub fn run(mut self, visitor: &mut impl Visit) {
        while self.step(visitor) {}
    }

    fn step_source(&mut self, visitor: &mut impl Visit) -> bool {
        // The registry's own figures come first, as one more source.
        match (self.next - self.entries.len()).checked_sub(1) {
            None => Skipped(&self.entries).collect(visitor),
            Some(at) => match self.sources.get(at) {
                Some(source) => source.collect(visitor),
                None => return false,
            },
        }
        self.next += 1;
        true
    }
}

impl Entry {
    /// Makes the reader take off what was counted before the row was set back; false if it is not to be shown.
    fn set_baseline(&self, reader: &mut Reader, row: Row) -> bool {
        reader.take_off(None);
        let mut baselines = self.baselines.lock();
        let Some(baseline) = baselines.get_mut(&row.first_cell()) else { return true };
        // What is taken off may have been read from shards that are newer than what the reader knows of: without them it
        // would be more than the reader finds.
        reader.refresh();
        if baseline.removed {
            if !baseline.cells.has_changed(reader) {
                return false;
            }
            baseline.removed = false;
        }
        reader.take_off(Some(Arc::clone(&baseline.cells)));
        true
    }
}

/// What the metrics could not take.
struct Skipped<'a>(&'a [Arc<Entry>]);

impl Skipped<'_> {
    fn collect(&self, visitor: &mut impl Visit) {
        if self.0.is_empty() {
            return;
        }
        let mut reader = Reader::new();
        let skipped = Family::new("telemetry.metric.skipped", Kind::Counter)
            .description("Events that a metric saw and could not count, since the measurement was missing or invalid, and exemplars that it could not take.")
            .labels(["metric", "reason"]);
        visitor.family(&skipped);
        for entry in self.0 {
            let exemplars = entry.metric.exemplars().map(|kept| ("exemplar", kept.refused));
            let values = [("missing", entry.metric.missing_cell()), ("invalid", entry.metric.rejected_cell())];
            for (reason, cell) in values.into_iter().chain(exemplars) {
                let labels = [("metric", entry.metric.family().name()), ("reason", reason)];
                show(visitor, &labels, Sample::Total(crate::scrape::Total::U64(reader.whole(cell))));
            }
        }
        let overflow = Family::new("telemetry.metric.overflow", Kind::Counter)
            .description("Events that went to the overflow series of a metric, because it had as many series as its limit allows.")
            .labels(["metric"]);
        visitor.family(&overflow);
        for entry in self.0 {
            let total = crate::scrape::Total::U64(reader.whole(entry.projection.refused_cell()));
            show(visitor, &[("metric", entry.metric.family().name())], Sample::Total(total));
        }
        let series = Family::new("telemetry.metric.series", Kind::LastValue)
            .description("Series that a metric keeps in memory, hidden ones too.")
            .labels(["metric"]);
        visitor.family(&series);
        for entry in self.0 {
            let sample = Sample::Gauge(f64::from(entry.projection.len()));
            show(visitor, &[("metric", entry.metric.family().name())], sample);
        }
        let reclaimed = Family::new("telemetry.metric.reclaimed", Kind::Counter)
            .description("Series of a metric that were forgotten because they had been idle for long.")
            .labels(["metric"]);
        visitor.family(&reclaimed);
        for entry in self.0 {
            let total = crate::scrape::Total::U64(entry.projection.reclaimed());
            show(visitor, &[("metric", entry.metric.family().name())], Sample::Total(total));
        }
    }
}

fn show(visitor: &mut impl Visit, labels: &[(&str, &str)], sample: Sample<'_>) {
    visitor.series(&Series::new(Labels::from_pairs(labels), sample));
}

/// An instrument of one series that code holds; sealed.
pub trait Handle: sealed::Sealed + Sized {
    #[doc(hidden)]
    const KIND: Kind;
    #[doc(hidden)]
    fn from_kept(kept: sealed::Kept) -> Self;
}

pub(crate) mod sealed {
    /// What a handle holds.
    #[derive(Debug)]
    pub struct Kept(pub(crate) std::sync::Arc<crate::instrument::Kept>);

    /// Nobody else makes handles.
    pub trait Sealed {}
}

/// The series of a metric that code holds.
#[derive(Debug)]
pub struct Instruments<I> {
    metric: Arc<Compiled>,
    projection: Arc<Projection>,
    kind: PhantomData<fn() -> I>,
}

impl<I> Clone for Instruments<I> {
    fn clone(&self) -> Self {
        Self { metric: Arc::clone(&self.metric), projection: Arc::clone(&self.projection), kind: PhantomData }
    }
}

/// Why there is no series for these label values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCountError {
    metric: String,
    expected: usize,
    given: usize,
}

impl fmt::Display for LabelCountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, expected, given } = self;
        write!(f, "the metric {metric:?} has {expected} labels, and {given} values were given; give one value for each")
    }
}

impl std::error::Error for LabelCountError {}

impl<I: Handle> Instruments<I> {
    /// The series with these label values, in the order of the tags; made if it is not there. Beyond the metric's
    /// limit it is the overflow series.
    ///
    /// # Errors
    ///
    /// [`LabelCountError`] unless there is one value for each label.
    pub fn with<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> Result<I, LabelCountError> {
        let values: Vec<&str> = values.into_iter().collect();
        let expected = self.projection.labels().len();
        if values.len() != expected {
            let metric = self.metric.family().name().to_owned();
            return Err(LabelCountError { metric, expected, given: values.len() });
        }
        let held = self.projection.hold(values);
        let kept = crate::instrument::Kept { held, metric: Arc::clone(&self.metric) };
        Ok(I::from_kept(sealed::Kept(Arc::new(kept))))
    }

    /// The only series of a metric without labels.
    ///
    /// # Errors
    ///
    /// [`LabelCountError`] if the metric has labels.
    pub fn single(&self) -> Result<I, LabelCountError> {
        self.with([])
    }
}
