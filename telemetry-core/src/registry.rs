//! The registry: every family, and the walk over them.

mod claim;
mod instruments;
mod open;
mod own;
mod probes;
mod renewal;
mod reset;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

use crate::cells::Reader;
use crate::clock::Clock;
use crate::exemplar;
use crate::family::Family;
use crate::instrument::{Instrument, Moment, Scratch};
use crate::metric::{Compiled, Fault, MetricError};
use crate::row::{OVERFLOW, Row, UNCLEAN};
use crate::scrape::{Exemplars, Labels, Sample, Series, Source, Visit};
use crate::series::{Projection, Walk};
use crate::source::Probe;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

pub use claim::Claim;
use claim::Claims;
pub(crate) use instruments::sealed;
pub use instruments::{Handle, Instruments, LabelCountError};
use open::Open;
pub use open::OpenInstruments;
use own::show_own;
use probes::Probes;
pub(crate) use probes::WeakRegistry;
use reset::{Baselines, Shown};

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
        match shown {
            None => Some(self.labels_of_row(row)),
            Some(family) => {
                // SAFETY: as in `labels_of_row`.
                let key = unsafe { row.key() };
                Labels::from_open_row(family.label_names(), key, row.flags() & UNCLEAN == 0)
            }
        }
    }

    /// The labels of a row of a family that is not open, and not that of the overflow series.
    #[inline(always)]
    fn labels_of_row(&self, row: Row) -> Labels<'_> {
        // SAFETY: the walk that gave the row keeps its chunk, and it outlives the visit.
        let key = unsafe { row.key() };
        Labels::from_row(self.projection.labels(), key, row.flags() & UNCLEAN == 0)
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

    /// Adds whole families that are made when they are scraped, by the thread that scrapes. For single figures see
    /// [`Registry::gauge_fn`] and its like, which are guarded, timed, and can be removed.
    pub fn source(&self, source: Arc<dyn Source>) {
        let mut families = self.lock();
        Arc::make_mut(&mut families.sources).push(source);
    }

    /// Enters families, all or none.
    pub(crate) fn enter(&self, entries: Vec<Entry>) -> Result<(), MetricError> {
        let mut families = self.lock();
        let Families { claims, defined, reserved, probes, .. } = &mut *families;
        claims.change(|claims| {
            for (at, entry) in entries.iter().enumerate() {
                let shown = entry.shown();
                let family = shown.as_deref().unwrap_or(entry.metric.family());
                let mut others = entries[..at]
                    .iter()
                    .map(|entry| entry.metric.family().name())
                    .chain(reserved.iter().map(Family::name))
                    .chain(probes.iter().map(|probe| probe.family().name()));
                if defined.contains(family.name()) || others.any(|name| name == family.name()) {
                    return Err(MetricError::new(family.name(), Fault::Repeated));
                }
                claims.take(family)?;
            }
            Ok(())
        })?;
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
        let counter = match instrument {
            Instrument::Counter(counter) if entry.metric.exemplars().is_none() && self.shown.is_none() => Some(counter),
            _ => None,
        };
        for _ in 0..STEP {
            let Some(row) = walk.next() else {
                self.walk = None;
                self.next += 1;
                return true;
            };
            let mut created = entry.projection.created(row);
            // Acquire: pairs with the release in `set_back`.
            let has_baselines = entry.has_baselines.load(Ordering::Acquire);
            if let (Some(counter), false) = (counter, has_baselines || row.flags() & OVERFLOW != 0) {
                // What most series are is put together in one place: what is written in parts, and read as a whole to be
                // put elsewhere, stalls.
                let sample = Sample::Total(counter.read(&mut self.reader, row.first_cell()));
                let (labels, exemplars) = (entry.labels_of_row(row), Exemplars::default());
                visitor.series(&Series { labels, created: Some(created), sample, exemplars });
                continue;
            }
            let Some(labels) = entry.labels(row, self.shown.as_deref()) else { continue };
            if has_baselines {
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
                let exemplars = match entry.metric.exemplars() {
                    Some(kept) => kept.place.read(row.first_cell(), &mut self.exemplars),
                    None => Exemplars::default(),
                };
                visitor.series(&Series { labels, created: Some(created), sample, exemplars });
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
                show_own(&self.entries, visitor);
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
