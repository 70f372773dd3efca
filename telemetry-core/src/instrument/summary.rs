//! A summary: quantiles of a measurement over a sliding window, count and sum since creation.
//!
//! Values are counted in exponential buckets of schema 5, each with a cell for every slot of the window. A quantile is the
//! middle of the bucket that holds it, at most 1.1 % from the value that is asked for: while a series stays within forty
//! doublings, that is; beyond, the resolution halves and the error doubles.

use crate::cells::{Address, Baseline, Reader, RowCells};
use crate::scrape::SummarySample;

use super::exponential::{ChunkTable, upper_bound};
use super::window::{self, Moment, Window};
use super::{Quantity, Scratch, SumCells, UnitOfMetric};

/// The count's cell, the sum's, one of zeroes for each slot, and the words of the chunk table.
#[derive(Debug)]
pub(crate) struct SummaryCells {
    offset: u32,
    unit: UnitOfMetric,
    window: Window,
    quantiles: Vec<f64>,
    sum: SumCells,
    table: ChunkTable,
}

impl SummaryCells {
    pub(crate) fn new(offset: u32, unit: UnitOfMetric, window: Window, quantiles: Vec<f64>) -> Self {
        let sum = SumCells { offset: offset + 1, unit };
        let zeroes = sum.offset + SumCells::CELLS;
        let table = ChunkTable::for_summary(zeroes + window.slots(), window.slots());
        Self { offset, unit, window, quantiles, sum, table }
    }

    const fn zeroes(&self) -> u32 {
        self.sum.offset + SumCells::CELLS
    }

    pub(crate) fn cells(&self) -> u32 {
        1 + SumCells::CELLS + self.window.slots() + self.table.words()
    }

    pub(crate) fn chunk_table(&self) -> &ChunkTable {
        &self.table
    }

    /// Takes the state of the window's slots, to be taken off later.
    pub(crate) fn set_back(&self, reader: &mut Reader, first: u32, moment: &Moment<'_>, baseline: &mut Baseline) {
        let epoch = self.window.epoch(moment);
        self.window.set_back(reader, first + self.zeroes(), epoch, baseline);
        for bucket in self.table.buckets(reader, first) {
            self.window.set_back(reader, bucket, epoch, baseline);
        }
    }

    /// The cells of count and sum.
    pub(crate) fn totals(&self) -> (u32, u32) {
        (self.offset, 1 + SumCells::CELLS)
    }

    #[inline]
    pub(crate) fn record(&self, cells: RowCells<'_>, value: Quantity, moment: &Moment<'_>) -> bool {
        self.record_many(cells, value, 1, moment)
    }

    /// Records a value `n` times; false if their sum is no number.
    #[inline]
    pub(crate) fn record_many(&self, cells: RowCells<'_>, value: Quantity, n: u64, moment: &Moment<'_>) -> bool {
        let all = if n == 1 { value } else { value.times(n, self.unit) };
        if !all.to_f64(self.unit).is_finite() {
            return false;
        }
        let x = value.to_f64(self.unit);
        let bucket = self.table.bucket(cells.first, x).unwrap_or(cells.first + self.zeroes());
        let epoch = self.window.epoch(moment);
        cells.shard.update(Address::of(bucket + self.window.slot(epoch)), |word| window::marked(word, epoch, n));
        cells.add(self.offset, n);
        self.sum.add_any(cells, all);
        true
    }

    pub(crate) fn read<'a>(
        &'a self,
        reader: &mut Reader,
        first: u32,
        moment: &Moment<'_>,
        scratch: &'a mut Scratch,
    ) -> SummarySample<'a> {
        let Scratch { lists, quantiles, .. } = scratch;
        let epoch = self.window.epoch(moment);
        let in_window = |reader: &mut Reader, bucket: u32| self.window.sum(reader, bucket, epoch);
        let zeroes = in_window(reader, first + self.zeroes());
        let schema = self.table.read_slots(reader, first, lists, in_window).schema;
        quantiles.clear();
        quantiles_of(&self.quantiles, schema, &lists.negative, zeroes, &lists.positive, quantiles);
        SummarySample { count: reader.whole(first + self.offset), sum: self.sum.read_float(reader, first), quantiles }
    }
}

/// Reads the quantiles through `hdrhistogram`, which counts in whole numbers: it is given each bucket's place in the
/// order of the buckets, which it keeps exactly, and the place that it answers is looked up again.
#[cfg(feature = "hdrhistogram")]
fn quantiles_of(
    wanted: &[f64],
    schema: i8,
    negative: &[(i32, u64)],
    zeroes: u64,
    positive: &[(i32, u64)],
    quantiles: &mut Vec<(f64, f64)>,
) {
    let below = negative.iter().rev().map(|(index, count)| (-middle(*index, schema), *count));
    let zero = (zeroes > 0).then_some((0.0, zeroes));
    let above = positive.iter().map(|(index, count)| (middle(*index, schema), *count));
    let buckets: Vec<(f64, u64)> = below.chain(zero).chain(above).collect();
    // Five digits keep every place apart up to 200,000; there are never as many buckets.
    let histogram = hdrhistogram::Histogram::<u64>::new_with_bounds(1, (buckets.len() as u64).max(2), 5);
    let Ok(mut histogram) = histogram else { return };
    for (place, (_, count)) in buckets.iter().enumerate() {
        histogram.saturating_record_n(place as u64, *count);
    }
    quantiles.extend(wanted.iter().map(|q| {
        let place = histogram.value_at_quantile(*q) as usize;
        (*q, buckets.get(place).map_or(f64::NAN, |(value, _)| *value))
    }));
}

/// Without `hdrhistogram` a summary has its count and its sum.
#[cfg(not(feature = "hdrhistogram"))]
fn quantiles_of(_: &[f64], _: i8, _: &[(i32, u64)], _: u64, _: &[(i32, u64)], _: &mut Vec<(f64, f64)>) {
    let _ = middle;
}

/// The value whose distance from both bounds of a bucket is the same share of the bound.
fn middle(index: i32, schema: i8) -> f64 {
    let (lower, upper) = (upper_bound(index - 1, schema), upper_bound(index, schema));
    let width = upper / lower;
    // In this order nothing overflows up to the largest float.
    if upper.is_infinite() { lower } else { lower * (2.0 * width / (1.0 + width)) }
}

#[cfg(test)]
mod tests {
    use super::super::exponential::index_of;
    use super::*;

    /// V3: the middle of a bucket lies within it, up to the largest floats.
    #[test]
    fn the_middle_is_within_the_bucket() {
        for schema in -4..=8 {
            for x in [1e-30, 0.7, 1.0, 3.5, 1e9, 2e307, 1.2e308] {
                let index = index_of(x, schema);
                let (lower, upper) = (upper_bound(index - 1, schema), upper_bound(index, schema));
                let middle = middle(index, schema);
                assert!(lower <= middle && middle <= upper, "{x} at schema {schema}: {middle}");
            }
        }
    }
}
