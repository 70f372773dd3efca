//! Reset and remove: what a series had is noted, and a walk takes it off. Its cells are left alone.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::cells::{self, Reader};
use crate::instrument::{Moment, Scratch, Unlinked};
use crate::row::Row;
use crate::series::Forget;
use crate::sync::{Mutex, MutexGuard, Ordering};

use super::{Entry, Registry};

impl Registry {
    /// Sets series back to zero: those of the metric `name` that have all of these labels. Gives their number.
    pub fn reset(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.set_back(name, labels, false)
    }

    /// Removes series until their next event, from which they count from zero: those of the metric `name` that have
    /// all of these labels. Gives their number. Handles to them stay good.
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.set_back(name, labels, true)
    }

    fn set_back(&self, name: &str, labels: &[(&str, &str)], removed: bool) -> usize {
        let entries = self.entries();
        let moment = Moment::new(self.clock());
        let mut number = 0;
        for entry in entries.iter().filter(|entry| entry.metric.family().name() == name) {
            let mut walk = entry.projection.walk();
            let mut reader = Reader::new();
            let shown = entry.shown();
            while let Some(row) = walk.next() {
                let Some(own) = entry.labels(row, shown.as_deref()) else { continue };
                let has = |wanted: &(&str, &str)| own.iter().any(|label| label == *wanted) || wanted.1.is_empty();
                if labels.iter().all(has) {
                    if let Some(kept) = entry.metric.exemplars() {
                        kept.place.clear(row.first_cell());
                    }
                    entry.set_back(&mut reader, row, &moment, removed);
                    number += 1;
                }
            }
            // Release: pairs with the acquire in `Scrape::step`, so that the map is seen.
            entry.has_baselines.store(true, Ordering::Release);
        }
        number
    }
}

/// Series that were reset or removed, by first cell.
#[derive(Debug, Default)]
pub(super) struct Baselines(Mutex<HashMap<u32, Baseline>>);

impl Baselines {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<u32, Baseline>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forget for Baselines {
    fn forget(&self, first: u32) {
        if let Some(Baseline { unlinked: Some(unlinked), .. }) = self.lock().remove(&first) {
            unlinked.free();
        }
    }
}

/// What a series had counted when it was reset.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    pub(super) cells: Arc<cells::Baseline>,
    /// When that was; `None` if it was not reset yet.
    pub(super) at: Option<Duration>,
    /// Not shown until something changes.
    pub(super) removed: bool,
    /// Chunks of buckets that could not be given back yet.
    pub(super) unlinked: Option<Arc<Unlinked>>,
}

/// Whether a row is shown, and since when it counts if not since it came to be.
pub(super) enum Shown {
    Yes,
    Since(Duration),
    No,
}

impl Entry {
    fn set_back(&self, reader: &mut Reader, row: Row, moment: &Moment<'_>, removed: bool) {
        let first = row.first_cell();
        let mut cells = self.metric.instrument().set_back(reader, first, moment, removed);
        let mut baselines = self.baselines.lock();
        let unlinked = baselines.remove(&first).and_then(|before| before.unlinked);
        for (cell, number) in unlinked.iter().flat_map(|unlinked| unlinked.ranges()) {
            cells.take(reader, cell..cell + number);
        }
        let at = Some(self.projection.clock().now());
        baselines.insert(first, Baseline { cells: Arc::new(cells), at, removed, unlinked });
    }

    /// Makes the reader take off what was counted before the row was set back.
    pub(super) fn set_baseline(&self, reader: &mut Reader, scratch: &mut Scratch, row: Row) -> Shown {
        reader.take_off(None);
        scratch.lists.unlinked = None;
        let mut baselines = self.baselines.lock();
        let Some(baseline) = baselines.get_mut(&row.first_cell()) else { return Shown::Yes };
        // What is taken off may have been read from shards that are newer than what the reader knows of: without them it
        // would be more than the reader finds.
        reader.refresh();
        if baseline.removed {
            if !baseline.cells.has_changed(reader) {
                return Shown::No;
            }
            baseline.removed = false;
        }
        reader.take_off(Some(Arc::clone(&baseline.cells)));
        scratch.lists.unlinked.clone_from(&baseline.unlinked);
        baseline.at.map_or(Shown::Yes, Shown::Since)
    }
}
