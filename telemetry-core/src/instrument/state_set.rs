//! A state set: which of some named states hold, in one word for all threads.

use std::fmt;
use std::sync::Arc;

use crate::cells::{Address, Reader, space};
use crate::family::Kind;
use crate::registry::{Handle, sealed};
use crate::scrape::States;
use crate::sync::Ordering;
use crate::value::{TagValue, TextBuffer};

use super::{Instrument, Kept};

/// How many states a set may have.
pub(crate) const MOST_STATES: usize = 63;

/// Says that the series is shown; the bits below it say which states hold.
const SHOWN: u64 = 1 << MOST_STATES;

/// One bit for each state, all in one word, so that a scrape never sees a change from one state to another half done.
#[derive(Debug)]
pub(crate) struct StateCells {
    pub(crate) offset: u32,
    // Invariant: at most `MOST_STATES`.
    pub(crate) states: Arc<[Arc<str>]>,
}

impl StateCells {
    pub(crate) const CELLS: u32 = 1;

    fn change(&self, first: u32, change: impl Fn(u64) -> u64) {
        let word = space().words().cell(Address::of(first + self.offset));
        // Relaxed: which states hold is the only fact. The word is everybody's, so changing some bits of it takes a
        // compare-and-swap.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(change(word) | SHOWN));
    }

    pub(crate) fn read(&self, reader: &Reader, first: u32) -> Option<States<'_>> {
        let word = reader.word(first + self.offset);
        (word & SHOWN != 0).then(|| States::from_bits(&self.states, word & !SHOWN))
    }

    /// Makes no state hold, or hides the series.
    pub(crate) fn set_back(&self, first: u32, removed: bool) {
        let word = space().words().cell(Address::of(first + self.offset));
        // Relaxed: as in `change`.
        word.store(if removed { 0 } else { SHOWN }, Ordering::Relaxed);
    }
}

/// Shows which of some named states hold, such as the phase that a pool or a connection is in.
///
/// The states are known from the definition, and each of them is a series, 1 or 0. States are named by texts, or by the
/// variants of an enum that derives [`TagValue`](derive@crate::TagValue).
///
/// ```
/// use telemetry_core::instrument::StateSet;
/// use telemetry_core::metric::state_set_of;
/// use telemetry_core::{Registry, TagValue};
///
/// #[derive(TagValue)]
/// enum Phase {
///     Open,
///     Draining,
///     Closed,
/// }
///
/// let registry = Registry::new();
/// let phases = registry.register::<StateSet>(state_set_of::<Phase>("pool.phase").tags(["pool"]))?;
/// let orders = phases.with(["orders"])?;
/// orders.set_only(Phase::Draining)?;
/// // In the text format, one line for each state:
/// // pool_phase{pool="orders",pool_phase="open"} 0
/// // pool_phase{pool="orders",pool_phase="draining"} 1
/// // pool_phase{pool="orders",pool_phase="closed"} 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cloning gives another handle to the same series.
#[derive(Clone, Debug)]
pub struct StateSet {
    kept: Arc<Kept>,
}

impl sealed::Sealed for StateSet {}

impl Handle for StateSet {
    const KIND: Kind = Kind::StateSet;

    fn from_kept(kept: sealed::Kept) -> Self {
        let set = Self { kept: kept.0 };
        if let Some(cells) = set.cells() {
            cells.change(set.first(), |word| word);
        }
        set
    }
}

impl StateSet {
    /// Makes one state hold and all others not, at once: for states that exclude each other.
    ///
    /// # Errors
    ///
    /// [`UnknownState`] if the definition has no such state; nothing is changed then.
    pub fn set_only(&self, state: impl TagValue) -> Result<(), UnknownState> {
        let (cells, bit) = self.bit(&state)?;
        cells.change(self.first(), |_| bit);
        Ok(())
    }

    /// Makes one state hold or not, and leaves the others as they are.
    ///
    /// # Errors
    ///
    /// [`UnknownState`] if the definition has no such state; nothing is changed then.
    pub fn set(&self, state: impl TagValue, holds: bool) -> Result<(), UnknownState> {
        let (cells, bit) = self.bit(&state)?;
        cells.change(self.first(), |word| if holds { word | bit } else { word & !bit });
        Ok(())
    }

    fn cells(&self) -> Option<&StateCells> {
        match self.kept.metric.instrument() {
            Instrument::StateSet(cells) => Some(cells),
            _ => None,
        }
    }

    fn first(&self) -> u32 {
        self.kept.held.first_cell()
    }

    fn bit(&self, state: &impl TagValue) -> Result<(&StateCells, u64), UnknownState> {
        let (value, mut buffer) = (state.value(), TextBuffer::new());
        let text = value.text(&mut buffer);
        let place = self.cells().and_then(|cells| {
            let at = cells.states.iter().position(|known| **known == *text)?;
            Some((cells, 1 << at))
        });
        place.ok_or_else(|| UnknownState {
            metric: self.kept.metric.family().name().to_owned(),
            state: text.to_owned(),
            known: self.cells().map(|cells| Arc::clone(&cells.states)).unwrap_or_default(),
        })
    }
}

/// A state set was asked for a state that its definition does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownState {
    metric: String,
    state: String,
    known: Arc<[Arc<str>]>,
}

impl fmt::Display for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, state, known } = self;
        write!(f, "the state set {metric:?} has no state {state:?}; it has {}", known.join(", "))
    }
}

impl std::error::Error for UnknownState {}
