//! What keeps the number of buckets within its limit.
//!
//! Emitters bound the memory: a chunk is added only while there are few enough. Readers see to the limit itself, since
//! what was counted at several resolutions may come to more. What either decides is kept in the words of the series, and
//! only ever gets coarser, so a scrape never shows a finer resolution or a narrower zero bucket than one before it: a
//! server would take that for a reset.

use crate::cells::space;
use crate::sync::Ordering;

use super::{COARSEST, ChunkTable, Lists, Resolution, coarser, merge, upper_bound};

/// Chunks that were taken out of a table, with what was decided while they were in it. They are read beside the table's
/// own until nobody can still be adding to them.
#[derive(Debug)]
pub(crate) struct Unlinked {
    pub(super) words: Vec<u64>,
    pub(super) level: u8,
    pub(super) widened: f64,
    cells: u32,
}

impl Unlinked {
    /// The first cells of the chunks, each with its number of cells.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.words.iter().map(|word| (*word as u32, self.cells))
    }

    /// Gives the chunks back. Nobody adds to them any more, and nobody reads them.
    pub(crate) fn free(&self) {
        for (first, cells) in self.ranges() {
            space().free(first, cells);
        }
    }
}

impl ChunkTable {
    /// Brings what was read within the limit: first by a wider zero bucket, as far as it may widen, then by a halved
    /// resolution; at the coarsest one by a zero bucket as wide as it has to be.
    #[cold]
    pub(super) fn narrow(&self, first: u32, read: &mut Resolution, lists: &mut Lists) {
        while lists.number() > self.limit as usize {
            let smallest = [&lists.positive, &lists.negative].map(|side| side.first().map(|(index, _)| *index));
            let Some(smallest) = smallest.into_iter().flatten().min() else { break };
            let bound = upper_bound(smallest, read.schema);
            if bound <= self.widest || read.schema == COARSEST {
                read.zero_threshold = bound.min(f64::MAX);
                for side in [&mut lists.positive, &mut lists.negative] {
                    if side.first().is_some_and(|(index, _)| *index == smallest) {
                        read.zeroes += side.remove(0).1;
                    }
                }
            } else {
                read.schema -= 1;
                for side in [&mut lists.positive, &mut lists.negative] {
                    side.iter_mut().for_each(|(index, _)| *index = coarser(*index, 1));
                    merge(side);
                }
            }
        }
        // What is about to begin anew begins at its full resolution.
        if lists.unlinked.is_none() {
            self.decide(first, (self.schema - read.schema) as u64, read.zero_threshold);
        }
    }

    /// From now on the series is at least as coarse as this.
    fn decide(&self, first: u32, level: u64, widened: f64) {
        let _adding = space().lock_chunks();
        // Relaxed: under the lock.
        if self.word(first, 0).load(Ordering::Relaxed) < level {
            // Release: pairs with the acquire in `bucket`, as in `coarsen`.
            self.word(first, 0).store(level, Ordering::Release);
        }
        if widened > self.threshold && widened > self.widened(first) {
            self.widen_to(first, widened);
        }
    }

    /// Takes the smallest chunk of a level into the zero bucket, be it there or `new`; false if that may not get so wide.
    /// The caller holds the lock.
    pub(super) fn widen(&self, first: u32, level: u64, new: i32) -> bool {
        if self.widest <= self.threshold || !self.has_spare(first, level) {
            return false;
        }
        let widened = self.widened(first);
        let there = self.words_under_lock(first).map(|word| Self::unkey((word >> 32) as u32));
        let chunks = there.filter(|(of, ..)| u64::from(*of) == level).map(|(.., chunk)| chunk);
        let tops = chunks.chain([new]).map(|chunk| self.top(level, chunk)).filter(|top| *top > widened);
        let smallest = tops.fold(f64::INFINITY, f64::min);
        let fits = smallest <= self.widest;
        if fits {
            self.widen_to(first, smallest);
        }
        fits
    }

    /// Whether the table has words for more chunks of this level. Those that the zero bucket took in stay in it, and count
    /// as one level more.
    pub(super) fn has_spare(&self, first: u32, level: u64) -> bool {
        (self.words_under_lock(first).count() as u64) < (level + 2) * u64::from(self.budget)
    }

    fn widen_to(&self, first: u32, threshold: f64) {
        // Relaxed: who misses it counts in a bucket that readers take for a part of the zero bucket.
        self.word(first, 1).store(threshold.to_bits(), Ordering::Relaxed);
    }

    /// The upper bound of the last bucket of a chunk.
    pub(super) fn top(&self, level: u64, chunk: i32) -> f64 {
        upper_bound(((chunk + 1) << self.chunk_bits) - 1, self.schema - level as i8)
    }

    /// Whether the series is coarser than it was meant to be.
    pub(crate) fn is_worn(&self, first: u32) -> bool {
        // Relaxed: a hint, for a scrape that comes back.
        [0, 1].into_iter().any(|at| self.word(first, at).load(Ordering::Relaxed) != 0)
    }

    /// Takes all chunks out, so that the series begins anew at its full resolution; emitters that have found one before
    /// go on adding to it until they leave their section.
    pub(crate) fn unlink(&self, first: u32) -> Unlinked {
        let _adding = space().lock_chunks();
        // Relaxed, all of them: under the lock, which an emitter takes that finds no chunk. One that still sees a chunk
        // is in a section that whoever unlinks waits for, behind a fence.
        let take = |at| {
            let word = self.word(first, at);
            let taken = word.load(Ordering::Relaxed);
            word.store(0, Ordering::Relaxed);
            taken
        };
        let (level, widened) = (take(0) as u8, f64::from_bits(take(1)));
        let words = (2..self.words()).map(take).filter(|word| *word != 0).collect();
        Unlinked { words, level, widened, cells: self.chunk_cells() }
    }
}
