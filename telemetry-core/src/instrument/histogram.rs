//! A histogram: a cell for each explicit bucket, a sum, and beside or instead of the explicit buckets exponential ones.
//!
//! The count is never kept: it is the sum of the buckets, so it can't disagree with them. Where both kinds are kept it is
//! that of the exponential ones for who reads those, and of the explicit ones for who reads these; a value is added to the
//! former first, and they are read last, so the explicit buckets are never ahead.
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::cells::{Address, Reader, RowCells};
use crate::scrape::{ExponentialSample, HistogramSample};
use crate::sync::{Ordering, fence};

use crate::value::Number;

use super::exponential::ChunkTable;
use super::quantity::small_nanos;
use super::{Exponential, Quantity, Scale, Scratch, SumCells, UnitOfMetric};

/// The most explicit bounds.
const MOST_BOUNDS: usize = 500;
/// How many exemplars a series without explicit buckets keeps.
const SLOTS_OF_EXPONENTIAL: u32 = 8;

/// The inclusive upper bounds of a histogram's buckets; the one up to infinity is always there.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets(Vec<f64>);

/// Why bounds can't be those of buckets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BucketsError {
    /// There is no bound.
    Empty,
    /// There are more than 500.
    TooMany(usize),
    /// A bound is not a finite number; infinity is always there and need not be given.
    NotFinite(f64),
    /// A bound is not above the one before it.
    NotAscending(f64, f64),
}

impl fmt::Display for BucketsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("buckets need at least one bound"),
            Self::TooMany(number) => write!(f, "{number} bounds are more than {MOST_BOUNDS}"),
            Self::NotFinite(bound) => {
                write!(f, "the bound {bound} is not finite; leave infinity out, its bucket is always there")
            }
            Self::NotAscending(before, bound) => {
                write!(
                    f,
                    "the bound {bound} does not lie above {before}; give the bounds in ascending order, each once"
                )
            }
        }
    }
}

impl std::error::Error for BucketsError {}

impl Buckets {
    /// Buckets with these bounds.
    ///
    /// # Errors
    ///
    /// [`BucketsError`] unless there are 1 to 500 finite bounds in ascending order.
    ///
    /// ```
    /// use telemetry_core::instrument::Buckets;
    ///
    /// assert!(Buckets::new([0.1, 1.0, 10.0]).is_ok());
    /// assert!(Buckets::new([1.0, 0.1]).is_err());
    /// ```
    pub fn new(bounds: impl IntoIterator<Item = f64>) -> Result<Self, BucketsError> {
        // Minus zero has the same bucket as zero, and one text less.
        let bounds: Vec<f64> = bounds.into_iter().map(|bound| bound + 0.0).collect();
        match bounds.len() {
            0 => return Err(BucketsError::Empty),
            1..=MOST_BOUNDS => {}
            number => return Err(BucketsError::TooMany(number)),
        }
        if let Some(bound) = bounds.iter().find(|bound| !bound.is_finite()) {
            return Err(BucketsError::NotFinite(*bound));
        }
        match bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(BucketsError::NotAscending(pair[0], pair[1])),
            None => Ok(Self(bounds)),
        }
    }

    /// `count` bounds from `start`, each `width` above the one before.
    ///
    /// # Errors
    ///
    /// [`BucketsError`], as for [`Buckets::new`].
    pub fn linear(start: f64, width: f64, count: u16) -> Result<Self, BucketsError> {
        Self::new((0..count).map(|step| f64::from(step).mul_add(width, start)))
    }

    /// `count` bounds from `start`, each `factor` times the one before.
    ///
    /// # Errors
    ///
    /// [`BucketsError`], as for [`Buckets::new`].
    pub fn exponential(start: f64, factor: f64, count: u16) -> Result<Self, BucketsError> {
        Self::new((0..count).map(|step| start * factor.powi(i32::from(step))))
    }

    /// Prometheus' defaults for latencies in seconds: 5 ms to 10 s.
    #[must_use]
    pub fn latency() -> Self {
        Self(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
    }

    /// The bounds, ascending.
    #[must_use]
    pub fn bounds(&self) -> &[f64] {
        &self.0
    }
}

/// The explicit buckets' cells, the sum's, then the exponential buckets' if they are kept.
#[derive(Debug)]
pub(crate) struct HistogramCells {
    offset: u32,
    unit: UnitOfMetric,
    bounds: Vec<f64>,
    quick: Quick,
    sum: SumCells,
    exponential: Option<ExponentialCells>,
}

/// What is needed to record a measurement that is taken as it is, in explicit buckets alone: in one place, for the path that
/// most events take.
#[derive(Clone, Debug)]
pub(crate) struct Quick {
    offset: u32,
    sum: SumCells,
    // False where there are exponential buckets.
    takes_durations: bool,
    takes_floats: bool,
    takes_wholes: bool,
    floats: Ladder,
    wholes: WholeLadder,
}

impl Quick {
    /// Records the measurement; false, and nothing was done, if it has to be converted, or can't be taken.
    #[inline(always)]
    pub(crate) fn record(&self, cells: RowCells<'_>, number: Number) -> bool {
        match number {
            Number::F64(x) if self.takes_floats && x.is_finite() => {
                cells.add(self.offset + self.floats.below(x), 1);
                self.sum.add_any(cells, Quantity::Float(x));
            }
            Number::Duration(duration) if self.takes_durations => match small_nanos(duration) {
                Some(nanos) => self.record_whole(cells, nanos),
                None => return false,
            },
            Number::U64(n) if self.takes_wholes => match i64::try_from(n) {
                Ok(n) => self.record_whole(cells, n),
                Err(_) => return false,
            },
            _ => return false,
        }
        true
    }

    #[inline(always)]
    fn record_whole(&self, cells: RowCells<'_>, n: i64) {
        cells.add(self.offset + self.wholes.below(n), 1);
        self.sum.add_any(cells, Quantity::Whole(n));
    }

    /// The number of a value's explicit bucket.
    #[inline(always)]
    fn bucket(&self, value: Quantity) -> u32 {
        match value {
            Quantity::Whole(n) => self.wholes.below(n),
            Quantity::Float(x) => self.floats.below(x),
        }
    }
}

#[derive(Debug)]
struct ExponentialCells {
    zero: u32,
    table: ChunkTable,
    reset_age: Duration,
}

impl ExponentialCells {
    fn new(zero: u32, settings: Exponential) -> Self {
        Self { zero, table: ChunkTable::for_histogram(zero + 1, settings), reset_age: settings.reset_age() }
    }

    #[inline]
    fn count(&self, cells: RowCells<'_>, x: f64, n: u64) {
        // A chunk that was unlinked is not given back while a value is on its way into it.
        let _section = cells.shard.section.enter_if_outside();
        match self.table.bucket(cells.first, x) {
            None => cells.add(self.zero, n),
            Some(bucket) => cells.shard.add(Address::of(bucket), n),
        }
    }
}

impl HistogramCells {
    /// A histogram with explicit buckets, exponential ones, or both.
    pub(crate) fn new(
        offset: u32,
        unit: UnitOfMetric,
        buckets: Option<&Buckets>,
        exponential: Option<Exponential>,
    ) -> Self {
        let bounds = buckets.map(|buckets| buckets.0.clone()).unwrap_or_default();
        let explicit = if buckets.is_some() { bounds.len() as u32 + 1 } else { 0 };
        let sum = SumCells { offset: offset + explicit, unit };
        let zero = sum.offset + SumCells::CELLS;
        let exponential = exponential.map(|settings| ExponentialCells::new(zero, settings));
        let quick = Quick {
            offset,
            sum,
            takes_durations: false,
            takes_floats: false,
            takes_wholes: false,
            floats: Ladder::new(bounds.iter().copied()),
            wholes: WholeLadder::new(bounds.iter().map(|bound| unit.whole_at_most(*bound)).collect()),
        };
        let mut histogram = Self { offset, unit, bounds, quick, sum, exponential };
        histogram.quick = histogram.quick_from(&Scale::of(unit));
        histogram
    }

    /// For numbers that are in the metric's unit already.
    #[inline]
    pub(crate) fn quick(&self) -> &Quick {
        &self.quick
    }

    /// For measurements on this scale.
    pub(crate) fn quick_from(&self, scale: &Scale) -> Quick {
        let takes_any = self.exponential.is_none() && self.has_explicit();
        Quick {
            takes_durations: takes_any && scale.keeps_durations(),
            takes_floats: takes_any && scale.keeps_floats(),
            takes_wholes: takes_any && scale.keeps_wholes(),
            ..self.quick.clone()
        }
    }

    pub(crate) fn cells(&self) -> u32 {
        let explicit = self.sum.offset + SumCells::CELLS - self.offset;
        explicit + self.exponential.as_ref().map_or(0, |cells| 1 + cells.table.words())
    }

    /// The cells whose sum is the count, if there are explicit buckets: offset and number.
    pub(crate) fn buckets(&self) -> (u32, u32) {
        (self.offset, self.sum.offset - self.offset)
    }

    /// The cells of the explicit buckets, the sum, and the zeroes.
    pub(crate) fn totals(&self, first: u32) -> Range<u32> {
        let zeroes = u32::from(self.exponential.is_some());
        first + self.offset..first + self.sum.offset + SumCells::CELLS + zeroes
    }

    /// The cells of all exponential buckets that there are.
    pub(crate) fn exponential_buckets(&self, reader: &Reader, first: u32) -> Vec<u32> {
        self.exponential.as_ref().map_or_else(Vec::new, |cells| cells.table.buckets(reader, first))
    }

    pub(crate) fn renewable(&self) -> Option<(&ChunkTable, Duration)> {
        self.exponential.as_ref().map(|cells| (&cells.table, cells.reset_age))
    }

    pub(crate) fn chunk_table(&self) -> Option<&ChunkTable> {
        self.exponential.as_ref().map(|cells| &cells.table)
    }

    #[inline]
    fn has_explicit(&self) -> bool {
        self.sum.offset != self.offset
    }

    #[inline(always)]
    pub(crate) fn record(&self, cells: RowCells<'_>, value: Quantity) -> bool {
        self.count(cells, value, 1);
        self.sum.add_any(cells, value);
        true
    }

    pub(crate) fn exemplar_slots(&self) -> u32 {
        if self.has_explicit() { self.bounds.len() as u32 + 1 } else { SLOTS_OF_EXPONENTIAL }
    }

    /// The bucket's own among explicit buckets; among exponential ones values of different size have different slots.
    pub(crate) fn exemplar_slot(&self, value: Quantity) -> u32 {
        if self.has_explicit() {
            self.quick.bucket(value)
        } else {
            (value.to_f64(self.unit).to_bits() >> 52) as u32 % SLOTS_OF_EXPONENTIAL
        }
    }

    /// Records a value `n` times; false if their sum is no number.
    pub(crate) fn record_many(&self, cells: RowCells<'_>, value: Quantity, n: u64) -> bool {
        let all = value.times(n, self.unit);
        if !all.to_f64(self.unit).is_finite() {
            return false;
        }
        self.count(cells, value, n);
        self.sum.add_any(cells, all);
        true
    }

    #[inline(always)]
    fn count(&self, cells: RowCells<'_>, value: Quantity, n: u64) {
        if let Some(exponential) = &self.exponential {
            exponential.count(cells, value.to_f64(self.unit), n);
            if self.has_explicit() {
                // Release: pairs with the acquire in `read`: who sees a value in its explicit bucket sees it in its
                // exponential one, which make up the count.
                fence(Ordering::Release);
            }
        }
        if self.has_explicit() {
            cells.add(self.offset + self.quick.bucket(value), n);
        }
    }

    pub(crate) fn read<'a>(&'a self, reader: &mut Reader, first: u32, scratch: &'a mut Scratch) -> HistogramSample<'a> {
        let Scratch { counts, lists, .. } = scratch;
        counts.clear();
        let (offset, number) = self.buckets();
        counts.extend((0..number).map(|bucket| reader.whole(first + offset + bucket)));
        let sum = self.sum.read_float(reader, first);
        let resolution = self.exponential.as_ref().map(|cells| {
            // Acquire: pairs with the release in `record`.
            fence(Ordering::Acquire);
            let mut read = cells.table.read(reader, first, lists);
            read.zeroes += reader.whole(first + cells.zero);
            read
        });
        let exponential = resolution.map(|read| ExponentialSample {
            schema: read.schema,
            zero_threshold: read.zero_threshold,
            zero_count: read.zeroes,
            positive: &lists.positive,
            negative: &lists.negative,
        });
        if let (false, Some(sample)) = (self.has_explicit(), &exponential) {
            counts.push(sample.count());
        }
        HistogramSample { bounds: &self.bounds, counts, sum, exponential }
    }
}

/// Bounds in steps of four, the last filled up with what no value lies beyond, so that there is always one to end on.
///
/// A value is compared with all bounds, or, where they are many, with those of one step: two at a time in one instruction of
/// the least that a processor has, and without a branch that could be predicted wrongly.
#[derive(Clone, Debug)]
struct Ladder {
    steps: Vec<[f64; 4]>,
}

impl Ladder {
    /// Beyond so many steps, a search takes fewer comparisons.
    const MOST_STEPS: usize = 6;

    fn new(bounds: impl Iterator<Item = f64>) -> Self {
        let mut bounds: Vec<f64> = bounds.collect();
        bounds.resize((bounds.len() + 1).next_multiple_of(4), f64::INFINITY);
        Self { steps: bounds.as_chunks().0.to_vec() }
    }

    /// How many bounds lie below the value.
    #[inline]
    fn below(&self, value: f64) -> u32 {
        if self.steps.len() <= Self::MOST_STEPS {
            return Self::below_of(&self.steps, value);
        }
        let step = self.steps.partition_point(|[.., top]| value > *top);
        4 * step as u32 + Self::below_of(&self.steps[step..=step], value)
    }

    #[inline(always)]
    fn below_of(steps: &[[f64; 4]], value: f64) -> u32 {
        let mut below = [0_u64; 4];
        for step in steps {
            for (below, bound) in below.iter_mut().zip(step) {
                *below += u64::from(value > *bound);
            }
        }
        below.iter().sum::<u64>() as u32
    }
}

/// The same for whole quantities: for each bound the largest that is within it.
#[derive(Clone, Debug)]
struct WholeLadder {
    /// For those that floats hold exactly; a bound beyond them is beyond them as a float, too.
    near: Ladder,
    bounds: Vec<i64>,
}

impl WholeLadder {
    /// Below it floats hold every whole number.
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

    fn new(bounds: Vec<i64>) -> Self {
        Self { near: Ladder::new(bounds.iter().map(|bound| *bound as f64)), bounds }
    }

    #[inline]
    fn below(&self, value: i64) -> u32 {
        if value.unsigned_abs() < Self::EXACT { self.near.below(value as f64) } else { self.below_far(value) }
    }

    #[cold]
    #[inline(never)]
    fn below_far(&self, value: i64) -> u32 {
        self.bounds.partition_point(|bound| value > *bound) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M25-M32: unsorted, empty, infinite and NaN bounds are errors that say what to do.
    #[test]
    fn bad_bounds_are_refused() {
        assert_eq!(Buckets::new([]), Err(BucketsError::Empty));
        assert_eq!(Buckets::new([1.0, 1.0]), Err(BucketsError::NotAscending(1.0, 1.0)));
        assert_eq!(Buckets::new([2.0, 1.0]), Err(BucketsError::NotAscending(2.0, 1.0)));
        assert_eq!(Buckets::new([1.0, f64::INFINITY]), Err(BucketsError::NotFinite(f64::INFINITY)));
        assert!(Buckets::new([f64::NAN]).is_err());
        assert_eq!(Buckets::linear(0.0, 1.0, 501), Err(BucketsError::TooMany(501)));
        assert_eq!(Buckets::linear(1.0, 0.5, 3).unwrap().bounds(), [1.0, 1.5, 2.0]);
        assert_eq!(Buckets::exponential(1.0, 10.0, 3).unwrap().bounds(), [1.0, 10.0, 100.0]);
    }

    /// V2: a value on a bound is counted in that bucket, however many bounds there are.
    #[test]
    fn a_bound_is_inclusive() {
        for count in (1..=40_i64).chain([100, 500]) {
            let ladder = WholeLadder::new((1..=count).collect());
            let floats = Ladder::new((1..=count).map(|bound| bound as f64));
            for value in 0..=count + 1 {
                let expected = (value - 1).clamp(0, count) as u32;
                assert_eq!(ladder.below(value), expected, "{value} of {count}");
                assert_eq!(floats.below(value as f64), expected, "{value} of {count}");
                assert_eq!(floats.below(value as f64 + 0.5), (value as u32).min(count as u32), "{value} of {count}");
            }
            assert_eq!(ladder.below(i64::MAX), count as u32);
            assert_eq!(floats.below(f64::MAX), count as u32);
            assert_eq!((ladder.below(i64::MIN), floats.below(f64::MIN)), (0, 0));
        }
    }

    /// V2: nor is a whole value counted elsewhere where floats no longer tell neighbours apart.
    #[test]
    fn whole_bounds_are_exact_beyond_floats() {
        let edge = 1_i64 << f64::MANTISSA_DIGITS;
        let mut bounds: Vec<i64> =
            [-edge, 0, edge, edge << 4].iter().flat_map(|at| (-2..=2).map(move |by| at + by)).collect();
        bounds.push(i64::MAX);
        let ladder = WholeLadder::new(bounds.clone());
        for value in bounds.iter().flat_map(|bound| [bound.saturating_sub(1), *bound, bound.saturating_add(1)]) {
            let expected = bounds.iter().filter(|bound| value > **bound).count();
            assert_eq!(ladder.below(value) as usize, expected, "{value}");
        }
    }
}
