//! Reading: sums of cells over the shards, less what a series had when it was set back.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

use super::{Address, CellSpace, space};

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
    // What is read is kept here, before anything is taken off.
    noted: Option<Baseline>,
    // Whether neither of the two is there.
    is_plain: bool,
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

    /// Forgets some cells, which are about to be given back.
    pub(crate) fn forget(&mut self, cells: Range<u32>) {
        for cell in cells {
            self.cells.remove(&cell);
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
        Self { space: space(), page: u32::MAX, cells: Vec::new(), baseline: None, noted: None, is_plain: true }
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
        self.is_plain = self.baseline.is_none() && self.noted.is_none();
    }

    /// From now on notes what is read.
    pub(crate) fn note(&mut self) {
        self.noted = Some(Baseline::default());
        self.is_plain = false;
    }

    /// Ends noting, and gives what was read: taken off later, it leaves what was added since.
    pub(crate) fn noted(&mut self) -> Baseline {
        let noted = self.noted.take().unwrap_or_default();
        self.is_plain = self.baseline.is_none();
        noted
    }

    /// The sum of one cell.
    #[inline]
    pub(crate) fn whole(&mut self, cell: u32) -> u64 {
        let sum = self.fold(cell, 0, u64::wrapping_add);
        if self.is_plain { sum } else { self.whole_less(cell, sum) }
    }

    #[cold]
    fn whole_less(&mut self, cell: u32, sum: u64) -> u64 {
        if let Some(noted) = &mut self.noted {
            noted.cells.insert(cell, (sum, 0.0));
        }
        match self.baseline.as_ref().and_then(|baseline| baseline.cells.get(&cell)) {
            None => sum,
            Some((before, _)) => sum.wrapping_sub(*before),
        }
    }

    /// The sum of one cell that holds floats.
    #[inline]
    pub(crate) fn float(&mut self, cell: u32) -> f64 {
        let sum = self.fold(cell, 0.0, |sum, bits| sum + f64::from_bits(bits));
        if self.is_plain { sum } else { self.float_less(cell, sum) }
    }

    #[cold]
    fn float_less(&mut self, cell: u32, sum: f64) -> f64 {
        if let Some(noted) = &mut self.noted {
            noted.cells.insert(cell, (0, sum));
        }
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
