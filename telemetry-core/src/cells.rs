//! The store: one address space of 64-bit cells, kept once per thread.
//!
//! Every instrument is a range of cells. Each thread owns a *shard*: its own copy of the address space, of which pages are
//! allocated as they are touched. Only the owner writes to a shard, so an increment is a load, an addition and a store; a
//! reader sums the shards.
//!
//! ```text
//!              cell 0        cell 1024           cell 3072
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
//! # Reading while others write
//!
//! Cells are read and written with relaxed operations: a total is the only fact, nothing is published through it. Each
//! cell of each shard only grows (additive cells), and two scrapes that are ordered one after the other see each cell in
//! that order, so a total never goes back. Whoever has joined a thread sees all that it added.
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::ptr;
use std::sync::{Arc, PoisonError};

use crate::reclaim;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, thread};

/// Cells of the first page; each page after it has twice as many as the one before. Small under the model checker, so
/// that a model crosses pages.
const FIRST_PAGE: u32 = if cfg!(loom) { 2 } else { 1 << 10 };
const FIRST_PAGE_BITS: u32 = FIRST_PAGE.trailing_zeros();
/// Enough for 2^32 cells.
const PAGES: usize = (32 - FIRST_PAGE_BITS) as usize;
/// The most shards, shared ones included.
const SHARDS: usize = if cfg!(loom) { 4 } else { 512 };
/// Private shards for each core; a thread that waits keeps its shard, so a few are needed.
const SHARDS_PER_CORE: usize = 8;
const LEAST_PRIVATE: usize = 32;

/// Where a cell lies in every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    // Invariant: `page < PAGES` and `offset < page_size(page)`; held by `Address::of`, the only constructor.
    page: u32,
    offset: u32,
}

impl Address {
    #[inline]
    pub(crate) const fn of(cell: u32) -> Self {
        // Cell numbers end well below 2^32: `CellSpace::allocate` refuses the last page.
        let at = cell as u64 + FIRST_PAGE as u64;
        let page = at.ilog2() - FIRST_PAGE_BITS;
        Self { page, offset: (at - ((FIRST_PAGE as u64) << page)) as u32 }
    }
}

const fn page_size(page: u32) -> usize {
    (FIRST_PAGE as usize) << page
}

/// One thread's copy of the address space.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard {
    // Invariant: null, or the first of `page_size(page)` cells that live as long as the shard; written once.
    pages: [AtomicPtr<AtomicU64>; PAGES],
    /// Tells the reclaimer whether the owner is reading what may be retired: see `reclaim`.
    pub(crate) section: reclaim::Section,
    shared: bool,
}

impl Shard {
    fn new(shared: bool) -> Self {
        Self {
            pages: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            section: reclaim::Section::new(shared),
            shared,
        }
    }

    /// The cell at an address; its page is allocated now if this shard has not touched it before.
    #[inline]
    pub(crate) fn cell(&self, at: Address) -> &AtomicU64 {
        // SAFETY: `place` points to a cell that lives as long as `self`.
        unsafe { &*self.place(at) }
    }

    /// Where a cell is, with the rest of its page behind it.
    #[inline]
    fn place(&self, at: Address) -> *const AtomicU64 {
        // Acquire: pairs with the release in `allocate_page`, which another thread may have run (on a shared shard), so
        // that the page's zeroes are seen. A private shard's pages come from its owner, or with the lock of `release`.
        let mut page = self.pages[at.page as usize].load(Ordering::Acquire);
        if page.is_null() {
            page = self.allocate_page(at.page);
        }
        // SAFETY: by the invariants of `pages` and `Address`, the page has more than `offset` cells.
        unsafe { page.add(at.offset as usize) }
    }

    /// The cell at an address, if this shard has ever touched its page.
    #[inline]
    pub(crate) fn existing(&self, at: Address) -> Option<&AtomicU64> {
        // SAFETY: as in `place`; the page lives as long as `self`.
        self.existing_page(at.page).map(|page| unsafe { &*page.add(at.offset as usize) })
    }

    /// The first cell of a page, with the rest behind it, if this shard has ever touched it.
    #[inline]
    fn existing_page(&self, page: u32) -> Option<*const AtomicU64> {
        // Acquire: as in `place`.
        let page = self.pages[page as usize].load(Ordering::Acquire);
        (!page.is_null()).then_some(page.cast_const())
    }

    #[cold]
    #[inline(never)]
    fn allocate_page(&self, page: u32) -> *mut AtomicU64 {
        let fresh = new_page(page_size(page));
        // AcqRel: the release publishes the page's zeroes to readers and sharers; the acquire, when another thread was
        // faster, makes its page's zeroes visible here.
        match self.pages[page as usize].compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(theirs) => {
                // SAFETY: `fresh` came from `new_page` with this size and nobody else has seen it.
                unsafe { drop_page(fresh, page_size(page)) };
                theirs
            }
        }
    }

    /// The cells of a row: a range that was allocated as a whole.
    #[inline]
    pub(crate) fn row(&self, first: u32, cells: u32) -> RowCells<'_> {
        self.row_at(Address::of(first), first, cells)
    }

    /// The same, the address of the first cell being known.
    #[inline]
    pub(crate) fn row_at(&self, at: Address, first: u32, cells: u32) -> RowCells<'_> {
        debug_assert_eq!(at, Address::of(first));
        assert!(at.offset as usize + cells as usize <= page_size(at.page), "a range lies within one page");
        // SAFETY: the page that `place` found has `page_size` cells, lives as long as `self`, and the range lies within it.
        let cells = unsafe { std::slice::from_raw_parts(self.place(at), cells as usize) };
        RowCells { shard: self, first, cells }
    }

    #[inline]
    fn add_to(&self, cell: &AtomicU64, n: u64) {
        // Relaxed, all three: the total is the only fact; nothing is published through it.
        if self.shared {
            cell.fetch_add(n, Ordering::Relaxed);
        } else {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        }
    }

    #[inline]
    fn update_cell(&self, cell: &AtomicU64, change: impl Fn(u64) -> u64) {
        // Relaxed: as in `add_to`.
        if self.shared {
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(change(word)));
        } else {
            cell.store(change(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }

    /// Adds to a cell of this shard.
    #[inline]
    pub(crate) fn add(&self, at: Address, n: u64) {
        self.add_to(self.cell(at), n);
    }

    /// Replaces a cell's word by what `change` makes of it.
    #[inline]
    pub(crate) fn update(&self, at: Address, change: impl Fn(u64) -> u64) {
        self.update_cell(self.cell(at), change);
    }
}

/// The cells of one row in one thread's shard: one look at the shard's pages serves all metrics of the row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowCells<'a> {
    pub(crate) shard: &'a Shard,
    /// The number of the first cell.
    pub(crate) first: u32,
    cells: &'a [AtomicU64],
}

impl<'a> RowCells<'a> {
    /// Adds to the cell at an offset in the row.
    #[inline]
    pub(crate) fn add(&self, offset: u32, n: u64) {
        self.shard.add_to(&self.cells[offset as usize], n);
    }

    /// Adds to a cell that holds the bits of an `f64`.
    #[inline]
    pub(crate) fn add_float(&self, offset: u32, x: f64) {
        self.shard.update_cell(&self.cells[offset as usize], |bits| (f64::from_bits(bits) + x).to_bits());
    }

    /// Replaces a cell's word by what `change` makes of it.
    #[inline]
    pub(crate) fn update(&self, offset: u32, change: impl Fn(u64) -> u64) {
        self.shard.update_cell(&self.cells[offset as usize], change);
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        for page in 0..PAGES as u32 {
            // Relaxed: `&mut self` proves that nobody else is here.
            let cells = self.pages[page as usize].load(Ordering::Relaxed);
            if !cells.is_null() {
                // SAFETY: the page came from `new_page` with this size, and nobody else is here.
                unsafe { drop_page(cells, page_size(page)) };
            }
        }
    }
}

#[cfg(not(loom))]
fn new_page(cells: usize) -> *mut AtomicU64 {
    let layout = std::alloc::Layout::array::<AtomicU64>(cells).expect("a page is far smaller than the address space");
    // SAFETY: the layout is not empty. Zeroed memory is what a large page costs nothing in until it is touched.
    let page = unsafe { std::alloc::alloc_zeroed(layout) };
    if page.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    page.cast()
}

/// # Safety
///
/// `page` came from `new_page(cells)`, and nobody uses it any more.
#[cfg(not(loom))]
unsafe fn drop_page(page: *mut AtomicU64, cells: usize) {
    let layout = std::alloc::Layout::array::<AtomicU64>(cells).expect("a page is far smaller than the address space");
    // SAFETY: the caller's promise; `new_page` used the same layout.
    unsafe { std::alloc::dealloc(page.cast(), layout) }
}

// Loom's atomics are objects with a history, not words of zeroed memory.
#[cfg(loom)]
fn new_page(cells: usize) -> *mut AtomicU64 {
    let page: Box<[AtomicU64]> = (0..cells).map(|_| AtomicU64::new(0)).collect();
    Box::into_raw(page).cast()
}

#[cfg(loom)]
unsafe fn drop_page(page: *mut AtomicU64, cells: usize) {
    // SAFETY: the caller's promise; `new_page` boxed a slice of this length.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(page, cells)) });
}

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
    free: Option<HashMap<u32, Vec<u32>>>,
}

impl CellSpace {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            shards: [const { AtomicPtr::new(ptr::null_mut()) }; SHARDS],
            count: AtomicUsize::new(0),
            idle: Mutex::new(Idle { shards: Vec::new(), private: 0 }),
            ranges: Mutex::new(Ranges { next: 0, free: None }),
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
            ranges: Mutex::new(Ranges { next: 0, free: None }),
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
        if let Some(first) = ranges.free.as_mut().and_then(|free| free.get_mut(&cells)?.pop()) {
            return first;
        }
        loop {
            let first = ranges.next;
            let at = Address::of(first);
            assert!((at.page as usize) < PAGES - 1, "more than two thousand million cells are in use");
            let left = page_size(at.page) as u32 - at.offset;
            if left >= cells {
                ranges.next = first + cells;
                return first;
            }
            ranges.next = first + left;
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
        ranges.free.get_or_insert_default().entry(cells).or_default().push(first);
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
    let shard = SHARD.with(Cell::get);
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

/// Sums cells over the shards.
///
/// It remembers where the shards' pages lie, so that a walk over many series looks them up once.
#[derive(Debug)]
pub(crate) struct Reader {
    space: &'static CellSpace,
    page: u32,
    // The first cell of the page at hand in each shard that has it.
    cells: Vec<*const AtomicU64>,
    baseline: Option<Arc<Baseline>>,
}

/// What the cells of a series had counted when it was set back to zero: it is taken off what is read later.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    /// By cell: the sum as whole numbers, and as floats.
    cells: HashMap<u32, (u64, f64)>,
    /// By cell: the epoch of a slot of a window, and its count.
    slots: HashMap<u32, (u64, u64)>,
}

impl Baseline {
    /// Takes the state of some cells.
    pub(crate) fn take(&mut self, reader: &mut Reader, cells: Range<u32>) {
        for cell in cells {
            let float = reader.fold(cell, 0.0, |sum, bits| sum + f64::from_bits(bits));
            self.cells.insert(cell, (reader.fold(cell, 0, u64::wrapping_add), float));
        }
    }

    /// Takes the count of a window's slot.
    pub(crate) fn take_slot(&mut self, cell: u32, epoch: u64, count: u64) {
        self.slots.insert(cell, (epoch, count));
    }

    /// Whether anything was counted since.
    pub(crate) fn has_changed(&self, reader: &mut Reader) -> bool {
        self.cells.is_empty()
            || self.cells.iter().any(|(cell, (whole, _))| reader.fold(*cell, 0, u64::wrapping_add) != *whole)
    }
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { space: space(), page: u32::MAX, cells: Vec::new(), baseline: None }
    }

    /// Forgets pages, so that those of shards that are newer are found: at each step of a walk.
    pub(crate) fn refresh(&mut self) {
        self.page = u32::MAX;
    }

    #[inline]
    fn turn_to(&mut self, page: u32) {
        if self.page != page {
            self.turn(page);
        }
    }

    #[cold]
    fn turn(&mut self, page: u32) {
        self.page = page;
        self.cells.clear();
        self.cells.extend(self.space.shards().filter_map(|shard| shard.existing_page(page)));
    }

    /// From now on takes off what a series had when it was set back.
    pub(crate) fn take_off(&mut self, baseline: Option<Arc<Baseline>>) {
        self.baseline = baseline;
    }

    /// The sum of one cell.
    #[inline]
    pub(crate) fn whole(&mut self, cell: u32) -> u64 {
        let sum = self.fold(cell, 0, u64::wrapping_add);
        match self.baseline.as_ref().and_then(|baseline| baseline.cells.get(&cell)) {
            None => sum,
            Some((before, _)) => sum.wrapping_sub(*before),
        }
    }

    /// The sum of one cell that holds floats.
    #[inline]
    pub(crate) fn float(&mut self, cell: u32) -> f64 {
        let sum = self.fold(cell, 0.0, |sum, bits| sum + f64::from_bits(bits));
        match self.baseline.as_ref().and_then(|baseline| baseline.cells.get(&cell)) {
            None => sum,
            Some((_, before)) => sum - before,
        }
    }

    /// The count of one slot of a window, `count_of` giving that of a word; the slot's newest epoch is `epoch`.
    #[inline]
    pub(crate) fn slot(&mut self, cell: u32, epoch: u64, count_of: impl Fn(u64) -> u64) -> u64 {
        let count = self.fold(cell, 0, |sum, word| sum + count_of(word));
        match self.baseline.as_ref().and_then(|baseline| baseline.slots.get(&cell)) {
            Some((at, before)) if *at == epoch => count.saturating_sub(*before),
            _ => count,
        }
    }

    /// Goes over the words of one cell, shard by shard.
    #[inline]
    pub(crate) fn fold<T>(&mut self, cell: u32, start: T, mut step: impl FnMut(T, u64) -> T) -> T {
        let at = Address::of(cell);
        self.turn_to(at.page);
        let mut folded = start;
        for &page in &self.cells {
            // SAFETY: `turn` found the page in a shard of `SPACE`, so it lives for ever and has `page_size` cells, of
            // which `offset` is one by the invariant of `Address`.
            let cell = unsafe { &*page.add(at.offset as usize) };
            // Relaxed: see the head of this module.
            folded = step(folded, cell.load(Ordering::Relaxed));
        }
        folded
    }

    /// The word of a gauge.
    #[inline]
    pub(crate) fn word(&self, cell: u32) -> u64 {
        // Relaxed: the newest value is the only fact.
        self.space.words().existing(Address::of(cell)).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// A word that tells where other cells are.
    #[inline]
    pub(crate) fn published_word(&self, cell: u32) -> u64 {
        // Acquire: pairs with the release of whoever published the cells, without which this reader could still see what
        // they held in an earlier life.
        self.space.words().existing(Address::of(cell)).map_or(0, |cell| cell.load(Ordering::Acquire))
    }
}

// SAFETY: the pointers are to cells of `SPACE`, which live for ever and are atomics.
unsafe impl Send for Reader {}
