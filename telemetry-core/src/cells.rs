//! The store: one address space of 64-bit cells, kept once per thread.
//!
//! Every instrument is a range of cells. Each thread owns a *shard*: its own copy of the address space, of which pages are
//! allocated as they are touched. Only the owner writes to a shard, so an increment is a load, an addition and a store; a
//! reader sums the shards.
//!
//! ```text
//!              1024 cells    1024 cells          1024 cells
//! shard 0   [ page 0    ] [ page 1         ] [ page 2 ...      ]   shared: gauges, and threads beyond the cap
//! shard 1   [ page 0    ]        -           [ page 2 ...      ]   thread A
//! shard 2   [ page 0    ] [ page 1         ]        -              thread B, then whoever adopts it
//! ```
//!
//! A thread that ends returns its shard, totals and all, and the next thread adopts it and goes on adding: nothing is
//! folded, so nothing is counted twice and no total goes back. There are at most [`CellSpace::private_limit`] private
//! shards; threads beyond them write to the shared ones with `fetch_add`, so memory is bounded whatever the number of
//! threads. After thread-local storage is gone, a thread writes to a shared shard too.
//!
//! A child of `fork` has one thread. Nobody adopts the shards of the others there, and the sections that those were in are
//! left for them, see `fork`.
//!
//! # Reading while others write
//!
//! Cells are read and written with relaxed operations: a total is the only fact, nothing is published through it. Each
//! cell of each shard only grows (additive cells), and two scrapes that are ordered one after the other see each cell in
//! that order, so a total never goes back. Whoever has joined a thread sees all that it added.
//!
//! Model: `loom_tests`.

#[cfg(all(target_os = "linux", not(loom)))]
mod fork;
#[cfg(all(test, loom))]
mod loom_tests;
mod reader;
mod shard;
#[cfg(all(test, not(loom)))]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::PoisonError;

use crate::reclaim;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, MutexGuard, Ordering, thread};

pub(crate) use reader::{Baseline, Reader};
#[cfg(all(test, loom))]
use shard::FIRST_PAGE;
pub(crate) use shard::{Address, OwnShard, RowCells, Shard};
use shard::{PAGES, first_of_page, page_size};

/// The most shards, shared ones included.
const SHARDS: usize = if cfg!(loom) { 4 } else { 512 };
/// Private shards for each core; a thread that waits keeps its shard, so a few are needed.
const SHARDS_PER_CORE: usize = 8;
const LEAST_PRIVATE: usize = 32;

/// The shards, and which cells are taken.
#[derive(Debug)]
pub(crate) struct CellSpace {
    // Invariant: the first `count` are shards that live as long as the space; written once, under `idle`.
    shards: [AtomicPtr<Shard>; SHARDS],
    count: AtomicUsize,
    /// Private shards whose thread has ended, and how many private ones there are at all.
    idle: Mutex<Idle>,
    ranges: Mutex<Ranges>,
    // Held while a chunk of exponential buckets is added to a table.
    chunks: Mutex<()>,
    next_shared: AtomicUsize,
}

#[derive(Debug)]
struct Idle {
    shards: Vec<usize>,
    private: usize,
}

#[derive(Debug)]
struct Ranges {
    next: u32,
    // Ranges that were given back and zeroed, by length.
    free: BTreeMap<u32, Vec<u32>>,
}

impl CellSpace {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            shards: [const { AtomicPtr::new(ptr::null_mut()) }; SHARDS],
            count: AtomicUsize::new(0),
            idle: Mutex::new(Idle { shards: Vec::new(), private: 0 }),
            ranges: Mutex::new(Ranges { next: 0, free: BTreeMap::new() }),
            chunks: Mutex::new(()),
            next_shared: AtomicUsize::new(0),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            count: AtomicUsize::new(0),
            idle: Mutex::new(Idle { shards: Vec::new(), private: 0 }),
            ranges: Mutex::new(Ranges { next: 0, free: BTreeMap::new() }),
            chunks: Mutex::new(()),
            next_shared: AtomicUsize::new(0),
        }
    }

    fn cores() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }

    /// How many shards are shared. The first holds the words of gauges, too.
    pub(crate) fn shared_count() -> usize {
        if cfg!(loom) { 1 } else { Self::cores().min(16) }
    }

    /// The most private shards.
    pub(crate) fn private_limit() -> usize {
        if cfg!(loom) {
            return 2;
        }
        (Self::cores() * SHARDS_PER_CORE).clamp(LEAST_PRIVATE, SHARDS - Self::shared_count())
    }

    fn shard(&self, index: usize) -> &Shard {
        // Acquire: pairs with the release in `push`, so that the shard's fields are seen.
        let shard = self.shards[index].load(Ordering::Acquire);
        // SAFETY: callers pass an index below `count`, so by the invariant of `shards` it is there and lives as long.
        unsafe { &*shard }
    }

    /// Every shard, shared ones first.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &Shard> {
        // Acquire: pairs with the release in `push`: a shard that is counted is there.
        (0..self.count.load(Ordering::Acquire)).map(|index| self.shard(index))
    }

    /// Adds a shard; the caller holds the lock of `idle`.
    fn push(&self, shared: bool) -> usize {
        // Relaxed: only written here, under the lock of `idle`.
        let index = self.count.load(Ordering::Relaxed);
        let shard = Box::into_raw(Box::new(Shard::new(shared)));
        // Release, twice: publishes the shard's fields to `shard`, and the pointer to `shards`.
        self.shards[index].store(shard, Ordering::Release);
        self.count.store(index + 1, Ordering::Release);
        index
    }

    /// Held while a chunk of exponential buckets is added to any table.
    pub(crate) fn lock_chunks(&self) -> MutexGuard<'_, ()> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self) -> impl Sized + '_ {
        (self.lock_idle(), self.lock_ranges(), self.lock_chunks())
    }

    fn lock_ranges(&self) -> MutexGuard<'_, Ranges> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_idle(&self) -> MutexGuard<'_, Idle> {
        // Nothing panics under this lock, so a poisoned one would still hold a whole value.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: only written under this lock.
        if self.count.load(Ordering::Relaxed) == 0 {
            #[cfg(all(target_os = "linux", not(loom)))]
            fork::watch();
            for _ in 0..Self::shared_count() {
                self.push(true);
            }
            idle.private = 0;
        }
        idle
    }

    /// A shard for a thread that begins: an idle one, a new one, or, beyond the limit, `None`.
    pub(crate) fn claim(&self) -> Option<usize> {
        let mut idle = self.lock_idle();
        // The lock orders the last owner's stores before the new owner's loads.
        idle.shards.pop().or_else(|| {
            (idle.private < Self::private_limit()).then(|| {
                idle.private += 1;
                self.push(false)
            })
        })
    }

    /// Takes back the shard of a thread that ends, totals and all.
    pub(crate) fn release(&self, index: usize) {
        self.lock_idle().shards.push(index);
    }

    /// A shard that any thread may write to.
    pub(crate) fn shared(&self) -> usize {
        drop(self.lock_idle());
        // Relaxed: it only spreads threads over shards.
        self.next_shared.fetch_add(1, Ordering::Relaxed) % Self::shared_count()
    }

    /// The shard that holds the words of gauges: one word for all threads.
    #[inline]
    pub(crate) fn words(&self) -> &Shard {
        // Acquire: as in `shard`.
        let shard = self.shards[0].load(Ordering::Acquire);
        if shard.is_null() {
            drop(self.lock_idle());
            return self.shard(0);
        }
        // SAFETY: by the invariant of `shards`.
        unsafe { &*shard }
    }

    /// Takes a range of cells, all of them zero; it lies within one page.
    pub(crate) fn allocate(&self, cells: u32) -> u32 {
        let mut ranges = self.lock_ranges();
        if let Some(first) = ranges.free.get_mut(&cells).and_then(Vec::pop) {
            return first;
        }
        loop {
            let first = ranges.next;
            let at = Address::of(first);
            assert!((at.page as usize) < PAGES - 1, "more than two thousand million cells are in use");
            let (taken, size) = (at.offset as usize + cells as usize, page_size(at.page));
            ranges.next = if taken < size { first + cells } else { first_of_page(at.page + 1) };
            if taken <= size {
                return first;
            }
        }
    }

    /// Gives back a range that no thread can still be writing to.
    pub(crate) fn free(&self, first: u32, cells: u32) {
        for shard in self.shards() {
            for cell in first..first + cells {
                if let Some(cell) = shard.existing(Address::of(cell)) {
                    // Relaxed: by the caller's promise nobody writes here until the range is allocated again, which the
                    // lock below orders behind this.
                    cell.store(0, Ordering::Relaxed);
                }
            }
        }
        let mut ranges = self.lock_ranges();
        ranges.free.entry(cells).or_default().push(first);
    }

    /// Waits until no thread is in a section that it was in before the call; false if that takes too long.
    pub(crate) fn wait_for_sections(&self) -> bool {
        reclaim::heavy_fence();
        for shard in self.shards() {
            let seen = shard.section.observe();
            let mut tries = 0;
            while !shard.section.has_left(seen) {
                tries += 1;
                if tries > 2_000 {
                    return false;
                }
                thread::yield_now();
            }
        }
        true
    }
}

impl Drop for CellSpace {
    fn drop(&mut self) {
        for index in 0..self.count.load(Ordering::Relaxed) {
            // SAFETY: the shard came from a box in `push`, and `&mut self` proves that nobody else is here.
            drop(unsafe { Box::from_raw(self.shards[index].load(Ordering::Relaxed)) });
        }
    }
}

#[cfg(not(loom))]
static SPACE: CellSpace = CellSpace::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref SPACE: CellSpace = CellSpace::new();
}

/// The cells of this process.
#[inline]
pub(crate) fn space() -> &'static CellSpace {
    &SPACE
}

std::thread_local! {
    // Without a destructor, so that it can be read at any time in a thread's life. Null: none claimed yet.
    static SHARD: Cell<*const Shard> = const { Cell::new(ptr::null()) };
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

/// Returns the thread's shard when the thread ends.
struct Lease(Cell<Option<usize>>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(index) = self.0.take() {
            // From here on, destructors of other thread-locals write to a shared shard.
            SHARD.with(|shard| shard.set(space().shard(space().shared())));
            space().release(index);
        }
    }
}

/// This thread's shard.
#[inline]
pub(crate) fn local() -> &'static Shard {
    // Not `with`, which is not inlined where nothing is optimised at link time. It can't fail: there is no destructor.
    let shard = SHARD.try_with(Cell::get).unwrap_or(ptr::null());
    if shard.is_null() {
        return claim();
    }
    // SAFETY: `claim` and `Lease` only set shards of `SPACE`, which live for ever.
    unsafe { &*shard }
}

#[cold]
#[inline(never)]
fn claim() -> &'static Shard {
    let space = space();
    // The lease can't be had once this thread's destructors have run, and then a shard would never be returned.
    let private = LEASE.try_with(|lease| {
        let index = space.claim();
        lease.0.set(index);
        index
    });
    let index = private.ok().flatten().unwrap_or_else(|| space.shared());
    let shard = space.shard(index);
    SHARD.with(|current| current.set(shard));
    shard
}
