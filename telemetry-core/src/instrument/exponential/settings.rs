//! How exponential buckets are to be kept.

use std::time::Duration;

use super::{COARSEST, FINEST, ZERO_THRESHOLD};

/// The most that a limit can be: a row's table of chunks has to lie within one page of cells.
const MOST_BUCKETS: u32 = 10_000;

/// Exponential buckets, which Prometheus calls a native histogram: their resolution, and what happens when there get to
/// be too many.
///
/// Schema `s` has `2^s` buckets for each doubling: 0 doubles, 3 grows by 9 %, 8 by 0.3 %. Values choose their buckets, so
/// their number has a limit, 160 unless told. What keeps it, in this order:
///
/// 1. A histogram that is older than [`min_reset`](Self::min_reset) is shown once as it is, brought within the limit by
///    what follows; then it begins anew, at the full resolution and with a new time of creation. Nothing is lost on the
///    way: what was counted up to then was shown, what comes after is counted by the new one.
/// 2. The zero bucket takes in its neighbours, up to [`max_zero_threshold`](Self::max_zero_threshold).
/// 3. The resolution is halved, each two buckets becoming one.
///
/// None of them loses a count. Where the coarsest schema, -4, still has too many buckets, the zero bucket takes in as many
/// as it must.
///
/// ```
/// use std::time::Duration;
/// use telemetry_core::instrument::Exponential;
///
/// let fine = Exponential::factor(1.01).expect("above 1").max_buckets(320).min_reset(Duration::from_secs(600));
/// assert_eq!(fine.schema(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    schema: i8,
    max_buckets: u32,
    zero_threshold: f64,
    max_zero_threshold: f64,
    min_reset: Duration,
}

impl Default for Exponential {
    /// Schema 3: each bound is 1.09 times the one before.
    fn default() -> Self {
        Self::of(3)
    }
}

impl Exponential {
    /// Buckets of a schema from -4 to 8; `None` outside of these.
    #[must_use]
    pub const fn new(schema: i8) -> Option<Self> {
        if schema < COARSEST || schema > FINEST { None } else { Some(Self::of(schema)) }
    }

    /// The coarsest buckets whose bounds grow by at most `factor`, which is above 1; `None` if it isn't. Below 1.0028,
    /// which is the growth of schema 8, it is schema 8.
    ///
    /// ```
    /// use telemetry_core::instrument::Exponential;
    ///
    /// assert_eq!(Exponential::factor(1.1), Some(Exponential::default()));
    /// assert_eq!(Exponential::factor(2.0).unwrap().schema(), 0);
    /// assert_eq!(Exponential::factor(1.0), None);
    /// ```
    #[must_use]
    pub fn factor(factor: f64) -> Option<Self> {
        let grows = |schema: &i8| 2.0_f64.powi(-i32::from(*schema)).exp2() <= factor;
        (factor > 1.0).then(|| Self::of((COARSEST..FINEST).find(grows).unwrap_or(FINEST)))
    }

    const fn of(schema: i8) -> Self {
        Self {
            schema,
            max_buckets: 160,
            zero_threshold: ZERO_THRESHOLD,
            max_zero_threshold: 0.0,
            min_reset: Duration::from_secs(3600),
        }
    }

    /// The most buckets that are not empty, on both sides of zero together: 1 to 10,000, and 160 unless told. A series
    /// takes memory for as many at each resolution.
    #[must_use]
    pub const fn max_buckets(mut self, buckets: u32) -> Self {
        self.max_buckets = buckets;
        self
    }

    /// Values whose size is at most this are counted as zero; 2^-128 unless told. It is in the metric's unit, as values
    /// are.
    #[must_use]
    pub const fn zero_threshold(mut self, threshold: f64) -> Self {
        self.zero_threshold = threshold;
        self
    }

    /// How far the zero bucket may widen before the resolution is halved; not at all unless told.
    #[must_use]
    pub const fn max_zero_threshold(mut self, threshold: f64) -> Self {
        self.max_zero_threshold = threshold;
        self
    }

    /// How old a histogram has to be to begin anew when its buckets got too many; an hour unless told, and
    /// [`Duration::MAX`] is never. The shorter of it and what lies between two scrapes is what one of several scrapers
    /// may miss when another has seen the last of it.
    #[must_use]
    pub const fn min_reset(mut self, age: Duration) -> Self {
        self.min_reset = age;
        self
    }

    /// The schema at the full resolution.
    #[must_use]
    pub const fn schema(self) -> i8 {
        self.schema
    }

    pub(super) const fn limit(&self) -> u32 {
        self.max_buckets
    }

    pub(super) const fn zero(&self) -> (f64, f64) {
        (self.zero_threshold, self.max_zero_threshold)
    }

    pub(crate) const fn reset_age(&self) -> Duration {
        self.min_reset
    }

    /// What is wrong with it, and what to do.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let is_size = |x: f64| x.is_finite() && x >= 0.0;
        if !(1..=MOST_BUCKETS).contains(&self.max_buckets) {
            Some("`max_buckets` is from 1 to 10,000")
        } else if !is_size(self.zero_threshold) {
            Some("`zero_threshold` is a finite number, 0 or above")
        } else if !is_size(self.max_zero_threshold) {
            Some("`max_zero_threshold` is a finite number, 0 or above; 0 leaves the zero bucket as it is")
        } else {
            None
        }
    }
}
