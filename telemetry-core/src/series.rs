//! A projection: the series of one event under one choice of tags, as rows in an arena behind a lookup table.
//!
//! All metrics that make the same choice are families over the same rows, each at its own offset in a row's cells: one
//! lookup per event feeds them all.
//!
//! A series goes through these states; each change happens under the projection's lock:
//!
//! ```text
//! absent --first event--> shown --idle--> hidden --idle for long, no handle, nobody in it--> dead (cells given back)
//!                           ^---- event -----'
//! ```
//!
//! Emitters take no lock for a series that exists. They are in a section (see `reclaim`) from the lookup to the last
//! cell written, so a row is declared dead only when nobody can still write to its cells.
//!
//! Here series are found and made; `held` keeps them for handles, `walk` shows them, `sweep` hides and forgets them.
//!
//! Model: `loom_tests`.

mod held;
#[cfg(all(test, loom))]
mod loom_tests;
mod sweep;
mod walk;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::cells::{self, Address, OwnShard, RowCells, Shard};
use crate::clock::Clock;
use crate::exemplar;
use crate::index::{Index, Retired};
use crate::instrument::ChunkTable;
use crate::key::{self, Seed, Texts, take_value};
use crate::reclaim::Entered;
use crate::row::{Chunk, DEAD, OVERFLOW, Row, UNCLEAN};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::value::Value;

pub(crate) use held::Held;
use sweep::Activity;
pub(crate) use sweep::Forget;
pub(crate) use walk::{Alone, Walk};

/// The first chunk is small, since most projections are; later ones double up to the largest.
const FIRST_CHUNK: usize = 512;
const LARGEST_CHUNK: usize = 64 << 10;
/// Retired tables below this size are not worth a wait.
const RETIRED_BYTES: usize = 256 << 10;
/// Creation times are kept in tenths of a second: 32 bits last for 13 years of a process.
const CREATED_NANOS: u64 = 100_000_000;

/// What a projection is made of.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) labels: Arc<[Arc<str>]>,
    /// Cells of a row; the first of them is the touch cell if there is an expiry.
    pub(crate) cells: u32,
    /// How many series there may be besides the overflow series.
    pub(crate) limit: u32,
    pub(crate) expiry: Option<Expiry>,
    /// Tables in a row whose chunks of cells go with it.
    pub(crate) chunk_tables: Vec<ChunkTable>,
    /// Words in a row whose exemplars go with it.
    pub(crate) exemplars: Vec<exemplar::Place>,
}

/// When an idle series is hidden, and how much later it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) hide_after: Duration,
    pub(crate) reclaim_after: Duration,
}

/// See the head of this module.
#[derive(Debug)]
pub(crate) struct Projection {
    index: Index,
    layout: Layout,
    clock: Clock,
    // Here, so that an emitter need not ask whether it was drawn.
    seed: Seed,
    /// Rows that are neither dead nor the overflow row; changes under the lock.
    live: AtomicU32,
    /// Whether `live` is at the limit; changes under the lock.
    full: AtomicBool,
    // In a chunk of its own, which compaction leaves alone.
    overflow: OnceLock<(Arc<Chunk>, Row)>,
    /// A cell that counts the updates that went to the overflow series.
    refused: u32,
    writer: Mutex<Writer>,
    // By first cell, which a row keeps when compaction moves it.
    sweeping: Mutex<HashMap<u32, Activity>>,
    reclaimed: AtomicU64,
}

#[derive(Debug, Default)]
struct Writer {
    chunks: Vec<Arc<Chunk>>,
    retired: Retired,
    // Replaced by compaction; readers may still be in them.
    retired_chunks: Vec<Arc<Chunk>>,
    /// How many handles keep a row, by its first cell.
    held: HashMap<u32, usize>,
    /// Walks that read cells; no cells are given back meanwhile.
    walks: usize,
    dead_bytes: usize,
    told_of_forgotten: Vec<Weak<dyn Forget>>,
}

impl Projection {
    pub(crate) fn new(layout: Layout, clock: Clock) -> Self {
        Self {
            index: Index::new(),
            layout,
            clock,
            seed: Seed::of_process(),
            live: AtomicU32::new(0),
            full: AtomicBool::new(false),
            overflow: OnceLock::new(),
            refused: cells::space().allocate(1),
            writer: Mutex::default(),
            sweeping: Mutex::default(),
            reclaimed: AtomicU64::new(0),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn labels(&self) -> &Arc<[Arc<str>]> {
        &self.layout.labels
    }

    /// Whether rows begin with a cell that counts updates, by which idle ones are found out.
    #[inline]
    pub(crate) fn has_touch_cell(&self) -> bool {
        self.layout.expiry.is_some()
    }

    /// How many cells a row has.
    pub(crate) fn row_cells(&self) -> u32 {
        self.layout.cells
    }

    pub(crate) fn refused_cell(&self) -> u32 {
        self.refused
    }

    /// Series that there are now, hidden ones too, the overflow series not.
    pub(crate) fn len(&self) -> u32 {
        // Relaxed: a figure to show.
        self.live.load(Ordering::Relaxed)
    }

    /// Series whose cells were given back.
    pub(crate) fn reclaimed(&self) -> u64 {
        // Relaxed: a figure to show.
        self.reclaimed.load(Ordering::Relaxed)
    }

    fn hash_of(&self, address: u64) -> u64 {
        // SAFETY: only rows of live chunks are in the index, and the caller has the lock that chunks are dropped under.
        key::hash(unsafe { Row::at(address).key() }, self.seed)
    }

    /// The caller is in a section, or has the lock.
    fn find(&self, hash: u64, texts: impl Texts) -> Option<Row> {
        // SAFETY: only rows of live chunks are in the index; by the section or the lock each keeps its chunk.
        let found = self.index.find(hash, |address| texts.have(unsafe { Row::at(address).key() }));
        // SAFETY: as above.
        found.map(|address| unsafe { Row::at(address) })
    }

    /// The first cell of the series with these values, if it is there. The caller is in a section; its cells may be
    /// written to until that is left.
    // A function of its own, and not part of what calls it, which has more to keep than there are registers.
    #[inline(never)]
    pub(crate) fn known(&self, texts: &[&str]) -> Option<u32> {
        self.look_up(texts)
    }

    /// As [`Projection::known`]. The rows have a value for every label, as the texts have: not those of an open family, whose
    /// series handles alone find.
    #[inline(always)]
    fn look_up(&self, texts: impl Texts) -> Option<u32> {
        debug_assert_eq!(texts.texts().count(), self.layout.labels.len(), "there is a text for each label");
        let hash = texts.hash(self.seed);
        if let Some(address) = self.index.likely(hash) {
            // SAFETY: only rows of live chunks are in the index; by the section the row keeps its chunk. It has as many values
            // as there are labels, and so have the texts.
            let (row, is_it) = unsafe {
                let row = Row::at(address);
                (row, row.has_short(&texts))
            };
            if is_it {
                return Some(row.first_cell());
            }
        }
        self.known_elsewhere(hash, texts)
    }

    #[cold]
    #[inline(never)]
    fn known_elsewhere(&self, hash: u64, texts: impl Texts) -> Option<u32> {
        self.find(hash, texts).map(Row::first_cell)
    }

    /// The same of an event's tags, those at some positions.
    #[inline(never)]
    pub(crate) fn known_at<const N: usize>(&self, positions: &[usize], values: &[Value<'_>]) -> Known {
        positions.first_chunk::<N>().map_or(Known::NotText, |positions| self.known_by(positions, values))
    }

    /// The same where the function that calls it does little else.
    #[inline(always)]
    pub(crate) fn known_by<const N: usize>(&self, positions: &[usize; N], values: &[Value<'_>]) -> Known {
        let mut texts = [""; N];
        for (text, position) in texts.iter_mut().zip(positions) {
            let Some(Value::Str(value)) = values.get(*position) else { return Known::NotText };
            *text = value;
        }
        self.look_up(texts).map_or(Known::Nowhere, Known::At)
    }

    /// The first cell of the series with these values, which is made if it is not there; beyond the limit, that of the
    /// overflow series. Its cells may be written to until the section is left.
    #[inline]
    pub(crate) fn series<'a>(&self, shard: &'a Shard, texts: &[&str]) -> (u32, Option<Entered<'a>>) {
        let section = shard.section.enter();
        if let Some(first) = self.known(texts) {
            return (first, Some(section));
        }
        drop(section);
        self.new_series(shard, texts)
    }

    /// The same of a series that was not found a moment ago, by a caller that is in no section.
    #[cold]
    #[inline(never)]
    pub(crate) fn new_series<'a>(&self, shard: &'a Shard, texts: &[&str]) -> (u32, Option<Entered<'a>>) {
        if let Some((first, section)) = self.insert(shard, texts) {
            return (first, Some(section));
        }
        shard.add(Address::of(self.refused), 1);
        // The overflow series is never forgotten.
        (self.overflow_row().first_cell(), None)
    }

    /// The first cell of the series with these values, which is made if it is not there; `None` beyond the limit.
    ///
    /// Only of a projection whose series are kept for good are the cells still that series' afterwards.
    pub(crate) fn find_or_make(&self, shard: &Shard, texts: &[&str]) -> Option<u32> {
        let known = || {
            let _section = shard.section.enter();
            self.known(texts)
        };
        known().or_else(|| self.insert(shard, texts).map(|(first, _)| first))
    }

    /// The cells of a row, which is noted to be touched.
    #[inline]
    pub(crate) fn touched<'a>(&self, shard: &'a Shard, first: u32) -> RowCells<'a> {
        self.touch(self.cells(shard, first))
    }

    /// The same for the thread that owns the shard.
    #[inline(always)]
    pub(crate) fn touched_by_owner<'a>(&self, shard: OwnShard<'a>, first: u32) -> RowCells<'a> {
        self.touch(self.cells_of_owner(shard, first))
    }

    #[inline(always)]
    fn touch<'a>(&self, cells: RowCells<'a>) -> RowCells<'a> {
        if self.has_touch_cell() {
            cells.add(0, 1);
        }
        cells
    }

    /// The cells of a row for the thread that owns the shard.
    #[inline(always)]
    pub(crate) fn cells_of_owner<'a>(&self, shard: OwnShard<'a>, first: u32) -> RowCells<'a> {
        // SAFETY: as in `cells`.
        unsafe { shard.row(first, self.layout.cells) }
    }

    /// The cells of a row.
    #[inline]
    pub(crate) fn cells<'a>(&self, shard: &'a Shard, first: u32) -> RowCells<'a> {
        // SAFETY: `append` allocated the cells of every row, with this number.
        unsafe { shard.row(first, self.layout.cells) }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // Nothing under this lock panics halfway through a change.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self) -> impl Sized + '_ {
        (self.lock(), self.sweeping.lock())
    }

    /// Makes the series unless it is there; `None` at the limit. Its cells may be written to until the section is left.
    #[cold]
    #[inline(never)]
    fn insert<'a>(&self, shard: &'a Shard, texts: &[&str]) -> Option<(u32, Entered<'a>)> {
        // Relaxed: whoever sees an old value finds out under the lock; not, by the acquire in `Index::search`, who has
        // missed a row that is being reclaimed.
        if self.full.load(Ordering::Relaxed) {
            return None;
        }
        let hash = texts.hash(self.seed);
        let mut writer = self.lock();
        let row = match self.find(hash, texts) {
            Some(row) => row,
            None => self.insert_new(&mut writer, hash, texts)?,
        };
        // Only here, since who is in a section may not wait for the lock, nor, as `insert_new` may, for sections. Nobody
        // takes the row away before the lock is released, and then they wait for the section.
        let section = shard.section.enter();
        drop(writer);
        Some((row.first_cell(), section))
    }

    /// Makes the series, which is not there; `None` at the limit.
    fn insert_new(&self, writer: &mut Writer, hash: u64, texts: &[&str]) -> Option<Row> {
        // Relaxed: changes under the lock only.
        let live = self.live.load(Ordering::Relaxed);
        if live >= self.layout.limit {
            // Relaxed: see `insert`.
            self.full.store(true, Ordering::Relaxed);
            return None;
        }
        let row = self.append(&mut writer.chunks, texts.key().bytes(), 0);
        self.index.insert(hash, row.address(), |address| self.hash_of(address), &mut writer.retired);
        self.live.store(live + 1, Ordering::Relaxed);
        if writer.retired.bytes() > RETIRED_BYTES {
            self.free_retired(writer);
        }
        Some(row)
    }

    fn append(&self, chunks: &mut Vec<Arc<Chunk>>, key: &[u8], flags: u16) -> Row {
        let unclean = if key_needs_escaping(key) { UNCLEAN } else { 0 };
        let first = cells::space().allocate(self.layout.cells);
        let created = u32::try_from(self.clock.elapsed_nanos() / CREATED_NANOS).unwrap_or(u32::MAX);
        chunk_for(chunks, key).append(first, created, flags | unclean, key)
    }

    /// When a row was made, since the Unix epoch.
    #[inline]
    pub(crate) fn created(&self, row: Row) -> Duration {
        self.clock.origin() + Duration::from_nanos(u64::from(row.created()) * CREATED_NANOS)
    }

    fn overflow_row(&self) -> Row {
        let (_, row) = self.overflow.get_or_init(|| {
            let mut chunks = Vec::new();
            let row = self.append(&mut chunks, &[], OVERFLOW);
            (chunks.remove(0), row)
        });
        *row
    }

    /// Whether an event with these values would be counted in the overflow series now.
    pub(crate) fn overflows(&self, texts: &[&str]) -> bool {
        // Rows that are found stay where they are under the lock.
        let _writer = self.lock();
        self.len() >= self.layout.limit && self.known(texts).is_none()
    }

    /// Frees what was retired, if no reader is in it any more.
    fn free_retired(&self, writer: &mut Writer) {
        if cells::space().wait_for_sections() {
            // SAFETY: everything in it was unreachable before the wait, which ended with all readers gone.
            unsafe { writer.retired.free() };
            writer.retired_chunks.clear();
        }
    }

    /// Gives back the cells of a row that nobody writes to any more.
    fn free_cells(&self, row: Row) {
        for table in &self.layout.chunk_tables {
            table.free(row.first_cell());
        }
        for place in &self.layout.exemplars {
            place.free(row.first_cell());
        }
        cells::space().free(row.first_cell(), self.layout.cells);
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        let chunks = std::mem::take(&mut self.lock().chunks);
        let overflow = self.overflow.get().map(|(chunk, _)| chunk);
        for row in chunks.iter().chain(overflow).flat_map(|chunk| chunk.rows()) {
            if row.flags() & DEAD == 0 {
                // Whoever writes to a row keeps the projection, so nobody does.
                self.free_cells(row);
            }
        }
        cells::space().free(self.refused, 1);
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `&mut self` proves that no reader is here.
        unsafe { writer.retired.free() };
    }
}

/// What is known of a series by an event's tags.
pub(crate) enum Known {
    /// Its first cell.
    At(u32),
    /// There is none.
    Nowhere,
    /// Some of the tags are not text.
    NotText,
}

fn chunk_for<'a>(chunks: &'a mut Vec<Arc<Chunk>>, key: &[u8]) -> &'a Chunk {
    if !chunks.last().is_some_and(|chunk| chunk.fits(key.len())) {
        let size = chunks.last().map_or(FIRST_CHUNK, |last| (last.size() * 2).min(LARGEST_CHUNK));
        chunks.push(Chunk::new(size, key.len()));
    }
    chunks.last().expect("one was just pushed if there was none")
}

fn key_needs_escaping(mut key: &[u8]) -> bool {
    // All bytes of a value, without a branch: most have none of these.
    let is_special = |value: &str| value.bytes().fold(false, |any, byte| any | matches!(byte, b'\\' | b'"' | b'\n'));
    std::iter::from_fn(|| take_value(&mut key)).any(is_special)
}
