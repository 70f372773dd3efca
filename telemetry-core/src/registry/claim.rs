//! Which names are taken in an exposition, so that no two families get the same.

use std::collections::HashMap;

use crate::family::Family;
use crate::metric::{Fault, MetricError};

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

/// Tells what a family claims.
pub(super) type ClaimPolicy = Box<dyn Fn(&Family) -> Vec<Claim> + Send>;

/// The names that families took so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    // By escaping and name, the family that took it.
    taken: HashMap<(Option<&'static str>, String), String>,
}

impl Claims {
    /// Takes all that `family` claims; what was taken before an error stays taken, so work on a copy.
    pub(super) fn take(&mut self, family: &Family, claims: Vec<Claim>) -> Result<(), MetricError> {
        let mut labels: HashMap<(Option<&'static str>, String), String> = HashMap::new();
        for Claim { exposed, label, escaping } in claims {
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
        self.taken.retain(|_, taker| taker != family.name());
    }
}
