//! Exponential buckets as Prometheus takes them: spans of consecutive buckets, and the differences of their counts.

use telemetry_core::scrape::ExponentialSample;

use super::wire::{push_double, push_message, push_sint, push_uint, push_zigzag};

/// Fields of a histogram.
const SCHEMA: u32 = 5;
const ZERO_THRESHOLD: u32 = 6;
const ZERO_COUNT: u32 = 7;
const NEGATIVE: Side = Side { span: 9, delta: 10 };
const POSITIVE: Side = Side { span: 12, delta: 13 };

/// Fields of a span.
const OFFSET: u32 = 1;
const SPAN_LENGTH: u32 = 2;

/// Buckets that are empty between two that are not, and are written all the same: one costs less than a new span.
const GAP: i64 = 1;

struct Side {
    span: u32,
    delta: u32,
}

/// Appends the exponential buckets of a histogram; false if they are not such that a reader would take them.
pub(super) fn push_native(out: &mut Vec<u8>, sample: &ExponentialSample<'_>) -> bool {
    let is_threshold = sample.zero_threshold.is_finite() && sample.zero_threshold >= 0.0;
    if !is_threshold || !(-4..=8).contains(&sample.schema) {
        return false;
    }
    push_sint(out, SCHEMA, sample.schema.into());
    push_double(out, ZERO_THRESHOLD, sample.zero_threshold);
    push_uint(out, ZERO_COUNT, sample.zero_count);
    let is_whole = push_side(out, &NEGATIVE, sample.negative) && push_side(out, &POSITIVE, sample.positive);
    let is_empty = sample.negative.is_empty() && sample.positive.is_empty();
    if is_empty && sample.zero_threshold == 0.0 && sample.zero_count == 0 {
        // Nothing else would tell it from a histogram with explicit buckets: a span of no buckets does.
        push_span(out, POSITIVE.span, 0, 0);
    }
    is_whole
}

fn push_side(out: &mut Vec<u8>, side: &Side, buckets: &[(i32, u64)]) -> bool {
    if buckets.is_empty() {
        return true;
    }
    // What lies beyond 32 bits is no bucket of a float.
    let (first, last) = (i64::from(buckets[0].0), i64::from(buckets[buckets.len() - 1].0));
    if !buckets.is_sorted_by(|(one, _), (next, _)| one < next) || i32::try_from(last - first).is_err() {
        return false;
    }
    let mut end = 0;
    for run in buckets.chunk_by(|(one, _), (next, _)| i64::from(*next) - i64::from(*one) <= GAP + 1) {
        let (first, last) = (i64::from(run[0].0), i64::from(run[run.len() - 1].0));
        push_span(out, side.span, (first - end) as i32, (last - first + 1) as u64);
        end = last + 1;
    }
    push_message(out, side.delta, |out| {
        let mut before: Option<(i32, u64)> = None;
        for (index, count) in buckets {
            let mut count_before = before.map_or(0, |(_, count)| count);
            if before.is_some_and(|(before, _)| i64::from(*index) - i64::from(before) == GAP + 1) {
                push_delta(out, count_before, 0);
                count_before = 0;
            }
            push_delta(out, count_before, *count);
            before = Some((*index, *count));
        }
    });
    true
}

fn push_span(out: &mut Vec<u8>, field: u32, offset: i32, length: u64) {
    push_message(out, field, |out| {
        push_sint(out, OFFSET, offset);
        push_uint(out, SPAN_LENGTH, length);
    });
}

fn push_delta(out: &mut Vec<u8>, before: u64, count: u64) {
    push_zigzag(out, count.wrapping_sub(before) as i64);
}
