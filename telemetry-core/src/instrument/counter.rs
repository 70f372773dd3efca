//! A counter: one cell.

use crate::cells::{Reader, RowCells};
use crate::scrape::Total;

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
