//! The exemplars of one metric: slots beside the cells of its series.
//!
//! A row has one word for them, in the shard that holds the words of gauges: the address of the series' slots, which come
//! with its first exemplar. Each slot comes with the first exemplar of its bucket, since most buckets never have one.
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;

use std::ptr;
use std::time::Duration;

use crate::cells::{self, Address, Shard};
use crate::clock::Clock;
use crate::scrape::{Exemplars, Stored};
use crate::sync::{AtomicPtr, AtomicU64, Ordering};

use super::slot::{Content, Slot};
use super::{Drawn, MOST_CHARACTERS, MOST_LABELS, Sampler};

/// What names and values take that are ASCII, each behind its length: so most slots never grow.
const TEXT: usize = MOST_CHARACTERS + 2 * MOST_LABELS;
/// What any names and values take.
const LONGEST: usize = 4 * MOST_CHARACTERS + 5 * 2 * MOST_LABELS;

/// Which word of a row leads to its exemplars, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u32,
    pub(crate) slots: u32,
}

/// The exemplars of a metric that has them.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) place: Place,
    pub(crate) sampler: Sampler,
    /// A cell that counts exemplars that could not be taken.
    pub(crate) refused: u32,
}

impl Kept {
    /// Counts an exemplar that can't be taken.
    #[cold]
    pub(crate) fn refuse(&self, shard: &Shard) {
        shard.add(Address::of(self.refused), 1);
    }

    /// Takes an exemplar of what code recorded with a handle, if one is due. The handle keeps the row.
    pub(crate) fn take(&self, shard: &Shard, clock: &Clock, first: u32, slot: u32, value: f64) {
        let now = clock.coarse_nanos();
        if !self.place.is_due(first, slot, now) {
            return;
        }
        match self.sampler.draw(None) {
            Drawn::Nothing => {}
            Drawn::Labels(labels) => {
                let content = Content { value, millis: clock.millis_of_day(), text: labels.bytes() };
                self.place.write(first, slot, content, now, self.sampler.interval_nanos());
            }
            Drawn::Refused => self.refuse(shard),
        }
    }
}

/// The slots of one series.
struct Series(Box<[AtomicPtr<Slot>]>);

impl Drop for Series {
    fn drop(&mut self) {
        for slot in &self.0 {
            // Relaxed: `&mut self` proves that nobody else is here.
            let mut next = slot.load(Ordering::Relaxed);
            while !next.is_null() {
                // SAFETY: `Place::grow` made each slot of this list from a box, and put it there once.
                let slot = unsafe { Box::from_raw(next) };
                next = slot.smaller;
            }
        }
    }
}

// Invariant: the word is zero, or the address of a `Series` from a box, which lives until `free`. Each of its slots is
// null, or from a box, and lives as long as the series, also when a larger one replaced it.
//
// So whoever calls has to keep the row from being given back: by a section, a handle, or a walk.
impl Place {
    #[inline]
    fn word(&self, first: u32) -> &'static AtomicU64 {
        cells::space().words().cell(Address::of(first + self.offset))
    }

    #[inline]
    fn series<'a>(&self, first: u32) -> Option<&'a Series> {
        // Acquire: pairs with the release in `grow`, so that the slots are seen as null, or what came after.
        let address = self.word(first).load(Ordering::Acquire);
        // SAFETY: by the invariant.
        (address != 0).then(|| unsafe { &*ptr::with_exposed_provenance::<Series>(address as usize) })
    }

    #[inline]
    fn slot<'a>(series: &Series, at: u32) -> Option<&'a Slot> {
        // Acquire: pairs with the release in `grow`, so that the slot's words are seen as they were made.
        let slot = series.0[at as usize].load(Ordering::Acquire);
        // SAFETY: by the invariant.
        (!slot.is_null()).then(|| unsafe { &*slot })
    }

    /// Whether the series wants an exemplar in this slot.
    #[inline]
    pub(crate) fn is_due(&self, first: u32, at: u32, now: u64) -> bool {
        self.series(first).and_then(|series| Self::slot(series, at)).is_none_or(|slot| slot.is_due(now))
    }

    /// Puts an exemplar into a slot, unless another thread is faster; the next is due `interval` later.
    pub(crate) fn write(&self, first: u32, at: u32, content: Content<'_>, now: u64, interval: u64) {
        let series = self.series(first).unwrap_or_else(|| self.begin(first));
        let slot = Self::slot(series, at).filter(|slot| slot.has_room_for(content.text.len()));
        if let Some(slot) = slot.or_else(|| Self::grow(series, at, content.text.len(), now)) {
            slot.write(content, now, interval);
        }
    }

    /// Makes the slots of a series, all of them empty.
    #[cold]
    fn begin<'a>(&self, first: u32) -> &'a Series {
        let fresh = Box::new(Series((0..self.slots).map(|_| AtomicPtr::new(ptr::null_mut())).collect()));
        let fresh = Box::into_raw(fresh);
        let address = fresh.expose_provenance() as u64;
        // Release: publishes the empty slots to `series`. Acquire: those of another thread that was faster.
        match self.word(first).compare_exchange(0, address, Ordering::Release, Ordering::Acquire) {
            // SAFETY: by the invariant, which it is part of from now on.
            Ok(_) => unsafe { &*fresh },
            Err(theirs) => {
                // SAFETY: ours came from a box just now, and nobody has seen it; theirs is there, by the invariant.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*ptr::with_exposed_provenance::<Series>(theirs as usize)
                }
            }
        }
    }

    /// Makes a slot with room for a text, in the place of a smaller one if there is one; `None` if another thread was
    /// faster, whose exemplar is as good, or if none is due.
    #[cold]
    fn grow<'a>(series: &Series, at: u32, text: usize, now: u64) -> Option<&'a Slot> {
        let slot = &series.0[at as usize];
        // Acquire: as in `slot`.
        let smaller = slot.load(Ordering::Acquire);
        // SAFETY: by the invariant.
        if !smaller.is_null() && !unsafe { &*smaller }.is_due(now) {
            return None;
        }
        let mut fresh = Box::new(Slot::new(if text <= TEXT { TEXT } else { LONGEST }));
        fresh.smaller = smaller;
        let fresh = Box::into_raw(fresh);
        // Release: publishes the slot to `slot`. Relaxed: another's slot is not looked at here.
        match slot.compare_exchange(smaller, fresh, Ordering::Release, Ordering::Relaxed) {
            // SAFETY: by the invariant, which it is part of from now on.
            Ok(_) => Some(unsafe { &*fresh }),
            Err(_) => {
                // SAFETY: it came from a box just now, and nobody has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                None
            }
        }
    }

    /// Reads the exemplars of a series, in the order of its slots.
    pub(crate) fn read<'a>(&self, first: u32, scratch: &'a mut Scratch) -> Exemplars<'a> {
        let Scratch { text, stored } = scratch;
        text.clear();
        stored.clear();
        if let Some(series) = self.series(first) {
            for slot in (0..self.slots).filter_map(|at| Self::slot(series, at)) {
                let start = text.len();
                if let Some((value, millis)) = slot.read(text) {
                    stored.push(Stored { value, timestamp: Duration::from_millis(millis), labels: start..text.len() });
                }
            }
        }
        Exemplars::from_stored(text, stored)
    }

    /// Takes the exemplars of a series away.
    pub(crate) fn clear(&self, first: u32) {
        if let Some(series) = self.series(first) {
            (0..self.slots).filter_map(|at| Self::slot(series, at)).for_each(Slot::clear);
        }
    }

    /// Gives back the memory of a row that nobody writes to, or reads, any more.
    pub(crate) fn free(&self, first: u32) {
        // Acquire: as in `series`. The word is zeroed with the row's other cells.
        let address = self.word(first).swap(0, Ordering::Acquire);
        if address != 0 {
            // SAFETY: by the invariant it came from a box, and by the caller's promise nobody is in it.
            drop(unsafe { Box::from_raw(ptr::with_exposed_provenance_mut::<Series>(address as usize)) });
        }
    }
}

/// Room for the exemplars of one series, kept from series to series.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: Vec<u8>,
    stored: Vec<Stored>,
}
