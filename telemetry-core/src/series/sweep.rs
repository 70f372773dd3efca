//! Idle series: hidden, then forgotten, and their cells and rows used again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Weak;

use crate::cells::{self, Reader};
use crate::clock;
use crate::key;
use crate::row::{DEAD, HIDDEN, Row};
use crate::sync::Ordering;

use super::{Projection, Writer, chunk_for};

/// Dead rows below this size are not worth a compaction.
const DEAD_BYTES: usize = 64 << 10;

/// Keeps something by the first cell of series, and is told when a series is forgotten, before another gets the cell.
pub(crate) trait Forget: Send + Sync + Debug {
    fn forget(&self, first_cell: u32);
}

#[derive(Debug)]
pub(super) struct Activity {
    touches: u64,
    since: u64,
}

impl Projection {
    /// From now on tells of every series that is forgotten.
    pub(crate) fn tell_of_forgotten(&self, told: Weak<dyn Forget>) {
        self.lock().told_of_forgotten.push(told);
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
