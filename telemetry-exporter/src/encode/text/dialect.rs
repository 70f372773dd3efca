//! In what the text formats differ, and the dialect of the oldest.

use std::time::Duration;

use super::super::label::{Quotes, push_escaped};
use crate::number;

/// In what one text format differs from the other.
pub trait Dialect: sealed::Sealed + Send + 'static {
    /// The line that ends an exposition.
    #[doc(hidden)]
    const END: &'static [u8];
    /// Whether there may be `_created` samples.
    #[doc(hidden)]
    const HAS_CREATED: bool;
    /// Whether there are types for infos and state sets; else they are gauges.
    #[doc(hidden)]
    const HAS_STATES: bool;
    /// Whether a histogram or a summary is one line.
    #[doc(hidden)]
    const IS_COMPOSITE: bool = false;
    /// Whether totals and sums must be numbers, and not negative.
    #[doc(hidden)]
    const TOTALS_ARE_CHECKED: bool;
    /// Whether there may be exemplars behind totals and buckets.
    #[doc(hidden)]
    const HAS_EXEMPLARS: bool;

    /// Appends what stands above the samples of a family.
    #[doc(hidden)]
    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>);

    /// Appends the value of a sample.
    #[doc(hidden)]
    fn push_value(out: &mut Vec<u8>, value: f64);

    /// Appends what stands behind the value of what counts since its series was made.
    #[doc(hidden)]
    #[inline]
    fn push_start_time(_out: &mut Vec<u8>, _created: Option<Duration>) {}
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Prometheus {}
    impl Sealed for crate::encode::OpenMetrics {}
    #[cfg(feature = "openmetrics2")]
    impl Sealed for crate::encode::OpenMetrics2 {}
}

/// What is said of a family above its samples; names are in quotes where they need them.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    pub(in super::super) base: &'a str,
    pub(in super::super) main: &'a str,
    pub(in super::super) kind: &'static str,
    pub(in super::super) unit: Option<&'a str>,
    pub(in super::super) help: &'a str,
}

/// The dialect of the Prometheus text format 0.0.4: `Text::<Prometheus>`.
#[derive(Clone, Copy, Debug)]
pub struct Prometheus;

impl Dialect for Prometheus {
    const END: &'static [u8] = b"";
    const HAS_CREATED: bool = false;
    const HAS_STATES: bool = false;
    const TOTALS_ARE_CHECKED: bool = false;
    const HAS_EXEMPLARS: bool = false;

    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
        let mut push = |keyword: &[u8], text: &str| {
            out.extend_from_slice(keyword);
            out.extend_from_slice(metadata.main.as_bytes());
            out.push(b' ');
            push_escaped(out, text, Quotes::Raw);
            out.push(b'\n');
        };
        if !metadata.help.is_empty() {
            push(b"# HELP ", metadata.help);
        }
        push(b"# TYPE ", metadata.kind);
    }

    fn push_value(out: &mut Vec<u8>, value: f64) {
        number::push_plain(out, value);
    }
}
