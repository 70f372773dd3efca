//! One event as a handler sees it, and what is known of its kind beforehand.

use std::fmt;

use crate::unit::Unit;
use crate::value::{Number, Value};

/// What is known of an event at compile time: its name and its fields, in the order declared.
#[derive(Debug)]
pub struct Metadata {
    // Invariant: `name` is a valid name of an event; held by the macros and by `DynamicEvent`, which build these.
    name: &'static str,
    description: &'static str,
    documentation: &'static str,
    measurements: &'static [MeasurementField],
    tags: &'static [TagField],
    origin: Origin,
    location: Location,
}

/// One measurement that an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasurementField {
    /// Its name.
    pub name: &'static str,
    /// Its unit, where one is declared; a `Duration` without one is exposed in seconds.
    pub unit: Option<Unit>,
    /// What it means; empty where nobody said.
    pub description: &'static str,
}

/// One tag that an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagField {
    /// Its name.
    pub name: &'static str,
    /// Every value that it can have, where its type is a closed set.
    pub variants: Option<&'static [&'static str]>,
    /// What it means; empty where nobody said.
    pub description: &'static str,
}

/// How an event came to be declared, which tells how far its fields can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// `#[derive(Event)]`: these are all the fields that an event of this name has.
    Typed,
    /// `emit!` and `span!`: another place may emit the same name with other fields.
    AdHoc,
    /// At run time.
    Dynamic,
}

/// Where in the source an event is emitted or declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The path of the module.
    pub module: &'static str,
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
}

impl Metadata {
    /// The metadata of an event; the macros write these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        name: &'static str,
        description: &'static str,
        measurements: &'static [MeasurementField],
        tags: &'static [TagField],
        origin: Origin,
        location: Location,
    ) -> Self {
        Self { name, description, documentation: description, measurements, tags, origin, location }
    }

    /// The same with all that is said of the event; the derive writes these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn documented(mut self, documentation: &'static str) -> Self {
        self.documentation = documentation;
        self
    }

    /// The name of the event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the event means, in one paragraph; empty where nobody said.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        self.description
    }

    /// All that is said of the event, as Markdown: of a typed event the whole doc comment, which begins with the
    /// description.
    #[must_use]
    pub const fn documentation(&self) -> &'static str {
        self.documentation
    }

    /// The measurements, in the order declared.
    #[must_use]
    pub const fn measurements(&self) -> &'static [MeasurementField] {
        self.measurements
    }

    /// The tags, in the order declared.
    #[must_use]
    pub const fn tags(&self) -> &'static [TagField] {
        self.tags
    }

    /// How the event came to be declared.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Where it is emitted or declared.
    #[must_use]
    pub const fn location(&self) -> Location {
        self.location
    }

    /// The position of a measurement, by name.
    #[must_use]
    pub fn measurement(&self, name: &str) -> Option<usize> {
        self.measurements.iter().position(|field| field.name == name)
    }

    /// The position of a tag, by name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<usize> {
        self.tags.iter().position(|field| field.name == name)
    }
}

/// `src/cart.rs:12 in shop::cart`
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} in {}", self.file, self.line, self.module)
    }
}

/// Which span an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The span's own id, unique in this process and never zero.
    pub id: u64,
    /// The id of the span that was current when it started.
    pub parent: Option<u64>,
}

/// One event, borrowed from the place that emits it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    // Both slices are as long as the metadata's: seen to by `Event::new`, or by macros.
    metadata: &'static Metadata,
    measurements: &'a [Option<Number>],
    tags: &'a [Value<'a>],
    span: Option<SpanContext>,
}

impl<'a> Event<'a> {
    /// An event with a value, or `None` and `Absent`, for every field of `metadata`.
    ///
    /// # Panics
    ///
    /// When the slices are not as long as the fields.
    #[inline]
    #[must_use]
    pub fn new(
        metadata: &'static Metadata,
        measurements: &'a [Option<Number>],
        tags: &'a [Value<'a>],
        span: Option<SpanContext>,
    ) -> Self {
        assert!(
            measurements.len() == metadata.measurements.len() && tags.len() == metadata.tags.len(),
            "an event has a value for each of its fields"
        );
        Self { metadata, measurements, tags, span }
    }

    /// The same where a macro has written the slices as it wrote the metadata, which so need not be read.
    #[inline(always)]
    pub(crate) fn of_macro(
        metadata: &'static Metadata,
        measurements: &'a [Option<Number>],
        tags: &'a [Value<'a>],
        span: Option<SpanContext>,
    ) -> Self {
        debug_assert_eq!((measurements.len(), tags.len()), (metadata.measurements.len(), metadata.tags.len()));
        Self { metadata, measurements, tags, span }
    }

    /// Makes it belong to this span, unless it belongs to one.
    #[inline]
    pub(crate) fn belong_to(&mut self, current: Option<SpanContext>) {
        self.span = self.span.or(current);
    }

    /// The name of the event.
    #[inline]
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.metadata.name
    }

    /// What is known of the event beforehand.
    #[inline]
    #[must_use]
    pub const fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// The span that the event belongs to: for the events of a span that span, for others the current one.
    #[inline]
    #[must_use]
    pub const fn span(&self) -> Option<SpanContext> {
        self.span
    }

    /// The measurement of this name; `None` when the event does not carry it.
    #[must_use]
    pub fn measurement(&self, name: &str) -> Option<Number> {
        self.metadata.measurement(name).and_then(|at| self.measurements[at])
    }

    /// The tag of this name; `None` when the event does not carry it.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<Value<'a>> {
        self.metadata.tag(name).map(|at| self.tags[at]).filter(|value| !value.is_absent())
    }

    /// The measurement at a position of [`Metadata::measurements`], for handlers that bind positions once.
    #[inline]
    #[must_use]
    pub fn measurement_at(&self, position: usize) -> Option<Number> {
        self.measurements.get(position).copied().flatten()
    }

    /// The tag at a position of [`Metadata::tags`], for handlers that bind positions once.
    #[inline]
    #[must_use]
    pub fn tag_at(&self, position: usize) -> Value<'a> {
        self.tags.get(position).copied().unwrap_or(Value::Absent)
    }

    /// The values of all tags, absent ones too, in the order declared.
    #[inline]
    pub(crate) const fn tag_values(&self) -> &'a [Value<'a>] {
        self.tags
    }

    /// The measurements that the event carries, in the order declared.
    pub fn measurements(&self) -> impl Iterator<Item = (&'static str, Number)> + use<'a> {
        let fields = self.metadata.measurements.iter();
        fields.zip(self.measurements).filter_map(|(field, number)| number.map(|number| (field.name, number)))
    }

    /// The tags that the event carries, in the order declared.
    pub fn tags(&self) -> impl Iterator<Item = (&'static str, Value<'a>)> + use<'a> {
        let fields = self.metadata.tags.iter();
        fields.zip(self.tags).filter(|(_, value)| !value.is_absent()).map(|(field, value)| (field.name, *value))
    }
}

/// The event as [`emit!`](crate::emit!) writes it, tags as text: `shop.checkout { items: 3 } { country: "de" }`.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.name(), self.measurements(), self.tags())?;
        self.span.map_or(Ok(()), |span| write!(f, " {span}"))
    }
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in span {}", self.id)?;
        self.parent.map_or(Ok(()), |parent| write!(f, ", child of {parent}"))
    }
}

/// Writes an event as [`emit!`](crate::emit!) does; what holds no field is left out.
pub(crate) fn write_text<'a>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    measurements: impl Iterator<Item = (&'a str, Number)>,
    tags: impl Iterator<Item = (&'a str, impl fmt::Display)>,
) -> fmt::Result {
    f.write_str(name)?;
    let (mut measurements, mut tags) = (measurements.peekable(), tags.peekable());
    let has_tags = tags.peek().is_some();
    if measurements.peek().is_some() || has_tags {
        write_fields(f, measurements.map(|(name, number)| (name, number.to_string())))?;
    }
    if has_tags {
        write_fields(f, tags.map(|(name, value)| (name, format!("{:?}", value.to_string()))))?;
    }
    Ok(())
}

fn write_fields<'a>(f: &mut fmt::Formatter<'_>, fields: impl Iterator<Item = (&'a str, String)>) -> fmt::Result {
    let mut before = " { ";
    for (name, text) in fields {
        write!(f, "{before}{name}: {text}")?;
        before = ", ";
    }
    f.write_str(if before == ", " { " }" } else { " {}" })
}
