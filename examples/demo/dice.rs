//! Chance, as much as a demo needs.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A number below `sides`.
pub(crate) fn roll(sides: u64) -> u64 {
    // Each state has keys of its own, so the hash of the same thing is another each time.
    RandomState::new().hash_one(()) % sides
}

/// A time up to `most`, to the millisecond.
pub(crate) fn pause(most: Duration) -> Duration {
    Duration::from_millis(roll(u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1)))
}
