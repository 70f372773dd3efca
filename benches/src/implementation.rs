//! What can be measured: ours, a peer, or a limit of the machine.

use crate::case::{Setup, StoreSetup};
use crate::tags::Tags;

/// What an implementation is to be compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Ours,
    /// Another library, used as its documentation tells.
    Peer,
    /// The user keeps the handles of all series himself.
    Held,
    /// Each thread has counters of its own, which it flushes by hand.
    Unsync,
    /// What the machine needs for a part of the work.
    Limit,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Peer, Self::Held, Self::Unsync, Self::Limit];

    /// Its name in tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
            Self::Held => "held",
            Self::Unsync => "unsync",
            Self::Limit => "limit",
        }
    }
}

/// One way to do the things that cases are about: a method for each.
///
/// A method that is left out is a thing that the implementation does not do. Each case runs in a process of its own, so a
/// method may install something global.
#[allow(missing_docs, clippy::missing_errors_doc)] // Each method is the case of its name: see `cases`.
pub trait Implementation: Send + Sync {
    /// Its name in tables and files.
    fn name(&self) -> &'static str;

    /// What it is to be compared as.
    fn kind(&self) -> Kind;

    /// How it is used, in one line.
    fn about(&self) -> &'static str;

    /// Whether it keeps its series in something of the whole process, which can't be made anew.
    fn is_global(&self) -> bool {
        false
    }

    fn emit_disabled(&self) -> Setup {
        Ok(None)
    }

    fn emit_disabled_two_tags(&self, _tags: &'static Tags) -> Setup {
        Ok(None)
    }

    fn counter_held(&self) -> Setup {
        Ok(None)
    }

    /// A counter with the tags `route` and `status`.
    fn counter_two_tags(&self, _tags: &'static Tags) -> Setup {
        Ok(None)
    }

    fn counter_enum_tags(&self) -> Setup {
        Ok(None)
    }

    fn histogram_held(&self) -> Setup {
        Ok(None)
    }

    fn histogram_two_tags(&self, _tags: &'static Tags) -> Setup {
        Ok(None)
    }

    fn counter_and_histogram_two_tags(&self, _tags: &'static Tags) -> Setup {
        Ok(None)
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        Ok(None)
    }

    fn gauge_set(&self) -> Setup {
        Ok(None)
    }

    fn spiral_mark(&self) -> Setup {
        Ok(None)
    }

    fn emit_to_lane(&self, _tags: &'static Tags) -> Setup {
        Ok(None)
    }

    /// Times a body that does nothing into a histogram with two tags.
    fn span(&self, _tags: &'static Tags) -> Setup {
        Ok(None)
    }

    /// A counter with the labels `ThreeLabels::NAMES`, for as many series as are told.
    fn counter_series(&self, _series: usize) -> StoreSetup {
        Ok(None)
    }

    /// A histogram with the labels `ThreeLabels::NAMES`, for as many series as are told.
    fn histogram_series(&self, _series: usize) -> StoreSetup {
        Ok(None)
    }

    /// The counter for what is only scraped.
    fn scraped_counter_series(&self, series: usize) -> StoreSetup {
        self.counter_series(series)
    }

    /// The histogram for what is only scraped.
    fn scraped_histogram_series(&self, series: usize) -> StoreSetup {
        self.histogram_series(series)
    }
}
