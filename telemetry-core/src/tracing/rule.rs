//! Rules: which spans and events of `tracing` become events, and what of their fields.

use std::fmt;

use tracing_core::{Level, Metadata};

use crate::dynamic::{DynamicEvent, DynamicEventError};
use crate::unit::Unit;

/// What of a span is measured whether a rule says so or not.
pub(super) const TIMES: [&str; 3] = ["duration", "busy", "idle"];

/// Which spans or events of `tracing` become which event.
///
/// ```
/// use telemetry_core::Unit;
/// use telemetry_core::tracing::{EventLayer, Rule};
/// use tracing_core::Level;
///
/// let layer = EventLayer::new([
///     // tracing::info_span!("request", route, status = tracing::field::Empty, body)
///     Rule::span("request").target("shop::web").emit("web.request").tags(["route", "status"]).measurement("body", Unit::Byte),
///     // tracing::warn!(shelf, missing, "out of stock")
///     Rule::event().target("shop::stock").level(Level::WARN).emit("stock.short").tag_as("shelf", "place").measurements(["missing"]),
/// ])?;
/// # let _ = layer;
/// # Ok::<(), telemetry_core::tracing::RuleError>(())
/// ```
///
/// A field that was not recorded is absent: a metric that needs it counts that as missing, and as a tag it is no label.
#[derive(Clone, Debug)]
#[must_use = "a rule does nothing until it is given to an `EventLayer`"]
pub struct Rule {
    of: Of,
    target: Option<String>,
    level: Option<Level>,
    has: Vec<String>,
    emit: Option<String>,
    tags: Vec<(Source, String)>,
    measurements: Vec<(String, String, Option<Unit>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Span(String),
    Spans,
    Events,
}

/// What a tag's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Field(String),
    /// The name of the span.
    Name,
    Level,
    Target,
}

impl Rule {
    const fn new(of: Of) -> Self {
        Self { of, target: None, level: None, has: Vec::new(), emit: None, tags: Vec::new(), measurements: Vec::new() }
    }

    /// Spans of this name. The event is emitted when the span closes, with the measurements `duration`, from when it was
    /// made; `busy`, for which some thread was in it; and `idle`, the rest.
    pub fn span(name: impl Into<String>) -> Self {
        Self::new(Of::Span(name.into()))
    }

    /// Spans of any name: see [`Rule::span`].
    pub const fn spans() -> Self {
        Self::new(Of::Spans)
    }

    /// Events of `tracing`. The event is emitted at once.
    pub const fn event() -> Self {
        Self::new(Of::Events)
    }

    /// Only those of this target, or of one below it: `shop` holds `shop::web`.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Only those of this level, or of a graver one.
    pub const fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Only those that declare this field.
    pub fn has(mut self, field: impl Into<String>) -> Self {
        self.has.push(field.into());
        self
    }

    /// The name of the event that they become.
    pub fn emit(mut self, event: impl Into<String>) -> Self {
        self.emit = Some(event.into());
        self
    }

    /// Keeps these fields as tags.
    pub fn tags<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.tags.extend(fields.into_iter().map(|field| {
            let field = field.into();
            (Source::Field(field.clone()), field)
        }));
        self
    }

    /// Keeps a field as a tag of another name.
    pub fn tag_as(mut self, field: impl Into<String>, tag: impl Into<String>) -> Self {
        self.tags.push((Source::Field(field.into()), tag.into()));
        self
    }

    /// Keeps the name of the span as a tag.
    pub fn name_as(mut self, tag: impl Into<String>) -> Self {
        self.tags.push((Source::Name, tag.into()));
        self
    }

    /// Keeps the level as a tag: `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE`.
    pub fn level_as(mut self, tag: impl Into<String>) -> Self {
        self.tags.push((Source::Level, tag.into()));
        self
    }

    /// Keeps the target as a tag.
    pub fn target_as(mut self, tag: impl Into<String>) -> Self {
        self.tags.push((Source::Target, tag.into()));
        self
    }

    /// Keeps these fields as measurements.
    pub fn measurements<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.measurements.extend(fields.into_iter().map(|field| {
            let field = field.into();
            (field.clone(), field, None)
        }));
        self
    }

    /// Keeps a field as a measurement that is in this unit.
    pub fn measurement(mut self, field: impl Into<String>, unit: Unit) -> Self {
        let field = field.into();
        self.measurements.push((field.clone(), field, Some(unit)));
        self
    }

    /// Keeps a field as a measurement of another name, in this unit.
    pub fn measurement_as(mut self, field: impl Into<String>, measurement: impl Into<String>, unit: Unit) -> Self {
        self.measurements.push((field.into(), measurement.into(), Some(unit)));
        self
    }

    /// Makes the event.
    #[track_caller]
    pub(super) fn compile(self) -> Result<Compiled, RuleError> {
        let rule = match &self.of {
            Of::Span(name) => format!("of spans {name:?}"),
            Of::Spans => "of spans".to_owned(),
            Of::Events => "of events".to_owned(),
        };
        let Some(name) = &self.emit else { return Err(RuleError::NoEvent { rule }) };
        let times = if self.of == Of::Events { &[][..] } else { &TIMES };
        let times = times.iter().map(|time| (*time, Some(Unit::Second)));
        let own = self.measurements.iter().map(|(_, name, unit)| (name.as_str(), *unit));
        let measurements: Vec<_> = times.chain(own).collect();
        let tags: Vec<&str> = self.tags.iter().map(|(_, tag)| tag.as_str()).collect();
        let event = DynamicEvent::new(name, &measurements, &tags);
        let event = event.map_err(|source| RuleError::Event { rule, event: name.clone(), source })?;
        Ok(Compiled { event, rule: self })
    }

    fn matches(&self, metadata: &Metadata<'_>) -> bool {
        let of = match &self.of {
            Of::Span(name) => metadata.is_span() && metadata.name() == name,
            Of::Spans => metadata.is_span(),
            Of::Events => metadata.is_event(),
        };
        let is_below = |target: &String| {
            let rest = metadata.target().strip_prefix(target.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        of && self.level.is_none_or(|level| *metadata.level() <= level)
            && self.target.as_ref().is_none_or(is_below)
            && self.has.iter().all(|field| metadata.fields().field(field.as_str()).is_some())
    }
}

/// A rule and its event.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) event: DynamicEvent,
    rule: Rule,
}

impl Compiled {
    pub(super) fn matches(&self, metadata: &Metadata<'_>) -> bool {
        self.rule.matches(metadata)
    }

    /// How many measurements come before those of fields.
    pub(super) fn times(&self) -> usize {
        if self.rule.of == Of::Events { 0 } else { TIMES.len() }
    }

    pub(super) fn wants(&self, field: &str) -> bool {
        self.tags_of(field).next().is_some() || self.measurements_of(field).next().is_some()
    }

    /// The positions of the tags that hold a field.
    pub(super) fn tags_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is = move |source: &Source| matches!(source, Source::Field(named) if named == field);
        self.rule.tags.iter().enumerate().filter(move |(_, (source, _))| is(source)).map(|(at, _)| at)
    }

    /// The positions of the measurements that hold a field.
    pub(super) fn measurements_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = usize> + 'a {
        let measurements = self.rule.measurements.iter().enumerate();
        measurements.filter(move |(_, (named, ..))| named == field).map(|(at, _)| self.times() + at)
    }

    pub(super) fn tag_sources(&self) -> impl Iterator<Item = &Source> {
        self.rule.tags.iter().map(|(source, _)| source)
    }
}

/// Why a rule can't be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// The rule does not say which event is emitted.
    NoEvent {
        /// Which rule it is.
        rule: String,
    },
    /// There can't be such an event.
    Event {
        /// Which rule it is.
        rule: String,
        /// The name of the event.
        event: String,
        /// What is wrong with it.
        source: DynamicEventError,
    },
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEvent { rule } => {
                write!(f, "the rule {rule} names no event; say with `emit` which one they become")
            }
            Self::Event { rule, event, .. } => {
                write!(f, "the rule {rule} can't emit the event {event:?}")?;
                let is_span = !rule.ends_with("events");
                let hint = "; of a span, `duration`, `busy` and `idle` are measurements already";
                f.write_str(if is_span { hint } else { "" })
            }
        }
    }
}

impl std::error::Error for RuleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoEvent { .. } => None,
            Self::Event { source, .. } => Some(source),
        }
    }
}
