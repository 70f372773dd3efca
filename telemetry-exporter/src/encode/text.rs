//! The text formats: lines of samples below the metadata of their family.
//!
//! Text 0.0.4 and OpenMetrics share all but a few lines; what differs is a [`Dialect`].
//!
//! All samples of one exposed family stand together. A spiral is two of them, a counter and a gauge: the lines of the
//! gauge wait in a buffer of their own until the spiral's last series was seen.

mod dialect;
mod exposed;

use std::marker::PhantomData;

use telemetry_core::family::Family;
use telemetry_core::scrape::{Series, Visit};

use super::{Encoder, Options, ROOM};
use crate::name::Taken;

pub(super) use dialect::Metadata;
pub use dialect::{Dialect, Prometheus};
use exposed::{Exposed, Scratch};

/// Encodes a walk in a text format.
#[derive(Debug)]
pub struct Text<D> {
    out: Vec<u8>,
    options: Options,
    // None before the first family, and while its series can't be written.
    family: Option<Exposed>,
    taken: Taken,
    scratch: Scratch,
    skipped: u64,
    is_finished: bool,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Text<D> {
    /// An encoder that writes what the format must have, and no more.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// An encoder that writes also what `options` ask for, as far as the format has it.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self {
            out: Vec::with_capacity(ROOM),
            options,
            family: None,
            taken: Taken::default(),
            scratch: Scratch::default(),
            skipped: 0,
            is_finished: false,
            dialect: PhantomData,
        }
    }

    fn end_family(&mut self) {
        if let Some(family) = self.family.take() {
            family.push_waiting::<D>(&mut self.out);
        }
    }
}

impl<D: Dialect> Default for Text<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dialect> Visit for Text<D> {
    fn family(&mut self, family: &Family) {
        self.end_family();
        let exposed = Exposed::new(family, self.options.naming());
        // A family whose name another has is left out whole: its series could not be told from those. So is one that comes
        // when all is over.
        self.family = exposed.filter(|exposed| !self.is_finished && self.taken.take(family, &exposed.names).is_ok());
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) {
        let Some(family) = &mut self.family else {
            self.skipped += 1;
            return;
        };
        let start = self.out.len();
        if family.is_pending {
            family.push_metadata::<D>(&mut self.out);
        }
        let has_created = D::HAS_CREATED && self.options.created;
        if family.push_series::<D>(&mut self.out, &mut self.scratch, series)
            && (!has_created || family.push_created(&mut self.out, &mut self.scratch, series))
        {
            family.is_pending = false;
        } else {
            self.out.truncate(start);
            self.skipped += 1;
        }
    }
}

impl<D: Dialect> Encoder for Text<D> {
    fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn finish(&mut self) {
        self.end_family();
        if !self.is_finished {
            self.is_finished = true;
            self.out.extend_from_slice(D::END);
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}
