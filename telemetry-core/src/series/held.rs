//! Series that handles keep: they are not forgotten.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::cells::{self, Address};
use crate::key::Texts;

use super::Projection;

/// A series that a handle keeps.
#[derive(Debug)]
pub(crate) struct Held {
    projection: Arc<Projection>,
    first: u32,
    // The overflow series needs nobody to keep it.
    counted: bool,
}

impl Projection {
    /// Makes a series, or finds it, and keeps it from being forgotten as long as the result lives.
    ///
    /// Beyond the limit it is the overflow series.
    pub(crate) fn hold<'a>(self: &Arc<Self>, values: impl IntoIterator<Item = &'a str>) -> Held {
        let values: Vec<&str> = values.into_iter().collect();
        let texts = values.as_slice();
        let hash = texts.hash(self.seed);
        let mut writer = self.lock();
        let Some(row) = self.find(hash, texts).or_else(|| self.insert_new(&mut writer, hash, texts)) else {
            drop(writer);
            return self.hold_overflow();
        };
        *writer.held.entry(row.first_cell()).or_default() += 1;
        Held { projection: Arc::clone(self), first: row.first_cell(), counted: true }
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
            if let Entry::Occupied(mut entry) = writer.held.entry(self.first) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }
}
