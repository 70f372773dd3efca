//! How many shards there are, and that none is lost.

use std::sync::Barrier;

use super::*;

fn most_shards() -> usize {
    CellSpace::private_limit() + CellSpace::shared_count()
}

/// Threads that come and go use the same few shards again, totals and all.
#[test]
fn a_hundred_thousand_threads_share_a_bounded_number_of_shards() {
    const AT_ONCE: usize = 8;
    let rounds = if cfg!(debug_assertions) { 1_000 } else { 12_500 };
    let cell = space().allocate(1);
    for _ in 0..rounds {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| local().add(Address::of(cell), 1));
            }
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
    let cells = space().allocate(2);
    let all_claimed = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let shard = local();
                all_claimed.wait();
                for _ in 0..EACH {
                    shard.add(Address::of(cells), 1);
                    shard.row(cells + 1, 1).add_float(0, 0.5);
                }
            });
        }
    });
    let mut reader = Reader::new();
    assert_eq!(reader.whole(cells), threads as u64 * EACH);
    assert_eq!(reader.float(cells + 1), threads as f64 * EACH as f64 * 0.5);
    assert_eq!(space().shards().count(), most_shards());
    space().free(cells, 2);
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
