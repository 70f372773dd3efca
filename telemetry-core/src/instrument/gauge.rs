//! A gauge: one word for all threads, the last value written.

use crate::cells::{Address, Reader, space};
use crate::sync::{AtomicU64, Ordering};

use super::{Quantity, UnitOfMetric};

/// The word holds the complement of the float's bits, so that zero, which no finite value has, says "never set".
#[derive(Debug)]
pub(crate) struct GaugeCells {
    pub(crate) offset: u32,
    pub(crate) unit: UnitOfMetric,
}

impl GaugeCells {
    pub(crate) const CELLS: u32 = 1;

    #[inline]
    pub(crate) fn set(&self, first: u32, value: Quantity) -> bool {
        self.set_float(first, value.to_f64(self.unit));
        true
    }

    #[inline]
    pub(crate) fn set_float(&self, first: u32, value: f64) {
        set(space().words().cell(Address::of(first + self.offset)), value);
    }

    /// Adds to the value, which is zero if it was never set.
    #[inline]
    pub(crate) fn add_float(&self, first: u32, x: f64) {
        let word = space().words().cell(Address::of(first + self.offset));
        // Relaxed: as in `set_float`. A gauge is one word for all threads, so adding to it takes a compare-and-swap.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            Some(!(value(word).unwrap_or(0.0) + x).to_bits())
        });
    }

    /// Makes the gauge show zero from the start.
    pub(crate) fn initialize(&self, first: u32) {
        let word = space().words().cell(Address::of(first + self.offset));
        // Relaxed: as in `set_float`; a value that is there already stays.
        let _ = word.compare_exchange(0, !0.0_f64.to_bits(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Sets the word to zero, or to "never set".
    pub(crate) fn set_back(&self, first: u32, removed: bool) {
        if removed {
            // Relaxed: as in `set_float`.
            space().words().cell(Address::of(first + self.offset)).store(0, Ordering::Relaxed);
        } else {
            self.set_float(first, 0.0);
        }
    }

    #[inline]
    pub(crate) fn read(&self, reader: &Reader, first: u32) -> Option<f64> {
        value(reader.word(first + self.offset))
    }
}

/// Sets the gauge that has this word.
#[inline]
pub(crate) fn set(word: &AtomicU64, value: f64) {
    // Relaxed: the newest value is the only fact.
    word.store(!value.to_bits(), Ordering::Relaxed);
}

#[inline]
fn value(word: u64) -> Option<f64> {
    (word != 0).then(|| f64::from_bits(!word))
}
