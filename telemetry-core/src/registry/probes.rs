//! The sources of a registry that are asked, not walked: see [`crate::source`].

use std::sync::{Arc, Weak};

use crate::metric::{Fault, MetricError};
use crate::scrape::Visit;
use crate::source::{Asking, Probe, show_tallies};

use super::{Inner, Registry, claim};

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
        let known = families.entries.iter().map(|entry| entry.metric.family());
        if known.chain(families.probes.iter().map(|probe| probe.family())).any(|known| known.name() == family.name()) {
            return Err(MetricError::new(family.name(), Fault::Repeated));
        }
        if let Some(names) = &families.names {
            let mut taken = families.taken.clone();
            claim(&mut taken, family, names(family))?;
            families.taken = taken;
        }
        Arc::make_mut(&mut families.probes).push(Arc::clone(probe));
        Ok(())
    }

    pub(crate) fn leave_probe(&self, probe: &Arc<Probe>) {
        let mut families = self.lock();
        families.taken.retain(|_, family| family != probe.family().name());
        Arc::make_mut(&mut families.probes).retain(|other| !Arc::ptr_eq(other, probe));
    }
}

/// A walk over sources that are asked.
#[derive(Debug)]
pub(super) struct Probes {
    probes: Arc<Vec<Arc<Probe>>>,
    // `None` for a source that does not answer.
    asked: Vec<Option<Arc<Asking>>>,
    next: usize,
}

impl Probes {
    pub(super) fn new(probes: &Arc<Vec<Arc<Probe>>>) -> Self {
        Self { probes: Arc::clone(probes), asked: Vec::new(), next: 0 }
    }

    pub(super) fn ask(&mut self) {
        self.asked = self.probes.iter().map(Probe::ask).collect();
    }

    /// Shows the next source, and behind the last what became of all; false when there is no more.
    pub(super) fn step(&mut self, visitor: &mut impl Visit) -> bool {
        match self.probes.get(self.next) {
            Some(probe) => {
                visitor.family(probe.family());
                if let Some(asking) = self.asked.get(self.next).and_then(Option::as_ref) {
                    probe.show(asking, visitor);
                }
            }
            None if self.next == self.probes.len() => show_tallies(&self.probes, visitor),
            None => return false,
        }
        self.next += 1;
        true
    }
}
