//! The text formats: lines of samples below the metadata of their family.
//!
//! Text 0.0.4 and OpenMetrics share all but a few lines; what differs is a [`Dialect`].
//!
//! All samples of one exposed family stand together. A spiral is two of them, a counter and a gauge: the lines of the
//! gauge wait in a buffer of their own until the spiral's last series was seen.

use std::marker::PhantomData;

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Labels, Sample, Series, SummarySample, Total, Visit};

use super::exemplar::push_exemplar;
use super::label::{LabelNames, Pieces, Quotes, push_escaped};
use super::openmetrics::push_time;
use super::threshold::Thresholds;
use super::{Encoder, Options, ROOM};
use crate::name::{Names, Taken};
use crate::number;

/// In what one text format differs from the other.
pub trait Dialect: sealed::Sealed + Send + 'static {
    /// The line that ends an exposition.
    #[doc(hidden)]
    const END: &'static [u8];
    /// Whether there may be `_created` samples.
    #[doc(hidden)]
    const HAS_CREATED: bool;
    /// Whether totals and sums must be numbers, and not negative.
    #[doc(hidden)]
    const TOTALS_ARE_CHECKED: bool;
    /// Whether there may be exemplars behind totals and buckets.
    #[doc(hidden)]
    const HAS_EXEMPLARS: bool;

    /// Appends what stands above the samples of a family.
    #[doc(hidden)]
    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>);

    /// Appends the value of a sample.
    #[doc(hidden)]
    fn push_value(out: &mut Vec<u8>, value: f64);
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Prometheus {}
    impl Sealed for super::super::OpenMetrics {}
}

/// What is said of a family above its samples.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    pub(super) base: &'a str,
    pub(super) main: &'a str,
    pub(super) kind: &'static str,
    pub(super) unit: Option<&'a str>,
    pub(super) help: &'a str,
}

/// The dialect of the Prometheus text format 0.0.4: `Text::<Prometheus>`.
#[derive(Clone, Copy, Debug)]
pub struct Prometheus;

impl Dialect for Prometheus {
    const END: &'static [u8] = b"";
    const HAS_CREATED: bool = false;
    const TOTALS_ARE_CHECKED: bool = false;
    const HAS_EXEMPLARS: bool = false;

    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>) {
        let mut push = |keyword: &[u8], text: &str| {
            out.extend_from_slice(keyword);
            out.extend_from_slice(metadata.main.as_bytes());
            out.push(b' ');
            push_escaped(out, text, Quotes::Raw);
            out.push(b'\n');
        };
        if !metadata.help.is_empty() {
            push(b"# HELP ", metadata.help);
        }
        push(b"# TYPE ", metadata.kind);
    }

    fn push_value(out: &mut Vec<u8>, value: f64) {
        number::push_plain(out, value);
    }
}

/// Encodes a walk in a text format.
#[derive(Debug)]
pub struct Text<D> {
    out: Vec<u8>,
    options: Options,
    // None before the first family, and while its series can't be written.
    family: Option<Exposed>,
    taken: Taken,
    scratch: Scratch,
    skipped: u64,
    is_finished: bool,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Text<D> {
    /// An encoder that writes what the format must have, and no more.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// An encoder that writes also what `options` ask for, as far as the format has it.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self {
            out: Vec::with_capacity(ROOM),
            options,
            family: None,
            taken: Taken::default(),
            scratch: Scratch::default(),
            skipped: 0,
            is_finished: false,
            dialect: PhantomData,
        }
    }

    fn end_family(&mut self) {
        let Some(Exposed { names, help, window: Some(window), .. }) = self.family.take() else { return };
        if !window.waiting.is_empty() {
            let name = names.window().unwrap_or_default();
            D::push_metadata(
                &mut self.out,
                &Metadata { base: name, main: name, kind: "gauge", unit: None, help: &help },
            );
            self.out.extend_from_slice(&window.waiting);
        }
    }
}

impl<D: Dialect> Default for Text<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dialect> Visit for Text<D> {
    fn family(&mut self, family: &Family) {
        self.end_family();
        let exposed = Exposed::new(family);
        // A family whose name another has is left out whole: its series could not be told from those. So is one that comes
        // when all is over.
        self.family = exposed.filter(|exposed| !self.is_finished && self.taken.take(family, &exposed.names).is_ok());
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) {
        let Some(family) = &mut self.family else {
            self.skipped += 1;
            return;
        };
        let start = self.out.len();
        if family.is_pending {
            family.push_metadata::<D>(&mut self.out);
        }
        let has_created = D::HAS_CREATED && self.options.created;
        if family.push_series::<D>(&mut self.out, &mut self.scratch, series)
            && (!has_created || family.push_created(&mut self.out, &mut self.scratch, series))
        {
            family.is_pending = false;
        } else {
            self.out.truncate(start);
            self.skipped += 1;
        }
    }
}

impl<D: Dialect> Encoder for Text<D> {
    fn buffer_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn finish(&mut self) {
        self.end_family();
        if !self.is_finished {
            self.is_finished = true;
            self.out.extend_from_slice(D::END);
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// What is the same for all series of the family that is being written.
#[derive(Debug)]
struct Exposed {
    kind: Kind,
    names: Names,
    help: String,
    labels: LabelNames,
    // The line of a counter, a sum, a gauge or a spiral's count, up to its value.
    line: Pieces,
    window: Option<Window>,
    // Whether the metadata are not written yet.
    is_pending: bool,
}

/// The gauge of a spiral.
#[derive(Debug)]
struct Window {
    line: Pieces,
    // Its lines, until those of the counter are complete.
    waiting: Vec<u8>,
}

/// Buffers that outlive a series, so that none is allocated for one.
#[derive(Debug, Default)]
struct Scratch {
    // The labels of the series, as they stand between the braces.
    labels: Vec<u8>,
    // What the lines of one histogram or summary begin with.
    prefix: Vec<u8>,
    thresholds: Thresholds,
}

impl Exposed {
    /// `None` when no series of the family could be written.
    fn new(family: &Family) -> Option<Self> {
        let kind = family.kind();
        let reserved = match kind {
            Kind::Distribution => Some(LE),
            Kind::Summary => Some(QUANTILE),
            _ => None,
        };
        let labels = LabelNames::new(family, reserved)?;
        let names = Names::new(family);
        let line = labels.line(&names.main());
        let window = names.window().map(|name| Window { line: labels.line(name), waiting: Vec::new() });
        Some(Self { kind, names, help: family.help().to_owned(), labels, line, window, is_pending: true })
    }

    fn push_metadata<D: Dialect>(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Counter | Kind::Sum | Kind::Spiral => "counter",
            Kind::LastValue => "gauge",
            Kind::Distribution => "histogram",
            Kind::Summary => "summary",
            // A kind that is not known here has no sample that is: no series follows, and this is taken back.
            _ => "",
        };
        let (base, main) = (self.names.base(), &*self.names.main());
        D::push_metadata(out, &Metadata { base, main, kind, unit: self.names.unit(), help: &self.help });
    }

    /// Appends the lines of one series; false if the format can't express it, and then what was appended is void.
    #[inline]
    fn push_series<D: Dialect>(&mut self, out: &mut Vec<u8>, scratch: &mut Scratch, series: &Series<'_>) -> bool {
        let labels = &series.labels;
        match (self.kind, &series.sample) {
            (Kind::Counter | Kind::Sum, Sample::Total(total)) => {
                let is_total = !D::TOTALS_ARE_CHECKED || is_total(total.to_f64());
                is_total && self.push_start(out, scratch, labels) && {
                    match *total {
                        Total::U64(count) => number::push_count(out, count),
                        Total::F64(value) => D::push_value(out, value),
                    }
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
            (Kind::Summary, Sample::Summary(summary)) => self.push_summary::<D>(out, scratch, labels, summary),
            (Kind::Spiral, Sample::Spiral(spiral)) => {
                self.push_start(out, scratch, labels) && {
                    push_count_end(out, spiral.count);
                    self.push_window(scratch, labels, spiral.one);
                    true
                }
            }
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
        push_start(out, &self.names.main(), "", &scratch.labels);
        is_written
    }

    fn fill_labels(&self, scratch: &mut Scratch, labels: &Labels<'_>) -> bool {
        scratch.labels.clear();
        self.labels.push_inner(&mut scratch.labels, labels)
    }

    fn push_window(&mut self, scratch: &mut Scratch, labels: &Labels<'_>, count: u64) {
        let Some(Window { line, waiting }) = &mut self.window else { return };
        if !self.labels.push_line(waiting, line, labels) {
            // They were written just before, so they can be.
            scratch.labels.clear();
            self.labels.push_inner(&mut scratch.labels, labels);
            push_start(waiting, self.names.window().unwrap_or_default(), "", &scratch.labels);
        }
        push_count_end(waiting, count);
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
        let base = self.names.base();
        let Scratch { labels, prefix, thresholds } = scratch;
        fill_prefix(prefix, base, "_bucket", labels, LE);
        thresholds.refresh(histogram.bounds.iter().copied());
        if !thresholds.are_bounds() {
            return false;
        }

        let has_exemplars = D::HAS_EXEMPLARS && !series.exemplars.is_empty();
        let (mut count, mut lower) = (0_u64, f64::NEG_INFINITY);
        for (at, (in_bucket, threshold)) in histogram.counts.iter().zip(thresholds.iter()).enumerate() {
            count = count.saturating_add(*in_bucket);
            out.extend_from_slice(prefix);
            out.extend_from_slice(threshold);
            number::push_count(out, count);
            if has_exemplars {
                let upper = histogram.bounds.get(at).copied().unwrap_or(f64::INFINITY);
                push_exemplar(out, series.exemplars.within(lower, upper));
                lower = upper;
            }
            out.push(b'\n');
        }

        // Sum and count come together or not at all.
        if !D::TOTALS_ARE_CHECKED || (is_total(histogram.sum) && !thresholds.has_negative()) {
            push_start(out, base, "_sum", labels);
            push_end::<D>(out, histogram.sum);
            push_start(out, base, "_count", labels);
            push_count_end(out, count);
        }
        true
    }

    fn push_summary<D: Dialect>(
        &self,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
        labels: &Labels<'_>,
        summary: &SummarySample<'_>,
    ) -> bool {
        if !self.fill_labels(scratch, labels) {
            return false;
        }
        let base = self.names.base();
        let Scratch { labels, prefix, thresholds } = scratch;
        fill_prefix(prefix, base, "", labels, QUANTILE);
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
            push_start(out, base, "_sum", labels);
            push_end::<D>(out, summary.sum);
        }
        push_start(out, base, "_count", labels);
        push_count_end(out, summary.count);
        true
    }

    /// Appends when the series came to be, if it is known and of a kind that has it; true if that is well.
    #[cold]
    fn push_created(&self, out: &mut Vec<u8>, scratch: &mut Scratch, series: &Series<'_>) -> bool {
        let Some(created) = series.created.filter(|_| self.kind != Kind::LastValue) else { return true };
        let is_written = self.fill_labels(scratch, &series.labels);
        push_start(out, self.names.base(), "_created", &scratch.labels);
        push_time(out, created);
        out.push(b'\n');
        is_written
    }
}

const LE: &str = "le";
const QUANTILE: &str = "quantile";

/// Whether `value` can be a total of what was never negative.
fn is_total(value: f64) -> bool {
    value >= 0.0
}

/// Appends `base` with `suffix`, and the labels in braces if there are any, and a space.
fn push_start(out: &mut Vec<u8>, base: &str, suffix: &str, labels: &[u8]) {
    out.extend_from_slice(base.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    if !labels.is_empty() {
        out.push(b'{');
        out.extend_from_slice(labels);
        out.push(b'}');
    }
    out.push(b' ');
}

/// Makes what stands before a threshold: `x_bucket{a="1",le="`.
fn fill_prefix(prefix: &mut Vec<u8>, base: &str, suffix: &str, labels: &[u8], threshold: &str) {
    prefix.clear();
    prefix.extend_from_slice(base.as_bytes());
    prefix.extend_from_slice(suffix.as_bytes());
    prefix.push(b'{');
    if !labels.is_empty() {
        prefix.extend_from_slice(labels);
        prefix.push(b',');
    }
    prefix.extend_from_slice(threshold.as_bytes());
    prefix.extend_from_slice(b"=\"");
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
