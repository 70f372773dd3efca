//! The exemplar behind a total or a bucket: ` # {trace_id="4bf9…"} 0.043 1520430000.123`.

use telemetry_core::exemplar::{MOST_CHARACTERS, is_label_name};
use telemetry_core::scrape::{Exemplar, Labels};

use super::label::{Quotes, push_escaped};
use super::openmetrics::push_time;
use crate::number;

/// Appends an exemplar, if there is one and the format has it: one that breaks a rule would cost the whole exposition.
#[cold]
pub(super) fn push_exemplar(out: &mut Vec<u8>, exemplar: Option<Exemplar<'_>>) {
    let Some(Exemplar { labels, value, timestamp }) = exemplar else { return };
    if !value.is_finite() || !are_legal(labels) {
        return;
    }
    let mut before: &[u8] = b" # {";
    for (name, value) in labels {
        out.extend_from_slice(before);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        push_escaped(out, value, Quotes::Escaped);
        out.push(b'"');
        before = b",";
    }
    out.extend_from_slice(if before == b"," { b"} " } else { b" # {} " });
    number::push_canonical(out, value);
    out.push(b' ');
    push_time(out, timestamp);
}

/// Whether names are names, none comes twice, and all is as short as it has to be.
fn are_legal(labels: Labels<'_>) -> bool {
    let characters = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
    let comes_twice = |at: usize, name: &str| labels.iter().take(at).any(|(other, _)| other == name);
    characters.sum::<usize>() <= MOST_CHARACTERS
        && labels.iter().enumerate().all(|(at, (name, _))| is_label_name(name) && !comes_twice(at, name))
}
