//! How many shards there are, and that none is lost.

use std::sync::{Barrier, mpsc};

use super::*;

/// Held by a test that needs all private shards, or that needs some to be left.
static PRIVATE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn most_shards() -> usize {
    CellSpace::private_limit() + CellSpace::shared_count()
}

/// Threads that come and go use the same few shards again, totals and all.
#[test]
fn a_hundred_thousand_threads_share_a_bounded_number_of_shards() {
    const AT_ONCE: usize = 8;
    let rounds = if cfg!(debug_assertions) { 1_000 } else { 12_500 };
    let _private = PRIVATE.lock().unwrap_or_else(PoisonError::into_inner);
    let cell = space().allocate(1);
    for _ in 0..rounds {
        std::thread::scope(|scope| {
            let live = || {
                assert!(!local().shared, "there are shards enough for so few threads");
                local().add(Address::of(cell), 1);
            };
            // Joined one by one: a scope by itself does not wait until they have returned their shards.
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(live)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
    assert_eq!(Reader::new().whole(cell), (rounds * AT_ONCE) as u64);
    let shards = space().shards().count();
    assert!(shards <= most_shards(), "{shards} shards");
    space().free(cell, 1);
}

/// More threads at once than there may be private shards: the rest share, and every addition counts.
#[test]
fn more_threads_than_shards_lose_nothing() {
    let threads = CellSpace::private_limit() + 3 * CellSpace::shared_count() + 1;
    const EACH: u64 = 10_000;
    let _private = PRIVATE.lock().unwrap_or_else(PoisonError::into_inner);
    let cells = space().allocate(2);
    let all_claimed = Barrier::new(threads);
    std::thread::scope(|scope| {
        let live = || {
            let shard = local();
            all_claimed.wait();
            for _ in 0..EACH {
                shard.add(Address::of(cells), 1);
                // SAFETY: the range was allocated above.
                unsafe { shard.row(cells + 1, 1) }.add_float(0, 0.5);
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(live)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let mut reader = Reader::new();
    assert_eq!(reader.whole(cells), threads as u64 * EACH);
    assert_eq!(reader.float(cells + 1), threads as f64 * EACH as f64 * 0.5);
    assert_eq!(space().shards().count(), most_shards());
    space().free(cells, 2);
}

/// Tells which kind of shard its thread has while it ends.
struct Last(Cell<Option<mpsc::Sender<bool>>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell.send(local().shared).unwrap();
        }
    }
}

thread_local! {
    // Used before the lease, so destroyed after it.
    static LAST: Last = const { Last(Cell::new(None)) };
}

/// T16: what a thread counts while it ends goes to a shard that is shared: its own may be another's by then.
#[test]
fn a_thread_that_ends_no_longer_writes_to_its_own_shard() {
    let _private = PRIVATE.lock().unwrap_or_else(PoisonError::into_inner);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        LAST.with(|last| last.0.set(Some(tell)));
        assert!(!local().shared);
    })
    .join()
    .unwrap();
    assert_eq!(told.recv(), Ok(true));
}

/// A range lies within one page, whatever was allocated before it, and is given out again when it was given back.
#[test]
fn ranges_lie_within_one_page_and_are_used_again() {
    let sizes = [1, 7, 1_000, 3_601, 2, 512, 1_023];
    let ranges: Vec<(u32, u32)> =
        (0..200).map(|n| sizes[n % sizes.len()]).map(|size| (space().allocate(size), size)).collect();
    let mut taken: Vec<u32> = ranges.iter().flat_map(|(first, size)| *first..first + size).collect();
    taken.sort_unstable();
    assert!(taken.is_sorted_by(|a, b| a < b), "no cell is given out twice");
    for &(first, size) in &ranges {
        let page = Address::of(first).page;
        assert_eq!(Address::of(first + size - 1).page, page);
        local().add(Address::of(first + size - 1), 9);
    }
    for &(first, size) in &ranges {
        space().free(first, size);
        assert_eq!(Reader::new().whole(first + size - 1), 0);
    }
}
