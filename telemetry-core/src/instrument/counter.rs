//! A counter: one cell.

#[cfg(all(test, loom))]
mod loom_tests;

use crate::cells::{Address, Reader, RowCells, space};
use crate::scrape::Total;
use crate::sync::Ordering;

use super::HistogramCells;

/// A counter that shares its row with a histogram of the same events counts only what the histogram does not: the
/// histogram's buckets are the rest of its total, so counting an event that is recorded costs no write.
#[derive(Debug)]
pub(crate) struct CounterCells {
    pub(crate) offset: u32,
    /// The buckets to add to the cell: offset and number.
    pub(crate) fused: Option<(u32, u32)>,
}

impl CounterCells {
    pub(crate) const CELLS: u32 = 1;

    pub(crate) fn new(offset: u32, fused: Option<&HistogramCells>) -> Self {
        Self { offset, fused: fused.map(HistogramCells::buckets) }
    }

    #[inline]
    pub(crate) fn add(&self, cells: RowCells<'_>, n: u64) {
        cells.add(self.offset, n);
    }

    #[inline]
    pub(crate) fn read(&self, reader: &mut Reader, first: u32) -> Total {
        let own = reader.whole(first + self.offset);
        let fused = self.fused.map_or(0, |(offset, number)| {
            (offset..offset + number).map(|bucket| reader.whole(first + bucket)).fold(0, u64::wrapping_add)
        });
        Total::U64(own.wrapping_add(fused))
    }
}

/// Counts a cell up until its total is `total`; gives what that took, zero if the total is that high already.
///
/// What is added goes to the cell of the first shard, which is shared. Two threads that raise at once must not both add
/// what is missing, so it is added by a compare-and-swap: whoever comes second looks again.
///
/// Model: `loom_tests`.
pub(crate) fn raise(cell: u32, total: u64) -> u64 {
    let at = Address::of(cell);
    let word = space().words().cell(at);
    loop {
        // Acquire: pairs with the release below. Who finds what another raise has added has to see, in the other shards,
        // at least what that one saw there, or the sum would be too low and too much would be added.
        let own = word.load(Ordering::Acquire);
        // Relaxed: the totals are the only facts. What is added meanwhile comes on top, as if it came afterwards.
        let others = space().shards().skip(1).filter_map(|shard| shard.existing(at));
        let seen = others.fold(own, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)));
        let missing = total.saturating_sub(seen);
        // Release: see above; sharers that add to the word in between do so by read-modify-writes, which carry it on.
        if missing == 0
            || word.compare_exchange_weak(own, own.wrapping_add(missing), Ordering::Release, Ordering::Relaxed).is_ok()
        {
            return missing;
        }
    }
}
