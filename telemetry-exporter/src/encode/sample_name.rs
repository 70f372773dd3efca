//! How a line begins: the name of its sample, in quotes where it needs them.

use std::borrow::Cow;

use super::label::{Quotes, push_escaped};
use crate::name::{is_plain_label, is_plain_metric};

/// The name of a sample, as the lines of its series begin with it.
#[derive(Debug)]
pub(super) struct SampleName {
    // `x ` or `{"x.y"} `: a line without labels, up to its value.
    bare: String,
    // `x{` or `{"x.y",`: what stands before the first label.
    open: String,
}

impl SampleName {
    pub(super) fn new(name: &str) -> Self {
        if is_plain_metric(name) {
            return Self { bare: format!("{name} "), open: format!("{name}{{") };
        }
        let quoted = quoted(name);
        Self { bare: format!("{{{quoted}}} "), open: format!("{{{quoted},") }
    }

    pub(super) fn bare(&self) -> &str {
        &self.bare
    }

    pub(super) fn open(&self) -> &str {
        &self.open
    }

    /// Appends a line up to its value; `labels` is what stands between the braces.
    pub(super) fn push_start(&self, out: &mut Vec<u8>, labels: &[u8]) {
        if labels.is_empty() {
            return out.extend_from_slice(self.bare.as_bytes());
        }
        out.extend_from_slice(self.open.as_bytes());
        out.extend_from_slice(labels);
        out.extend_from_slice(CLOSE);
    }

    /// Makes what stands before the value of one more label: `x_bucket{a="1",le="`.
    pub(super) fn fill_prefix(&self, prefix: &mut Vec<u8>, labels: &[u8], more: &str) {
        prefix.clear();
        prefix.extend_from_slice(self.open.as_bytes());
        if !labels.is_empty() {
            prefix.extend_from_slice(labels);
            prefix.push(b',');
        }
        prefix.extend_from_slice(more.as_bytes());
        prefix.extend_from_slice(b"=\"");
    }
}

/// What stands between the labels and the value.
pub(super) const CLOSE: &[u8] = b"} ";

/// The name of a metric as metadata have it.
pub(super) fn metric(name: &str) -> Cow<'_, str> {
    if is_plain_metric(name) { name.into() } else { quoted(name).into() }
}

/// The name of a label as it stands before its value.
pub(super) fn label(name: &str) -> Cow<'_, str> {
    if is_plain_label(name) { name.into() } else { quoted(name).into() }
}

fn quoted(name: &str) -> String {
    let mut out = vec![b'"'];
    push_escaped(&mut out, name, Quotes::Escaped);
    out.push(b'"');
    // Bytes are put before others, and no character is cut: it stays UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}
