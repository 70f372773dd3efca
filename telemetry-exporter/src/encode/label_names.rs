//! The names of a family's labels, and which names no label of its series may have: the same in every format.

use std::borrow::Cow;

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::Labels;

use crate::name::{Names, Naming};

/// The label of a bucket's upper bound.
pub(super) const LE: &str = "le";
/// The label of a quantile.
pub(super) const QUANTILE: &str = "quantile";
/// What the labels begin with that Prometheus keeps for itself: `__name__`, and others that it takes off unasked.
const KEPT: &str = "__";

/// The names of a family's labels, none of which is refused, and no two of which are the same when they are exposed.
#[derive(Debug)]
pub(super) struct LabelNames {
    // As the family has them.
    given: Vec<Box<str>>,
    /// The label that no series has of its own, since it is that of a bucket, a quantile or a state.
    reserved: Option<Box<str>>,
    naming: Naming,
}

impl LabelNames {
    /// The names of `family`; `None` when two of them become one, or one is refused.
    pub(super) fn new(family: &Family, names: &Names, naming: Naming) -> Option<Self> {
        let reserved = match family.kind() {
            Kind::Distribution => Some(LE),
            Kind::Summary => Some(QUANTILE),
            _ => names.state_label(),
        };
        if reserved.is_some_and(|reserved| reserved.starts_with(KEPT)) {
            return None;
        }
        let given: Vec<Box<str>> = family.label_names().iter().map(|name| (**name).into()).collect();
        let names = Self { given, reserved: reserved.map(Into::into), naming };
        let mut exposed: Vec<_> = names.exposed().collect();
        let is_free = !exposed.iter().any(|name| names.is_refused(name));
        exposed.sort_unstable();
        let are_apart = exposed.is_sorted_by(|one, next| one != next);
        drop(exposed);
        (are_apart && is_free).then_some(names)
    }

    /// The names as they are exposed, in the order of the family.
    pub(super) fn exposed(&self) -> impl ExactSizeIterator<Item = Cow<'_, str>> {
        self.given.iter().map(|name| self.naming.label(name))
    }

    /// How the label of a series is exposed.
    pub(super) fn expose<'a>(&self, name: &'a str) -> Cow<'a, str> {
        self.naming.label(name)
    }

    pub(super) fn reserved(&self) -> Option<&str> {
        self.reserved.as_deref()
    }

    /// Whether no series may have a label that is exposed under this name.
    pub(super) fn is_refused(&self, exposed: &str) -> bool {
        Some(exposed) == self.reserved() || exposed.starts_with(KEPT)
    }

    /// Whether the labels are the family's, in its order.
    #[inline]
    pub(super) fn are_those_of(&self, labels: &Labels<'_>) -> bool {
        labels.is_row() || labels.iter().map(|(name, _)| name).eq(self.given.iter().map(|name| &**name))
    }
}
