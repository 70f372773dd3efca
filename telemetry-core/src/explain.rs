//! What metrics make of one event, or why they make nothing of it, without counting it.
//!
//! ```
//! use telemetry_core::explain::Finding;
//! use telemetry_core::metric::{counter, sum};
//! use telemetry_core::{Dispatch, Event, Number, Registry, emit};
//!
//! let registry = Registry::new();
//! let aggregator = registry.aggregator([
//!     counter("shop.checkout.count").tags(["country"]),
//!     sum("shop.checkout.total"),
//! ])?;
//! let explains = move |event: &Event<'_>| {
//!     let [count, total] = &aggregator.explain(event)[..] else { panic!("two metrics are made of the event") };
//!     assert_eq!(count.finding, Finding::Taken { value: Number::U64(1), unit: None });
//!     assert_eq!(count.labels, [("country".to_owned(), "de".to_owned())]);
//!     assert_eq!(total.to_string(), "shop.checkout.total sum skipped: the event carries no measurement `total`");
//! };
//!
//! let dispatch = Dispatch::new();
//! dispatch.attach("explains", "shop.*", explains)?;
//! dispatch.run(|| emit!("shop.checkout", { items: 3 }, { country: "de" }));
//! # assert_eq!(dispatch.failures(), []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::sync::Arc;

use crate::aggregate::{Aggregator, BoundGroup, Group, Member, ValueSource};
use crate::caught::guarded;
use crate::event::Event;
use crate::family::Kind;
use crate::instrument::{Quantity, Scale};
use crate::key::{KeyBuffer, take_value};
use crate::series::Projection;
use crate::unit::Unit;
use crate::value::Number;

/// What one metric makes of one event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The name of the metric.
    pub metric: String,
    /// Its kind.
    pub kind: Kind,
    /// The labels of the series that the event belongs to, in the order of the metric's tags, those without a value left
    /// out; `otel_metric_overflow` alone where the metric has as many series as its limit allows. Empty for an event
    /// that was not looked at that far.
    pub labels: Vec<(String, String)>,
    /// The value that is taken, or why there is none.
    pub finding: Finding,
}

/// The value that a metric takes of an event, or why it takes none.
///
/// Beside each reason stands what the event is counted as in `telemetry.metric.skipped`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// It takes this value, in this unit.
    Taken {
        /// The value: of a counter 1, of the others the measurement, converted.
        value: Number,
        /// The metric's unit.
        unit: Option<Unit>,
    },
    /// The metric's rule, its `keep` or `drop`, keeps the event out: not counted.
    KeptOut,
    /// The event carries no such measurement, or its computation gave none: `missing`.
    Missing {
        /// The measurement; `None` for one that is computed.
        measurement: Option<String>,
    },
    /// The unit of the measurement does not convert into the metric's: `missing`.
    UnitMismatch {
        /// The unit that the event declares.
        measured: Unit,
        /// The unit that the metric has.
        wanted: Unit,
    },
    /// The value is infinite or not a number: `invalid`.
    NotFinite {
        /// The value as it was measured.
        value: Number,
    },
    /// The value is negative, and the metric only goes up: `invalid`.
    Negative {
        /// The value, converted.
        value: Number,
    },
    /// The value is not a whole number below 2⁶⁴, and the metric takes no other: `invalid`.
    NotWhole {
        /// The value, converted.
        value: Number,
    },
    /// A rule, a computed tag or a computed value panicked: `invalid`.
    Panicked {
        /// What it panicked with.
        message: String,
    },
}

impl Finding {
    /// Whether the metric takes a value.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { value, unit: Some(unit) } => write!(f, "{value} {unit}"),
            Self::Taken { value, unit: None } => write!(f, "{value}"),
            Self::KeptOut => f.write_str("skipped: its rule keeps the event out"),
            Self::Missing { measurement: Some(measurement) } => {
                write!(f, "skipped: the event carries no measurement `{measurement}`")
            }
            Self::Missing { measurement: None } => f.write_str("skipped: no value was computed"),
            Self::UnitMismatch { measured, wanted } => write!(f, "skipped: {measured} do not convert into {wanted}"),
            Self::NotFinite { value } => write!(f, "skipped: {value} is not finite"),
            Self::Negative { value } => write!(f, "skipped: {value} is negative"),
            Self::NotWhole { value } => write!(f, "skipped: {value} is not a whole number below 2^64"),
            Self::Panicked { message } => write!(f, "skipped: its own code panicked: {message}"),
        }
    }
}

/// Metric, kind, finding and labels, on one line.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.metric, self.kind.name(), self.finding)?;
        if self.labels.is_empty() { Ok(()) } else { write!(f, " {}", self.labels_text()) }
    }
}

impl Explanation {
    /// The labels as an exposition shows them; empty if there are none.
    pub(crate) fn labels_text(&self) -> String {
        let pairs: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
    }
}

impl Aggregator {
    /// What each metric over this event makes of it, or why it makes nothing of it: see [`explain`](crate::explain).
    ///
    /// Nothing is counted and no series is made. Rules, computed tags and computed values are run to find out. It is for
    /// people who look at events, not for the path of every event: it looks everything up by name, and allocates.
    #[must_use]
    pub fn explain(&self, event: &Event<'_>) -> Vec<Explanation> {
        let groups = self.groups().iter().filter(|group| group.event() == event.name());
        groups.flat_map(|group| group.explain(event)).collect()
    }
}

impl Group {
    fn explain(self: &Arc<Self>, event: &Event<'_>) -> Vec<Explanation> {
        let bound = self.bind(event.metadata());
        let (labels, refusal) = match labels(&self.projection, &bound, event) {
            Ok(Some(labels)) => (labels, None),
            Ok(None) => (Vec::new(), Some(Finding::KeptOut)),
            Err(message) => (Vec::new(), Some(Finding::Panicked { message })),
        };
        let explain = |member: &Member| Explanation {
            metric: member.compiled.family().name().to_owned(),
            kind: member.compiled.family().kind(),
            labels: labels.clone(),
            finding: refusal.clone().unwrap_or_else(|| member.find(event)),
        };
        self.metrics.iter().map(explain).collect()
    }
}

/// The labels of the event's series; `None` if the rule keeps the event out, an error if something panicked.
fn labels(
    projection: &Projection,
    bound: &BoundGroup,
    event: &Event<'_>,
) -> Result<Option<Vec<(String, String)>>, String> {
    let mut key = KeyBuffer::new();
    if !guarded(|| bound.select(event, &mut key))? {
        return Ok(None);
    }
    let mut rest = key.bytes();
    let values: Vec<&str> = std::iter::from_fn(|| take_value(&mut rest)).collect();
    if projection.overflows(values.as_slice()) {
        return Ok(Some(vec![("otel_metric_overflow".to_owned(), "true".to_owned())]));
    }
    let pairs = projection.labels().iter().zip(values).filter(|(_, value)| !value.is_empty());
    Ok(Some(pairs.map(|(name, value)| (name.to_string(), value.to_owned())).collect()))
}

impl Member {
    fn find(&self, event: &Event<'_>) -> Finding {
        let missing = || Finding::Missing { measurement: self.measurement.clone() };
        let own_scale = self.compiled.own_scale();
        let (number, scale) = match self.bind(event.metadata()) {
            None => return self.unit_fault(event).unwrap_or_else(missing),
            Some(ValueSource::One | ValueSource::CountOne(_)) => (Some(Number::U64(1)), *own_scale),
            Some(ValueSource::OneIf(at)) => (event.measurement_at(at).map(|_| Number::U64(1)), *own_scale),
            Some(ValueSource::At(at, scale)) => (event.measurement_at(at), scale),
            Some(ValueSource::Computed(compute, scale)) => match guarded(|| compute(event)) {
                Ok(number) => (number, scale),
                Err(message) => return Finding::Panicked { message },
            },
        };
        number.map_or_else(missing, |number| self.judge(number, &scale))
    }

    /// What is wrong with the unit of the measurement, if the event has that at all.
    fn unit_fault(&self, event: &Event<'_>) -> Option<Finding> {
        let metadata = event.metadata();
        let at = metadata.measurement(self.measurement.as_deref()?)?;
        let measured = metadata.measurements()[at].unit?;
        Some(Finding::UnitMismatch { measured, wanted: self.compiled.family().values_unit()? })
    }

    fn judge(&self, number: Number, scale: &Scale) -> Finding {
        let (family, unit) = (self.compiled.family(), self.compiled.unit());
        let Some(quantity) = scale.apply(number) else { return Finding::NotFinite { value: number } };
        let value = match quantity {
            // Whatever a counter is given, it counts one.
            _ if family.kind() == Kind::Counter => Number::U64(1),
            Quantity::Whole(n) if unit.is_whole() => u64::try_from(n).map_or(Number::I64(n), Number::U64),
            quantity => Number::F64(quantity.to_f64(unit)),
        };
        if self.compiled.instrument().takes(quantity) {
            Finding::Taken { value, unit: family.values_unit() }
        } else if value.to_f64() < 0.0 {
            Finding::Negative { value }
        } else {
            Finding::NotWhole { value }
        }
    }
}
