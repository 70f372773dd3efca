//! The lines of a family's series.

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Labels, Sample, Series, States, SummarySample, Total};

use super::super::copy::Room;
use super::super::exemplar::push_exemplar;
use super::super::label::{LabelText, Pieces, Quotes, push_escaped};
use super::super::label_names::{LE, LabelNames, QUANTILE};
use super::super::openmetrics::push_time;
#[cfg(feature = "openmetrics2")]
use super::super::openmetrics2 as composite;
use super::super::sample_name::{self, CLOSE, SampleName};
use super::super::threshold::Thresholds;
use super::dialect::{Dialect, Metadata};
use crate::name::{Names, Naming};
use crate::number;

/// What is the same for all series of the family that is being written.
#[derive(Debug)]
pub(super) struct Exposed {
    kind: Kind,
    pub(super) names: Names,
    samples: SampleNames,
    help: String,
    labels: LabelText,
    // The line of a counter, a sum, a gauge or a spiral's count, up to its value.
    line: Pieces,
    window: Option<Window>,
    // Whether the metadata are not written yet.
    pub(super) is_pending: bool,
}

/// How the lines of a family's samples begin.
#[derive(Debug)]
struct SampleNames {
    main: SampleName,
    bucket: SampleName,
    sum: SampleName,
    count: SampleName,
    created: SampleName,
}

impl SampleNames {
    fn new(names: &Names) -> Self {
        let suffixed = |suffix: &str| SampleName::new(&format!("{}{suffix}", names.base()));
        Self {
            main: SampleName::new(&names.main()),
            bucket: suffixed("_bucket"),
            sum: suffixed("_sum"),
            count: suffixed("_count"),
            created: suffixed("_created"),
        }
    }
}

/// The gauge of a spiral.
#[derive(Debug)]
struct Window {
    name: SampleName,
    line: Pieces,
    // Its lines, until those of the counter are complete.
    waiting: Vec<u8>,
}

/// Buffers that outlive a series, so that none is allocated for one.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    // The labels of the series, as they stand between the braces.
    labels: Vec<u8>,
    // What the lines of one histogram or summary begin with.
    prefix: Vec<u8>,
    thresholds: Thresholds,
}

impl Exposed {
    /// `None` when no series of the family could be written.
    pub(super) fn new(family: &Family, naming: Naming) -> Option<Self> {
        let (kind, names) = (family.kind(), naming.names(family));
        let labels = LabelText::new(LabelNames::new(family, &names, naming)?);
        let samples = SampleNames::new(&names);
        let line = labels.line(&samples.main);
        let window = names.window().map(|name| {
            let name = SampleName::new(name);
            Window { line: labels.line(&name), name, waiting: Vec::new() }
        });
        Some(Self { kind, names, samples, help: family.help().to_owned(), labels, line, window, is_pending: true })
    }

    pub(super) fn push_metadata<D: Dialect>(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Counter | Kind::Sum | Kind::Spiral => "counter",
            Kind::LastValue => "gauge",
            Kind::Distribution => "histogram",
            Kind::Summary => "summary",
            Kind::Info if D::HAS_STATES => "info",
            Kind::StateSet if D::HAS_STATES => "stateset",
            Kind::Info | Kind::StateSet => "gauge",
            // A kind that is not known here has no sample that is: no series follows, and this is taken back.
            _ => "",
        };
        let main = self.names.main();
        let (base, main) = (&*sample_name::metric(self.names.base()), &*sample_name::metric(&main));
        D::push_metadata(out, &Metadata { base, main, kind, unit: self.names.unit(), help: &self.help });
    }

    /// Appends the lines of one series; false if the format can't express it, and then what was appended is void.
    #[inline]
    pub(super) fn push_series<D: Dialect>(
        &mut self,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
        series: &Series<'_>,
    ) -> bool {
        let labels = &series.labels;
        match (self.kind, &series.sample) {
            (Kind::Counter | Kind::Sum, Sample::Total(total)) => {
                let is_total = !D::TOTALS_ARE_CHECKED || is_total(total.to_f64());
                is_total && self.push_start(out, scratch, labels) && {
                    match *total {
                        Total::U64(count) => number::push_count(out, count),
                        Total::F64(value) => D::push_value(out, value),
                    }
                    D::push_start_time(out, series.created);
                    if D::HAS_EXEMPLARS && !series.exemplars.is_empty() {
                        push_exemplar(out, series.exemplars.within(f64::NEG_INFINITY, f64::INFINITY));
                    }
                    out.push(b'\n');
                    true
                }
            }
            (Kind::LastValue, Sample::Gauge(value)) => {
                self.push_start(out, scratch, labels) && {
                    push_end::<D>(out, *value);
                    true
                }
            }
            (Kind::Distribution, Sample::Histogram(histogram)) => {
                self.push_histogram::<D>(out, scratch, series, histogram)
            }
            (Kind::Summary, Sample::Summary(summary)) => self.push_summary::<D>(out, scratch, series, summary),
            (Kind::Spiral, Sample::Spiral(spiral)) => {
                self.push_start(out, scratch, labels) && {
                    number::push_count(out, spiral.count);
                    D::push_start_time(out, series.created);
                    out.push(b'\n');
                    self.push_window(scratch, labels, spiral.one);
                    true
                }
            }
            (Kind::Info, Sample::Info) => {
                self.push_start(out, scratch, labels) && {
                    push_count_end(out, 1);
                    true
                }
            }
            (Kind::StateSet, Sample::States(states)) => self.push_states(out, scratch, labels, *states),
            _ => false,
        }
    }

    /// Appends a line of the main sample up to its value; false if the labels can't be written.
    #[inline]
    fn push_start(&self, out: &mut Vec<u8>, scratch: &mut Scratch, labels: &Labels<'_>) -> bool {
        self.labels.push_line(out, &self.line, labels) || self.push_uncommon_start(out, scratch, labels)
    }

    /// The same for a row with an empty value, and for labels that are not those of the family.
    #[cold]
    fn push_uncommon_start(&self, out: &mut Vec<u8>, scratch: &mut Scratch, labels: &Labels<'_>) -> bool {
        let is_written = self.fill_labels(scratch, labels);
        self.samples.main.push_start(out, &scratch.labels);
        is_written
    }

    fn fill_labels(&self, scratch: &mut Scratch, labels: &Labels<'_>) -> bool {
        scratch.labels.clear();
        self.labels.push_inner(&mut scratch.labels, labels)
    }

    fn push_window(&mut self, scratch: &mut Scratch, labels: &Labels<'_>, count: u64) {
        let Some(Window { name, line, waiting }) = &mut self.window else { return };
        if !self.labels.push_line(waiting, line, labels) {
            // They were written just before, so they can be.
            scratch.labels.clear();
            self.labels.push_inner(&mut scratch.labels, labels);
            name.push_start(waiting, &scratch.labels);
        }
        push_count_end(waiting, count);
    }

    /// Appends the gauge of a spiral, when the lines of its counter are complete.
    pub(super) fn push_waiting<D: Dialect>(&self, out: &mut Vec<u8>) {
        let Some(window) = self.window.as_ref().filter(|window| !window.waiting.is_empty()) else { return };
        let name = &*sample_name::metric(self.names.window().unwrap_or_default());
        D::push_metadata(out, &Metadata { base: name, main: name, kind: "gauge", unit: None, help: &self.help });
        out.extend_from_slice(&window.waiting);
    }

    fn push_histogram<D: Dialect>(
        &self,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
        series: &Series<'_>,
        histogram: &HistogramSample<'_>,
    ) -> bool {
        if histogram.counts.len() != histogram.bounds.len() + 1 || !self.fill_labels(scratch, &series.labels) {
            return false;
        }
        let Scratch { labels, prefix, thresholds } = scratch;
        thresholds.refresh(histogram.bounds.iter().copied());
        if !thresholds.are_bounds() {
            return false;
        }
        #[cfg(feature = "openmetrics2")]
        if D::IS_COMPOSITE {
            self.samples.main.push_start(out, labels);
            if !composite::push_histogram(out, histogram) {
                return false;
            }
            D::push_start_time(out, series.created);
            if !series.exemplars.is_empty() {
                composite::push_exemplars(out, &series.exemplars);
            }
            out.push(b'\n');
            return true;
        }
        self.samples.bucket.fill_prefix(prefix, labels, LE);

        let has_exemplars = D::HAS_EXEMPLARS && !series.exemplars.is_empty();
        let (mut count, mut lower) = (0_u64, f64::NEG_INFINITY);
        for (at, (in_bucket, threshold)) in histogram.counts.iter().zip(thresholds.iter()).enumerate() {
            count = count.saturating_add(*in_bucket);
            let mut line = Room::behind(out, prefix.len() + threshold.len() + number::COUNT_SIZE + 1);
            line.push(prefix);
            line.push(threshold);
            number::write_count(&mut line, count);
            if has_exemplars {
                line.keep();
                let upper = histogram.bounds.get(at).copied().unwrap_or(f64::INFINITY);
                push_exemplar(out, series.exemplars.within(lower, upper));
                lower = upper;
                out.push(b'\n');
            } else {
                line.push(b"\n");
                line.keep();
            }
        }

        // Sum and count come together or not at all.
        if !D::TOTALS_ARE_CHECKED || (is_total(histogram.sum) && !thresholds.has_negative()) {
            self.samples.sum.push_start(out, labels);
            push_end::<D>(out, histogram.sum);
            self.samples.count.push_start(out, labels);
            push_count_end(out, count);
        }
        true
    }

    fn push_summary<D: Dialect>(
        &self,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
        series: &Series<'_>,
        summary: &SummarySample<'_>,
    ) -> bool {
        if !self.fill_labels(scratch, &series.labels) {
            return false;
        }
        let Scratch { labels, prefix, thresholds } = scratch;
        #[cfg(feature = "openmetrics2")]
        if D::IS_COMPOSITE {
            // The line can't do without its sum.
            if !is_total(summary.sum) {
                return false;
            }
            self.samples.main.push_start(out, labels);
            composite::push_summary(out, summary);
            D::push_start_time(out, series.created);
            out.push(b'\n');
            return true;
        }
        self.samples.main.fill_prefix(prefix, labels, QUANTILE);
        thresholds.refresh(summary.quantiles.iter().map(|(quantile, _)| *quantile));

        for ((quantile, value), threshold) in summary.quantiles.iter().zip(thresholds.iter()) {
            // NaN says that the window is empty; below zero there is none in a dialect that checks.
            let is_allowed = (0.0..=1.0).contains(quantile) && (is_total(*value) || value.is_nan());
            if !D::TOTALS_ARE_CHECKED || is_allowed {
                out.extend_from_slice(prefix);
                out.extend_from_slice(threshold);
                push_end::<D>(out, *value);
            }
        }

        if !D::TOTALS_ARE_CHECKED || is_total(summary.sum) {
            self.samples.sum.push_start(out, labels);
            push_end::<D>(out, summary.sum);
        }
        self.samples.count.push_start(out, labels);
        push_count_end(out, summary.count);
        true
    }

    /// Appends a line for each state; false if two have one name.
    fn push_states(&self, out: &mut Vec<u8>, scratch: &mut Scratch, labels: &Labels<'_>, states: States<'_>) -> bool {
        let Some(label) = self.names.state_label().filter(|_| self.fill_labels(scratch, labels)) else { return false };
        self.samples.main.fill_prefix(&mut scratch.prefix, &scratch.labels, &sample_name::label(label));
        for (at, (state, holds)) in states.iter().enumerate() {
            if states.iter().take(at).any(|(before, _)| before == state) {
                return false;
            }
            out.extend_from_slice(&scratch.prefix);
            push_escaped(out, state, Quotes::Escaped);
            out.push(b'"');
            out.extend_from_slice(CLOSE);
            push_count_end(out, holds.into());
        }
        true
    }

    /// Appends when the series came to be, if it is known and of a kind that has it; true if that is well.
    #[cold]
    pub(super) fn push_created(&self, out: &mut Vec<u8>, scratch: &mut Scratch, series: &Series<'_>) -> bool {
        let Some(created) = series.created.filter(|_| self.counts()) else { return true };
        let is_written = self.fill_labels(scratch, &series.labels);
        self.samples.created.push_start(out, &scratch.labels);
        push_time(out, created);
        out.push(b'\n');
        is_written
    }

    /// Whether the values started from zero when the series came to be.
    fn counts(&self) -> bool {
        !matches!(self.kind, Kind::LastValue | Kind::Info | Kind::StateSet)
    }
}

/// Whether `value` can be a total of what was never negative.
fn is_total(value: f64) -> bool {
    value >= 0.0
}

fn push_end<D: Dialect>(out: &mut Vec<u8>, value: f64) {
    D::push_value(out, value);
    out.push(b'\n');
}

#[inline]
fn push_count_end(out: &mut Vec<u8>, count: u64) {
    number::push_count(out, count);
    out.push(b'\n');
}
