//! OpenMetrics 1.0.
//!
//! Beside the order of the metadata it differs from the text format in what it refuses: a total is a number and not
//! negative, and a sum is a total; a histogram with negative bounds has neither sum nor count.

use std::time::Duration;

use super::label::{Quotes, push_escaped};
use super::text::{Dialect, Metadata};
use crate::number;

/// The dialect of OpenMetrics 1.0: `Text::<OpenMetrics>`.
#[derive(Clone, Copy, Debug)]
pub struct OpenMetrics;

impl Dialect for OpenMetrics {
    const END: &'static [u8] = b"# EOF\n";
    const HAS_CREATED: bool = true;
    const HAS_STATES: bool = true;
    const TOTALS_ARE_CHECKED: bool = true;

    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
        push_metadata(out, metadata.base, metadata);
    }

    fn push_value(out: &mut Vec<u8>, value: f64) {
        number::push_canonical(out, value);
    }
}

/// Appends the metadata of the family that is called `name`, in the order of OpenMetrics.
pub(super) fn push_metadata(out: &mut Vec<u8>, name: &str, metadata: &Metadata<'_>) {
    let mut push = |keyword: &[u8], text: &str| {
        out.extend_from_slice(keyword);
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        push_escaped(out, text, Quotes::Escaped);
        out.push(b'\n');
    };
    push(b"# TYPE ", metadata.kind);
    if let Some(unit) = metadata.unit {
        push(b"# UNIT ", unit);
    }
    if !metadata.help.is_empty() {
        push(b"# HELP ", metadata.help);
    }
}

/// Appends a time as seconds since the Unix epoch, exactly.
pub(super) fn push_time(out: &mut Vec<u8>, time: Duration) {
    let nanos = format!("{:09}", time.subsec_nanos());
    let fraction = nanos.trim_end_matches('0');
    number::push_count(out, time.as_secs());
    out.push(b'.');
    out.extend_from_slice(if fraction.is_empty() { "0" } else { fraction }.as_bytes());
}
