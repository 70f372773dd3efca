//! OpenMetrics 2.0, as its first release candidate has it.
//!
//! A histogram is one line, and so is a summary, with a composite value:
//!
//! ```text
//! # TYPE job_seconds histogram
//! job_seconds{queue="mail"} {count:3,sum:1.5,bucket:[0.5:2,1.0:3,+Inf:3]} st@1700000000.25 # {job="7"} 0.75 1700000003.5
//! ```
//!
//! Metadata have the name of the samples, and the time when a series came to be stands behind its value. Behind that are its
//! exemplars: of a histogram as many as there are, since they belong to the line and not to a bucket.

use std::time::Duration;

use telemetry_core::scrape::{Exemplars, ExponentialSample, HistogramSample, SummarySample};

use super::exemplar::push_exemplar;
use super::openmetrics::{push_metadata, push_time};
use super::text::{Dialect, Metadata};
use crate::number::{push_canonical, push_count};

/// The dialect of OpenMetrics 2.0: `Text::<OpenMetrics2>`.
#[derive(Clone, Copy, Debug)]
pub struct OpenMetrics2;

impl Dialect for OpenMetrics2 {
    const END: &'static [u8] = b"# EOF\n";
    const HAS_CREATED: bool = false;
    const HAS_STATES: bool = true;
    const HAS_EXEMPLARS: bool = true;
    const IS_COMPOSITE: bool = true;
    const TOTALS_ARE_CHECKED: bool = true;

    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
        // The unit is said where the name ends in it; behind it may stand what the kind asks for.
        push_metadata(out, metadata.main, metadata);
    }

    fn push_value(out: &mut Vec<u8>, value: f64) {
        push_canonical(out, value);
    }

    fn push_start_time(out: &mut Vec<u8>, created: Option<Duration>) {
        if let Some(created) = created {
            out.extend_from_slice(b" st@");
            push_time(out, created);
        }
    }
}

/// Appends the value of a histogram: exponential buckets before explicit ones, and these when there are no others; false if
/// its exponential buckets are none.
pub(super) fn push_histogram(out: &mut Vec<u8>, histogram: &HistogramSample<'_>) -> bool {
    let HistogramSample { bounds, counts, sum, exponential } = histogram;
    // As in protobuf, the count is what the exponential buckets add up to; explicit ones are not ahead of it.
    let count = exponential.as_ref().map_or_else(|| histogram.count(), ExponentialSample::count);
    push_totals(out, count, *sum);
    if let Some(exponential) = exponential {
        if !is_native(exponential) {
            return false;
        }
        out.extend_from_slice(b",schema:");
        push_integer(out, exponential.schema.into());
        out.extend_from_slice(b",zero_threshold:");
        push_canonical(out, exponential.zero_threshold);
        out.extend_from_slice(b",zero_count:");
        push_count(out, exponential.zero_count);
        push_side(out, "negative", exponential.negative);
        push_side(out, "positive", exponential.positive);
    }
    if exponential.is_none() || !bounds.is_empty() {
        let mut below = 0_u64;
        out.extend_from_slice(b",bucket:");
        push_list(out, bounds.iter().zip(*counts).map(Some).chain([None]), |out, bucket| {
            let (threshold, up_to) = bucket.map_or((f64::INFINITY, count), |(threshold, in_bucket)| {
                below = below.saturating_add(*in_bucket);
                (*threshold, below.min(count))
            });
            push_canonical(out, threshold);
            out.push(b':');
            push_count(out, up_to);
        });
    }
    out.push(b'}');
    true
}

/// Whether exponential buckets are such that a reader takes them.
fn is_native(sample: &ExponentialSample<'_>) -> bool {
    let is_threshold = sample.zero_threshold.is_finite() && sample.zero_threshold >= 0.0;
    let are_ascending = [sample.negative, sample.positive].iter().all(|side| side.is_sorted_by(|(a, _), (b, _)| a < b));
    is_threshold && are_ascending && (-4..=8).contains(&sample.schema)
}

/// Appends the exemplars of a histogram: all of them, but for those that break a rule.
#[cold]
pub(super) fn push_exemplars(out: &mut Vec<u8>, exemplars: &Exemplars<'_>) {
    for exemplar in exemplars.iter() {
        push_exemplar(out, Some(exemplar));
    }
}

/// Appends the value of a summary, without the quantiles that are none.
pub(super) fn push_summary(out: &mut Vec<u8>, summary: &SummarySample<'_>) {
    push_totals(out, summary.count, summary.sum);
    out.extend_from_slice(b",quantile:");
    let is_allowed =
        |(quantile, value): &&(f64, f64)| (0.0..=1.0).contains(quantile) && (*value >= 0.0 || value.is_nan());
    let quantiles = summary.quantiles.iter().filter(is_allowed);
    push_list(out, quantiles, |out, (quantile, value)| {
        push_canonical(out, *quantile);
        out.push(b':');
        push_canonical(out, *value);
    });
    out.push(b'}');
}

fn push_totals(out: &mut Vec<u8>, count: u64, sum: f64) {
    out.extend_from_slice(b"{count:");
    push_count(out, count);
    out.extend_from_slice(b",sum:");
    push_canonical(out, sum);
}

/// Appends the buckets of one sign: where the runs of neighbours lie, and how many values each bucket has.
fn push_side(out: &mut Vec<u8>, sign: &str, buckets: &[(i32, u64)]) {
    if buckets.is_empty() {
        return;
    }
    out.extend_from_slice(b",");
    out.extend_from_slice(sign.as_bytes());
    out.extend_from_slice(b"_spans:");
    let mut behind = 0_i64;
    let runs = buckets.chunk_by(|(one, _), (next, _)| i64::from(*one) + 1 == i64::from(*next));
    push_list(out, runs, |out, run| {
        // Of the first run the index itself, of others how many are left out before it.
        let first = i64::from(run[0].0);
        push_integer(out, first - behind);
        out.push(b':');
        push_count(out, run.len() as u64);
        behind = first + run.len() as i64;
    });
    out.extend_from_slice(b",");
    out.extend_from_slice(sign.as_bytes());
    out.extend_from_slice(b"_buckets:");
    push_list(out, buckets, |out, (_, count)| push_count(out, *count));
}

fn push_list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut push: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

fn push_integer(out: &mut Vec<u8>, integer: i64) {
    if integer < 0 {
        out.push(b'-');
    }
    push_count(out, integer.unsigned_abs());
}
