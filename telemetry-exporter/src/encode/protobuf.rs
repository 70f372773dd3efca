//! Delimited protobuf: `io.prometheus.client.MetricFamily`, each message behind its length.
//!
//! It is the format in which Prometheus takes native histograms. Names are those of the text formats, `_total` and all, so
//! a series is the same in each; `le` and `quantile` are numbers here, and the reader makes labels of them.
//!
//! A family is one message, and its length stands in front: so its series wait in a buffer until the last was seen, or
//! until there are [`MESSAGE`] bytes of them. What follows is another message of the same family, which a scraper takes as
//! if it were one. To write the length of a large family beforehand would take a walk of its own, between which and the
//! next one series come and go.

mod exemplar;
mod label;
mod native;
mod wire;

use std::time::Duration;

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    Exemplar, Exemplars, HistogramSample, Labels, Sample, Series, States, SummarySample, Visit,
};

use self::exemplar::{push_exemplar, push_exemplars};
use self::label::Pairs;
use self::native::push_native;
use self::wire::{LONGEST, push_double, push_message, push_text, push_timestamp, push_total, push_uint, push_varint};
use super::label_names::LabelNames;
use super::{Encoder, ROOM};
use crate::encode::Options;
use crate::name::{Names, Naming, Taken};

/// How long a message gets before another one begins: a family of counters with the default limit of 2,000 series is one.
pub const MESSAGE: usize = 256 * 1024;

/// Fields of a family.
mod family {
    pub(super) const NAME: u32 = 1;
    pub(super) const HELP: u32 = 2;
    pub(super) const TYPE: u32 = 3;
    pub(super) const METRIC: u32 = 4;
    pub(super) const UNIT: u32 = 5;
}

/// Types of families. Gauges stand for what protobuf has no type for: infos and state sets.
mod kind {
    pub(super) const COUNTER: u64 = 0;
    pub(super) const GAUGE: u64 = 1;
    pub(super) const SUMMARY: u64 = 2;
    pub(super) const HISTOGRAM: u64 = 4;
}

/// Fields of a metric, which is one series; `label` writes field 1.
mod metric {
    pub(super) const GAUGE: u32 = 2;
    pub(super) const COUNTER: u32 = 3;
    pub(super) const SUMMARY: u32 = 4;
    pub(super) const HISTOGRAM: u32 = 7;
}

/// The field of a gauge and of a counter.
const VALUE: u32 = 1;
const COUNTER_EXEMPLAR: u32 = 2;
/// When the series came to be.
const COUNTER_CREATED: u32 = 3;
const SUMMARY_CREATED: u32 = 4;
const HISTOGRAM_CREATED: u32 = 15;

/// Fields of a summary and of a histogram.
const COUNT: u32 = 1;
const SUM: u32 = 2;
const PARTS: u32 = 3;

/// Encodes a walk as delimited protobuf.
#[derive(Debug)]
pub struct Protobuf {
    naming: Naming,
    out: Vec<u8>,
    // None before the first family, and while its series can't be written.
    family: Option<Exposed>,
    series: Waiting,
    // Those of the gauge of a spiral, whose own series are a counter.
    windows: Waiting,
    taken: Taken,
    skipped: u64,
    is_finished: bool,
}

/// The series of a family that are not in a message yet.
#[derive(Debug, Default)]
struct Waiting {
    // What each message begins with.
    head: Vec<u8>,
    metrics: Vec<u8>,
}

impl Waiting {
    fn begin(&mut self, name: &str, kind: u64, help: &str, unit: Option<&str>) {
        self.head.clear();
        self.metrics.clear();
        push_text(&mut self.head, family::NAME, name);
        if !help.is_empty() {
            push_text(&mut self.head, family::HELP, help);
        }
        push_uint(&mut self.head, family::TYPE, kind);
        if let Some(unit) = unit {
            push_text(&mut self.head, family::UNIT, unit);
        }
    }

    /// Ends the message when it is long enough.
    #[inline]
    fn flush_if_long(&mut self, out: &mut Vec<u8>) {
        if self.metrics.len() >= MESSAGE {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.metrics.is_empty() {
            // No more than that: the buffer is sent and filled again, and would else keep twice the room.
            out.reserve_exact(self.head.len() + self.metrics.len() + LONGEST);
            push_varint(out, (self.head.len() + self.metrics.len()) as u64);
            out.extend_from_slice(&self.head);
            out.extend_from_slice(&self.metrics);
            self.metrics.clear();
        }
    }
}

impl Protobuf {
    /// An encoder that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// The same, with names as the options say; created times are always written.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self {
            naming: options.naming(),
            out: Vec::with_capacity(ROOM),
            family: None,
            series: Waiting::default(),
            windows: Waiting::default(),
            taken: Taken::default(),
            skipped: 0,
            is_finished: false,
        }
    }

    fn end_family(&mut self) {
        self.series.flush(&mut self.out);
        self.windows.flush(&mut self.out);
        self.family = None;
    }
}

impl Default for Protobuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Visit for Protobuf {
    fn family(&mut self, family: &Family) {
        self.end_family();
        let names = self.naming.names(family);
        let Some(exposed) = Exposed::new(family, &names, self.naming) else { return };
        // As in the text formats: a family whose name another has, or that comes when all is over, is left out whole.
        if self.is_finished || self.taken.take(family, &names).is_err() {
            return;
        }
        self.series.begin(&names.main(), exposed.kind_on_wire, family.help(), names.unit());
        if let Some(name) = names.window() {
            self.windows.begin(name, kind::GAUGE, family.help(), None);
        }
        self.family = Some(exposed);
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) {
        let Some(family) = &self.family else {
            self.skipped += 1;
            return;
        };
        let (start, windows) = (self.series.metrics.len(), self.windows.metrics.len());
        if family.push_series(&mut self.series.metrics, &mut self.windows.metrics, series) {
            if has_native_exemplars(series) {
                // Prometheus 3.5 goes on counting exemplars where the series before it ended, and would leave out as many
                // of the next: each such series has a message of its own, where it begins anew.
                self.series.flush(&mut self.out);
            }
            self.series.flush_if_long(&mut self.out);
            self.windows.flush_if_long(&mut self.out);
        } else {
            self.series.metrics.truncate(start);
            self.windows.metrics.truncate(windows);
            self.skipped += 1;
        }
    }
}

impl Encoder for Protobuf {
    fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn finish(&mut self) {
        self.end_family();
        self.is_finished = true;
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// What is the same for all series of the family that is being written.
#[derive(Debug)]
struct Exposed {
    kind: Kind,
    kind_on_wire: u64,
    labels: Pairs,
}

impl Exposed {
    /// `None` when no series of the family could be written.
    fn new(family: &Family, names: &Names, naming: Naming) -> Option<Self> {
        let kind = family.kind();
        let kind_on_wire = match kind {
            Kind::Counter | Kind::Sum | Kind::Spiral => kind::COUNTER,
            // The format has no types for infos and state sets.
            Kind::LastValue | Kind::Info | Kind::StateSet => kind::GAUGE,
            Kind::Distribution => kind::HISTOGRAM,
            Kind::Summary => kind::SUMMARY,
            _ => return None,
        };
        let labels = Pairs::new(LabelNames::new(family, names, naming)?);
        Some(Self { kind, kind_on_wire, labels })
    }

    /// Appends one series; false if the format can't express it, and then what was appended is void.
    #[inline]
    fn push_series(&self, out: &mut Vec<u8>, windows: &mut Vec<u8>, series: &Series<'_>) -> bool {
        let created = series.created;
        match (self.kind, &series.sample) {
            (Kind::Counter | Kind::Sum, Sample::Total(total)) => {
                self.push_metric(out, &series.labels, metric::COUNTER, |out| {
                    push_total(out, VALUE, *total);
                    if !series.exemplars.is_empty() {
                        let newest = series.exemplars.within(f64::NEG_INFINITY, f64::INFINITY);
                        push_exemplar(out, COUNTER_EXEMPLAR, newest);
                    }
                    push_created(out, COUNTER_CREATED, created);
                    true
                })
            }
            (Kind::LastValue, Sample::Gauge(value)) => self.push_metric(out, &series.labels, metric::GAUGE, |out| {
                push_double(out, VALUE, *value);
                true
            }),
            (Kind::Info, Sample::Info) => self.push_metric(out, &series.labels, metric::GAUGE, |out| {
                push_double(out, VALUE, 1.0);
                true
            }),
            (Kind::StateSet, Sample::States(states)) => self.push_states(out, &series.labels, *states),
            (Kind::Distribution, Sample::Histogram(histogram)) => {
                self.push_metric(out, &series.labels, metric::HISTOGRAM, |out| {
                    push_histogram(out, histogram, &series.exemplars) && {
                        push_created(out, HISTOGRAM_CREATED, created);
                        if has_native_exemplars(series) {
                            push_exemplars(out, &series.exemplars);
                        }
                        true
                    }
                })
            }
            (Kind::Summary, Sample::Summary(summary)) => {
                self.push_metric(out, &series.labels, metric::SUMMARY, |out| {
                    push_summary(out, summary);
                    push_created(out, SUMMARY_CREATED, created);
                    true
                })
            }
            (Kind::Spiral, Sample::Spiral(spiral)) => {
                self.push_metric(out, &series.labels, metric::COUNTER, |out| {
                    push_double(out, VALUE, float(spiral.count));
                    push_created(out, COUNTER_CREATED, created);
                    true
                }) && self.push_metric(windows, &series.labels, metric::GAUGE, |out| {
                    push_double(out, VALUE, float(spiral.one));
                    true
                })
            }
            _ => false,
        }
    }

    /// Appends a metric for each state, which is the value of a label; false if two have one name.
    fn push_states(&self, out: &mut Vec<u8>, labels: &Labels<'_>, states: States<'_>) -> bool {
        states.iter().enumerate().all(|(at, (state, holds))| {
            states.iter().take(at).all(|(before, _)| before != state)
                && push_message(out, family::METRIC, |out| {
                    push_message(out, metric::GAUGE, |out| push_double(out, VALUE, f64::from(u8::from(holds))));
                    self.labels.push_with(out, labels, state)
                })
        })
    }

    /// Appends a metric: its labels, and `body` as its field of the type.
    #[inline]
    fn push_metric(
        &self,
        out: &mut Vec<u8>,
        labels: &Labels<'_>,
        field: u32,
        body: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        push_message(out, family::METRIC, |out| self.labels.push(out, labels) && push_message(out, field, body))
    }
}

/// Whether exemplars stand beside the exponential buckets of a series.
#[inline]
fn has_native_exemplars(series: &Series<'_>) -> bool {
    !series.exemplars.is_empty()
        && matches!(&series.sample, Sample::Histogram(histogram) if histogram.exponential.is_some())
}

/// Appends the time of creation, if it is known.
#[inline]
fn push_created(out: &mut Vec<u8>, field: u32, created: Option<Duration>) {
    if let Some(created) = created {
        push_timestamp(out, field, created);
    }
}

/// Appends the fields of a histogram, up to the time of its creation; false if its buckets are none.
fn push_histogram(out: &mut Vec<u8>, histogram: &HistogramSample<'_>, exemplars: &Exemplars<'_>) -> bool {
    let HistogramSample { bounds, counts, sum, exponential } = histogram;
    let are_bounds = bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted_by(|one, next| one < next);
    if counts.len() != bounds.len() + 1 || !are_bounds {
        return false;
    }
    // Readers want the count that the exponential buckets add up to. They are read after the explicit ones, so none of
    // those is ahead, except for values that were in flight when the series was set back.
    let count =
        exponential.as_ref().map_or_else(|| histogram.count(), telemetry_core::scrape::ExponentialSample::count);
    push_uint(out, COUNT, count);
    push_double(out, SUM, *sum);
    let (mut below, mut lower) = (0_u64, f64::NEG_INFINITY);
    for (bound, in_bucket) in bounds.iter().zip(*counts) {
        below = below.saturating_add(*in_bucket);
        let exemplar = if exemplars.is_empty() { None } else { exemplars.within(lower, *bound) };
        push_bucket(out, *bound, below.min(count), exemplar);
        lower = *bound;
    }
    // The bucket up to infinity is the count, and is written only when it has something else to say. A histogram without
    // explicit buckets stays one.
    let last = if exemplars.is_empty() || bounds.is_empty() { None } else { exemplars.within(lower, f64::INFINITY) };
    if last.is_some() {
        push_bucket(out, f64::INFINITY, count, last);
    }
    exponential.as_ref().is_none_or(|exponential| push_native(out, exponential))
}

/// Appends an explicit bucket.
fn push_bucket(out: &mut Vec<u8>, bound: f64, count: u64, exemplar: Option<Exemplar<'_>>) {
    const CUMULATIVE_COUNT: u32 = 1;
    const UPPER_BOUND: u32 = 2;
    const BUCKET_EXEMPLAR: u32 = 3;
    push_message(out, PARTS, |out| {
        push_uint(out, CUMULATIVE_COUNT, count);
        push_double(out, UPPER_BOUND, bound);
        if exemplar.is_some() {
            push_exemplar(out, BUCKET_EXEMPLAR, exemplar);
        }
    });
}

/// Appends the fields of a summary, up to the time of its creation.
fn push_summary(out: &mut Vec<u8>, summary: &SummarySample<'_>) {
    const QUANTILE: u32 = 1;
    const AT_QUANTILE: u32 = 2;
    push_uint(out, COUNT, summary.count);
    push_double(out, SUM, summary.sum);
    for (quantile, value) in summary.quantiles {
        push_message(out, PARTS, |out| {
            push_double(out, QUANTILE, *quantile);
            push_double(out, AT_QUANTILE, *value);
        });
    }
}

#[allow(clippy::cast_precision_loss)] // The format has floats alone.
const fn float(count: u64) -> f64 {
    count as f64
}
