//! The methods of requests: those that are known, by name, and `_OTHER` for what a client may invent.

use std::fmt;

use ::http::Method;

use super::active::Pair;
use super::protocol::Scheme;

/// The methods that are known unless a layer is told others, the frequent ones first.
pub(super) const STANDARD: &[&str] =
    &["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "QUERY", "TRACE"];

/// What every other method is called.
const OTHER: &str = "_OTHER";

/// One method: its text, and the count of its requests that are in flight.
pub(super) struct Known {
    name: &'static str,
    // In the order of `Scheme::ALL`.
    active: [Pair; Scheme::ALL.len()],
}

/// The methods that a layer knows.
pub(super) struct Methods {
    names: &'static [&'static str],
    // As many as `names`, in their order.
    known: Vec<Known>,
    other: Known,
}

impl Known {
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn active(&self, scheme: Scheme) -> &Pair {
        &self.active[scheme as usize]
    }
}

impl Methods {
    /// A table of `names`, whose counts `pair` makes.
    pub(super) fn new(names: &'static [&'static str], pair: impl Fn(&'static str, Scheme) -> Pair) -> Self {
        let known = |name| Known { name, active: Scheme::ALL.map(|scheme| pair(name, scheme)) };
        Self { names, known: names.iter().copied().map(known).collect(), other: known(OTHER) }
    }

    pub(super) const fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// The entry of `method`. Names are compared as they are: methods are case-sensitive.
    pub(super) fn find(&self, method: &Method) -> &Known {
        let name = method.as_str();
        self.known.iter().find(|known| known.name == name).unwrap_or(&self.other)
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names).finish()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
