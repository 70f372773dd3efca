//! The text formats: lines of samples below the metadata of their family.
//!
//! Text 0.0.4 and OpenMetrics share all but a few lines; what differs is a [`Dialect`].
//!
//! All samples of one exposed family stand together. A spiral is two of them, a counter and a gauge: the lines of the
//! gauge wait in a buffer of their own until the spiral's last series was seen.

use std::marker::PhantomData;
use std::time::Duration;

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Labels, Sample, Series, States, SummarySample, Total, Visit};

use super::label::{LabelNames, Pieces, Quotes, push_escaped};
use super::openmetrics::push_time;
#[cfg(feature = "openmetrics2")]
use super::openmetrics2 as composite;
use super::sample_name::{self, CLOSE, SampleName};
use super::threshold::Thresholds;
use super::{Encoder, Options, ROOM};
use crate::name::{Names, Naming, Taken};
use crate::number;

/// In what one text format differs from the other.
pub trait Dialect: sealed::Sealed + Send + 'static {
    /// The line that ends an exposition.
    #[doc(hidden)]
    const END: &'static [u8];
    /// Whether there may be `_created` samples.
    #[doc(hidden)]
    const HAS_CREATED: bool;
    /// Whether there are types for infos and state sets; else they are gauges.
    #[doc(hidden)]
    const HAS_STATES: bool;
    /// Whether a histogram or a summary is one line.
    #[doc(hidden)]
    const IS_COMPOSITE: bool = false;
    /// Whether totals and sums must be numbers, and not negative.
    #[doc(hidden)]
    const TOTALS_ARE_CHECKED: bool;

    /// Appends what stands above the samples of a family.
    #[doc(hidden)]
    fn push_metadata(out: &mut Vec<u8>, metadata: &Metadata<'_>);

    /// Appends the value of a sample.
    #[doc(hidden)]
    fn push_value(out: &mut Vec<u8>, value: f64);

    /// Appends what stands behind the value of what counts since its series was made.
    #[doc(hidden)]
    #[inline]
    fn push_start_time(_out: &mut Vec<u8>, _created: Option<Duration>) {}
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Prometheus {}
    impl Sealed for super::super::OpenMetrics {}
    #[cfg(feature = "openmetrics2")]
    impl Sealed for super::super::OpenMetrics2 {}
}

/// What is said of a family above its samples; names are in quotes where they need them.
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
    const HAS_STATES: bool = false;
    const TOTALS_ARE_CHECKED: bool = false;

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
            let name = &*sample_name::metric(names.window().unwrap_or_default());
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
        let exposed = Exposed::new(family, self.options.naming());
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
    samples: SampleNames,
    help: String,
    labels: LabelNames,
    // The line of a counter, a sum, a gauge or a spiral's count, up to its value.
    line: Pieces,
    window: Option<Window>,
    // Whether the metadata are not written yet.
    is_pending: bool,
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
struct Scratch {
    // The labels of the series, as they stand between the braces.
    labels: Vec<u8>,
    // What the lines of one histogram or summary begin with.
    prefix: Vec<u8>,
    thresholds: Thresholds,
}

impl Exposed {
    /// `None` when no series of the family could be written.
    fn new(family: &Family, naming: Naming) -> Option<Self> {
        let (kind, names) = (family.kind(), naming.names(family));
        let reserved = match kind {
            Kind::Distribution => Some(LE.to_owned()),
            Kind::Summary => Some(QUANTILE.to_owned()),
            _ => names.state_label().map(|label| sample_name::label(label).into_owned()),
        };
        let labels = LabelNames::new(family, reserved, naming)?;
        let samples = SampleNames::new(&names);
        let line = labels.line(&samples.main);
        let window = names.window().map(|name| {
            let name = SampleName::new(name);
            Window { line: labels.line(&name), name, waiting: Vec::new() }
        });
        Some(Self { kind, names, samples, help: family.help().to_owned(), labels, line, window, is_pending: true })
    }

    fn push_metadata<D: Dialect>(&self, out: &mut Vec<u8>) {
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
                    D::push_start_time(out, series.created);
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
            composite::push_histogram(out, histogram);
            D::push_start_time(out, series.created);
            out.push(b'\n');
            return true;
        }
        self.samples.bucket.fill_prefix(prefix, labels, LE);

        let mut count = 0_u64;
        for (in_bucket, threshold) in histogram.counts.iter().zip(thresholds.iter()) {
            count = count.saturating_add(*in_bucket);
            out.extend_from_slice(prefix);
            out.extend_from_slice(threshold);
            push_count_end(out, count);
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
    fn push_created(&self, out: &mut Vec<u8>, scratch: &mut Scratch, series: &Series<'_>) -> bool {
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

const LE: &str = "le";
const QUANTILE: &str = "quantile";

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
