//! Lanes as an application sees them.

use std::error::Error;
use std::time::Duration;

use telemetry_core::lane::{Lane, LaneError, Overflow};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_lane_has_a_name_and_a_capacity_that_is_a_power_of_two() {
    for (asked, capacity) in [(1, 1), (2, 2), (3, 4), (1000, 1024)] {
        let lane = Lane::builder("audit").capacity(asked).build().unwrap();
        let stats = lane.stats();
        assert_eq!((lane.name(), stats.capacity), ("audit", capacity));
        assert_eq!((stats.cast, stats.delivered, stats.dropped, stats.panicked, stats.depth), (0, 0, 0, 0, 0));
    }
}

#[test]
fn a_lane_that_cannot_be_is_an_error_that_names_the_remedy() {
    let refused = |name: &str, capacity| Lane::builder(name).capacity(capacity).build().unwrap_err();
    let unnamed = refused("", 8);
    assert!(matches!(&unnamed, LaneError::Name(name) if name.is_empty()));
    assert!(unnamed.to_string().contains("give it one"), "{unnamed}");
    assert!(unnamed.source().is_none());
    let nul = refused("a\0b", 8).to_string();
    assert!(nul.contains(r#""a\0b""#) && nul.contains("leave it out"), "{nul}");
    for capacity in [0, (1 << 20) + 1, usize::MAX] {
        let error = refused("audit", capacity);
        assert!(matches!(error, LaneError::Capacity { most: 1_048_576, .. }));
        let message = error.to_string();
        assert!(message.contains("\"audit\"") && message.contains(&capacity.to_string()), "{message}");
        assert!(message.contains("from 1 to 1048576"), "{message}");
    }
}

#[test]
fn handles_are_equal_when_they_are_of_one_lane() {
    let lane = Lane::builder("audit").overflow(Overflow::DropOldest).build().unwrap();
    let other = Lane::builder("audit").build().unwrap();
    assert_eq!(lane, lane.clone());
    assert_ne!(lane, other);
    let debug = format!("{lane:?}");
    assert!(debug.contains("audit") && debug.contains("DropOldest") && debug.contains("depth: 0"), "{debug}");
}

#[test]
fn a_lane_that_nobody_used_flushes_and_ends_from_any_thread() {
    let lane = Lane::builder("audit").build().unwrap();
    assert_eq!(lane.flush(Duration::ZERO), Ok(()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(lane.shutdown(LONG), Ok(()));
                assert_eq!(lane.flush(LONG), Ok(()));
            });
        }
    });
    // A time that can't be added to the clock is no limit.
    assert_eq!((lane.flush(Duration::MAX), lane.shutdown(Duration::MAX)), (Ok(()), Ok(())));
}
