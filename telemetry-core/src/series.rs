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
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::cells::{self, Address, Reader, RowCells, Shard};
use crate::clock::{self, Clock};
use crate::index::{Index, Retired, Wanted};
use crate::instrument::ChunkTable;
use crate::key::{self, Mark, Seed, Texts, take_value};
use crate::reclaim::Entered;
use crate::row::{Chunk, DEAD, HIDDEN, OVERFLOW, Row, UNCLEAN};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};

/// The first chunk is small, since most projections are; later ones double up to the largest.
const FIRST_CHUNK: usize = 512;
const LARGEST_CHUNK: usize = 64 << 10;
/// Retired tables below this size are not worth a wait.
const RETIRED_BYTES: usize = 256 << 10;
/// Dead rows below this size are not worth a compaction.
const DEAD_BYTES: usize = 64 << 10;
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

/// Keeps something by the first cell of series, and is told when a series is forgotten, before another gets the cell.
pub(crate) trait Forget: Send + Sync + Debug {
    fn forget(&self, first_cell: u32);
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

#[derive(Debug)]
struct Activity {
    touches: u64,
    since: u64,
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

    #[inline(always)]
    fn find(&self, mark: Mark, texts: &(impl Texts + ?Sized)) -> Option<Row> {
        let found = self.index.find(mark.hash, &Sought { texts, size: mark.size });
        // SAFETY: only rows of live chunks are in the index; the caller is in a section or has the lock, so that a row
        // that it finds keeps its chunk.
        found.map(|address| unsafe { Row::at(address) })
    }

    /// The first cell of the series with these values, if it is there. The caller is in a section; its cells may be
    /// written to until that is left.
    // A function of its own, and not part of what calls it, which has more to keep than there are registers.
    #[inline(never)]
    pub(crate) fn known(&self, texts: &(impl Texts + ?Sized)) -> Option<u32> {
        self.find(texts.mark(self.seed)?, texts).map(Row::first_cell)
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

    #[cold]
    #[inline(never)]
    fn new_series<'a>(&self, shard: &'a Shard, texts: &[&str]) -> (u32, Option<Entered<'a>>) {
        // Relaxed: whoever sees an old value finds out under the lock; not, by the acquire in `Index::find`, who has
        // missed a row that is being reclaimed.
        while !self.full.load(Ordering::Relaxed) && self.insert(texts) {
            let section = shard.section.enter();
            if let Some(first) = self.known(texts) {
                return (first, Some(section));
            }
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
        // Relaxed: as in `new_series`.
        known().or_else(|| (!self.full.load(Ordering::Relaxed) && self.insert(texts)).then(known).flatten())
    }

    /// The cells of a row, its touch cell counted up if it has one.
    #[inline]
    pub(crate) fn touched<'a>(&self, shard: &'a Shard, first: u32) -> RowCells<'a> {
        // SAFETY: `append` allocated the cells of every row, with this number.
        let cells = unsafe { shard.row(first, self.layout.cells) };
        if self.has_touch_cell() {
            cells.add(0, 1);
        }
        cells
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

    /// Makes the series unless it is there; false at the limit.
    #[cold]
    #[inline(never)]
    fn insert(&self, texts: &[&str]) -> bool {
        let Some(mark) = texts.mark(self.seed) else { return false };
        let mut writer = self.lock();
        if self.find(mark, texts).is_some() {
            return true;
        }
        // Relaxed: changes under the lock only.
        let live = self.live.load(Ordering::Relaxed);
        if live >= self.layout.limit {
            // Relaxed: see `update`.
            self.full.store(true, Ordering::Relaxed);
            return false;
        }
        let row = self.append(&mut writer.chunks, texts.key().bytes(), 0);
        self.index.insert(mark.hash, row.address(), |address| self.hash_of(address), &mut writer.retired);
        self.live.store(live + 1, Ordering::Relaxed);
        if writer.retired.bytes() > RETIRED_BYTES {
            self.free_retired(&mut writer);
        }
        true
    }

    fn append(&self, chunks: &mut Vec<Arc<Chunk>>, key: &[u8], flags: u16) -> Row {
        let unclean = if key_needs_escaping(key) { UNCLEAN } else { 0 };
        let first = cells::space().allocate(self.layout.cells);
        let created = u32::try_from(self.clock.elapsed_nanos() / CREATED_NANOS).unwrap_or(u32::MAX);
        chunk_for(chunks, key).append(first, created, flags | unclean, key)
    }

    /// When a row was made, since the Unix epoch.
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

    /// Makes a series, or finds it, and keeps it from being forgotten as long as the result lives.
    ///
    /// Beyond the limit it is the overflow series.
    pub(crate) fn hold<'a>(self: &Arc<Self>, values: impl IntoIterator<Item = &'a str>) -> Held {
        let values: Vec<&str> = values.into_iter().collect();
        let texts = values.as_slice();
        loop {
            {
                let mut writer = self.lock();
                if let Some(first) = self.known(texts) {
                    *writer.held.entry(first).or_default() += 1;
                    return Held { projection: Arc::clone(self), first, counted: true };
                }
            }
            if !self.insert(texts) {
                return self.hold_overflow();
            }
        }
    }

    /// The overflow series, for one more series than there may be.
    pub(crate) fn hold_overflow(self: &Arc<Self>) -> Held {
        cells::local().add(Address::of(self.refused), 1);
        Held { projection: Arc::clone(self), first: self.overflow_row().first_cell(), counted: false }
    }

    /// Keeps a series for good.
    pub(crate) fn keep(&self, mut held: Held) {
        // Counted, and never taken off.
        held.counted = false;
    }

    /// From now on tells of every series that is forgotten.
    pub(crate) fn tell_of_forgotten(&self, told: Weak<dyn Forget>) {
        self.lock().told_of_forgotten.push(told);
    }

    /// Gives back the cells of a row that nobody writes to any more.
    fn free_cells(&self, row: Row) {
        for table in &self.layout.chunk_tables {
            table.free(row.first_cell());
        }
        cells::space().free(row.first_cell(), self.layout.cells);
    }

    /// The rows of now, and the right to read their cells until the walk is dropped.
    pub(crate) fn walk(self: &Arc<Self>) -> Walk {
        let mut writer = self.lock();
        writer.walks += 1;
        let overflow = self.overflow.get().map(|(chunk, _)| Arc::clone(chunk));
        let chunks = writer.chunks.iter().cloned().chain(overflow).collect();
        Walk { chunks, projection: Arc::clone(self), chunk: 0, offset: 0 }
    }

    /// Keeps every other walk from beginning, if the caller's is the only one.
    pub(crate) fn alone(&self) -> Option<Alone<'_>> {
        let writer = self.lock();
        (writer.walks == 1).then_some(Alone(writer))
    }

    /// Hides series that are idle, shows those that came back, and gives back the cells of those idle for long.
    pub(crate) fn sweep(&self) {
        let Some(expiry) = self.layout.expiry else { return };
        // Another sweep at the same time does the same: leave it to that one.
        let Ok(mut activity) = self.sweeping.try_lock() else { return };
        let now = self.clock.elapsed_nanos();
        let (hide, forget) = (clock::nanos(expiry.hide_after), clock::nanos(expiry.reclaim_after));
        let chunks = self.lock().chunks.clone();
        let mut reader = Reader::new();
        let mut idle_for_long = Vec::new();
        for row in chunks.iter().flat_map(|chunk| chunk.rows()) {
            if row.flags() & DEAD != 0 {
                continue;
            }
            let touches = reader.whole(row.first_cell());
            // The clock is read after the cell: this sweep may have been under way for long when the last event came.
            let newly = || Activity { touches, since: self.clock.elapsed_nanos() };
            let seen = activity.entry(row.first_cell()).or_insert_with(newly);
            if seen.touches != touches {
                *seen = newly();
            }
            let idle = now.saturating_sub(seen.since);
            row.set(HIDDEN, idle >= hide);
            if idle >= hide.saturating_add(forget) {
                idle_for_long.push((row, touches));
            }
        }
        if !idle_for_long.is_empty() {
            self.reclaim(&idle_for_long, &mut activity);
        }
    }

    #[cold]
    fn reclaim(&self, candidates: &[(Row, u64)], activity: &mut HashMap<u32, Activity>) {
        let mut writer = self.lock();
        if writer.walks > 0 {
            return;
        }
        let candidates = candidates.iter().filter(|(row, _)| !writer.held.contains_key(&row.first_cell()));
        // SAFETY: the row is not dead, so its chunk is among the projection's.
        let hashed = candidates.map(|&(row, touches)| (row, touches, key::hash(unsafe { row.key() }, self.seed)));
        let taken_out: Vec<_> = hashed.collect();
        if taken_out.is_empty() {
            return;
        }
        // An emitter that misses one of the rows from here on comes to the lock, also when the limit is reached: the row
        // may live on. Relaxed: the release in `Index::remove` orders it before the row is gone.
        self.full.store(false, Ordering::Relaxed);
        for (row, _, hash) in &taken_out {
            self.index.remove(*hash, row.address());
        }
        // Emitters that wait for the lock are in no section, so waiting under it ends.
        let all_left = cells::space().wait_for_sections();
        let mut reader = Reader::new();
        let mut live = self.live.load(Ordering::Relaxed);
        for (row, touches, hash) in taken_out {
            if !all_left || reader.whole(row.first_cell()) != touches {
                // Somebody may be, or was, writing to it: it lives on.
                self.index.insert(hash, row.address(), |address| self.hash_of(address), &mut writer.retired);
                continue;
            }
            row.set(DEAD, true);
            writer.told_of_forgotten.iter().filter_map(Weak::upgrade).for_each(|told| told.forget(row.first_cell()));
            self.free_cells(row);
            activity.remove(&row.first_cell());
            live -= 1;
            // Relaxed: a figure to show.
            self.reclaimed.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the row's chunk is among the projection's.
            writer.dead_bytes += unsafe { row.key() }.len() + size_of::<u64>();
        }
        // Relaxed: both change under the lock only; see `update`.
        self.live.store(live, Ordering::Relaxed);
        self.full.store(live >= self.layout.limit, Ordering::Relaxed);
        if writer.dead_bytes > DEAD_BYTES && writer.dead_bytes * 2 > writer.chunks.iter().map(|c| c.used()).sum() {
            self.compact(&mut writer);
        }
        if all_left {
            self.free_retired(&mut writer);
        }
    }

    /// Moves the rows that are not dead into new chunks, in order.
    fn compact(&self, writer: &mut Writer) {
        let old = std::mem::take(&mut writer.chunks);
        for row in old.iter().flat_map(|chunk| chunk.rows()) {
            let flags = row.flags();
            if flags & DEAD != 0 {
                continue;
            }
            // SAFETY: `old` keeps the chunk.
            let key = unsafe { row.key() };
            let moved = chunk_for(&mut writer.chunks, key).append(row.first_cell(), row.created(), flags, key);
            let hash = key::hash(key, self.seed);
            self.index.replace(hash, row.address(), moved.address());
        }
        writer.dead_bytes = 0;
        writer.retired_chunks.extend(old);
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

/// The row with these texts.
struct Sought<'t, T: ?Sized> {
    texts: &'t T,
    size: usize,
}

impl<T: Texts + ?Sized> Wanted for Sought<'_, T> {
    #[inline(always)]
    fn is_at(&self, address: u64) -> bool {
        // SAFETY: as in `find`, the only place that hands an index texts.
        self.texts.have(unsafe { Row::at(address).key() }, self.size)
    }
}

fn chunk_for<'a>(chunks: &'a mut Vec<Arc<Chunk>>, key: &[u8]) -> &'a Chunk {
    if !chunks.last().is_some_and(|chunk| chunk.fits(key.len())) {
        let size = chunks.last().map_or(FIRST_CHUNK, |last| (last.size() * 2).min(LARGEST_CHUNK));
        chunks.push(Chunk::new(size, key.len()));
    }
    chunks.last().expect("one was just pushed if there was none")
}

fn key_needs_escaping(mut key: &[u8]) -> bool {
    std::iter::from_fn(|| take_value(&mut key)).any(|value| value.contains(['\\', '"', '\n']))
}

/// A series that a handle keeps.
#[derive(Debug)]
pub(crate) struct Held {
    projection: Arc<Projection>,
    first: u32,
    // The overflow series needs nobody to keep it.
    counted: bool,
}

impl Held {
    pub(crate) fn first_cell(&self) -> u32 {
        self.first
    }

    /// Whether it keeps a series of its own, and not the overflow series.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_counted(&self) -> bool {
        self.counted
    }

    pub(crate) fn projection(&self) -> &Arc<Projection> {
        &self.projection
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.counted {
            let mut writer = self.projection.lock();
            if let std::collections::hash_map::Entry::Occupied(mut entry) = writer.held.entry(self.first) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }
}

/// Nobody else reads cells of the projection, and no cells are given back, as long as this lives.
#[derive(Debug)]
pub(crate) struct Alone<'a>(#[allow(dead_code, reason = "held, not read")] MutexGuard<'a, Writer>);

/// A walk over the rows of a projection, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Walk {
    projection: Arc<Projection>,
    chunks: Vec<Arc<Chunk>>,
    chunk: usize,
    offset: usize,
}

impl Walk {
    /// The next row that is shown.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Row> {
        loop {
            let chunk = self.chunks.get(self.chunk)?;
            if self.offset >= chunk.used() {
                self.chunk += 1;
                self.offset = 0;
                continue;
            }
            // SAFETY: the offset starts at zero, is stepped by `row_at`, and is below `used`.
            let (row, next) = unsafe { chunk.row_at(self.offset) };
            self.offset = next;
            if row.flags() & (HIDDEN | DEAD) == 0 {
                return Some(row);
            }
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.projection.lock().walks -= 1;
    }
}
