//! An info: a series whose labels are all there is to say.

use std::sync::Arc;

use crate::cells::{Address, Reader, space};
use crate::family::Kind;
use crate::registry::{Handle, sealed};
use crate::sync::Ordering;

use super::{Instrument, Kept};

/// One word for all threads: whether the series is shown.
#[derive(Debug)]
pub(crate) struct InfoCells {
    pub(crate) offset: u32,
}

impl InfoCells {
    pub(crate) const CELLS: u32 = 1;

    fn show(&self, first: u32, shown: bool) {
        // Relaxed: that it is shown is the only fact.
        space().words().cell(Address::of(first + self.offset)).store(shown.into(), Ordering::Relaxed);
    }

    pub(crate) fn read(&self, reader: &Reader, first: u32) -> bool {
        reader.word(first + self.offset) != 0
    }

    /// There is nothing to set to zero; what is removed is no longer shown.
    pub(crate) fn set_back(&self, first: u32, removed: bool) {
        self.show(first, !removed);
    }
}

/// Shows facts that don't change while a process runs, as the labels of a series: a version, a revision, a role.
///
/// Asking for the series shows it; it stays when the handle is gone. Facts that changed after all are
/// [removed](crate::Registry::remove), and the new ones asked for.
///
/// ```
/// use telemetry_core::Registry;
/// use telemetry_core::instrument::Info;
/// use telemetry_core::metric::info;
///
/// let registry = Registry::new();
/// let config = registry.register::<Info>(info("shop.config").tags(["profile", "hash"]))?;
/// config.with(["production", "5f3a"])?;
/// // In the text format: shop_config_info{profile="production",hash="5f3a"} 1
///
/// // It was read anew.
/// registry.remove("shop.config", &[]);
/// config.with(["production", "c001"])?;
/// assert_eq!(registry.snapshot().family("shop.config").unwrap().series.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Info {
    // Keeps the series; there is nothing else to do with it.
    _kept: Arc<Kept>,
}

impl sealed::Sealed for Info {}

impl Handle for Info {
    const KIND: Kind = Kind::Info;

    fn from_kept(kept: sealed::Kept) -> Self {
        if let Instrument::Info(info) = kept.0.metric.instrument() {
            info.show(kept.0.held.first_cell(), true);
        }
        Self { _kept: kept.0 }
    }
}
