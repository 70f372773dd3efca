//! The registry: every family, and the walk over them.

mod claim;
mod open;
mod probes;
mod renewal;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use crate::cells::Reader;
use crate::clock::Clock;
use crate::family::{Family, Kind};
use crate::instrument::{Moment, Scratch, Unlinked};
use crate::metric::{Compiled, Fault, Metric, MetricError, Plan, project};
use crate::row::{OVERFLOW, Row, UNCLEAN};
use crate::scrape::{Labels, Sample, Series, Source, Visit};
use crate::series::{Forget, Projection, Walk};
use crate::source::Probe;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

pub use claim::Claim;
use claim::{ClaimPolicy, Claims};
use open::Open;
pub use open::OpenInstruments;
use probes::Probes;
pub(crate) use probes::WeakRegistry;

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
    policy: Option<ClaimPolicy>,
    claims: Claims,
    // Families that sources show, and whose names they took.
    reserved: Vec<Family>,
    // The names of the families.
    defined: HashSet<String>,
    sweepers: Vec<Weak<dyn Sweep>>,
    probes: Arc<Vec<Arc<Probe>>>,
}

/// Whether a walk shows a family.
type Wanted = Box<dyn Fn(&Family) -> bool + Send>;

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
        if let Some(Baseline { unlinked: Some(unlinked), .. }) = self.lock().remove(&first) {
            unlinked.free();
        }
    }
}

/// What a series had counted when it was reset.
#[derive(Debug, Default)]
struct Baseline {
    cells: Arc<crate::cells::Baseline>,
    /// When that was; `None` if it was not reset yet.
    at: Option<Duration>,
    /// Not shown until something changes.
    removed: bool,
    /// Chunks of buckets that could not be given back yet.
    unlinked: Option<Arc<Unlinked>>,
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

    /// Adds whole families that are made when they are scraped, by the thread that scrapes. For single figures see
    /// [`Registry::gauge_fn`] and its like, which are guarded, timed, and can be removed.
    pub fn source(&self, source: Arc<dyn Source>) {
        let mut families = self.lock();
        Arc::make_mut(&mut families.sources).push(source);
    }

    /// Tells the registry under which names a family will be exposed, so that two families that would share one are
    /// an error when the second is defined, not a broken scrape.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if two families of now would share a name, or two labels of one; then the registry stays as it was.
    pub fn exposed_names(&self, policy: impl Fn(&Family) -> Vec<Claim> + Send + 'static) -> Result<(), MetricError> {
        let mut families = self.lock();
        let mut claims = Claims::default();
        for entry in families.entries.iter() {
            let shown = entry.shown();
            let family = shown.as_deref().unwrap_or(entry.metric.family());
            claims.take(family, policy(family))?;
        }
        for family in families.probes.iter().map(|probe| probe.family()) {
            claims.take(family, policy(family))?;
        }
        for family in &families.reserved {
            claims.take(family, policy(family))?;
        }
        families.claims = claims;
        families.policy = Some(Box::new(policy));
        Ok(())
    }

    /// Keeps the names of a family that a [source](Self::source) shows, so that a metric which would share one is an error
    /// when it is defined.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if a family that is there has one of them.
    pub fn reserve(&self, family: Family) -> Result<(), MetricError> {
        let mut families = self.lock();
        let is_same = |other: &Family| other.name() == family.name();
        if families.defined.contains(family.name()) || families.probes.iter().any(|probe| is_same(probe.family())) {
            return Err(MetricError::new(family.name(), Fault::Repeated));
        }
        if families.reserved.iter().any(is_same) {
            // By another source of the same figures.
            return Ok(());
        }
        if let Some(policy) = &families.policy {
            let mut claims = families.claims.clone();
            claims.take(&family, policy(&family))?;
            families.claims = claims;
        }
        families.reserved.push(family);
        Ok(())
    }

    /// Enters families, all or none.
    pub(crate) fn enter(&self, entries: Vec<Entry>) -> Result<(), MetricError> {
        let mut families = self.lock();
        // All or none: what is taken before an error is given back by keeping what was.
        let mut claims = families.policy.is_some().then(|| families.claims.clone());
        for (at, entry) in entries.iter().enumerate() {
            let shown = entry.shown();
            let family = shown.as_deref().unwrap_or(entry.metric.family());
            let mut others = entries[..at]
                .iter()
                .map(|entry| entry.metric.family().name())
                .chain(families.reserved.iter().map(Family::name))
                .chain(families.probes.iter().map(|probe| probe.family().name()));
            if families.defined.contains(family.name()) || others.any(|name| name == family.name()) {
                return Err(MetricError::new(family.name(), Fault::Repeated));
            }
            if let (Some(policy), Some(claims)) = (&families.policy, &mut claims) {
                claims.take(family, policy(family))?;
            }
        }
        if let Some(claims) = claims {
            families.claims = claims;
        }
        families.defined.extend(entries.iter().map(|entry| entry.metric.family().name().to_owned()));
        Arc::make_mut(&mut families.entries).extend(entries.into_iter().map(Arc::new));
        Ok(())
    }

    /// Has handles let go before idle series are looked for.
    #[cfg(feature = "metrics")]
    pub(crate) fn sweeper(&self, sweeper: Weak<dyn Sweep>) {
        self.lock().sweepers.push(sweeper);
    }

    pub(crate) fn entries(&self) -> Arc<Vec<Arc<Entry>>> {
        Arc::clone(&self.lock().entries)
    }

    /// Begins a walk over all families, which the caller steps: see [`Scrape`].
    ///
    /// It hides series that are idle, and a histogram whose exponential buckets got too many is shown for the last time
    /// before it begins anew: see [`Exponential`](crate::instrument::Exponential).
    #[must_use]
    pub fn scrape(&self) -> Scrape {
        self.sweep();
        Scrape { renews: true, ..self.look() }
    }

    /// The same walk, which leaves everything as it is.
    pub(crate) fn look(&self) -> Scrape {
        let families = self.lock();
        Scrape {
            clock: self.clock().clone(),
            entries: Arc::clone(&families.entries),
            sources: Arc::clone(&families.sources),
            probes: Probes::new(&families.probes),
            wanted: None,
            next: 0,
            walk: None,
            shown: None,
            reader: Reader::new(),
            scratch: Scratch::default(),
            renews: false,
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
                    entry.set_back(&mut reader, row, &moment, removed);
                    number += 1;
                }
            }
            // Release: pairs with the acquire in `Scrape::step`, so that the map is seen.
            entry.has_baselines.store(true, Ordering::Release);
        }
        number
    }
}

/// A walk over the families of a registry, in the order in which they were defined, then over its sources.
///
/// It is stepped, so that a consumer can stop between steps, for as long as it likes, without holding up anybody: no lock
/// is held between or during steps that an emitter takes.
pub struct Scrape {
    clock: Clock,
    entries: Arc<Vec<Arc<Entry>>>,
    sources: Arc<Vec<Arc<dyn Source>>>,
    probes: Probes,
    wanted: Option<Wanted>,
    next: usize,
    walk: Option<Walk>,
    /// What is shown of the family at hand, if it is open.
    shown: Option<Arc<Family>>,
    reader: Reader,
    scratch: Scratch,
    /// Whether histograms that got too fine begin anew.
    renews: bool,
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
    /// says of itself, and whole [sources](Registry::source), are not asked, since their families are not known before they
    /// are shown.
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
            self.scratch.lists.unlinked = None;
            entry.projection.walk()
        });
        // The step before may have been long ago: whatever threads that were joined since have counted is to be seen.
        self.reader.refresh();
        let moment = Moment::new(&self.clock);
        let instrument = entry.metric.instrument();
        let renewable = instrument.renewable().filter(|_| self.renews);
        for _ in 0..STEP {
            let Some(row) = walk.next() else {
                self.walk = None;
                self.next += 1;
                return true;
            };
            let Some(labels) = entry.labels(row, self.shown.as_deref()) else { continue };
            let mut created = entry.projection.created(row);
            // Acquire: pairs with the release in `set_back`.
            if entry.has_baselines.load(Ordering::Acquire) {
                match entry.set_baseline(&mut self.reader, &mut self.scratch, row) {
                    Shown::Yes => {}
                    Shown::Since(at) => created = at,
                    Shown::No => continue,
                }
            }
            let renewal = renewable.and_then(|(table, age)| {
                let is_due = || self.clock.now() >= created.saturating_add(age);
                entry.begin_renewal(table, is_due, &mut self.reader, &mut self.scratch, row)
            });
            let sample = instrument.read(&mut self.reader, row.first_cell(), &moment, &mut self.scratch);
            if let Some(renewal) = renewal {
                entry.end_renewal(renewal, &mut self.reader, row, self.clock.now());
            }
            if let Some(sample) = sample {
                visitor.series(&Series { labels, created: Some(created), sample });
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
            None => {
                // Asked now, all at once, so that they are read while others are shown.
                self.probes.ask(self.wanted.as_ref());
                Skipped(&self.entries).collect(visitor);
            }
            Some(at) => match self.sources.get(at) {
                Some(source) => source.collect(visitor),
                None => return self.probes.step(visitor),
            },
        }
        self.next += 1;
        true
    }
}

/// Whether a row is shown, and since when it counts if not since it came to be.
enum Shown {
    Yes,
    Since(Duration),
    No,
}

impl Entry {
    fn set_back(&self, reader: &mut Reader, row: Row, moment: &Moment<'_>, removed: bool) {
        let first = row.first_cell();
        let mut cells = self.metric.instrument().set_back(reader, first, moment, removed);
        let mut baselines = self.baselines.lock();
        let unlinked = baselines.remove(&first).and_then(|before| before.unlinked);
        for (cell, number) in unlinked.iter().flat_map(|unlinked| unlinked.ranges()) {
            cells.take(reader, cell..cell + number);
        }
        let at = Some(self.projection.clock().now());
        baselines.insert(first, Baseline { cells: Arc::new(cells), at, removed, unlinked });
    }

    /// Makes the reader take off what was counted before the row was set back.
    fn set_baseline(&self, reader: &mut Reader, scratch: &mut Scratch, row: Row) -> Shown {
        reader.take_off(None);
        scratch.lists.unlinked = None;
        let mut baselines = self.baselines.lock();
        let Some(baseline) = baselines.get_mut(&row.first_cell()) else { return Shown::Yes };
        // What is taken off may have been read from shards that are newer than what the reader knows of: without them it
        // would be more than the reader finds.
        reader.refresh();
        if baseline.removed {
            if !baseline.cells.has_changed(reader) {
                return Shown::No;
            }
            baseline.removed = false;
        }
        reader.take_off(Some(Arc::clone(&baseline.cells)));
        scratch.lists.unlinked.clone_from(&baseline.unlinked);
        baseline.at.map_or(Shown::Yes, Shown::Since)
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
            .description("Events that a metric saw and could not count: the measurement was missing, or invalid.")
            .labels(["metric", "reason"]);
        visitor.family(&skipped);
        // What is held and has no values can't miss any.
        let has_values = |entry: &&Arc<Entry>| !matches!(entry.metric.family().kind(), Kind::Info | Kind::StateSet);
        for entry in self.0.iter().filter(has_values) {
            for (reason, cell) in [("missing", entry.metric.missing_cell()), ("invalid", entry.metric.rejected_cell())]
            {
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
    visitor.series(&Series { labels: Labels::from_pairs(labels), created: None, sample });
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
