//! Tags of closed sets: where all that a projection keeps are such, a series is found by their positions alone.

use crate::cells::Shard;
use crate::event::Metadata;
use crate::series::Projection;
use crate::sync::{AtomicU32, Ordering};
use crate::value::Value;

/// The most series that are worth four bytes each beforehand.
const MOST: usize = 4096;

/// The first cells of the series that were seen at one callsite.
///
/// Only for series that are kept for good: their cells never become another's. Without tags there is but one.
pub(super) struct Closed {
    tags: Box<[ClosedTag]>,
    // Invariant: zero, or one more than the first cell of the series with these values; as many as there are
    // combinations of values. A series that is there keeps its cells, so a word is written once, or twice the same.
    cells: Box<[AtomicU32]>,
}

struct ClosedTag {
    position: usize,
    /// How many combinations of the tags behind it there are.
    stride: usize,
    names: &'static [&'static str],
    is_bool: bool,
}

const BOOL: [&str; 2] = ["false", "true"];

impl Closed {
    /// `None` unless every tag is of a closed set, the combinations are few, and the series are never forgotten.
    pub(super) fn new(positions: &[usize], metadata: &'static Metadata, projection: &Projection) -> Option<Self> {
        if projection.has_touch_cell() {
            return None;
        }
        let tag = |position: &usize| {
            let names = metadata.tags()[*position].variants?;
            Some(ClosedTag { position: *position, stride: 1, names, is_bool: names == BOOL })
        };
        let mut tags = positions.iter().map(tag).collect::<Option<Box<[_]>>>()?;
        let mut combinations = 1_usize;
        for tag in tags.iter_mut().rev() {
            tag.stride = combinations;
            combinations = combinations.checked_mul(tag.size())?;
        }
        (combinations <= MOST).then(|| Self { tags, cells: (0..combinations).map(|_| AtomicU32::new(0)).collect() })
    }

    #[inline(always)]
    fn word(&self, values: &[Value<'_>]) -> Option<&AtomicU32> {
        let mut index = 0;
        for tag in &self.tags {
            index += tag.stride * tag.index(values.get(tag.position)?)?;
        }
        self.cells.get(index)
    }

    /// The first cell of the series with these values, if it was seen before.
    #[inline(always)]
    pub(super) fn first_cell(&self, values: &[Value<'_>]) -> Option<u32> {
        // Acquire: pairs with the release in `look_up`, so that the zeroes are seen which the series' cells were given.
        self.word(values)?.load(Ordering::Acquire).checked_sub(1)
    }

    /// Makes the series, or finds it, and remembers where it is; not beyond the limit.
    pub(super) fn look_up(&self, values: &[Value<'_>], texts: &[&str], shard: &Shard, projection: &Projection) {
        if let (Some(word), Some(first)) = (self.word(values), projection.find_or_make(shard, texts)) {
            // Release: as in `first_cell`.
            word.store(first + 1, Ordering::Release);
        }
    }
}

impl ClosedTag {
    /// How many values there are; one of them is that of an absent tag.
    #[inline(always)]
    const fn size(&self) -> usize {
        self.names.len() + 1
    }

    /// The position of a value; `None` if it is not one of the set after all.
    #[inline(always)]
    fn index(&self, value: &Value<'_>) -> Option<usize> {
        match value {
            // The same names, by their address: a type may say one thing and do another.
            Value::Variant(variant) if std::ptr::eq(variant.names(), self.names) => Some(variant.index()),
            Value::Bool(value) if self.is_bool => Some(usize::from(*value)),
            Value::Absent => Some(self.names.len()),
            _ => None,
        }
    }
}
