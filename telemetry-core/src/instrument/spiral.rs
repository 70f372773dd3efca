//! A spiral: a count since creation, and one over a sliding window.

use crate::cells::{Reader, RowCells};
use crate::scrape::SpiralSample;

use super::window::{self, Moment, Window};
use super::{Quantity, UnitOfMetric, counter};

/// The count's cell, then one for each slot of the window.
#[derive(Debug)]
pub(crate) struct SpiralCells {
    pub(crate) offset: u32,
    pub(crate) window: Window,
    pub(crate) unit: UnitOfMetric,
}

impl SpiralCells {
    pub(crate) const fn cells(window: Window) -> u32 {
        1 + window.slots()
    }

    /// Marks a whole number of the metric's unit; false for anything else.
    #[inline]
    pub(crate) fn mark(&self, cells: RowCells<'_>, value: Quantity, moment: &Moment<'_>) -> bool {
        let Some(n) = self.whole(value) else { return false };
        cells.add(self.offset, n);
        let epoch = self.window.epoch(moment);
        cells.update(self.offset + 1 + self.window.slot(epoch), |word| window::marked(word, epoch, n));
        true
    }

    /// Marks what is missing to a count.
    pub(crate) fn raise(&self, cells: RowCells<'_>, count: u64, moment: &Moment<'_>) {
        let missing = counter::raise(cells.first + self.offset, count);
        let epoch = self.window.epoch(moment);
        cells.update(self.offset + 1 + self.window.slot(epoch), |word| window::marked(word, epoch, missing));
    }

    /// What [`Self::mark`] makes of the value; `None` if it is refused.
    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
    pub(crate) fn whole(&self, value: Quantity) -> Option<u64> {
        match value {
            Quantity::Whole(n) if self.unit.is_whole() => u64::try_from(n).ok(),
            _ => {
                let x = value.to_f64(self.unit);
                // Whole, not negative, and below 2^64.
                (x >= 0.0 && x < u64::MAX as f64 && x.fract() == 0.0).then_some(x as u64)
            }
        }
    }

    pub(crate) fn read(&self, reader: &mut Reader, first: u32, moment: &Moment<'_>) -> SpiralSample {
        let count = first + self.offset;
        let epoch = self.window.epoch(moment);
        let one = self.window.sum(reader, count + 1, epoch);
        SpiralSample { count: reader.whole(count), one }
    }
}
