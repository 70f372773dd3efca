//! Definitions: what an application makes of the events that it receives.
//!
//! A definition names an event and one of its measurements, in one: `shop.request.stop.duration` is the measurement
//! `duration` of the event `shop.request.stop`. The two can also be given apart, under any name.
//!
//! ```
//! use telemetry_core::instrument::Buckets;
//! use telemetry_core::metric::{counter, distribution, sum};
//! use telemetry_core::{Registry, Unit};
//!
//! let registry = Registry::new();
//! let aggregator = registry.aggregator([
//!     counter("shop.request.stop.count").tags(["route", "status"]),
//!     distribution("shop.request.stop.duration").tags(["route"]).unit(Unit::Second).buckets(Buckets::latency()),
//!     sum("bytes.sent").event("shop.request.stop").measurement("body").unit(Unit::Byte),
//! ])?;
//! aggregator.attach("metrics")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compiled;
mod error;
mod projection;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::family::Kind;
use crate::instrument::{Buckets, Exponential, Window};
use crate::typed::{EventRef, MeasurementRef};
use crate::unit::Unit;
use crate::value::{Number, TagValue};

pub(crate) use compiled::{Compiled, Plan, ProjectionKey, compile, label_fault};
pub use error::{Fault, MetricError};
pub(crate) use projection::project;

/// How many series a metric may have unless it says otherwise.
pub const DEFAULT_LIMIT: u32 = 2_000;

/// Counts events. A definition whose measurement is `count` counts all of them, also those that carry no measurement
/// of that name; any other counts those that carry the measurement.
pub fn counter(source: impl Into<Source>) -> Metric {
    Metric::new(Kind::Counter, source.into())
}

/// Adds up a measurement that is never negative.
pub fn sum(source: impl Into<Source>) -> Metric {
    Metric::new(Kind::Sum, source.into())
}

/// Keeps the newest value of a measurement.
pub fn last_value(source: impl Into<Source>) -> Metric {
    Metric::new(Kind::LastValue, source.into())
}

/// Counts the values of a measurement in buckets.
pub fn distribution(source: impl Into<Source>) -> Metric {
    Metric::new(Kind::Distribution, source.into())
}

/// Answers quantiles of a measurement over a sliding window.
pub fn summary(source: impl Into<Source>) -> Metric {
    Metric::new(Kind::Summary, source.into())
}

/// Adds up a measurement of whole numbers since creation, and over a sliding window. As for [`counter`], a definition
/// whose measurement is `count` counts events.
pub fn spiral(source: impl Into<Source>) -> Metric {
    Metric::new(Kind::Spiral, source.into())
}

/// Shows facts that don't change while a process runs, all of them in the labels: a version, a revision, a role. It is
/// held by code, as an [`Info`](crate::instrument::Info).
pub fn info(name: impl Into<String>) -> Metric {
    Metric::new(Kind::Info, name.into().into())
}

/// Shows which of these states hold. It is held by code, as a [`StateSet`](crate::instrument::StateSet).
pub fn state_set<S: Into<String>>(name: impl Into<String>, states: impl IntoIterator<Item = S>) -> Metric {
    let mut metric = Metric::new(Kind::StateSet, name.into().into());
    metric.states = states.into_iter().map(Into::into).collect();
    metric
}

/// The same for the states that the variants of an enum name, one that derives
/// [`TagValue`](derive@crate::TagValue).
pub fn state_set_of<E: TagValue>(name: impl Into<String>) -> Metric {
    state_set(name, E::VARIANTS.unwrap_or_default().iter().copied())
}

/// Where a metric's values come from: a name that holds both, or a field of a typed event.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) name: String,
    pub(crate) event: Option<String>,
    pub(crate) measurement: Option<String>,
}

impl From<&str> for Source {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), event: None, measurement: None }
    }
}

impl From<String> for Source {
    fn from(name: String) -> Self {
        Self { name, event: None, measurement: None }
    }
}

/// The measurement of a typed event, under the name of both.
impl From<MeasurementRef> for Source {
    fn from(measurement: MeasurementRef) -> Self {
        Self {
            name: measurement.path().to_owned(),
            event: Some(measurement.event().to_owned()),
            measurement: Some(measurement.name().to_owned()),
        }
    }
}

/// The events of a type, counted: under the event's name and `.count`.
impl From<EventRef> for Source {
    fn from(event: EventRef) -> Self {
        let (name, measurement) = (format!("{}.count", event.name()), "count".to_owned());
        Self { name, event: Some(event.name().to_owned()), measurement: Some(measurement) }
    }
}

/// Decides which events a metric sees. Metrics that share a rule (by cloning it) share their series.
#[derive(Clone)]
pub struct Rule(pub(crate) Arc<dyn Fn(&Event<'_>) -> bool + Send + Sync>);

impl Rule {
    /// Sees the events for which `keep` is true.
    pub fn keep(keep: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }

    /// Sees the events for which `drop` is false.
    pub fn drop(drop: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |event| !drop(event)))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").finish_non_exhaustive()
    }
}

/// Writes the value of a computed tag.
pub(crate) type ComputeTag = Arc<dyn Fn(&Event<'_>, &mut String) + Send + Sync>;
/// Computes a measurement.
pub(crate) type ComputeValue = Arc<dyn Fn(&Event<'_>) -> Option<Number> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum TagSource {
    Named(String),
    Computed(ComputeTag),
}

#[derive(Clone)]
pub(crate) struct TagChoice {
    pub(crate) label: String,
    pub(crate) source: TagSource,
}

/// A definition of one metric; [`counter`] and its siblings begin one.
#[derive(Clone)]
#[must_use = "a definition does nothing until it is given to a registry or an exporter"]
pub struct Metric {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// What holds event and measurement, where the name no longer does.
    pub(crate) source: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) measurement: Option<String>,
    pub(crate) tags: Vec<TagChoice>,
    pub(crate) keep: Option<Rule>,
    pub(crate) drop: Option<Rule>,
    pub(crate) compute: Option<ComputeValue>,
    pub(crate) unit: Option<Unit>,
    pub(crate) buckets: Option<Buckets>,
    pub(crate) exponential: Option<Exponential>,
    pub(crate) quantiles: Option<Vec<f64>>,
    pub(crate) window: Option<Window>,
    pub(crate) declared: Vec<(String, Vec<String>)>,
    /// Of a state set.
    pub(crate) states: Vec<String>,
    pub(crate) limit: u32,
    pub(crate) expiry: Option<(Duration, Duration)>,
    pub(crate) description: Option<String>,
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<&str> = self.tags.iter().map(|tag| tag.label.as_str()).collect();
        f.debug_struct("Metric")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("tags", &tags)
            .finish_non_exhaustive()
    }
}

impl Metric {
    fn new(kind: Kind, source: Source) -> Self {
        Self {
            kind,
            name: source.name,
            source: None,
            event: source.event,
            measurement: source.measurement,
            tags: Vec::new(),
            keep: None,
            drop: None,
            compute: None,
            unit: None,
            buckets: None,
            exponential: None,
            quantiles: None,
            window: None,
            declared: Vec::new(),
            states: Vec::new(),
            limit: DEFAULT_LIMIT,
            expiry: None,
            description: None,
        }
    }

    /// Gives the metric a name of its own; the values still come from where the name before had them.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let before = std::mem::replace(&mut self.name, name.into());
        self.source.get_or_insert(before);
        self
    }

    /// Takes the values from this event, instead of the one that the name holds.
    pub fn event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// Takes this measurement, instead of the one that the name holds.
    pub fn measurement(mut self, measurement: impl Into<String>) -> Self {
        self.measurement = Some(measurement.into());
        self
    }

    /// Keeps these tags as labels.
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(|tag| TagChoice {
            label: tag.as_ref().to_owned(),
            source: TagSource::Named(tag.as_ref().to_owned()),
        }));
        self
    }

    /// Keeps a tag under another name.
    pub fn tag_as(mut self, tag: impl AsRef<str>, label: impl Into<String>) -> Self {
        self.tags.push(TagChoice { label: label.into(), source: TagSource::Named(tag.as_ref().to_owned()) });
        self
    }

    /// Adds a label whose value `compute` writes; an empty text is no label.
    ///
    /// It runs on the emitting thread. When it panics, the event is not counted, and the metric counts it as invalid.
    ///
    /// ```
    /// use std::fmt::Write;
    /// use telemetry_core::metric::counter;
    ///
    /// let by_class = counter("http.server.request.stop.count").computed_tag("class", |event, class| {
    ///     if let Some(status) = event.tag("status") {
    ///         let _ = write!(class, "{}xx", &status.to_string()[..1]);
    ///     }
    /// });
    /// # let _ = by_class;
    /// ```
    pub fn computed_tag(
        mut self,
        label: impl Into<String>,
        compute: impl Fn(&Event<'_>, &mut String) + Send + Sync + 'static,
    ) -> Self {
        self.tags.push(TagChoice { label: label.into(), source: TagSource::Computed(Arc::new(compute)) });
        self
    }

    /// Sees only the events for which `keep` is true.
    pub fn keep(mut self, keep: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Rule::keep(keep));
        self
    }

    /// Sees only the events for which `drop` is false.
    pub fn drop(mut self, drop: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.drop = Some(Rule::drop(drop));
        self
    }

    /// Sees only the events that the rule lets pass; metrics that share a rule share their series.
    pub fn rule(mut self, rule: &Rule) -> Self {
        self.keep = Some(rule.clone());
        self
    }

    /// Computes the value instead of taking a measurement; `None` is a missing measurement.
    ///
    /// It runs on the emitting thread. When it panics, the event is not counted, and the metric counts it as invalid.
    pub fn value(mut self, compute: impl Fn(&Event<'_>) -> Option<Number> + Send + Sync + 'static) -> Self {
        self.compute = Some(Arc::new(compute));
        self
    }

    /// Exposes the values in this unit; measurements are converted from theirs.
    ///
    /// Without it, the metric has the unit that the event declares for the measurement, if a typed event does.
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The explicit buckets of a distribution; without these and without [`Metric::exponential`] they are
    /// [`Buckets::latency`].
    pub fn buckets(mut self, buckets: Buckets) -> Self {
        self.buckets = Some(buckets);
        self
    }

    /// Keeps exponential buckets for a distribution, which Prometheus calls a native histogram: beside the explicit ones if
    /// those are given with [`Metric::buckets`], else instead.
    ///
    /// ```
    /// use telemetry_core::instrument::{Buckets, Exponential};
    /// use telemetry_core::metric::distribution;
    ///
    /// let classic = distribution("http.request.duration").buckets(Buckets::latency());
    /// let native = distribution("http.request.duration").exponential(Exponential::default());
    /// let both =
    ///     distribution("http.request.duration").buckets(Buckets::latency()).exponential(Exponential::default());
    /// # let _ = (classic, native, both);
    /// ```
    pub fn exponential(mut self, exponential: Exponential) -> Self {
        self.exponential = Some(exponential);
        self
    }

    /// The quantiles that a summary shows; without it 0.5, 0.9 and 0.99.
    pub fn quantiles(mut self, quantiles: impl IntoIterator<Item = f64>) -> Self {
        self.quantiles = Some(quantiles.into_iter().collect());
        self
    }

    /// The sliding window of a spiral or a summary; without it a minute.
    pub fn window(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// Declares the values of a tag: the series of all declared values are there, at zero, before the first event.
    /// Every tag of the metric needs its values then.
    pub fn values<V: Into<String>>(mut self, label: impl AsRef<str>, values: impl IntoIterator<Item = V>) -> Self {
        self.declared.push((label.as_ref().to_owned(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// The most series; what lies beyond is counted in one series marked `otel_metric_overflow="true"`.
    pub fn limit(mut self, series: u32) -> Self {
        self.limit = series;
        self
    }

    /// Hides a series that had no event for `hide_after`, and forgets it after `reclaim_after` more.
    pub fn expiry(mut self, hide_after: Duration, reclaim_after: Duration) -> Self {
        self.expiry = Some((hide_after, reclaim_after));
        self
    }

    /// What the metric means; without it the description of the measurement, if a typed event has one.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}
