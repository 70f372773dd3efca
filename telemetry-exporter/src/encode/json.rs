//! JSON: a walk for people and scripts, as it is.
//!
//! ```json
//! {"families":[
//!   {"name":"jobs.done.count","kind":"counter","unit":null,"help":"Jobs that are done.","series":[
//!     {"labels":{"queue":"mail"},"created":1700000000.5,"value":3}]}]}
//! ```
//!
//! Each family and each series begins a line. Names are those of the definitions, dots and all, and the counts of a
//! histogram are those of each bucket alone. A float that is no number in JSON is one of the texts `"NaN"`, `"+Inf"` and
//! `"-Inf"`. What is not known is `null`. A series that has exemplars lists them:
//! `"exemplars":[{"labels":{"trace_id":"4bf9…"},"value":0.043,"timestamp":1700000000.123}]`.

use telemetry_core::family::Family;
use telemetry_core::scrape::{Exemplars, ExponentialSample, Labels, Sample, Series, Total, Visit};

use super::exemplar::is_legal;
use super::{Encoder, ROOM};

/// Encodes a walk as one JSON object.
#[derive(Debug)]
pub struct Json {
    out: Vec<u8>,
    skipped: u64,
    at: At,
}

/// What was written last: it decides on the next comma and bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Family,
    Series,
    End,
}

impl Json {
    /// An encoder that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { out: Vec::with_capacity(ROOM), skipped: 0, at: At::Start }
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

impl Visit for Json {
    fn family(&mut self, family: &Family) {
        let Self { out, at: at @ (At::Start | At::Family | At::Series), .. } = self else { return };
        push(out, if *at == At::Start { "{\"families\":[\n" } else { "]},\n" });
        *at = At::Family;
        push(out, "{\"name\":");
        push_string(out, family.name());
        push(out, ",\"kind\":");
        push_string(out, family.kind().name());
        push(out, ",\"unit\":");
        match family.values_unit() {
            Some(unit) => push_string(out, unit.plural()),
            None => push(out, "null"),
        }
        push(out, ",\"help\":");
        push_string(out, family.help());
        if let Some(window) = family.window_length() {
            push(out, ",\"window\":");
            push_float(out, window.as_secs_f64());
        }
        push(out, ",\"series\":[");
    }

    fn series(&mut self, series: &Series<'_>) {
        let Self { out, at: at @ (At::Family | At::Series), .. } = self else {
            self.skipped += 1;
            return;
        };
        let start = out.len();
        push(out, if *at == At::Series { ",\n{\"labels\":{" } else { "\n{\"labels\":{" });
        push_labels(out, series.labels);
        push(out, "},\"created\":");
        match series.created {
            Some(created) => push_float(out, created.as_secs_f64()),
            None => push(out, "null"),
        }
        if push_sample(out, &series.sample) {
            if !series.exemplars.is_empty() {
                push_exemplars(out, &series.exemplars);
            }
            push(out, "}");
            *at = At::Series;
        } else {
            out.truncate(start);
            self.skipped += 1;
        }
    }
}

impl Encoder for Json {
    fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn finish(&mut self) {
        push(
            &mut self.out,
            match self.at {
                At::Start => "{\"families\":[]}\n",
                At::Family | At::Series => "]}]}\n",
                At::End => "",
            },
        );
        self.at = At::End;
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// Appends the members that hold the values; false if the sample is of a kind that is not known here.
fn push_sample(out: &mut Vec<u8>, sample: &Sample<'_>) -> bool {
    match sample {
        Sample::Total(Total::U64(count)) => {
            push(out, ",\"value\":");
            push_count(out, *count);
        }
        Sample::Total(Total::F64(value)) | Sample::Gauge(value) => {
            push(out, ",\"value\":");
            push_float(out, *value);
        }
        Sample::Histogram(histogram) => {
            push(out, ",\"histogram\":{\"count\":");
            push_count(out, histogram.count());
            push(out, ",\"sum\":");
            push_float(out, histogram.sum);
            push(out, ",\"bounds\":[");
            push_list(out, histogram.bounds, |out, bound| push_float(out, *bound));
            push(out, "],\"counts\":[");
            push_list(out, histogram.counts, |out, count| push_count(out, *count));
            push(out, "]");
            if let Some(exponential) = &histogram.exponential {
                push_exponential(out, exponential);
            }
            push(out, "}");
        }
        Sample::Summary(summary) => {
            push(out, ",\"summary\":{\"count\":");
            push_count(out, summary.count);
            push(out, ",\"sum\":");
            push_float(out, summary.sum);
            push(out, ",\"quantiles\":[");
            push_list(out, summary.quantiles, |out, (quantile, value)| {
                push(out, "{\"quantile\":");
                push_float(out, *quantile);
                push(out, ",\"value\":");
                push_float(out, *value);
                push(out, "}");
            });
            push(out, "]}");
        }
        Sample::Spiral(spiral) => {
            push(out, ",\"spiral\":{\"count\":");
            push_count(out, spiral.count);
            push(out, ",\"one\":");
            push_count(out, spiral.one);
            push(out, "}");
        }
        Sample::Info => push(out, ",\"value\":1"),
        Sample::States(states) => {
            push(out, ",\"states\":{");
            push_list(out, states.iter(), |out, (state, holds)| {
                push_string(out, state);
                push(out, if holds { ":true" } else { ":false" });
            });
            push(out, "}");
        }
        _ => return false,
    }
    true
}

fn push_exponential(out: &mut Vec<u8>, exponential: &ExponentialSample<'_>) {
    push(out, ",\"exponential\":{\"schema\":");
    push_integer(out, exponential.schema.into());
    push(out, ",\"zero_threshold\":");
    push_float(out, exponential.zero_threshold);
    push(out, ",\"zero_count\":");
    push_count(out, exponential.zero_count);
    for (name, buckets) in [(",\"positive\":[", exponential.positive), (",\"negative\":[", exponential.negative)] {
        push(out, name);
        push_list(out, buckets, |out, (index, count)| {
            push(out, "[");
            push_integer(out, (*index).into());
            push(out, ",");
            push_count(out, *count);
            push(out, "]");
        });
        push(out, "]");
    }
    push(out, "}");
}

/// Appends the exemplars that break no rule.
fn push_exemplars(out: &mut Vec<u8>, exemplars: &Exemplars<'_>) {
    push(out, ",\"exemplars\":[");
    push_list(out, exemplars.iter().filter(is_legal), |out, exemplar| {
        push(out, "{\"labels\":{");
        push_labels(out, exemplar.labels);
        push(out, "},\"value\":");
        push_float(out, exemplar.value);
        push(out, ",\"timestamp\":");
        push_float(out, exemplar.timestamp.as_secs_f64());
        push(out, "}");
    });
    push(out, "]");
}

fn push_labels(out: &mut Vec<u8>, labels: Labels<'_>) {
    push_list(out, labels, |out, (name, value)| {
        push_string(out, name);
        push(out, ":");
        push_string(out, value);
    });
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, push_item: impl Fn(&mut Vec<u8>, T)) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            push(out, ",");
        }
        push_item(out, item);
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    push_written(serde_json::to_writer(out, text));
}

fn push_count(out: &mut Vec<u8>, count: u64) {
    push_written(serde_json::to_writer(out, &count));
}

fn push_integer(out: &mut Vec<u8>, integer: i64) {
    push_written(serde_json::to_writer(out, &integer));
}

fn push_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        return push_written(serde_json::to_writer(out, &value));
    }
    push(
        out,
        if value.is_nan() {
            "\"NaN\""
        } else if value > 0.0 {
            "\"+Inf\""
        } else {
            "\"-Inf\""
        },
    );
}

fn push_written(written: serde_json::Result<()>) {
    // A buffer takes all bytes, and neither texts nor finite numbers can be refused.
    debug_assert!(written.is_ok(), "JSON was not written: {written:?}");
}
