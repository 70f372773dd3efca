//! A family: all series of one metric, and what is said of them together.

use std::sync::Arc;
use std::time::Duration;

use crate::unit::Unit;

/// What a metric makes of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// How many events there were.
    Counter,
    /// The sum of a measurement that is never negative.
    Sum,
    /// The newest value of a measurement.
    LastValue,
    /// How a measurement is distributed, in buckets.
    Distribution,
    /// Quantiles of a measurement over a sliding window.
    Summary,
    /// A count since creation, and over a sliding window.
    Spiral,
    /// Facts that don't change while a process runs: all is in the labels.
    Info,
    /// Which of some named states hold.
    StateSet,
}

impl Kind {
    /// The kind in words, as definitions spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Sum => "sum",
            Self::LastValue => "last_value",
            Self::Distribution => "distribution",
            Self::Summary => "summary",
            Self::Spiral => "spiral",
            Self::Info => "info",
            Self::StateSet => "state_set",
        }
    }
}

/// All series of one metric: name, kind, unit, description and the names of the labels.
///
/// A family carries the metric's own name, dots and all, and no suffix of any exposition format: an encoder makes the name
/// that its format wants.
#[derive(Clone, Debug)]
pub struct Family {
    name: String,
    kind: Kind,
    unit: Option<Unit>,
    description: String,
    labels: Arc<[Arc<str>]>,
    window: Option<Duration>,
}

impl Family {
    /// A family without unit, description or labels.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, unit: None, description: String::new(), labels: Arc::new([]), window: None }
    }

    /// Sets the unit of the values.
    #[must_use]
    pub fn unit(mut self, unit: Option<Unit>) -> Self {
        self.unit = unit;
        self
    }

    /// Sets what the metric means.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the names of the labels, in the order in which series give the values.
    #[must_use]
    pub fn labels<L: Into<Arc<str>>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the length of the sliding window of a summary or a spiral.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }
}

/// What is said of a family. The getters live apart from the builder, whose methods have the same names.
impl Family {
    /// The metric's name, as it was defined.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the metric makes of its events.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The unit of the values.
    #[must_use]
    pub const fn values_unit(&self) -> Option<Unit> {
        self.unit
    }

    /// What the metric means; never empty in a registry.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.description
    }

    /// The names of the labels, in the order in which series give the values.
    #[must_use]
    pub fn label_names(&self) -> &[Arc<str>] {
        &self.labels
    }

    /// The length of the sliding window of a summary or a spiral.
    #[must_use]
    pub const fn window_length(&self) -> Option<Duration> {
        self.window
    }
}
