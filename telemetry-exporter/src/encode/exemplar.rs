//! The exemplar behind a total or a bucket: ` # {trace_id="4bf9…"} 0.043 1520430000.123`; and which are fit for any format.

use telemetry_core::exemplar::{MOST_CHARACTERS, is_label_name};
use telemetry_core::scrape::Exemplar;

use super::label::push_pair;
use super::openmetrics::push_time;
use crate::number;

/// Appends an exemplar, if there is one and the format has it: one that breaks a rule would cost the whole exposition.
#[cold]
pub(super) fn push_exemplar(out: &mut Vec<u8>, exemplar: Option<Exemplar<'_>>) {
    let Some(Exemplar { labels, value, timestamp }) = exemplar.filter(is_legal) else { return };
    let mut before: &[u8] = b" # {";
    for (name, value) in labels {
        out.extend_from_slice(before);
        push_pair(out, name, value);
        before = b",";
    }
    out.extend_from_slice(if before == b"," { b"} " } else { b" # {} " });
    number::push_canonical(out, value);
    out.push(b' ');
    push_time(out, timestamp);
}

/// Whether the value is one, names are names, none comes twice, and all is as short as it has to be.
pub(super) fn is_legal(exemplar: &Exemplar<'_>) -> bool {
    let labels = exemplar.labels;
    let characters = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
    let comes_twice = |at: usize, name: &str| labels.iter().take(at).any(|(other, _)| other == name);
    exemplar.value.is_finite()
        && characters.sum::<usize>() <= MOST_CHARACTERS
        && labels.iter().enumerate().all(|(at, (name, _))| is_label_name(name) && !comes_twice(at, name))
}
