//! Exponential buckets: bounds are powers of `2^(2^-schema)`, and cells come in chunks as values reach them.
//!
//! A series keeps a small table of shared words, one for each chunk of consecutive buckets that any thread has reached:
//! (resolution, sign, chunk) and the chunk's first cell. Looking up a bucket is arithmetic on the float's bits and a probe
//! of that table. When a series has used up its chunks at one resolution it goes on at half of it; what was counted finer
//! stays and is merged exactly when it is read, since each coarser bucket is two finer ones. So memory is bounded whatever
//! the values are, and no count is ever moved. `limit` tells how the number of buckets is kept within its limit, and how
//! a histogram begins anew.
//!
//! Model: `loom_tests`.

mod limit;
#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod properties;
mod settings;

use std::sync::{Arc, OnceLock};

use crate::cells::{Address, Reader, space};
use crate::sync::Ordering;

pub(crate) use limit::Unlinked;
#[cfg(all(test, loom))]
pub(super) use loom_tests::table_at;
pub use settings::Exponential;

/// Values whose size is at most this are zero unless told otherwise: Prometheus' default, 2^-128.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

const COARSEST: i8 = -4;
const FINEST: i8 = 8;

/// The bounds within one doubling at the finest schema: `2^(j/256)`; a coarser schema uses every n-th.
fn bounds() -> &'static [f64; 257] {
    static BOUNDS: OnceLock<[f64; 257]> = OnceLock::new();
    BOUNDS.get_or_init(|| std::array::from_fn(|j| (j as f64 / 256.0).exp2()))
}

/// The index of the bucket of a finite number above zero: `base^(index - 1) < x <= base^index`.
#[inline]
pub(crate) fn index_of(x: f64, schema: i8) -> i32 {
    const MANTISSA: u64 = (1 << 52) - 1;
    // A subnormal is brought into the range where the bits tell the exponent.
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * (1_u64 << 54) as f64, 54) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i32 - 1023 - shift;
    let above_power = bits & MANTISSA != 0;
    if schema <= 0 {
        // The ceiling of the logarithm, divided and rounded up.
        let ceiling = exponent + i32::from(above_power);
        return -(-ceiling >> -schema);
    }
    if !above_power {
        return exponent << schema;
    }
    let fraction = f64::from_bits(bits & MANTISSA | 1023 << 52);
    let (bounds, stride) = (bounds(), 1_usize << (8 - schema));
    // The logarithm of a fraction is near to the fraction itself less one; then mended by steps.
    let mut within = 1 + ((fraction - 1.0) * f64::from(1_i32 << schema)) as usize;
    while fraction <= bounds[(within - 1) * stride] {
        within -= 1;
    }
    while fraction > bounds[within * stride] {
        within += 1;
    }
    (exponent << schema) + within as i32
}

/// The upper bound of a bucket; infinite above the largest float.
pub(crate) fn upper_bound(index: i32, schema: i8) -> f64 {
    if schema <= 0 {
        return power_of_two(i64::from(index) << -schema);
    }
    let within = index & ((1 << schema) - 1);
    let fraction = bounds()[(within as usize) << (8 - schema)];
    // Two steps, so that subnormal bounds do not vanish early.
    let exponent = i64::from(index >> schema);
    fraction * power_of_two(exponent / 2) * power_of_two(exponent - exponent / 2)
}

fn power_of_two(exponent: i64) -> f64 {
    2.0_f64.powi(exponent.clamp(-1_100, 1_100) as i32)
}

/// Where a series' chunks of exponential buckets are.
#[derive(Clone, Debug)]
pub(crate) struct ChunkTable {
    /// The level's word: how many times the resolution was halved. Then the word of a zero bucket that was widened: the
    /// bits of its threshold. The table's words follow.
    offset: u32,
    capacity: u32,
    /// Consecutive buckets in one chunk: a power of two.
    chunk_bits: u32,
    /// Cells for each bucket: one, or one for each slot of a window.
    slots: u32,
    schema: i8,
    /// Chunks at one level before the next one begins; the last level takes all.
    budget: u32,
    /// Buckets that a reader may be shown.
    limit: u32,
    /// What is as good as zero, and how far that may widen.
    threshold: f64,
    widest: f64,
}

/// Room for the buckets of one series.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Index and count of the buckets that are not empty, ascending.
    pub(crate) positive: Vec<(i32, u64)>,
    pub(crate) negative: Vec<(i32, u64)>,
    /// Level, sign, number and first cell of the chunks.
    chunks: Vec<(u8, bool, i32, u32)>,
    /// Chunks that are the series', too.
    pub(crate) unlinked: Option<Arc<Unlinked>>,
}

impl Lists {
    fn number(&self) -> usize {
        self.positive.len() + self.negative.len()
    }
}

/// At what resolution buckets were read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resolution {
    pub(crate) schema: i8,
    pub(crate) zero_threshold: f64,
    /// What is counted in buckets that belong to the zero bucket by now.
    pub(crate) zeroes: u64,
}

impl ChunkTable {
    pub(crate) fn for_histogram(offset: u32, settings: Exponential) -> Self {
        let chunk_bits = 4;
        let budget = settings.limit().div_ceil(1 << chunk_bits).max(2);
        let table = Self::new(offset, settings.schema(), chunk_bits, 1, budget, settings.zero());
        Self { limit: settings.limit(), ..table }
    }

    /// Chunks of one doubling each, of which forty are kept at the first resolution.
    pub(crate) fn for_summary(offset: u32, slots: u32) -> Self {
        Self::new(offset, SUMMARY_SCHEMA, 5, slots, 40, (ZERO_THRESHOLD, 0.0))
    }

    fn new(offset: u32, schema: i8, chunk_bits: u32, slots: u32, budget: u32, (threshold, widest): (f64, f64)) -> Self {
        // Chunks that the zero bucket takes in count as one level more.
        let levels = (schema - COARSEST) as u32 + u32::from(widest > threshold);
        // At the coarsest schema all floats of one sign lie in 132 buckets.
        let last = 2 * ((132 >> chunk_bits) + 2);
        // One in four is left empty, so that a probe ends soon.
        let capacity = ((levels * budget + last) * 4 / 3).next_power_of_two();
        Self { offset, capacity, chunk_bits, slots, schema, budget, limit: u32::MAX, threshold, widest }
    }

    /// How many cells of the row it takes.
    pub(crate) const fn words(&self) -> u32 {
        2 + self.capacity
    }

    const fn chunk_cells(&self) -> u32 {
        self.slots << self.chunk_bits
    }

    #[inline]
    fn word(&self, first: u32, at: u32) -> &'static crate::sync::AtomicU64 {
        space().words().cell(Address::of(first + self.offset + at))
    }

    /// The threshold of a zero bucket that was widened, else zero.
    #[inline]
    fn widened(&self, first: u32) -> f64 {
        // Relaxed: see `widen_to`.
        f64::from_bits(self.word(first, 1).load(Ordering::Relaxed))
    }

    /// Whether the zero bucket holds a number of this size.
    #[inline]
    fn is_zero(&self, first: u32, size: f64) -> bool {
        size <= self.threshold || (self.widest > self.threshold && size <= self.widened(first))
    }

    /// The first cell of the bucket of a finite number; `None` for the zero bucket.
    #[inline]
    pub(crate) fn bucket(&self, first: u32, x: f64) -> Option<u32> {
        loop {
            if self.is_zero(first, x.abs()) {
                return None;
            }
            // Acquire: pairs with the release in `coarsen`; a stale level is as good, since all levels are read.
            let level = self.word(first, 0).load(Ordering::Acquire);
            let index = index_of(x.abs(), self.schema - level as i8);
            let key = self.key(level, x < 0.0, index >> self.chunk_bits);
            if let Some(chunk) = self.find(first, key).or_else(|| self.add(first, level, key)) {
                let within = index as u32 & ((1 << self.chunk_bits) - 1);
                return Some(chunk + within * self.slots);
            }
        }
    }

    /// Never zero, which an empty word is.
    #[inline]
    fn key(&self, level: u64, negative: bool, chunk: i32) -> u32 {
        // A chunk's number lies within 2^19 of zero at the finest schema, without chunks.
        ((chunk + (1 << 20)) as u32) << 5 | (level as u32) << 1 | u32::from(negative)
    }

    fn unkey(key: u32) -> (u8, bool, i32) {
        ((key >> 1 & 15) as u8, key & 1 == 1, (key >> 5) as i32 - (1 << 20))
    }

    #[inline]
    fn home(&self, key: u32) -> u32 {
        key.wrapping_mul(0x9E37_79B9) >> 7 & (self.capacity - 1)
    }

    #[inline]
    fn find(&self, first: u32, key: u32) -> Option<u32> {
        let mut at = self.home(key);
        loop {
            // Acquire: pairs with the release in `add`, so that the chunk's cells are seen as zero and nothing older.
            let word = self.word(first, 2 + at).load(Ordering::Acquire);
            if (word >> 32) as u32 == key {
                return Some(word as u32);
            }
            if word == 0 {
                return None;
            }
            at = (at + 1) & (self.capacity - 1);
        }
    }

    /// The words that are not empty; the caller holds the lock.
    fn words_under_lock(&self, first: u32) -> impl Iterator<Item = u64> {
        // Relaxed: under the lock.
        let words = (0..self.capacity).map(move |at| self.word(first, 2 + at).load(Ordering::Relaxed));
        words.filter(|word| *word != 0)
    }

    /// Adds a chunk; `None` if the level is over, or has used up its chunks: then the next one has begun, or the zero
    /// bucket is wider.
    #[cold]
    #[inline(never)]
    fn add(&self, first: u32, level: u64, key: u32) -> Option<u32> {
        // One lock for all tables: it is taken once for each chunk that is ever reached.
        let _adding = space().lock_chunks();
        if let Some(chunk) = self.find(first, key) {
            return Some(chunk);
        }
        // Relaxed: under the lock. A chunk of a level that is over would have all that is read be as coarse.
        if self.word(first, 0).load(Ordering::Relaxed) != level {
            return None;
        }
        let widened = self.widened(first);
        let is_counted = |word: &u64| {
            let (of, _, chunk) = Self::unkey((word >> 32) as u32);
            u64::from(of) == level && (widened == 0.0 || self.top(level, chunk) > widened)
        };
        let at_this_level = self.words_under_lock(first).filter(is_counted).count() as u64;
        let is_last = self.schema - level as i8 == COARSEST;
        let is_spent = at_this_level >= self.budget.into() || !self.has_spare(first, level);
        if is_spent && !is_last {
            if !self.widen(first, level, Self::unkey(key).2) {
                self.coarsen(first, level);
            }
            return None;
        }
        let chunk = space().allocate(self.chunk_cells());
        let mut at = self.home(key);
        // Relaxed: under the lock. There is an empty word: levels, budget and capacity see to that.
        while self.word(first, 2 + at).load(Ordering::Relaxed) != 0 {
            at = (at + 1) & (self.capacity - 1);
        }
        // Release: pairs with the acquire in `find`.
        self.word(first, 2 + at).store(u64::from(key) << 32 | u64::from(chunk), Ordering::Release);
        Some(chunk)
    }

    /// Begins the next level; the caller holds the lock.
    fn coarsen(&self, first: u32, level: u64) {
        // Release: pairs with the acquire in `bucket`.
        let _ = self.word(first, 0).compare_exchange(level, level + 1, Ordering::Release, Ordering::Relaxed);
    }

    /// The chunks that there are: level, sign, number, first cell.
    fn chunks(&self, reader: &Reader, first: u32) -> impl Iterator<Item = (u8, bool, i32, u32)> {
        let words = (0..self.capacity).map(move |at| reader.published_word(first + self.offset + 2 + at));
        words.filter(|word| *word != 0).map(Self::chunk)
    }

    fn chunk(word: u64) -> (u8, bool, i32, u32) {
        let (level, negative, chunk) = Self::unkey((word >> 32) as u32);
        (level, negative, chunk, word as u32)
    }

    /// Lists the buckets that are not empty, at the resolution of now, and no more of them than the limit.
    pub(crate) fn read(&self, reader: &mut Reader, first: u32, lists: &mut Lists) -> Resolution {
        let mut read = self.read_slots(reader, first, lists, |reader, bucket| reader.whole(bucket));
        if lists.number() > self.limit as usize {
            self.narrow(first, &mut read, lists);
        }
        read
    }

    /// Lists the buckets that are not empty, each one's count being made of its slots.
    pub(crate) fn read_slots(
        &self,
        reader: &mut Reader,
        first: u32,
        lists: &mut Lists,
        mut count_of: impl FnMut(&mut Reader, u32) -> u64,
    ) -> Resolution {
        let Lists { positive, negative, chunks, unlinked } = lists;
        positive.clear();
        negative.clear();
        chunks.clear();
        chunks.extend(self.chunks(reader, first));
        // A chunk of a level that began after its word was read may be there: the coarsest one seen counts.
        let mut level = reader.word(first + self.offset) as u8;
        let mut widened = f64::from_bits(reader.word(first + self.offset + 1));
        if let Some(unlinked) = unlinked {
            chunks.extend(unlinked.words.iter().copied().map(Self::chunk));
            level = level.max(unlinked.level);
            widened = widened.max(unlinked.widened);
        }
        level = chunks.iter().map(|(level, ..)| *level).fold(level, u8::max);
        let mut zeroes = 0;
        for &(of, is_negative, chunk, cells) in &*chunks {
            let counts = if is_negative { &mut *negative } else { &mut *positive };
            for within in 0..1 << self.chunk_bits {
                let count = count_of(reader, cells + within * self.slots);
                if count > 0 {
                    let index = (chunk << self.chunk_bits) + within as i32;
                    // Before it is merged: the threshold is a bound at the resolution that it was widened at.
                    if widened > 0.0 && upper_bound(index, self.schema - of as i8) <= widened {
                        zeroes += count;
                    } else {
                        counts.push((coarser(index, level - of), count));
                    }
                }
            }
        }
        for counts in [positive, negative] {
            counts.sort_unstable_by_key(|(index, _)| *index);
            merge(counts);
        }
        Resolution { schema: self.schema - level as i8, zero_threshold: widened.max(self.threshold), zeroes }
    }

    /// The first cells of all buckets that there are.
    pub(crate) fn buckets(&self, reader: &Reader, first: u32) -> Vec<u32> {
        let chunks = self.chunks(reader, first);
        chunks
            .flat_map(|(.., cells)| (0..1 << self.chunk_bits).map(move |within| cells + within * self.slots))
            .collect()
    }

    /// Gives back the chunks of a row that nobody writes to any more.
    pub(crate) fn free(&self, first: u32) {
        let reader = Reader::new();
        for (.., cells) in self.chunks(&reader, first).collect::<Vec<_>>() {
            space().free(cells, self.chunk_cells());
        }
    }
}

/// The resolution of summaries: within 1.1 % of the value.
pub(crate) const SUMMARY_SCHEMA: i8 = 5;

/// Makes one of buckets that follow each other with the same index.
fn merge(counts: &mut Vec<(i32, u64)>) {
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

/// The index of the bucket that holds this one at a resolution halved so many times.
const fn coarser(index: i32, halvings: u8) -> i32 {
    // Upper bounds are inclusive: rounded up.
    -(-index >> halvings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_upper_bound_and_not_its_lower() {
        for schema in COARSEST..=FINEST {
            for index in -1000..1000 {
                let upper = upper_bound(index, schema);
                if upper < f64::MIN_POSITIVE || upper.is_infinite() {
                    continue;
                }
                assert_eq!(index_of(upper, schema), index, "schema {schema}");
                let above = f64::from_bits(upper.to_bits() + 1);
                if above.is_finite() {
                    assert_eq!(index_of(above, schema), index + 1, "schema {schema}");
                }
            }
        }
    }

    #[test]
    fn the_largest_float_is_in_the_last_bucket() {
        assert_eq!(index_of(f64::MAX, 8), 262_144);
        assert_eq!(index_of(f64::MAX, 0), 1024);
        assert_eq!(index_of(f64::MAX, -4), 64);
        assert_eq!(index_of(1.0, 3), 0);
        assert_eq!(index_of(f64::from_bits(1), 0), -1074);
        assert_eq!(index_of(f64::MIN_POSITIVE / 2.0, 3), -1023 * 8);
    }

    #[test]
    fn a_coarser_bucket_is_two_finer_ones() {
        for schema in COARSEST + 1..=FINEST {
            for step in 0..4000 {
                let x = 1e-9 * 1.01_f64.powi(step);
                assert_eq!(coarser(index_of(x, schema), 1), index_of(x, schema - 1), "{x} at schema {schema}");
            }
        }
    }
}
