//! Instruments as the facade's handles.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, HistogramFn};

use crate::cells::Reader;
use crate::instrument::{Counter, Gauge, Histogram, Keeps, Spiral, Summary};

/// Any instrument that a handle of the facade writes to.
pub(super) type Series = Arc<dyn Keeps>;

/// How often the series was touched; `None` of one that is never forgotten.
pub(super) fn touches(series: &Series, reader: &mut Reader) -> Option<u64> {
    let held = &series.kept().held;
    // The touch cell is the row's first.
    held.projection().has_touch_cell().then(|| reader.whole(held.first_cell()))
}

/// Whether the series is the one that takes what is beyond the limit.
pub(super) fn is_overflow(series: &Series) -> bool {
    !series.kept().held.is_counted()
}

fn times(count: usize) -> u64 {
    count as u64
}

impl CounterFn for Counter {
    #[inline]
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, value: u64) {
        self.raise_to(value);
    }
}

impl CounterFn for Spiral {
    fn increment(&self, value: u64) {
        self.mark(value);
    }

    fn absolute(&self, value: u64) {
        self.raise_to(value);
    }
}

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.subtract(value);
    }

    fn set(&self, value: f64) {
        Self::set(self, value);
    }
}

impl HistogramFn for Histogram {
    #[inline]
    fn record(&self, value: f64) {
        Self::record(self, value);
    }

    fn record_many(&self, value: f64, count: usize) {
        Self::record_many(self, value, times(count));
    }
}

impl HistogramFn for Summary {
    fn record(&self, value: f64) {
        Self::record(self, value);
    }

    fn record_many(&self, value: f64, count: usize) {
        Self::record_many(self, value, times(count));
    }
}

impl HistogramFn for Spiral {
    fn record(&self, value: f64) {
        self.mark_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.mark_many(value, times(count));
    }
}
