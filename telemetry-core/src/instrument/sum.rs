//! A sum: one cell for whole quantities, which is exact, and one for floats.

use crate::cells::{Reader, RowCells};
use crate::scrape::Total;

use super::{Quantity, UnitOfMetric};

/// The whole part wraps after 2^64 of the smallest unit, 584 years in nanoseconds: to Prometheus that is a reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SumCells {
    pub(crate) offset: u32,
    pub(crate) unit: UnitOfMetric,
}

impl SumCells {
    pub(crate) const CELLS: u32 = 2;

    /// Whether [`Self::add`] adds the value: it does not when that is negative.
    #[inline]
    pub(crate) fn takes(value: Quantity) -> bool {
        match value {
            Quantity::Whole(n) => n >= 0,
            Quantity::Float(x) => x >= 0.0,
        }
    }

    /// Adds; false if the value is negative.
    #[inline]
    pub(crate) fn add(&self, cells: RowCells<'_>, value: Quantity) -> bool {
        let takes = Self::takes(value);
        if takes {
            self.add_any(cells, value);
        }
        takes
    }

    /// Adds, a negative value too, as histograms take them.
    #[inline]
    pub(crate) fn add_any(&self, cells: RowCells<'_>, value: Quantity) {
        match value {
            // Two's complement: the sum of the words is the word of the sum.
            Quantity::Whole(n) => cells.add(self.offset, n as u64),
            Quantity::Float(x) => cells.add_float(self.offset + 1, x),
        }
    }

    #[inline]
    pub(crate) fn read(&self, reader: &mut Reader, first: u32) -> Total {
        let whole = reader.whole(first + self.offset);
        let float = reader.float(first + self.offset + 1);
        if float == 0.0 && self.unit.is_whole() {
            return Total::U64(whole);
        }
        // Nothing negative was added, so the whole part has all its 64 bits.
        Total::F64(self.unit.float_of_unsigned(whole) + float)
    }

    /// The same where negative values were added, too: the whole part is signed.
    #[inline]
    pub(crate) fn read_float(&self, reader: &mut Reader, first: u32) -> f64 {
        let whole = self.unit.float(reader.whole(first + self.offset) as i64);
        whole + reader.float(first + self.offset + 1)
    }
}
