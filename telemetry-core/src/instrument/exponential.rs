//! Exponential buckets: bounds are powers of `2^(2^-schema)`, and cells come in chunks as values reach them.
//!
//! A series keeps a small table of shared words, one for each chunk of consecutive buckets that any thread has reached:
//! (resolution, sign, chunk) and the chunk's first cell. Looking up a bucket is arithmetic on the float's bits and a probe
//! of that table. When a series has used up its chunks at one resolution it goes on at half of it; what was counted finer
//! stays and is merged exactly when it is read, since each coarser bucket is two finer ones. So memory is bounded whatever
//! the values are, and no count is ever moved.
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod properties;

use std::sync::OnceLock;

use crate::cells::{Address, Reader, space};
use crate::sync::Ordering;

/// Values whose size is at most this are zero: Prometheus' default, 2^-128.
pub(crate) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

const COARSEST: i8 = -4;
const FINEST: i8 = 8;

/// The resolution of exponential buckets.
///
/// Schema `s` has `2^s` buckets for each doubling: 0 doubles, 3 grows by 9 %, 8 by 0.3 %. Values that span more than
/// about 160 buckets are kept at a coarser resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exponential {
    schema: i8,
}

impl Default for Exponential {
    /// Schema 3: each bound is 1.09 times the one before.
    fn default() -> Self {
        Self { schema: 3 }
    }
}

impl Exponential {
    /// Buckets of a schema from -4 to 8; `None` outside of these.
    #[must_use]
    pub const fn new(schema: i8) -> Option<Self> {
        if schema < COARSEST || schema > FINEST { None } else { Some(Self { schema }) }
    }

    /// The schema.
    #[must_use]
    pub const fn schema(self) -> i8 {
        self.schema
    }
}

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
    /// The level's word: how many times the resolution was halved. The table's words follow.
    offset: u32,
    capacity: u32,
    /// Consecutive buckets in one chunk: a power of two.
    chunk_bits: u32,
    /// Cells for each bucket: one, or one for each slot of a window.
    slots: u32,
    schema: i8,
    /// Chunks at one level before the next one begins; the last level takes all.
    budget: u32,
}

impl ChunkTable {
    pub(crate) fn for_histogram(offset: u32, settings: Exponential) -> Self {
        Self::new(offset, settings.schema, 4, 1, 10)
    }

    /// Chunks of one doubling each, of which forty are kept at the first resolution.
    pub(crate) fn for_summary(offset: u32, slots: u32) -> Self {
        Self::new(offset, SUMMARY_SCHEMA, 5, slots, 40)
    }

    fn new(offset: u32, schema: i8, chunk_bits: u32, slots: u32, budget: u32) -> Self {
        let levels = (schema - COARSEST) as u32;
        // At the coarsest schema all floats of one sign lie in 132 buckets.
        let last = 2 * ((132 >> chunk_bits) + 2);
        // One in four is left empty, so that a probe ends soon.
        let capacity = ((levels * budget + last) * 4 / 3).next_power_of_two();
        Self { offset, capacity, chunk_bits, slots, schema, budget }
    }

    /// How many cells of the row it takes.
    pub(crate) const fn words(&self) -> u32 {
        1 + self.capacity
    }

    const fn chunk_cells(&self) -> u32 {
        self.slots << self.chunk_bits
    }

    #[inline]
    fn word(&self, first: u32, at: u32) -> &'static crate::sync::AtomicU64 {
        space().words().cell(Address::of(first + self.offset + at))
    }

    /// The first cell of the bucket of a finite number that is not zero.
    #[inline]
    pub(crate) fn bucket(&self, first: u32, x: f64) -> u32 {
        loop {
            // Acquire: pairs with the release in `coarsen`; a stale level is as good, since all levels are read.
            let level = self.word(first, 0).load(Ordering::Acquire);
            let index = index_of(x.abs(), self.schema - level as i8);
            let key = self.key(level, x < 0.0, index >> self.chunk_bits);
            if let Some(chunk) = self.find(first, key).or_else(|| self.add(first, level, key)) {
                let within = index as u32 & ((1 << self.chunk_bits) - 1);
                return chunk + within * self.slots;
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
            let word = self.word(first, 1 + at).load(Ordering::Acquire);
            if (word >> 32) as u32 == key {
                return Some(word as u32);
            }
            if word == 0 {
                return None;
            }
            at = (at + 1) & (self.capacity - 1);
        }
    }

    /// Adds a chunk; `None` if the level has used up its chunks, and the next one has begun.
    #[cold]
    #[inline(never)]
    fn add(&self, first: u32, level: u64, key: u32) -> Option<u32> {
        // One lock for all tables: it is taken once for each chunk that is ever reached.
        let _adding = space().lock_chunks();
        if let Some(chunk) = self.find(first, key) {
            return Some(chunk);
        }
        // Relaxed: under the lock.
        let words = (0..self.capacity).map(|at| self.word(first, 1 + at).load(Ordering::Relaxed));
        let at_this_level =
            words.filter(|word| *word != 0 && Self::unkey((word >> 32) as u32).0 as u64 == level).count();
        let is_last = self.schema - level as i8 == COARSEST;
        if at_this_level as u32 >= self.budget && !is_last {
            self.coarsen(first, level);
            return None;
        }
        let chunk = space().allocate(self.chunk_cells());
        let mut at = self.home(key);
        // Relaxed: under the lock. There is an empty word: levels, budget and capacity see to that.
        while self.word(first, 1 + at).load(Ordering::Relaxed) != 0 {
            at = (at + 1) & (self.capacity - 1);
        }
        // Release: pairs with the acquire in `find`.
        self.word(first, 1 + at).store(u64::from(key) << 32 | u64::from(chunk), Ordering::Release);
        Some(chunk)
    }

    /// Begins the next level; the caller holds the lock.
    fn coarsen(&self, first: u32, level: u64) {
        // Release: pairs with the acquire in `bucket`.
        let _ = self.word(first, 0).compare_exchange(level, level + 1, Ordering::Release, Ordering::Relaxed);
    }

    /// The chunks that there are: level, sign, number, first cell.
    fn chunks(&self, reader: &Reader, first: u32) -> impl Iterator<Item = (u8, bool, i32, u32)> {
        let words = (0..self.capacity).map(move |at| reader.published_word(first + self.offset + 1 + at));
        words.filter(|word| *word != 0).map(|word| {
            let (level, negative, chunk) = Self::unkey((word >> 32) as u32);
            (level, negative, chunk, word as u32)
        })
    }

    /// The counts of the buckets that are not empty, at the resolution of now, ascending by index; gives the schema.
    pub(crate) fn read(
        &self,
        reader: &mut Reader,
        first: u32,
        positive: &mut Vec<(i32, u64)>,
        negative: &mut Vec<(i32, u64)>,
    ) -> i8 {
        self.read_slots(reader, first, positive, negative, |reader, bucket| reader.whole(bucket))
    }

    /// The same, each bucket's count being made of its slots.
    pub(crate) fn read_slots(
        &self,
        reader: &mut Reader,
        first: u32,
        positive: &mut Vec<(i32, u64)>,
        negative: &mut Vec<(i32, u64)>,
        mut count_of: impl FnMut(&mut Reader, u32) -> u64,
    ) -> i8 {
        positive.clear();
        negative.clear();
        let chunks: Vec<_> = self.chunks(reader, first).collect();
        // A chunk of a level that began after its word was read may be there: the coarsest one seen counts.
        let word = reader.word(first + self.offset) as u8;
        let level = chunks.iter().map(|(level, ..)| *level).fold(word, u8::max);
        for (of, is_negative, chunk, cells) in chunks {
            let counts = if is_negative { &mut *negative } else { &mut *positive };
            for within in 0..1 << self.chunk_bits {
                let count = count_of(reader, cells + within * self.slots);
                if count > 0 {
                    let index = (chunk << self.chunk_bits) + within as i32;
                    counts.push((coarser(index, level - of), count));
                }
            }
        }
        for counts in [positive, negative] {
            counts.sort_unstable_by_key(|(index, _)| *index);
            counts.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
        self.schema - level as i8
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
