//! What a scrape yields: families, their series, and one sample of each.
//!
//! A walk is open to any consumer, encoder or not: it implements [`Visit`]. Whoever has figures that no registry keeps
//! (a queue's length, the state of a process) implements [`Source`] and is walked after the registry's own families.
//!
//! # Consistency
//!
//! Counters never go back. The buckets of one histogram are read once each, and its count is their sum, so the two can't
//! disagree; its sum may be ahead or behind by the observations in flight on other threads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::family::Family;

/// Takes a walk: each family once, and after it each of its series.
pub trait Visit {
    /// The series that follow are of this family, until the next call.
    fn family(&mut self, family: &Family);

    /// One series of the family last given.
    fn series(&mut self, series: &Series<'_>);
}

impl<V: Visit + ?Sized> Visit for &mut V {
    fn family(&mut self, family: &Family) {
        (**self).family(family);
    }

    fn series(&mut self, series: &Series<'_>) {
        (**self).series(series);
    }
}

/// Figures that are made when they are scraped.
pub trait Source: Send + Sync {
    /// Shows the figures of now, whole families at a time.
    fn collect(&self, visitor: &mut dyn Visit);

    /// What to call this source where it is told that it could not be read; the name of its type unless it has another.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// One series at the moment of the walk.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The labels.
    pub labels: Labels<'a>,
    /// When the series came to be, since the Unix epoch; `None` where nobody knows.
    pub created: Option<Duration>,
    /// The values.
    pub sample: Sample<'a>,
    /// Some of the events that made them: of a total at most one, of a histogram at most one for each bucket.
    pub exemplars: Exemplars<'a>,
}

impl<'a> Series<'a> {
    /// A series of which nobody knows when it came to be, without exemplars.
    #[must_use]
    pub const fn new(labels: Labels<'a>, sample: Sample<'a>) -> Self {
        Self { labels, created: None, sample, exemplars: Exemplars::from_slice(&[]) }
    }
}

/// Shows a series of the family last given that nobody knows more of.
pub(crate) fn show(visitor: &mut (impl Visit + ?Sized), labels: &[(&str, &str)], sample: Sample<'_>) {
    visitor.series(&Series::new(Labels::from_pairs(labels), sample));
}

/// One of the events that made a total or a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// What leads to the event: the ids of its trace.
    pub labels: Labels<'a>,
    /// What the event added to the total, or recorded, in the unit of the family.
    pub value: f64,
    /// When, since the Unix epoch; in whole milliseconds.
    pub timestamp: Duration,
}

/// The exemplars of a series.
#[derive(Clone, Copy, Default)]
pub struct Exemplars<'a>(ExemplarForm<'a>);

#[derive(Clone, Copy)]
enum ExemplarForm<'a> {
    Given(&'a [Exemplar<'a>]),
    Stored { text: &'a [u8], stored: &'a [Stored] },
}

/// An exemplar whose labels lie in a text with those of others: names and values in turn, as in a key.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: f64,
    pub(crate) timestamp: Duration,
    pub(crate) labels: std::ops::Range<usize>,
}

impl Default for ExemplarForm<'_> {
    fn default() -> Self {
        Self::Given(&[])
    }
}

impl<'a> Exemplars<'a> {
    /// Exemplars given one by one, by a [`Source`].
    #[must_use]
    pub const fn from_slice(exemplars: &'a [Exemplar<'a>]) -> Self {
        Self(ExemplarForm::Given(exemplars))
    }

    pub(crate) const fn from_stored(text: &'a [u8], stored: &'a [Stored]) -> Self {
        Self(ExemplarForm::Stored { text, stored })
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self.0 {
            ExemplarForm::Given(given) => given.is_empty(),
            ExemplarForm::Stored { stored, .. } => stored.is_empty(),
        }
    }

    /// All of them; those of a histogram with explicit buckets in the order of the buckets.
    pub fn iter(&self) -> impl Iterator<Item = Exemplar<'a>> + use<'a> {
        let (given, text, stored): (&'a [Exemplar<'a>], &'a [u8], &'a [Stored]) = match self.0 {
            ExemplarForm::Given(given) => (given, &[], &[]),
            ExemplarForm::Stored { text, stored } => (&[], text, stored),
        };
        let stored = stored.iter().map(|stored| Exemplar {
            labels: Labels(Form::Alternating(&text[stored.labels.clone()])),
            value: stored.value,
            timestamp: stored.timestamp,
        });
        given.iter().copied().chain(stored)
    }

    /// The newest whose value lies above `lower` and not above `upper`, as the values of a bucket do.
    #[must_use]
    pub fn within(&self, lower: f64, upper: f64) -> Option<Exemplar<'a>> {
        let within = self.iter().filter(|exemplar| exemplar.value > lower && exemplar.value <= upper);
        within.max_by_key(|exemplar| exemplar.timestamp)
    }
}

impl fmt::Debug for Exemplars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The labels of one series.
#[derive(Clone, Copy)]
pub struct Labels<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Row {
        names: &'a [Arc<str>],
        // As `crate::key` writes it: one value for each name, or fewer, and then those of the last names are empty.
        key: &'a [u8],
        clean: bool,
    },
    Pairs(&'a [(&'a str, &'a str)]),
    // Names and values in turn, as `crate::key` writes values.
    Alternating(&'a [u8]),
}

impl<'a> Labels<'a> {
    /// Labels given one by one, by a [`Source`].
    #[must_use]
    pub const fn from_pairs(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(Form::Pairs(pairs))
    }

    /// The labels of a row, which has a value for each name; `clean` is false if any has a backslash, a quote or a line feed
    /// in it.
    #[inline]
    pub(crate) const fn from_row(names: &'a [Arc<str>], key: &'a [u8], clean: bool) -> Self {
        Self(Form::Row { names, key, clean })
    }

    /// The labels of a row of an open family; `None` if it has more values than there are names.
    pub(crate) fn from_open_row(names: &'a [Arc<str>], key: &'a [u8], clean: bool) -> Option<Self> {
        let mut rest = key;
        let count = std::iter::from_fn(|| crate::key::take_value(&mut rest)).count();
        (count <= names.len()).then_some(Self::from_row(names, key, clean))
    }

    /// Whether it is known that no value has a backslash, a quote or a line feed in it, so that none needs escaping.
    #[inline]
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self.0, Form::Row { clean: true, .. })
    }

    /// Whether the values stand for the names of the family, in its order; an overflow series has a label of its own.
    #[inline]
    #[must_use]
    pub const fn is_row(&self) -> bool {
        matches!(self.0, Form::Row { .. })
    }

    /// The values in the order of the names. A value that is empty is no label: leave it out.
    #[inline]
    #[must_use]
    pub fn values(&self) -> Values<'a> {
        Values(match self.0 {
            Form::Row { names, key, .. } => ValuesForm::Row { key, left: names.len() },
            Form::Pairs(pairs) => ValuesForm::Pairs(pairs.iter()),
            Form::Alternating(key) => ValuesForm::Alternating(key),
        })
    }

    /// How many bytes the values have together, at most: for an encoder to make room for all of them at once.
    #[inline]
    #[must_use]
    pub fn size_of_values(&self) -> usize {
        match self.0 {
            Form::Row { key, .. } | Form::Alternating(key) => key.len(),
            Form::Pairs(pairs) => pairs.iter().map(|(_, value)| value.len()).sum(),
        }
    }

    /// Name and value of each label that is not empty.
    #[must_use]
    pub fn iter(&self) -> Pairs<'a> {
        let names = match self.0 {
            Form::Row { names, .. } => PairNames::Row(names.iter()),
            Form::Pairs(pairs) => PairNames::Pairs(pairs.iter()),
            Form::Alternating(key) => PairNames::Alternating(key),
        };
        Pairs { names, values: self.values() }
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Labels<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = Pairs<'a>;

    fn into_iter(self) -> Pairs<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Labels<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = Pairs<'a>;

    fn into_iter(self) -> Pairs<'a> {
        self.iter()
    }
}

/// The values of a series' labels: see [`Labels::values`].
#[derive(Clone, Debug)]
pub struct Values<'a>(ValuesForm<'a>);

#[derive(Clone, Debug)]
enum ValuesForm<'a> {
    Row { key: &'a [u8], left: usize },
    Pairs(std::slice::Iter<'a, (&'a str, &'a str)>),
    Alternating(&'a [u8]),
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            ValuesForm::Row { key, left } => {
                *left = left.checked_sub(1)?;
                Some(crate::key::take_value(key).unwrap_or_default())
            }
            ValuesForm::Pairs(pairs) => pairs.next().map(|(_, value)| *value),
            ValuesForm::Alternating(key) => {
                crate::key::take_value(key)?;
                crate::key::take_value(key)
            }
        }
    }
}

/// The labels of a series: see [`Labels::iter`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    names: PairNames<'a>,
    values: Values<'a>,
}

#[derive(Clone, Debug)]
enum PairNames<'a> {
    Row(std::slice::Iter<'a, Arc<str>>),
    Pairs(std::slice::Iter<'a, (&'a str, &'a str)>),
    Alternating(&'a [u8]),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        loop {
            let name = match &mut self.names {
                PairNames::Row(names) => &**names.next()?,
                PairNames::Pairs(pairs) => pairs.next()?.0,
                PairNames::Alternating(key) => {
                    let name = crate::key::take_value(key)?;
                    crate::key::take_value(key)?;
                    name
                }
            };
            let value = self.values.next()?;
            if !value.is_empty() {
                return Some((name, value));
            }
        }
    }
}

/// What a series holds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sample<'a> {
    /// Of a counter or a sum.
    Total(Total),
    /// Of a last value.
    Gauge(f64),
    /// Of a distribution.
    Histogram(HistogramSample<'a>),
    /// Of a summary.
    Summary(SummarySample<'a>),
    /// Of a spiral.
    Spiral(SpiralSample),
    /// Of an info: that it is there is all.
    Info,
    /// Of a state set.
    States(States<'a>),
}

/// A total: exact while only whole numbers went in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Total {
    /// Whole.
    U64(u64),
    /// Not whole.
    F64(f64),
}

impl Total {
    /// The nearest float.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // The nearest float is what is asked for.
    pub const fn to_f64(self) -> f64 {
        match self {
            Self::U64(n) => n as f64,
            Self::F64(n) => n,
        }
    }
}

/// The state of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramSample<'a> {
    /// The inclusive upper bounds of the explicit buckets, ascending, without infinity; empty when none are kept.
    pub bounds: &'a [f64],
    /// How many values fell into each bucket (not into it and those below): one more than `bounds`.
    /// The sum of these is the count, also where only exponential buckets are kept.
    pub counts: &'a [u64],
    /// The sum of the values.
    pub sum: f64,
    /// The exponential buckets, when they are kept.
    pub exponential: Option<ExponentialSample<'a>>,
}

impl HistogramSample<'_> {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Buckets whose bounds are powers of `2^(2^-schema)`; the value `v` is in the bucket `index` with
/// `base^(index - 1) < |v| <= base^index`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialSample<'a> {
    /// The resolution, -4 to 8.
    pub schema: i8,
    /// Values whose size is at most this are counted as zero.
    pub zero_threshold: f64,
    /// How many there are of these.
    pub zero_count: u64,
    /// `(index, count)` of the buckets above zero that are not empty, ascending.
    pub positive: &'a [(i32, u64)],
    /// The same below zero, by size.
    pub negative: &'a [(i32, u64)],
}

impl ExponentialSample<'_> {
    /// How many values there are: beside explicit buckets it may be ahead of what those hold, never behind, by the values
    /// in flight on other threads.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zero_count + self.positive.iter().chain(self.negative).map(|(_, count)| count).sum::<u64>()
    }
}

/// The state of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SummarySample<'a> {
    /// How many values there were since creation.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// `(q, value)` over the window; the value is NaN while the window is empty.
    pub quantiles: &'a [(f64, f64)],
}

/// The state of a spiral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiralSample {
    /// How many there were since creation.
    pub count: u64,
    /// How many there were within the window.
    pub one: u64,
}

/// The state of a state set: each state, and whether it holds.
///
/// ```
/// use telemetry_core::scrape::States;
///
/// let states = States::from_pairs(&[("open", true), ("draining", false)]);
/// assert_eq!(states.iter().find(|(_, holds)| *holds), Some(("open", true)));
/// ```
#[derive(Clone, Copy)]
pub struct States<'a>(StatesForm<'a>);

#[derive(Clone, Copy)]
enum StatesForm<'a> {
    // A bit for each name, the lowest for the first.
    Bits { names: &'a [Arc<str>], bits: u64 },
    Pairs(&'a [(&'a str, bool)]),
}

impl<'a> States<'a> {
    /// States given one by one, by a [`Source`].
    #[must_use]
    pub const fn from_pairs(pairs: &'a [(&'a str, bool)]) -> Self {
        Self(StatesForm::Pairs(pairs))
    }

    pub(crate) const fn from_bits(names: &'a [Arc<str>], bits: u64) -> Self {
        Self(StatesForm::Bits { names, bits })
    }

    /// The name of each state, and whether it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, bool)> + use<'a> {
        let (names, bits, pairs): (&[Arc<str>], _, &[_]) = match self.0 {
            StatesForm::Bits { names, bits } => (names, bits, &[]),
            StatesForm::Pairs(pairs) => (&[], 0, pairs),
        };
        let named = names.iter().enumerate().map(move |(at, name)| (&**name, bits >> at & 1 == 1));
        named.chain(pairs.iter().copied())
    }
}

impl fmt::Debug for States<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for States<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
