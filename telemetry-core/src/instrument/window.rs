//! Sliding windows: slots of time, each one word of (epoch, count).
//!
//! A slot holds the events of one stretch of time. Its word names the stretch, so a stale slot is replaced in one store,
//! and a reader leaves out slots that lie outside of the window: a quiet series reads zero without anybody resetting it.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::cells::{Baseline, Reader};
use crate::clock::{self, Clock};

const COUNT_BITS: u32 = 36;
/// The most that one slot of one thread holds; it stays there.
const MOST: u64 = (1 << COUNT_BITS) - 1;
const EPOCHS: u64 = 1 << (64 - COUNT_BITS);
/// By how many epochs a slot is taken to be newer than an event: so late is who was interrupted between the look at the
/// clock and the store. A slot that seems newer by more was last marked nearly all epochs ago.
const LATE: u64 = 1 << 16;

/// The length of a sliding window, and of the slots that it is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    slot_nanos: u64,
    slots: u32,
}

/// Why a window can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowError;

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a window has 1 to 3600 slots of at least a millisecond each; make it longer, or its slots fewer")
    }
}

impl std::error::Error for WindowError {}

impl Window {
    /// A window in slots of equal length.
    ///
    /// # Errors
    ///
    /// [`WindowError`] unless there are 1 to 3600 slots of at least a millisecond each.
    pub fn new(length: Duration, slots: u32) -> Result<Self, WindowError> {
        let nanos = clock::nanos(length);
        let slot_nanos = nanos.checked_div(u64::from(slots)).ok_or(WindowError)?;
        if slots > 3600 || slot_nanos < 1_000_000 {
            return Err(WindowError);
        }
        Ok(Self { slot_nanos, slots })
    }

    /// 60 seconds in slots of one.
    pub(crate) const MINUTE: Self = Self { slot_nanos: 1_000_000_000, slots: 60 };
    /// 60 seconds in six slots: what a summary keeps for each bucket.
    pub(crate) const MINUTE_IN_SIX: Self = Self { slot_nanos: 10_000_000_000, slots: 6 };

    /// How long the window is.
    #[must_use]
    pub fn length(self) -> Duration {
        Duration::from_nanos(self.slot_nanos * u64::from(self.slots))
    }

    pub(crate) const fn slots(self) -> u32 {
        self.slots
    }

    /// Which stretch of time it is. The first is that of a whole window, so that every slot has an epoch before it, and
    /// none is zero, which a fresh cell has.
    #[inline]
    pub(crate) fn epoch(self, moment: &Moment<'_>) -> u64 {
        moment.nanos() / self.slot_nanos + u64::from(self.slots)
    }

    /// The slot of an epoch.
    #[inline]
    pub(crate) fn slot(self, epoch: u64) -> u32 {
        (epoch % u64::from(self.slots)) as u32
    }

    /// The newest epoch that a slot can hold at an epoch.
    #[inline]
    pub(crate) fn newest(self, slot: u32, epoch: u64) -> u64 {
        let slots = u64::from(self.slots);
        epoch - (epoch + slots - u64::from(slot)) % slots
    }

    /// The sum over the window of slots that begin at a cell.
    #[inline]
    pub(crate) fn sum(self, reader: &mut Reader, first: u32, epoch: u64) -> u64 {
        (0..self.slots)
            .map(|slot| reader.slot(first + slot, self.newest(slot, epoch), |word| self.count(word, epoch)))
            .sum()
    }

    /// Takes the state of slots that begin at a cell, to be taken off later.
    pub(crate) fn set_back(self, reader: &mut Reader, first: u32, epoch: u64, baseline: &mut Baseline) {
        for slot in 0..self.slots {
            let count = reader.fold(first + slot, 0, |sum, word| sum + self.count(word, epoch));
            baseline.take_slot(first + slot, self.newest(slot, epoch), count);
        }
    }

    /// The count of a slot's word at an epoch; zero if the slot lies outside of the window.
    #[inline]
    pub(crate) fn count(self, word: u64, epoch: u64) -> u64 {
        let age = (epoch % EPOCHS).wrapping_sub(word >> COUNT_BITS) % EPOCHS;
        if word >> COUNT_BITS != 0 && age < u64::from(self.slots) { word & MOST } else { 0 }
    }
}

/// A slot's word with `n` more at an epoch.
#[inline]
pub(crate) fn marked(word: u64, epoch: u64, n: u64) -> u64 {
    // Epochs are kept modulo 2^28: after 8 years without an event, or 3 days where a slot is a millisecond, a slot is
    // mistaken for a fresh one for the length of the window, and for a newer one during the `LATE` epochs before.
    let epoch = epoch % EPOCHS;
    let stored = word >> COUNT_BITS;
    if stored == epoch {
        epoch << COUNT_BITS | ((word & MOST) + n.min(MOST)).min(MOST)
    } else if stored != 0 && stored.wrapping_sub(epoch) % EPOCHS < LATE {
        // The slot is newer than this event, which therefore lies outside of the window.
        word
    } else {
        epoch << COUNT_BITS | n.min(MOST)
    }
}

/// The time of one event, read from the clock if anybody asks.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    clock: &'a Clock,
    nanos: Cell<Option<u64>>,
}

impl<'a> Moment<'a> {
    #[inline]
    pub(crate) const fn new(clock: &'a Clock) -> Self {
        Self { clock, nanos: Cell::new(None) }
    }

    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos.get().unwrap_or_else(|| {
            let nanos = self.clock.elapsed_nanos();
            self.nanos.set(Some(nanos));
            nanos
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_counts_within_its_epoch_and_starts_again_after() {
        let window = Window::MINUTE;
        let word = marked(marked(0, 7, 2), 7, 3);
        assert_eq!(window.count(word, 7), 5);
        assert_eq!(window.count(word, 66), 5);
        assert_eq!(window.count(word, 67), 0);
        assert_eq!(window.count(marked(word, 67, 1), 67), 1);
        assert_eq!(window.count(0, 7), 0);
    }

    /// No writer resets another's slot: an event that comes too late is outside of the window.
    #[test]
    fn a_late_event_leaves_a_newer_slot_alone() {
        let word = marked(0, 67, 4);
        assert_eq!(marked(word, 7, 1), word);
    }

    /// A slot may rest for nearly all epochs that there are, and counts the next event.
    #[test]
    fn an_event_after_a_long_rest_is_counted() {
        for rest in [60, LATE, EPOCHS / 2, EPOCHS / 2 + 1, EPOCHS - LATE] {
            let word = marked(0, 60, 4);
            assert_eq!(Window::MINUTE.count(marked(word, 60 + rest, 1), 60 + rest), 1, "{rest}");
        }
    }

    #[test]
    fn the_newest_epoch_of_a_slot_is_the_last_that_falls_into_it() {
        let window = Window::MINUTE;
        for epoch in 60..200 {
            for slot in 0..60 {
                let newest = window.newest(slot, epoch);
                assert!(newest <= epoch && epoch - newest < 60 && window.slot(newest) == slot);
            }
        }
    }

    #[test]
    fn a_slot_saturates() {
        let word = marked(marked(0, 1, u64::MAX), 1, u64::MAX);
        assert_eq!(Window::MINUTE.count(word, 1), MOST);
    }

    #[test]
    fn windows_need_slots_that_time_can_tell_apart() {
        assert!(Window::new(Duration::from_secs(1), 0).is_err());
        assert!(Window::new(Duration::from_secs(1), 3601).is_err());
        assert!(Window::new(Duration::from_micros(10), 1).is_err());
        assert_eq!(Window::new(Duration::from_secs(60), 60).unwrap(), Window::MINUTE);
    }
}
