//! What can be wrong with a definition.

use std::fmt;

use crate::unit::Unit;

/// A definition that can't become a metric: which, and why.
#[derive(Clone, PartialEq)]
pub struct MetricError {
    metric: String,
    fault: Fault,
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The metric's name is not one.
    Name(&'static str),
    /// The name is one segment, so it holds no event, and none is given.
    NoEvent,
    /// The event's name is not one.
    EventName(String, &'static str),
    /// A label's name is not segments of letters, digits and `_`, joined by dots, or begins with a digit.
    LabelName(String),
    /// A label has a name that Prometheus keeps for itself: `le`, `quantile`, or one that begins with `__`.
    ReservedLabel(String),
    /// Two labels have the same name.
    RepeatedLabel(String),
    /// Both `keep` and `drop` are given.
    KeepAndDrop,
    /// The measurement's unit does not convert into the metric's.
    Units(Unit, Unit),
    /// A setting of exponential buckets.
    Exponential(&'static str),
    /// A quantile is not between 0 and 1, or is given twice, or none is given.
    Quantiles,
    /// An option that belongs to other kinds of metrics.
    Option(&'static str, &'static str),
    /// Values are declared for a label that the metric does not have.
    UnknownLabel(String),
    /// Values are declared for some labels, but not for this one.
    Undeclared(String),
    /// The declared values make more series than the limit.
    TooManyDeclared(usize, u32),
    /// No series is allowed.
    NoSeries,
    /// A series is to be hidden at once.
    Expiry,
    /// The typed event of this name has no such measurement; it has these.
    UnknownMeasurement(String, Vec<&'static str>),
    /// The typed event of this name has no such tag; it has these.
    UnknownTag(String, Vec<&'static str>),
    /// Another metric has the same name.
    Repeated,
    /// This metric and another would be exposed under the same name.
    Collision {
        /// The other metric.
        other: String,
        /// The name that both would have.
        exposed: String,
        /// The escaping of names under which they would, if not under each.
        escaping: Option<&'static str>,
    },
    /// Two labels of this metric would be exposed under the same name.
    LabelCollision {
        /// The label that stands first.
        first: String,
        /// The other.
        second: String,
        /// The name that both would have.
        exposed: String,
        /// The escaping of names under which they would, if not under each.
        escaping: Option<&'static str>,
    },
    /// A metric of this kind is held by code, not fed by events.
    OnlyHeld(&'static str),
    /// A state set has no states, or too many.
    StateCount {
        /// How many there are.
        given: usize,
        /// How many there may be.
        most: usize,
    },
    /// A state has no name, or the name of another.
    State(String),
    /// The handle asked for is of another kind.
    Kind {
        /// The kind of the definition.
        defined: &'static str,
        /// The kind of the handle.
        asked: &'static str,
    },
    /// An event is given for an instrument that is held, not fed by events.
    EventOfHeld,
    /// Labels are declared for an instrument that takes them as they come.
    LabelsOfOpen,
}

impl MetricError {
    pub(crate) fn new(metric: &str, fault: Fault) -> Self {
        Self { metric: metric.to_owned(), fault }
    }

    /// The name of the metric.
    #[must_use]
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the metric {:?}: {}", self.metric, self.fault)
    }
}

/// The same as [`Display`](fmt::Display): `unwrap`, and a `main` that returns the error, print this form, and whoever
/// reads it is to see what to do.
impl fmt::Debug for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for MetricError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(fault) => write!(f, "its name is not one: {fault}; write segments of letters, digits and `_`, joined by dots"),
            Self::NoEvent => f.write_str("its name holds no event; write `event.measurement`, or give the event with `.event(..)`"),
            Self::EventName(event, fault) => write!(f, "{event:?} is not the name of an event: {fault}"),
            Self::LabelName(label) => write!(f, "{label:?} can't be a label; write segments of letters, digits and `_`, joined by dots, beginning with no digit, or give the tag another name with `.tag_as(..)`"),
            Self::ReservedLabel(label) => write!(f, "the label {label:?} is reserved by Prometheus; give the tag another name with `.tag_as(..)`"),
            Self::RepeatedLabel(label) => write!(f, "the label {label:?} is there twice; leave one out, or give it another name with `.tag_as(..)`"),
            Self::KeepAndDrop => f.write_str("both `keep` and `drop` are given; say it with one of them"),
            Self::Units(from, into) => write!(f, "{from} do not convert into {into}; choose a unit of the same dimension"),
            Self::Exponential(wrong) => write!(f, "its exponential buckets: {wrong}"),
            Self::Quantiles => f.write_str("quantiles are numbers from 0 to 1, at least one, each once"),
            Self::Option(option, kinds) => write!(f, "`{option}` belongs to {kinds}; leave it out"),
            Self::UnknownLabel(label) => write!(f, "values are declared for {label:?}, which is not among its tags; add it with `.tags(..)`"),
            Self::Undeclared(label) => write!(f, "values are declared for some tags, but not for {label:?}; declare those too, since a series needs all of them"),
            Self::TooManyDeclared(series, limit) => write!(f, "the declared values make {series} series, more than its limit of {limit}; raise it with `.limit(..)`"),
            Self::NoSeries => f.write_str("its limit is 0; allow at least one series"),
            Self::Expiry => f.write_str("a series can't be hidden after no time at all; give `expiry` a duration above zero"),
            Self::UnknownMeasurement(name, known) => write!(f, "its event has no measurement {name:?}; it has {}", Listed(known)),
            Self::UnknownTag(name, known) => write!(f, "its event has no tag {name:?}; it has {}", Listed(known)),
            Self::Repeated => f.write_str("it is defined twice; give one of the two another name with `.name(..)`"),
            Self::Collision { other, exposed, escaping } => write!(f, "it and {other:?} would both be exposed as {exposed:?}{}; give one of them another name with `.name(..)`", Where(*escaping)),
            Self::LabelCollision { first, second, exposed, escaping } => write!(f, "its labels {first:?} and {second:?} would both be exposed as {exposed:?}{}; give one of them another name, a tag with `.tag_as(..)`", Where(*escaping)),
            Self::OnlyHeld(kind) => write!(f, "events can't feed it: {kind} metrics are held by code; give the definition to `Registry::register`"),
            Self::StateCount { given, most } => write!(f, "it has {given} states; name at least one and at most {most}"),
            Self::State(state) if state.is_empty() => f.write_str("one of its states has no name; give it one"),
            Self::State(state) => write!(f, "the state {state:?} is there twice; leave one out"),
            Self::Kind { defined, asked } => write!(f, "it is defined as a {defined}, and asked for as a {asked}; make the two the same"),
            Self::EventOfHeld => f.write_str("an instrument that is held takes no event, no rule and no computed value or tag; leave those out, or give the definition to an aggregator"),
            Self::LabelsOfOpen => f.write_str("an open instrument takes its labels with each series; leave out tags and values, or call `register`"),
        }
    }
}

/// Under which escaping a name is meant.
struct Where(Option<&'static str>);

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(escaping) => write!(f, " to a scraper that asks for names escaped as {escaping:?}"),
            None => Ok(()),
        }
    }
}

struct Listed<'a>(&'a [&'static str]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (position, name) in self.0.iter().enumerate() {
            write!(f, "{}{name:?}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
