//! Handles: one series, held by code that adds to it directly.

use std::sync::Arc;

use crate::cells::{self, Address, RowCells};
use crate::family::Kind;
use crate::metric::Compiled;
use crate::registry::{Handle, sealed};
use crate::series::Held;
use crate::sync::AtomicU64;
use crate::value::{Measurement, Number};

use super::{HistogramCells, Instrument, Moment, Quantity, counter, gauge};

/// What all handles hold.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) held: Held,
    pub(crate) metric: Arc<Compiled>,
}

impl Kept {
    /// Offers what was recorded for an exemplar.
    #[inline(never)]
    fn offer(&self, first: u32, value: Quantity) {
        let metric = &self.metric;
        if let (Some(exemplars), Some(slot)) = (metric.exemplars(), metric.instrument().exemplar_slot(value)) {
            let clock = self.held.projection().clock();
            exemplars.take(cells::local(), clock, first, slot, value.to_f64(metric.unit()));
        }
    }
}

/// Where the cells of a handle's series are: in the handle, so that adding to it follows no pointer but the thread's.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: Address,
    first: u32,
    cells: u32,
    /// [`TOUCHED`] and [`SAMPLED`]: one look tells that there is nothing more to do.
    extras: u8,
    /// Of a gauge, if there is nothing more to do: its word, which is one for all threads.
    word: Option<&'static AtomicU64>,
}

/// The row begins with a cell that counts updates.
const TOUCHED: u8 = 1;
/// The metric has exemplars.
const SAMPLED: u8 = 2;

impl Place {
    fn of(kept: &Kept) -> Self {
        let (first, projection) = (kept.held.first_cell(), kept.held.projection());
        let touched = if projection.has_touch_cell() { TOUCHED } else { 0 };
        let sampled = if kept.metric.exemplars().is_some() { SAMPLED } else { 0 };
        let (at, extras) = (Address::of(first), touched | sampled);
        let is_gauge = matches!(kept.metric.instrument(), Instrument::LastValue(_));
        // The row of a handle holds one metric's cells, so that the first is the gauge's.
        let word = (is_gauge && extras == 0).then(|| cells::space().words().cell(at));
        Self { at, first, cells: projection.row_cells(), extras, word }
    }

    /// The cells of the series in this thread's shard.
    #[inline]
    fn cells(&self) -> RowCells<'static> {
        let cells = self.untouched_cells();
        if self.extras & TOUCHED != 0 {
            cells.add(0, 1);
        }
        cells
    }

    /// The same without a note that they were written to.
    #[inline]
    fn untouched_cells(&self) -> RowCells<'static> {
        // SAFETY: `of` took these from a row that is held.
        unsafe { cells::local().row_at(self.at, self.first, self.cells) }
    }

    #[inline]
    fn has_extras(&self) -> bool {
        self.extras != 0
    }

    #[inline]
    fn is_sampled(&self) -> bool {
        self.extras & SAMPLED != 0
    }
}

/// Any handle.
#[cfg(feature = "metrics")]
pub(crate) trait Keeps: Send + Sync {
    fn kept(&self) -> &Kept;
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident: $kind:ident) => {
        $(#[$doc])*
        ///
        /// Cloning gives another handle to the same series. The series is kept as long as a handle to it lives.
        #[derive(Clone, Debug)]
        pub struct $name {
            place: Place,
            kept: Arc<Kept>,
        }

        impl sealed::Sealed for $name {}

        impl Handle for $name {
            const KIND: Kind = Kind::$kind;

            fn from_kept(kept: sealed::Kept) -> Self {
                Self { place: Place::of(&kept.0), kept: kept.0 }
            }
        }

        #[cfg(feature = "metrics")]
        impl Keeps for $name {
            fn kept(&self) -> &Kept {
                &self.kept
            }
        }

        impl $name {
            /// Records a number in the metric's own unit; what the instrument can't take is counted as rejected.
            #[allow(dead_code)] // Of the six, those that have a path of their own don't use it.
            #[inline]
            fn record_number(&self, number: Option<Number>) {
                let metric = &self.kept.metric;
                let Some(number) = number else { return metric.miss(cells::local()) };
                let moment = Moment::new(self.kept.held.projection().clock());
                let value = metric.own_scale().apply(number);
                let taken = value.filter(|value| metric.instrument().record(self.place.cells(), *value, &moment));
                match taken {
                    Some(value) if self.place.is_sampled() => self.kept.offer(self.place.first, value),
                    Some(_) => {}
                    None => metric.reject(cells::local()),
                }
            }
        }
    };
}

handle! {
    /// Counts up by whole numbers.
    Counter: Counter
}

impl Counter {
    /// Counts one more.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `n` more.
    #[inline]
    pub fn add(&self, n: u64) {
        if self.place.has_extras() {
            return self.add_with_extras(n);
        }
        // The row holds the counter's cell, and no other.
        cells::local().add(self.place.at, n);
    }

    #[inline(never)]
    fn add_with_extras(&self, n: u64) {
        let Instrument::Counter(counter) = self.kept.metric.instrument() else { return };
        counter.add(self.place.cells(), n);
        if self.place.is_sampled() {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            self.kept.offer(self.place.first, Quantity::Whole(n));
        }
    }

    /// Counts up to `total`, for a count that is kept elsewhere; nothing if the counter has come that far.
    ///
    /// ```
    /// use telemetry_core::Registry;
    /// use telemetry_core::instrument::Counter;
    /// use telemetry_core::metric::counter;
    ///
    /// let registry = Registry::new();
    /// let faults = registry.register::<Counter>(counter("process.page_faults"))?.single()?;
    /// for total in [7, 12, 11] {
    ///     faults.raise_to(total);
    /// }
    /// assert_eq!(registry.snapshot().total("process.page_faults", &[]), Some(12.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raise_to(&self, total: u64) {
        let cells = self.place.cells();
        counter::raise(cells.first + u32::from(self.place.extras & TOUCHED), total);
    }
}

handle! {
    /// Adds up a measurement that is never negative.
    Sum: Sum
}

impl Sum {
    /// Adds a measurement, in the metric's unit; a negative or non-finite one is rejected, and counted.
    #[inline]
    pub fn add(&self, value: impl Measurement) {
        self.record_number(value.number());
    }
}

handle! {
    /// Holds the last value.
    Gauge: LastValue
}

impl Gauge {
    /// Sets the value, in the metric's unit; a non-finite one is rejected, and counted.
    #[inline]
    pub fn set(&self, value: impl Measurement) {
        let number = value.number();
        match (number, self.place.word) {
            // In the metric's own unit there is nothing to convert.
            (Some(Number::F64(x)), Some(word)) if x.is_finite() => gauge::set(word, x),
            _ => self.record_number(number),
        }
    }

    /// Adds to the value.
    #[inline]
    pub fn add(&self, difference: impl Measurement) {
        self.change(difference.number(), 1.0);
    }

    /// Takes away from the value.
    #[inline]
    pub fn subtract(&self, difference: impl Measurement) {
        self.change(difference.number(), -1.0);
    }

    /// Sets the value to the time of day, in seconds since the Unix epoch.
    pub fn set_to_now(&self) {
        let clock = self.kept.held.projection().clock();
        self.set((clock.origin() + clock.elapsed()).as_secs_f64());
    }

    fn change(&self, difference: Option<Number>, sign: f64) {
        let Instrument::LastValue(gauge) = self.kept.metric.instrument() else { return };
        match difference.and_then(|number| self.kept.metric.own_scale().apply(number)) {
            Some(value) => {
                let cells = self.place.cells();
                gauge.add_float(cells.first, sign * value.to_f64(self.kept.metric.unit()));
            }
            None => self.kept.metric.reject(cells::local()),
        }
    }
}

handle! {
    /// Counts values in buckets.
    Histogram: Distribution
}

impl Histogram {
    /// Records a value, in the metric's unit; a non-finite one is rejected, and counted.
    #[inline]
    pub fn record(&self, value: impl Measurement) {
        let Instrument::Distribution(histogram) = self.kept.metric.instrument() else { return };
        let number = value.number();
        let is_done = !self.place.has_extras()
            && number.is_some_and(|number| histogram.quick().record(self.place.untouched_cells(), number));
        if !is_done {
            self.record_any(histogram, number);
        }
    }

    #[inline(never)]
    fn record_any(&self, histogram: &HistogramCells, number: Option<Number>) {
        let Some(value) = number.and_then(|number| self.kept.metric.own_scale().apply(number)) else {
            return self.kept.metric.reject(cells::local());
        };
        histogram.record(self.place.cells(), value);
        if self.place.is_sampled() {
            self.kept.offer(self.place.first, value);
        }
    }

    /// Records a value `n` times at once.
    pub fn record_many(&self, value: impl Measurement, n: u64) {
        let Instrument::Distribution(histogram) = self.kept.metric.instrument() else { return };
        let value = value.number().and_then(|number| self.kept.metric.own_scale().apply(number));
        match value.filter(|value| histogram.record_many(self.place.cells(), *value, n)) {
            Some(value) if self.place.is_sampled() => self.kept.offer(self.place.first, value),
            Some(_) => {}
            None => self.kept.metric.reject(cells::local()),
        }
    }

    /// Runs `body` and records how long it took; nothing is recorded if it panics.
    pub fn time<R>(&self, body: impl FnOnce() -> R) -> R {
        let start = std::time::Instant::now();
        let result = body();
        self.record(start.elapsed());
        result
    }
}

handle! {
    /// Answers quantiles over a sliding window.
    Summary: Summary
}

impl Summary {
    /// Records a value, in the metric's unit; a non-finite one is rejected, and counted.
    #[inline]
    pub fn record(&self, value: impl Measurement) {
        self.record_number(value.number());
    }

    /// Records a value `n` times at once.
    pub fn record_many(&self, value: impl Measurement, n: u64) {
        let Instrument::Summary(summary) = self.kept.metric.instrument() else { return };
        let value = value.number().and_then(|number| self.kept.metric.own_scale().apply(number));
        let moment = Moment::new(self.kept.held.projection().clock());
        if !value.is_some_and(|value| summary.record_many(self.place.cells(), value, n, &moment)) {
            self.kept.metric.reject(cells::local());
        }
    }
}

handle! {
    /// Counts since creation, and over a sliding window.
    Spiral: Spiral
}

impl Spiral {
    /// Marks `n` events.
    #[inline]
    pub fn mark(&self, n: u64) {
        self.record_number(Some(Number::U64(n)));
    }

    /// Marks events up to `count`, for a count that is kept elsewhere; nothing if the spiral has come that far.
    pub fn raise_to(&self, count: u64) {
        let Instrument::Spiral(spiral) = self.kept.metric.instrument() else { return };
        let moment = Moment::new(self.kept.held.projection().clock());
        spiral.raise(self.place.cells(), count, &moment);
    }

    /// Marks what a number says, `n` times.
    #[cfg(feature = "metrics")]
    #[allow(clippy::cast_precision_loss)] // The nearest float is what is asked for.
    pub(crate) fn mark_many(&self, value: f64, n: u64) {
        self.record_number(Some(Number::F64(value * n as f64)));
    }
}
