//! Handles: one series, held by code that adds to it directly.

use std::sync::Arc;

use crate::cells::{self, Address};
use crate::family::Kind;
use crate::registry::{Handle, sealed};
use crate::series::Held;
use crate::value::{Measurement, Number};

use super::{Instrument, Moment};

/// What all handles hold.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) held: Held,
    pub(crate) metric: Arc<crate::metric::Compiled>,
}

impl Kept {
    #[inline]
    fn touch(&self) {
        if self.held.projection().has_touch_cell() {
            cells::local().add(Address::of(self.held.first_cell()), 1);
        }
    }

    /// Records a number in the metric's own unit; what the instrument can't take is counted as rejected.
    #[inline]
    fn record(&self, number: Option<Number>) {
        let Some(number) = number else { return self.metric.miss(cells::local()) };
        let shard = cells::local();
        let moment = Moment::new(self.held.projection().clock());
        let taken = self.metric.own_scale().apply(number).is_some_and(|value| {
            self.touch();
            self.metric.instrument().record(shard, self.held.first_cell(), value, &moment)
        });
        if !taken {
            self.metric.reject(shard);
        }
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident: $kind:ident) => {
        $(#[$doc])*
        ///
        /// Cloning gives another handle to the same series. The series is kept as long as a handle to it lives.
        #[derive(Clone, Debug)]
        pub struct $name(Arc<Kept>);

        impl sealed::Sealed for $name {}

        impl Handle for $name {
            const KIND: Kind = Kind::$kind;

            fn from_kept(kept: sealed::Kept) -> Self {
                Self(kept.0)
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
        let Instrument::Counter(counter) = self.0.metric.instrument() else { return };
        self.0.touch();
        counter.add(cells::local(), self.0.held.first_cell(), n);
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
        self.0.record(value.number());
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
        self.0.record(value.number());
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
        let clock = self.0.held.projection().clock();
        self.set((clock.origin() + clock.elapsed()).as_secs_f64());
    }

    fn change(&self, difference: Option<Number>, sign: f64) {
        let Instrument::LastValue(gauge) = self.0.metric.instrument() else { return };
        match difference.and_then(|number| self.0.metric.own_scale().apply(number)) {
            Some(value) => {
                self.0.touch();
                gauge.add_float(self.0.held.first_cell(), sign * value.to_f64(self.0.metric.unit()));
            }
            None => self.0.metric.reject(cells::local()),
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
        let Instrument::Distribution(histogram) = self.0.metric.instrument() else { return };
        let shard = cells::local();
        match value.number().and_then(|number| self.0.metric.own_scale().apply(number)) {
            Some(value) => {
                self.0.touch();
                histogram.record(shard, self.0.held.first_cell(), value);
            }
            None => self.0.metric.reject(shard),
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
        self.0.record(value.number());
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
        self.0.record(Some(Number::U64(n)));
    }
}
