//! Models of the chunk table: threads that reach the same buckets, and new ones, while the resolution halves.

use loom::model::Builder;

use super::*;
use crate::cells::Shard;
use crate::sync::thread;

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// Schema -3, with room for one chunk of one bucket before the resolution halves to the coarsest.
const TABLE: ChunkTable = table_at(0);

pub(in crate::instrument) const fn table_at(offset: u32) -> ChunkTable {
    ChunkTable {
        offset,
        capacity: 4,
        chunk_bits: 0,
        slots: 1,
        schema: COARSEST + 1,
        budget: 1,
        limit: u32::MAX,
        threshold: 0.0,
        widest: 0.0,
    }
}

/// The cells of a table.
fn table() -> u32 {
    space().allocate(TABLE.words())
}

fn record(shard: &Shard, first: u32, x: f64) {
    shard.add(Address::of(TABLE.bucket(first, x).unwrap()), 1);
}

/// Index and count of the buckets, as if they were kept at the coarsest resolution.
fn read(first: u32) -> Vec<(i32, u64)> {
    read_with(first, &mut Lists::default())
}

fn read_with(first: u32, lists: &mut Lists) -> Vec<(i32, u64)> {
    let schema = TABLE.read(&mut Reader::new(), first, lists).schema;
    assert!(lists.negative.is_empty());
    lists.positive.iter().map(|(index, count)| (coarser(*index, (schema - COARSEST) as u8), *count)).collect()
}

/// Two threads reach a bucket for the first time at once: it is made once.
#[test]
fn loom_a_chunk_is_added_once() {
    model(3, || {
        let first = table();
        let shard = space().words();
        let other = thread::spawn(move || record(shard, first, 2.0));
        record(shard, first, 2.0);
        other.join().unwrap();
        assert_eq!(read(first), [(1, 2)]);
        assert_eq!(TABLE.chunks(&Reader::new(), first).count(), 1);
    });
}

/// A chunk in cells that were another's: who finds it, to record or to read, sees nothing of what they held.
#[test]
fn loom_a_chunk_in_cells_that_were_given_back_starts_at_zero() {
    model(3, || {
        let (used, first) = (space().allocate(1), table());
        let [own, others] = [(); 2].map(|()| {
            let claimed = space().claim().expect("there are two");
            space().shards().nth(claimed).expect("a shard that was claimed is there")
        });
        own.add(Address::of(used), 5);
        others.add(Address::of(used), 7);
        let recorder = thread::spawn(move || record(others, first, 2.0));
        let reader = thread::spawn(move || {
            for (index, count) in read(first) {
                assert!(index == 1 && count <= 2, "{count} in {index}");
            }
        });
        space().free(used, 1);
        record(own, first, 2.0);
        recorder.join().unwrap();
        reader.join().unwrap();
        assert_eq!(read(first), [(1, 2)]);
    });
}

/// Two threads halve the resolution, a third reads: it sees no bucket that counts what nobody recorded, and in the end
/// every value is counted once.
#[test]
fn loom_halving_the_resolution_loses_nothing() {
    // Buckets at schema -3: up to 2^8, up to 2^16, up to 2^24. At the coarsest: up to 2^16, up to 2^32.
    let (low, middle, high) = (2.0, 1e3, 1e6);
    model(2, move || {
        let first = table();
        let shard = space().words();
        let threads = [[low, high], [middle, low]]
            .map(|values| thread::spawn(move || values.into_iter().for_each(|x| record(shard, first, x))));
        for (index, count) in read(first) {
            assert!(count <= if index == 1 { 3 } else { 1 }, "{count} in {index}");
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(read(first), [(1, 3), (2, 1)]);
    });
}

/// The chunks are taken out of the table while somebody records: a value lands in an old chunk or in a new one, and is
/// there when all sections have been left.
#[test]
fn loom_a_value_is_counted_once_while_the_chunks_are_taken_out() {
    model(3, || {
        let first = table();
        let claimed = space().claim().expect("there are two");
        let shard = space().shards().nth(claimed).expect("a shard that was claimed is there");
        record(space().words(), first, 2.0);
        let recorder = thread::spawn(move || {
            let _section = shard.section.enter_if_outside();
            record(shard, first, 2.0);
        });
        let unlinked = Arc::new(TABLE.unlink(first));
        if space().wait_for_sections() {
            // Nobody adds to the old chunks any more: they are given back, and others may have their cells.
            let mut lists = Lists { unlinked: Some(Arc::clone(&unlinked)), ..Lists::default() };
            let old: u64 = unlinked.ranges().map(|(cell, _)| Reader::new().whole(cell)).sum();
            assert!(read_with(first, &mut lists).iter().map(|(_, count)| count).sum::<u64>() >= old);
            unlinked.free();
            recorder.join().unwrap();
            assert_eq!(old + read(first).iter().map(|(_, count)| count).sum::<u64>(), 2);
        } else {
            recorder.join().unwrap();
        }
    });
}
