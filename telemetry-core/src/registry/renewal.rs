//! How a histogram whose exponential buckets got too many begins anew.
//!
//! Its chunks are taken out of its table, so that emitters add new ones, at the full resolution. When nobody can still be
//! adding to the old ones, all that the series holds is read, shown, and from then on taken off; the old chunks are given
//! back. What was added on the way is in what was shown or in what comes after, never in both, and never in neither.
//!
//! Where somebody stays in a section for too long, the old chunks are read beside the new ones until a later scrape gets
//! further.

use std::sync::Arc;
use std::time::Duration;

use crate::cells::{Reader, space};
use crate::instrument::{ChunkTable, Scratch, Unlinked};
use crate::row::Row;
use crate::series::Alone;
use crate::sync::Ordering;

use super::Entry;
use super::reset::Baseline;

/// A series between its old life and its new one; nobody else walks over it.
pub(super) struct Renewal<'a> {
    unlinked: Arc<Unlinked>,
    _alone: Alone<'a>,
}

impl Entry {
    /// Begins to renew a row that needs it, if it is due and the caller's is the only walk: from now on the reader notes
    /// what it reads.
    #[inline]
    pub(super) fn begin_renewal(
        &self,
        table: &ChunkTable,
        is_due: impl FnOnce() -> bool,
        reader: &mut Reader,
        scratch: &mut Scratch,
        row: Row,
    ) -> Option<Renewal<'_>> {
        let is_wanted = table.is_worn(row.first_cell()) || scratch.lists.unlinked.is_some();
        if is_wanted && is_due() { self.unlink(table, reader, scratch, row) } else { None }
    }

    #[cold]
    fn unlink(&self, table: &ChunkTable, reader: &mut Reader, scratch: &mut Scratch, row: Row) -> Option<Renewal<'_>> {
        let alone = self.projection.alone()?;
        let unlinked = &mut scratch.lists.unlinked;
        let unlinked = Arc::clone(unlinked.get_or_insert_with(|| Arc::new(table.unlink(row.first_cell()))));
        if space().wait_for_sections() {
            // A thread that has left its section may have been the first to write to its shard.
            reader.refresh();
            reader.note();
            return Some(Renewal { unlinked, _alone: alone });
        }
        self.baselines.lock().entry(row.first_cell()).or_default().unlinked = Some(unlinked);
        // Release: pairs with the acquire in `Scrape::step`, so that the map is seen.
        self.has_baselines.store(true, Ordering::Release);
        None
    }

    /// Has the row count from what the reader noted on, and gives its old chunks back.
    pub(super) fn end_renewal(&self, renewal: Renewal<'_>, reader: &mut Reader, row: Row, now: Duration) {
        let mut cells = reader.noted();
        for (first, number) in renewal.unlinked.ranges() {
            cells.forget(first..first + number);
        }
        let baseline = Baseline { cells: Arc::new(cells), at: Some(now), removed: false, unlinked: None };
        self.baselines.lock().insert(row.first_cell(), baseline);
        // Release: as in `unlink`.
        self.has_baselines.store(true, Ordering::Release);
        renewal.unlinked.free();
    }
}
