//! Models of the lookup table: readers that take no lock, against the one writer. The rows are loom's cells, so an access
//! to a row that was not published, or was freed, fails.

use loom::model::Builder;
use loom::sync::Arc;

use super::*;
use crate::reclaim::{Section, heavy_fence};
use crate::sync::{UnsafeCell, thread};

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// The first three go to one table after the split, and begin their search in the same group; the fourth to the other.
const HASHES: [u64; 4] = [1 << 8, 2 << 8, 3 << 8, 1 << 63 | 5 << 8];

/// An index over rows that hold their number plus one once they are written.
struct Model {
    index: Index,
    section: Section,
    rows: [UnsafeCell<usize>; 5],
}

const fn address(row: usize) -> u64 {
    (row as u64 + 2) << 2
}

const fn row(address: u64) -> usize {
    (address >> 2) as usize - 2
}

fn hash_of(address: u64) -> u64 {
    HASHES[row(address)]
}

impl Model {
    /// With the first row in it.
    fn new() -> Arc<Self> {
        let rows = std::array::from_fn(|_| UnsafeCell::new(0));
        let model = Self { index: Index::new(), section: Section::new(false), rows };
        model.insert(0, &mut Retired::default());
        Arc::new(model)
    }

    fn insert(&self, row: usize, retired: &mut Retired) {
        // SAFETY: loom checks that nobody reads the row before it is published.
        self.rows[row].with_mut(|content| unsafe { *content = row + 1 });
        self.index.insert(HASHES[row], address(row), hash_of, retired);
    }

    /// What an emitter does: the row that was found, after it was read.
    fn find(&self, key: usize) -> Option<usize> {
        let _section = self.section.enter();
        let found = self.index.find(HASHES[key], |address| {
            // SAFETY: loom checks that nobody writes.
            self.rows[row(address)].with(|content| unsafe { *content } == key + 1)
        });
        found.map(|address| {
            // SAFETY: as above; the section is not left yet.
            assert_eq!(self.rows[row(address)].with(|content| unsafe { *content }), key + 1, "the row is whole");
            row(address)
        })
    }

    fn wait_for_readers(&self) {
        heavy_fence();
        let seen = self.section.observe();
        while !self.section.has_left(seen) {
            thread::yield_now();
        }
    }

    /// Frees a row. Loom fails if somebody reads it, or may read it later.
    fn free(&self, row: usize) {
        // SAFETY: loom checks that nobody reads.
        self.rows[row].with_mut(|content| unsafe { *content = usize::MAX });
    }
}

/// Frees what was retired as `Retired::free` does. Loom fails if a reader is in it, or may be in it later.
fn free(retired: &mut Retired) {
    for table in &retired.tables {
        // SAFETY: `Index` made it and leaves it to us.
        unsafe { (**table).groups.iter_mut().flat_map(|group| &mut group.0).for_each(|slot| slot.with_mut(|_| ())) };
    }
    for root in &retired.roots {
        // SAFETY: as above.
        unsafe { (**root).tables.iter_mut().for_each(|table| table.with_mut(|_| ())) };
    }
    // SAFETY: loom has checked that no reader is here.
    unsafe { retired.free() };
}

/// Rows are found whole while the table splits and grows; one that was there before is always found; old tables are freed
/// when their readers have left.
#[test]
fn loom_a_row_is_found_whole_while_the_index_grows_and_splits() {
    model(3, || {
        let shared = Model::new();
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert_eq!(shared.find(0), Some(0));
                let early = shared.find(1).is_some();
                let late = shared.find(1).is_some();
                assert!(late || !early, "a row that was found stays");
                // This one comes without a new table.
                shared.find(2);
                assert_eq!(shared.find(0), Some(0));
            })
        };
        let mut retired = Retired::default();
        // The split, with a table that grows at once, and another growth.
        shared.insert(1, &mut retired);
        assert_eq!((retired.roots.len(), retired.tables.len()), (1, 2));
        shared.wait_for_readers();
        free(&mut retired);
        for row in 2..4 {
            shared.insert(row, &mut retired);
        }
        shared.wait_for_readers();
        free(&mut retired);
        reader.join().unwrap();
        assert!((0..4).all(|key| shared.find(key) == Some(key)));
    });
}

/// A row that is taken out is freed when its readers have left, and found again when it is put back.
#[test]
fn loom_a_row_that_was_removed_is_freed_after_its_readers_have_left() {
    model(3, || {
        let shared = Model::new();
        let mut retired = Retired::default();
        shared.insert(3, &mut retired);
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let early = shared.find(3).is_some();
                let late = shared.find(3).is_some();
                assert!(early || !late, "nobody puts it back");
                assert_eq!(shared.find(0), Some(0));
            })
        };
        shared.index.remove(HASHES[3], address(3));
        shared.wait_for_readers();
        shared.free(3);
        free(&mut retired);
        reader.join().unwrap();
        assert_eq!(shared.find(3), None);
        shared.insert(3, &mut retired);
        assert_eq!(shared.find(3), Some(3));
        free(&mut retired);
    });
}

/// A row that is moved is found at one place or the other, and its old place is freed when its readers have left.
#[test]
fn loom_a_row_that_is_moved_is_always_found() {
    model(3, || {
        let shared = Model::new();
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let early = shared.find(0).expect("the row is there");
                let late = shared.find(0).expect("the row is there");
                assert!(early == late || (early, late) == (0, 4));
            })
        };
        // SAFETY: loom checks that nobody reads the copy before it is published.
        shared.rows[4].with_mut(|content| unsafe { *content = 1 });
        shared.index.replace(HASHES[0], address(0), address(4));
        shared.wait_for_readers();
        shared.free(0);
        reader.join().unwrap();
        assert_eq!(shared.find(0), Some(4));
    });
}
