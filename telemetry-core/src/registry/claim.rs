//! Which names are taken in an exposition, so that no two families get the same.

use std::collections::HashMap;

use crate::family::Family;
use crate::metric::{Fault, MetricError};

use super::Registry;

/// A name that a family takes in an exposition, itself or for one of its labels: what an exporter tells
/// [`Registry::exposed_names`](super::Registry::exposed_names).
///
/// Names that are escaped in several ways are claimed once for each: two families that stay apart in one way may meet in
/// another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    exposed: String,
    label: Option<String>,
    escaping: Option<&'static str>,
}

impl Claim {
    /// A name of the family.
    pub fn family(exposed: impl Into<String>) -> Self {
        Self { exposed: exposed.into(), label: None, escaping: None }
    }

    /// The name of the family's label `label`; another family may have the same.
    pub fn label(label: impl Into<String>, exposed: impl Into<String>) -> Self {
        Self { exposed: exposed.into(), label: Some(label.into()), escaping: None }
    }

    /// The name is taken where names are escaped in this way; claims of other ways don't meet it.
    #[must_use]
    pub fn escaping(mut self, escaping: &'static str) -> Self {
        self.escaping = Some(escaping);
        self
    }
}

impl Registry {
    /// Tells the registry under which names a family will be exposed, so that two families that would share one are
    /// an error when the second is defined, not a broken scrape.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if two families of now would share a name, or two labels of one; then the registry stays as it was.
    pub fn exposed_names(&self, policy: impl Fn(&Family) -> Vec<Claim> + Send + 'static) -> Result<(), MetricError> {
        let mut families = self.lock();
        let mut claims = Claims::by(policy);
        claims.change(|claims| {
            for entry in families.entries.iter() {
                let shown = entry.shown();
                claims.take(shown.as_deref().unwrap_or(entry.metric.family()))?;
            }
            let mut others = families.probes.iter().map(|probe| probe.family()).chain(&families.reserved);
            others.try_for_each(|family| claims.take(family))
        })?;
        families.claims = claims;
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
        families.claims.change(|claims| claims.take(&family))?;
        families.reserved.push(family);
        Ok(())
    }
}

/// Tells what a family claims.
type ClaimPolicy = Box<dyn Fn(&Family) -> Vec<Claim> + Send>;

/// By escaping and name, who took it.
type Taken = HashMap<(Option<&'static str>, String), String>;

/// The names that families took so far; none, as long as nobody has said what they claim.
#[derive(Default)]
pub(super) struct Claims {
    policy: Option<ClaimPolicy>,
    taken: Taken,
}

impl Claims {
    /// No names yet, of families that claim what `policy` says.
    pub(super) fn by(policy: impl Fn(&Family) -> Vec<Claim> + Send + 'static) -> Self {
        Self { policy: Some(Box::new(policy)), taken: Taken::new() }
    }

    /// Makes a change, all of it or none.
    pub(super) fn change(
        &mut self,
        change: impl FnOnce(&mut Draft<'_>) -> Result<(), MetricError>,
    ) -> Result<(), MetricError> {
        let mut draft = Draft { policy: self.policy.as_ref(), taken: self.taken.clone() };
        change(&mut draft)?;
        self.taken = draft.taken;
        Ok(())
    }

    /// Gives back what a family took.
    pub(super) fn give_back(&mut self, family: &Family) {
        give_back(&mut self.taken, family);
    }
}

/// The names as they will be if nothing goes wrong.
pub(super) struct Draft<'a> {
    policy: Option<&'a ClaimPolicy>,
    taken: Taken,
}

impl Draft<'_> {
    /// Takes all that `family` claims; of what fails a part may be taken.
    pub(super) fn take(&mut self, family: &Family) -> Result<(), MetricError> {
        let Some(policy) = self.policy else { return Ok(()) };
        let mut labels = Taken::new();
        for Claim { exposed, label, escaping } in policy(family) {
            let key = (escaping, exposed.clone());
            let fault = match label {
                Some(label) => labels.insert(key, label.clone()).map(|first| Fault::LabelCollision {
                    first,
                    second: label,
                    exposed,
                    escaping,
                }),
                None => self
                    .taken
                    .insert(key, family.name().to_owned())
                    .filter(|other| other != family.name())
                    .map(|other| Fault::Collision { other, exposed, escaping }),
            };
            if let Some(fault) = fault {
                return Err(MetricError::new(family.name(), fault));
            }
        }
        Ok(())
    }

    /// Gives back what a family took.
    pub(super) fn give_back(&mut self, family: &Family) {
        give_back(&mut self.taken, family);
    }
}

fn give_back(taken: &mut Taken, family: &Family) {
    taken.retain(|_, taker| taker != family.name());
}
