//! Exemplars as messages: of a total, of an explicit bucket, and of a histogram whose buckets are exponential.

use telemetry_core::scrape::{Exemplar, Exemplars};

use super::super::exemplar::is_legal;
use super::label::push_pair;
use super::wire::{push_double, push_message, push_timestamp};

/// The field of a histogram for the exemplars of its exponential buckets, in no bucket's message. A reader that finds none
/// here takes those of the explicit buckets.
const NATIVE: u32 = 16;

/// Appends an exemplar, if there is one and it breaks no rule.
#[cold]
pub(super) fn push_exemplar(out: &mut Vec<u8>, field: u32, exemplar: Option<Exemplar<'_>>) {
    // Its labels are field 1, as those of a metric are.
    const VALUE: u32 = 2;
    const TIMESTAMP: u32 = 3;
    let Some(Exemplar { labels, value, timestamp }) = exemplar.filter(is_legal) else { return };
    push_message(out, field, |out| {
        for (name, value) in labels {
            push_pair(out, name, value);
        }
        push_double(out, VALUE, value);
        push_timestamp(out, TIMESTAMP, timestamp);
    });
}

/// Appends all exemplars of a histogram with exponential buckets.
#[cold]
pub(super) fn push_exemplars(out: &mut Vec<u8>, exemplars: &Exemplars<'_>) {
    for exemplar in exemplars.iter() {
        push_exemplar(out, NATIVE, Some(exemplar));
    }
}
