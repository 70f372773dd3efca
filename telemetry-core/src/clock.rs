//! The clock behind windows, expiry and creation times; tests can drive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock that knows what time of day it started at.
///
/// ```
/// use std::time::Duration;
/// use telemetry_core::Clock;
///
/// let (clock, hands) = Clock::manual();
/// hands.advance(Duration::from_secs(5));
/// assert_eq!(clock.elapsed(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    /// The time of day at the start, since the Unix epoch.
    origin: Duration,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(Arc<AtomicU64>),
}

/// Moves a [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct Hands(Arc<AtomicU64>);

impl Hands {
    /// Moves the clock forward; it never goes back.
    pub fn advance(&self, by: Duration) {
        // Relaxed: whoever drives a clock orders its reads by other means.
        self.0.fetch_add(nanos(by), Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The system's monotonic clock, starting now.
    #[must_use]
    pub fn system() -> Self {
        // A time before 1970 is a clock that was never set: as good as the epoch.
        let origin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin, source: Source::System(Instant::now()) }
    }

    /// A clock that moves when its hands do; it starts at the Unix epoch.
    #[must_use]
    pub fn manual() -> (Self, Hands) {
        let elapsed = Arc::new(AtomicU64::new(0));
        (Self { origin: Duration::ZERO, source: Source::Manual(Arc::clone(&elapsed)) }, Hands(elapsed))
    }

    /// How long the clock has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos())
    }

    #[inline]
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        match &self.source {
            Source::System(start) => nanos(start.elapsed()),
            // Relaxed: as in `advance`.
            Source::Manual(elapsed) => elapsed.load(Ordering::Relaxed),
        }
    }

    /// Whether it moves only when a test moves it, so that nobody can be woken at a given time.
    pub(crate) const fn is_manual(&self) -> bool {
        matches!(self.source, Source::Manual(_))
    }

    /// The time of day by this clock, since the Unix epoch.
    pub(crate) fn now(&self) -> Duration {
        self.origin + self.elapsed()
    }

    /// The time of day when the clock started, since the Unix epoch.
    #[must_use]
    pub fn origin(&self) -> Duration {
        self.origin
    }
}

/// Nanoseconds, or the most that fit: 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // In range for 584 years; without 128-bit arithmetic.
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
