//! An owned copy of what a walk shows, for tests and for whoever wants to keep it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::family::Family;
use crate::registry::Registry;
use crate::scrape::{Sample, Series, SpiralSample, Total, Visit};

/// Everything that a registry held at one moment.
///
/// ```
/// use telemetry_core::Registry;
/// use telemetry_core::instrument::Counter;
/// use telemetry_core::metric::counter;
///
/// let registry = Registry::new();
/// let jobs = registry.register::<Counter>(counter("jobs.done").tags(["queue"]))?;
/// jobs.with(["mail"])?.add(3);
///
/// assert_eq!(registry.snapshot().total("jobs.done", &[("queue", "mail")]), Some(3.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    families: Vec<FamilySnapshot>,
}

/// One family of a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct FamilySnapshot {
    /// The family.
    pub family: Family,
    /// Its series, in the order in which they came to be.
    pub series: Vec<SeriesSnapshot>,
}

/// One series of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSnapshot {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// When the series came to be, since the Unix epoch.
    pub created: Option<Duration>,
    /// The values.
    pub value: ValueSnapshot,
}

/// The values of a series of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ValueSnapshot {
    /// Of a counter or a sum.
    Total(Total),
    /// Of a last value.
    Gauge(f64),
    /// Of a distribution.
    Histogram {
        /// The upper bounds of the explicit buckets.
        bounds: Vec<f64>,
        /// The counts of the buckets, each by itself: one more than there are bounds.
        counts: Vec<u64>,
        /// The sum of the values.
        sum: f64,
        /// The exponential buckets, if they are kept.
        exponential: Option<ExponentialSnapshot>,
    },
    /// Of a summary.
    Summary {
        /// How many values there were.
        count: u64,
        /// Their sum.
        sum: f64,
        /// The quantiles over the window.
        quantiles: Vec<(f64, f64)>,
    },
    /// Of a spiral.
    Spiral(SpiralSample),
    /// Of an info.
    Info,
    /// Of a state set: each state, and whether it holds.
    States(BTreeMap<String, bool>),
}

/// The exponential buckets of a histogram of a [`Snapshot`]: see [`crate::scrape::ExponentialSample`].
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialSnapshot {
    /// The resolution.
    pub schema: i8,
    /// The largest size that is as good as zero.
    pub zero_threshold: f64,
    /// The count of values that are as good as zero.
    pub zero_count: u64,
    /// The buckets above zero.
    pub positive: Vec<(i32, u64)>,
    /// The buckets below zero.
    pub negative: Vec<(i32, u64)>,
}

impl From<Sample<'_>> for ValueSnapshot {
    fn from(sample: Sample<'_>) -> Self {
        match sample {
            Sample::Total(total) => Self::Total(total),
            Sample::Gauge(value) => Self::Gauge(value),
            Sample::Histogram(histogram) => Self::Histogram {
                bounds: histogram.bounds.to_vec(),
                counts: histogram.counts.to_vec(),
                sum: histogram.sum,
                exponential: histogram.exponential.map(|exponential| ExponentialSnapshot {
                    schema: exponential.schema,
                    zero_threshold: exponential.zero_threshold,
                    zero_count: exponential.zero_count,
                    positive: exponential.positive.to_vec(),
                    negative: exponential.negative.to_vec(),
                }),
            },
            Sample::Summary(summary) => {
                Self::Summary { count: summary.count, sum: summary.sum, quantiles: summary.quantiles.to_vec() }
            }
            Sample::Spiral(spiral) => Self::Spiral(spiral),
            Sample::Info => Self::Info,
            Sample::States(states) => {
                Self::States(states.iter().map(|(state, holds)| (state.to_owned(), holds)).collect())
            }
        }
    }
}

impl Visit for Snapshot {
    fn family(&mut self, family: &Family) {
        self.families.push(FamilySnapshot { family: family.clone(), series: Vec::new() });
    }

    fn series(&mut self, series: &Series<'_>) {
        if let Some(family) = self.families.last_mut() {
            let labels = series.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            family.series.push(SeriesSnapshot { labels, created: series.created, value: series.sample.into() });
        }
    }
}

impl Snapshot {
    /// The families, in the order in which they were defined.
    #[must_use]
    pub fn families(&self) -> &[FamilySnapshot] {
        &self.families
    }

    /// The family of this name.
    #[must_use]
    pub fn family(&self, name: &str) -> Option<&FamilySnapshot> {
        self.families.iter().find(|family| family.family.name() == name)
    }

    /// The values of the series of the metric `name` that has exactly these labels.
    #[must_use]
    pub fn sample(&self, name: &str, labels: &[(&str, &str)]) -> Option<&ValueSnapshot> {
        let same = |series: &&SeriesSnapshot| {
            let given = labels.iter().filter(|(_, value)| !value.is_empty());
            series.labels.len() == given.clone().count()
                && given.clone().all(|(name, value)| series.labels.get(*name).is_some_and(|own| own == value))
        };
        self.family(name)?.series.iter().find(same).map(|series| &series.value)
    }

    /// The total of a counter, a sum or a spiral, the value of a gauge, the count of a histogram or a summary, or 1 of an
    /// info; a state set has no such number.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // The nearest float is what is asked for.
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(match self.sample(name, labels)? {
            ValueSnapshot::Total(total) => total.to_f64(),
            ValueSnapshot::Gauge(value) => *value,
            ValueSnapshot::Histogram { counts, .. } => counts.iter().sum::<u64>() as f64,
            ValueSnapshot::Summary { count, .. } => *count as f64,
            ValueSnapshot::Spiral(spiral) => spiral.count as f64,
            ValueSnapshot::Info => 1.0,
            ValueSnapshot::States(_) => return None,
        })
    }
}

impl Registry {
    /// The values of now of the series of the metric `name` that has exactly these labels. Looking changes nothing.
    ///
    /// ```
    /// use telemetry_core::Registry;
    /// use telemetry_core::instrument::Gauge;
    /// use telemetry_core::metric::last_value;
    /// use telemetry_core::snapshot::ValueSnapshot;
    ///
    /// let registry = Registry::new();
    /// let depth = registry.register::<Gauge>(last_value("queue.depth").tags(["queue"]))?;
    /// depth.with(["mail"])?.set(3);
    ///
    /// assert_eq!(registry.sample("queue.depth", [("queue", "mail")]), Some(ValueSnapshot::Gauge(3.0)));
    /// assert_eq!(registry.sample("queue.depth", [("queue", "fax")]), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sample<'a>(&self, name: &str, labels: impl AsRef<[(&'a str, &'a str)]>) -> Option<ValueSnapshot> {
        self.snapshot().sample(name, labels.as_ref()).cloned()
    }

    /// A copy of everything that the registry holds now. Taking it changes nothing.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.sweep();
        self.look().run(&mut snapshot);
        snapshot
    }
}
