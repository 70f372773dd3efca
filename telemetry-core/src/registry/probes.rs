//! The sources of a registry that are asked, not walked: see [`crate::source`].

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::metric::{Fault, MetricError};
use crate::scrape::Visit;
use crate::source::{Asking, Probe, show_tallies};

use super::{Inner, Registry, Scrape, Wanted};

/// A registry that does not stay for its sources.
#[derive(Debug)]
pub(crate) struct WeakRegistry(Weak<Inner>);

impl WeakRegistry {
    pub(crate) fn upgrade(&self) -> Option<Registry> {
        self.0.upgrade().map(Registry)
    }
}

impl Registry {
    pub(crate) fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(Arc::downgrade(&self.0))
    }

    pub(crate) fn enter_probe(&self, probe: &Arc<Probe>) -> Result<(), MetricError> {
        let mut families = self.lock();
        let families = &mut *families;
        let family = probe.family();
        let mut others = families.probes.iter().map(|probe| probe.family()).chain(&families.reserved);
        if families.defined.contains(family.name()) || others.any(|other| other.name() == family.name()) {
            return Err(MetricError::new(family.name(), Fault::Repeated));
        }
        families.claims.change(|claims| claims.take(family))?;
        Arc::make_mut(&mut families.probes).push(Arc::clone(probe));
        Ok(())
    }

    pub(crate) fn leave_probe(&self, probe: &Arc<Probe>) {
        let mut families = self.lock();
        families.claims.give_back(probe.family());
        Arc::make_mut(&mut families.probes).retain(|other| !Arc::ptr_eq(other, probe));
    }
}

/// A walk over sources that are asked.
#[derive(Debug)]
pub(super) struct Probes {
    probes: Arc<Vec<Arc<Probe>>>,
    // `None` for a source that does not answer, or is not wanted.
    asked: Vec<Option<Arc<Asking>>>,
    // Until when the walk waits at the most.
    until: Option<Instant>,
    next: usize,
}

impl Probes {
    pub(super) fn new(probes: &Arc<Vec<Arc<Probe>>>) -> Self {
        Self { probes: Arc::clone(probes), asked: Vec::new(), until: None, next: 0 }
    }

    pub(super) fn ask(&mut self, wanted: Option<&Wanted>) {
        let is_wanted = |probe: &Arc<Probe>| wanted.is_none_or(|wanted| wanted(probe.family()));
        self.asked = self.probes.iter().map(|probe| is_wanted(probe).then(|| probe.ask()).flatten()).collect();
    }

    /// The next source, and what it was asked.
    fn next(&self) -> Option<(&Probe, Option<&Asking>)> {
        let probe = self.probes.get(self.next)?;
        Some((probe, self.asked.get(self.next).and_then(Option::as_deref)))
    }

    /// Shows the next source, and behind the last what became of all; false when there is no more.
    pub(super) fn step(&mut self, visitor: &mut impl Visit) -> bool {
        match self.next() {
            Some((probe, asking)) => {
                visitor.family(probe.family());
                if let Some(asking) = asking {
                    probe.show(asking, self.until, visitor);
                }
            }
            None if self.next == self.probes.len() => show_tallies(&self.probes, visitor),
            None => return false,
        }
        self.next += 1;
        true
    }
}

/// To wait for sources without a thread that does nothing else.
impl Scrape {
    /// Waits for no source beyond this; each has its own time-out besides.
    pub fn wait_until(&mut self, until: Instant) {
        self.probes.until = Some(until);
    }

    /// Whether the next step would wait for a source, and after how long to look again at the latest; `waker` is woken when
    /// the source has answered.
    ///
    /// Who steps on nevertheless waits in the step. Whole [`Source`](crate::scrape::Source)s are not waited for like this:
    /// see [`Scrape::take_sources`].
    #[must_use]
    pub fn waits(&self, waker: Option<&Waker>) -> Option<Duration> {
        let behind_others = self.entries.len() + 1 + self.sources.len();
        let (probe, asking) = self.probes.next().filter(|_| self.next == behind_others)?;
        probe.pends(asking?, self.probes.until, waker)
    }
}
