//! What the stop of a span carries beside the tags of its start.

use super::held::Held;
use crate::value::{Measurement, Number, TagValue, Value};

/// A measurement that is declared behind `stop:` in [`span!`](crate::span!).
#[derive(Debug)]
pub struct StopMeasurement {
    number: Option<Number>,
}

/// A tag that is declared behind `stop:` in [`span!`](crate::span!).
#[derive(Debug)]
pub struct StopTag {
    // Whether the span is listened to: else a value is not worth its copy.
    wanted: bool,
    value: Held<'static>,
}

impl StopMeasurement {
    /// Not set; `span!` writes these calls.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub const fn new(_wanted: bool) -> Self {
        Self { number: None }
    }

    /// Sets the measurement; the last value counts.
    #[inline]
    pub fn set(&mut self, value: impl Measurement) {
        self.number = value.number();
    }

    /// What was set.
    #[doc(hidden)]
    #[must_use]
    pub const fn number(&self) -> Option<Number> {
        self.number
    }
}

impl StopTag {
    /// Not set; `span!` writes these calls.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub const fn new(wanted: bool) -> Self {
        Self { wanted, value: Held::ABSENT }
    }

    /// Sets the tag; the last value counts.
    #[inline]
    pub fn set(&mut self, value: impl TagValue) {
        if self.wanted {
            self.value = Held::copy(value.value());
        }
    }

    /// What was set.
    #[doc(hidden)]
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        self.value.value()
    }
}

/// The fields that a span declares behind `stop:`; `span!` implements it.
#[doc(hidden)]
pub trait Extras {
    /// The measurements, in the order declared.
    fn measurements(&self) -> impl Iterator<Item = Option<Number>>;

    /// The tags, in the order declared.
    fn tags(&self) -> impl Iterator<Item = Value<'_>>;
}

/// Nothing is declared.
impl Extras for () {
    fn measurements(&self) -> impl Iterator<Item = Option<Number>> {
        std::iter::empty()
    }

    fn tags(&self) -> impl Iterator<Item = Value<'_>> {
        std::iter::empty()
    }
}
