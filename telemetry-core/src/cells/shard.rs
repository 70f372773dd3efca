//! A shard: one thread's copy of the address space, and the cells of a row in it.

use std::ptr;

use crate::reclaim::{self, EnteredPlainly};
use crate::sync::{AtomicPtr, AtomicU64, Ordering, own};

/// A cell's number is that of its page, and in so many bits below that its place there: no arithmetic is needed to find it.
const OFFSET_BITS: u32 = if cfg!(loom) { 27 } else { 25 };
/// The first pages have two to the power of this many cells. Small under the model checker, so that a model crosses pages.
const FIRST_PAGE_BITS: u32 = if cfg!(loom) { 1 } else { 10 };
/// After so many pages of a size come those of twice the size, until the bits end: so at most a fifth of what a shard has
/// is a page that was just begun.
const PAGES_OF_A_SIZE: u32 = if cfg!(loom) { 1 } else { 4 };
#[cfg(all(test, loom))]
pub(super) const FIRST_PAGE: u32 = 1 << FIRST_PAGE_BITS;
pub(super) const PAGES: usize = 1 << (u32::BITS - OFFSET_BITS);

/// Where a cell lies in every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    // Invariant: `page < PAGES`; held by `Address::of`, the only constructor.
    pub(super) page: u32,
    // Invariant: below `page_size(page)`, since only such numbers are given out, by `CellSpace::allocate`.
    pub(super) offset: u32,
}

impl Address {
    #[inline]
    pub(crate) const fn of(cell: u32) -> Self {
        Self { page: cell >> OFFSET_BITS, offset: cell & ((1 << OFFSET_BITS) - 1) }
    }
}

/// How many cells a page has.
pub(super) const fn page_size(page: u32) -> usize {
    let bits = FIRST_PAGE_BITS + page / PAGES_OF_A_SIZE;
    1 << if bits < OFFSET_BITS { bits } else { OFFSET_BITS }
}

/// The number of a page's first cell.
pub(super) const fn first_of_page(page: u32) -> u32 {
    page << OFFSET_BITS
}

/// One thread's copy of the address space.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard {
    // Invariant: null, or the first of `page_size(page)` cells that live as long as the shard; written once.
    pages: [AtomicPtr<AtomicU64>; PAGES],
    /// Tells the reclaimer whether the owner is reading what may be retired: see `reclaim`.
    pub(crate) section: reclaim::Section,
    pub(super) shared: bool,
}

impl Shard {
    pub(super) fn new(shared: bool) -> Self {
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
        // SAFETY: by the invariant of `Address`, `page` is below the length.
        let mut page = unsafe { self.pages.get_unchecked(at.page as usize) }.load(Ordering::Acquire);
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
    pub(super) fn existing_page(&self, page: u32) -> Option<*const AtomicU64> {
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

    /// The cells of a row.
    ///
    /// # Safety
    ///
    /// `CellSpace::allocate` gave `first`, for this many cells or more.
    #[inline]
    pub(crate) unsafe fn row(&self, first: u32, cells: u32) -> RowCells<'_> {
        // SAFETY: the caller's promise.
        unsafe { self.row_at(Address::of(first), first, cells) }
    }

    /// The same, the address of the first cell being known.
    ///
    /// # Safety
    ///
    /// As for [`Shard::row`], and `at` is the address of `first`.
    #[inline]
    pub(crate) unsafe fn row_at(&self, at: Address, first: u32, cells: u32) -> RowCells<'_> {
        debug_assert_eq!(at, Address::of(first));
        debug_assert!(at.offset as usize + cells as usize <= page_size(at.page), "a range lies within one page");
        // SAFETY: the page that `place` found lives as long as `self`, and `allocate` gives ranges that lie within one.
        let cells = unsafe { std::slice::from_raw_parts(self.place(at), cells as usize) };
        RowCells { shard: self, first, shared: self.shared, cells }
    }

    /// This shard, if only this thread, which has it from `local`, writes to it.
    #[inline(always)]
    pub(crate) fn own(&self) -> Option<OwnShard<'_>> {
        (!self.shared).then_some(OwnShard(self))
    }

    /// The same, if no fence is needed to enter its section, which is entered; never while this thread is in it already.
    #[inline(always)]
    pub(crate) fn enter_own(&self) -> Option<(OwnShard<'_>, EnteredPlainly<'_>)> {
        // What is shared is never entered so.
        self.section.enter_plainly().map(|section| (OwnShard(self), section))
    }

    /// Adds to a cell of this shard.
    #[inline]
    pub(crate) fn add(&self, at: Address, n: u64) {
        add_to(self.cell(at), self.shared, n);
    }

    /// Replaces a cell's word by what `change` makes of it.
    #[inline]
    pub(crate) fn update(&self, at: Address, change: impl Fn(u64) -> u64) {
        update_cell(self.cell(at), self.shared, change);
    }
}

#[inline]
fn add_to(cell: &AtomicU64, shared: bool, n: u64) {
    // Relaxed, both: the total is the only fact; nothing is published through it.
    if shared {
        cell.fetch_add(n, Ordering::Relaxed);
    } else {
        cell.store(own(cell).wrapping_add(n), Ordering::Relaxed);
    }
}

#[inline]
fn update_cell(cell: &AtomicU64, shared: bool, change: impl Fn(u64) -> u64) {
    // Relaxed: as in `add_to`.
    if shared {
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(change(word)));
    } else {
        cell.store(change(own(cell)), Ordering::Relaxed);
    }
}

/// The shard that this thread alone writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnShard<'a>(&'a Shard);

impl<'a> OwnShard<'a> {
    pub(crate) fn shard(self) -> &'a Shard {
        self.0
    }

    /// The cells of a row.
    ///
    /// # Safety
    ///
    /// As for [`Shard::row`].
    #[inline(always)]
    pub(crate) unsafe fn row(self, first: u32, cells: u32) -> RowCells<'a> {
        debug_assert!(!self.0.shared);
        // SAFETY: the caller's promise. That it is not shared is said once more, so that nothing asks.
        RowCells { shared: false, ..unsafe { self.0.row(first, cells) } }
    }
}

/// The cells of one row in one thread's shard: one look at the shard's pages serves all metrics of the row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowCells<'a> {
    pub(crate) shard: &'a Shard,
    /// The number of the first cell.
    pub(crate) first: u32,
    // The shard's: here, it is read once for all metrics of the row.
    shared: bool,
    cells: &'a [AtomicU64],
}

impl<'a> RowCells<'a> {
    /// Adds to the cell at an offset in the row.
    #[inline]
    pub(crate) fn add(&self, offset: u32, n: u64) {
        add_to(&self.cells[offset as usize], self.shared, n);
    }

    /// Adds to a cell that holds the bits of an `f64`.
    #[inline]
    pub(crate) fn add_float(&self, offset: u32, x: f64) {
        update_cell(&self.cells[offset as usize], self.shared, |bits| (f64::from_bits(bits) + x).to_bits());
    }

    /// Replaces a cell's word by what `change` makes of it.
    #[inline]
    pub(crate) fn update(&self, offset: u32, change: impl Fn(u64) -> u64) {
        update_cell(&self.cells[offset as usize], self.shared, change);
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
