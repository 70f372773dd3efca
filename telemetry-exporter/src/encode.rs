//! From a walk to bytes: one encoder for each format.
//!
//! An [`Encoder`] is a [`Visit`] that appends to a buffer. It knows nothing of where the bytes go: whoever drives the walk
//! takes them away as they come, so that no more than a chunk is in memory, and calls [`Encoder::finish`] at the end.
//!
//! ```
//! use telemetry_core::family::{Family, Kind};
//! use telemetry_core::scrape::{Labels, Sample, Series, Total, Visit};
//! use telemetry_exporter::encode::{Encoder, Prometheus, Text};
//!
//! let mut encoder = Text::<Prometheus>::new();
//! encoder.family(&Family::new("jobs.done.count", Kind::Counter).description("Jobs that are done."));
//! encoder.series(&Series::new(Labels::from_pairs(&[("queue", "mail")]), Sample::Total(Total::U64(3))));
//! encoder.finish();
//! assert_eq!(
//!     encoder.take(),
//!     b"# HELP jobs_done_total Jobs that are done.\n# TYPE jobs_done_total counter\njobs_done_total{queue=\"mail\"} 3\n",
//! );
//! ```
//!
//! # What is left out
//!
//! The text formats don't mention a family without series; JSON does. A series that the format can't express (a total that is not a number, two
//! labels of one name, a family whose name another took) is skipped and counted in [`Encoder::skipped`]: one bad row never
//! costs the others.

pub(crate) mod copy;
mod exemplar;
mod json;
mod label;
mod label_names;
mod openmetrics;
#[cfg(feature = "openmetrics2")]
mod openmetrics2;
mod protobuf;
mod sample_name;
mod text;
mod threshold;

use std::mem;

use telemetry_core::scrape::Visit;

use crate::name::{Escaping, Naming};
use crate::negotiate::{Format, Negotiated};

pub use json::Json;
pub use openmetrics::OpenMetrics;
#[cfg(feature = "openmetrics2")]
#[cfg_attr(docsrs, doc(cfg(feature = "openmetrics2")))]
pub use openmetrics2::OpenMetrics2;
pub use protobuf::{MESSAGE, Protobuf};
pub use text::{Dialect, Prometheus, Text};

/// How many bytes are worth sending: a buffer of this size is taken away between two steps of a walk.
pub const CHUNK: usize = 64 * 1024;

/// What a new buffer has room for: a chunk, and the step of the walk that goes beyond it.
const ROOM: usize = CHUNK + CHUNK / 4;

/// Turns a walk into the bytes of one exposition.
///
/// It is made for one walk. The state of the family that is being written stays in it between two steps, so a walk may be
/// interrupted after any series.
pub trait Encoder: Visit + Send {
    /// The bytes that were written and not taken yet.
    fn buffer_mut(&mut self) -> &mut Vec<u8>;

    /// Ends the exposition, once; afterwards there is nothing to be given but what the buffer still holds.
    fn finish(&mut self);

    /// How many series the format could not express, so far.
    fn skipped(&self) -> u64;

    /// Takes the bytes, and leaves an empty buffer with room for a chunk.
    fn take(&mut self) -> Vec<u8> {
        mem::replace(self.buffer_mut(), Vec::with_capacity(ROOM))
    }
}

/// What an exposition holds beside what it must, and how it writes names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    created: bool,
    naming: Naming,
}

impl Options {
    /// Writes a `_created` sample for each counter, histogram and summary, in OpenMetrics.
    ///
    /// Off unless it is asked for, since it doubles the samples of a counter; OpenMetrics 2.0, protobuf and JSON
    /// always have the time, which costs them no sample.
    #[must_use]
    pub const fn created(mut self, created: bool) -> Self {
        self.created = created;
        self
    }

    /// Keeps the names of metrics and labels as they are defined, dots and all, for scrapers that can read them: see
    /// [`Naming::utf8`].
    #[must_use]
    pub const fn utf8_names(mut self, utf8_names: bool) -> Self {
        self.naming = self.naming.utf8(utf8_names);
        self
    }

    /// How names are escaped: as a scraper asks, see [`negotiate`](crate::negotiate::negotiate).
    #[must_use]
    pub const fn escaping(mut self, escaping: Escaping) -> Self {
        self.naming = self.naming.escaping(escaping);
        self
    }

    /// How names are made.
    #[must_use]
    pub const fn naming(self) -> Naming {
        self.naming
    }
}

impl Negotiated {
    /// A new encoder of the format, whose names are escaped as the scraper asked.
    ///
    /// ```
    /// use telemetry_core::Registry;
    /// use telemetry_exporter::Options;
    /// use telemetry_exporter::encode::Encoder;
    /// use telemetry_exporter::negotiate::negotiate;
    ///
    /// // What a server of one's own does with a request:
    /// let answer = negotiate([b"application/openmetrics-text".as_slice()]);
    /// let mut encoder = answer.encoder(Options::default().utf8_names(true));
    /// Registry::new().scrape().run(&mut &mut *encoder);
    /// encoder.finish();
    /// assert_eq!(answer.content_type(), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    /// assert_eq!(encoder.take(), b"# EOF\n");
    /// ```
    #[must_use]
    pub fn encoder(self, options: Options) -> Box<dyn Encoder> {
        self.format().encoder(options.escaping(self.escaping()))
    }
}

impl Format {
    /// A new encoder of this format.
    #[must_use]
    pub fn encoder(self, options: Options) -> Box<dyn Encoder> {
        match self {
            Self::Text | Self::Text1 => Box::new(Text::<Prometheus>::with(options)),
            Self::OpenMetrics | Self::OpenMetricsDraft => Box::new(Text::<OpenMetrics>::with(options)),
            #[cfg(feature = "openmetrics2")]
            Self::OpenMetrics2 => Box::new(Text::<OpenMetrics2>::with(options)),
            Self::Protobuf => Box::new(Protobuf::with(options)),
            Self::Json => Box::new(Json::new()),
        }
    }
}
