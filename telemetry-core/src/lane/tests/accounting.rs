//! Every cast is accounted for, and the order of each thread is kept, whatever the lane does when it is full.

use super::*;

const PRODUCERS: u64 = 4;
const CASTS: u64 = if cfg!(miri) { 100 } else { 100_000 };

/// Casts from several threads at once, and returns what was delivered, in order, as (producer, number).
fn overrun(lane: &Lane) -> Vec<(u64, u64)> {
    let seen = Arc::new(StdMutex::new(Vec::new()));
    let deliver = {
        let seen = Arc::clone(&seen);
        each(move |event| seen.lock().unwrap().push((number_of(event) / CASTS, number_of(event) % CASTS)))
    };
    let event = Numbered::new();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let deliver = &deliver;
            scope.spawn(move || {
                for number in 0..CASTS {
                    event.cast(lane, producer * CASTS + number, deliver);
                }
            });
        }
    });
    lane.flush(LONG).unwrap();
    assert_eq!(Arc::strong_count(&deliver), 1, "no event is left anywhere");
    drop(deliver);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Asserts what holds under every policy, and returns how many were delivered and dropped.
fn check(overflow: Overflow) -> (u64, u64) {
    let lane = lane(64, overflow);
    let seen = overrun(&lane);
    let stats = lane.stats();
    assert_eq!(stats.cast, PRODUCERS * CASTS);
    assert_eq!(stats.cast, stats.delivered + stats.dropped);
    assert_eq!(stats.delivered, seen.len() as u64);
    assert_eq!((stats.depth, stats.capacity, stats.panicked), (0, 64, 0));
    let mut next = [0; PRODUCERS as usize];
    for (producer, number) in seen {
        let next = &mut next[usize::try_from(producer).unwrap()];
        assert!(number >= *next, "{producer} cast {number} before what was delivered before it");
        *next = number + 1;
    }
    (stats.delivered, stats.dropped)
}

#[test]
fn drop_newest_accounts_for_every_cast_and_keeps_the_order() {
    let (delivered, _) = check(Overflow::DropNewest);
    assert!(delivered >= 64);
}

#[test]
fn drop_oldest_accounts_for_every_cast_and_keeps_the_order() {
    let (delivered, _) = check(Overflow::DropOldest);
    assert!(delivered >= 64);
}

#[test]
fn blocking_accounts_for_every_cast_and_keeps_the_order() {
    let (delivered, dropped) = check(Overflow::BlockAtMost(LONG));
    assert_eq!((delivered, dropped), (PRODUCERS * CASTS, 0));
}

#[test]
fn blocking_for_no_time_accounts_for_every_cast() {
    let (delivered, _) = check(Overflow::BlockAtMost(Duration::ZERO));
    assert!(delivered >= 64);
}

/// A shutdown amid casts: each event is delivered or counted as dropped, and none is left behind in the queue.
#[test]
fn a_shutdown_amid_casts_accounts_for_every_cast() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::BlockAtMost(LONG)] {
        let lane = lane(64, overflow);
        let (event, deliver) = (Numbered::new(), each(|_| ()));
        std::thread::scope(|scope| {
            for _ in 0..PRODUCERS {
                let (lane, deliver) = (&lane, &deliver);
                scope.spawn(move || (0..CASTS / 10).for_each(|number| event.cast(lane, number, deliver)));
            }
            while lane.stats().delivered < 10 {
                std::thread::yield_now();
            }
            lane.shutdown(LONG).unwrap();
            assert_eq!(lane.stats().depth, 0);
        });
        let stats = lane.stats();
        assert_eq!(stats.cast, PRODUCERS * (CASTS / 10));
        assert_eq!(stats.cast, stats.delivered + stats.dropped);
        assert_eq!(Arc::strong_count(&deliver), 1);
    }
}

/// What a reader sees while others cast never has more events delivered and dropped than cast.
#[test]
fn statistics_never_run_ahead_of_the_casts() {
    let lane = lane(64, Overflow::DropOldest);
    std::thread::scope(|scope| {
        let casting = scope.spawn(|| overrun(&lane));
        let mut last = 0;
        while !casting.is_finished() {
            let stats = lane.stats();
            assert!(stats.delivered + stats.dropped <= stats.cast, "{stats:?}");
            assert!(stats.depth <= stats.capacity && last <= stats.cast, "{stats:?}");
            last = stats.cast;
        }
    });
}
