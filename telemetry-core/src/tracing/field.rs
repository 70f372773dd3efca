//! Fields of `tracing` as measurements and as tags.

use std::error::Error;
use std::fmt::Debug;

use tracing_core::field::{Field, Visit};

use crate::value::{Number, Value};

/// The value of one field, owned: `tracing` lends it for the time of a visit.
#[derive(Clone, Debug)]
pub(super) enum FieldValue {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    Text(Box<str>),
}

impl FieldValue {
    /// As a measurement. What was recorded by `%` or `?` counts if it reads as a number.
    pub(super) fn number(&self) -> Option<Number> {
        Some(match self {
            Self::U64(n) => Number::U64(*n),
            Self::I64(n) => Number::I64(*n),
            Self::F64(n) => Number::F64(*n),
            Self::Bool(is) => Number::U64(u64::from(*is)),
            Self::Text(text) => Number::F64(text.parse().ok()?),
        })
    }

    /// As a tag; a float becomes text.
    pub(super) fn into_tag(self) -> Self {
        match self {
            Self::F64(n) => Self::Text(n.to_string().into()),
            other => other,
        }
    }

    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::U64(n) => Value::U64(*n),
            Self::I64(n) => Value::I64(*n),
            Self::Bool(is) => Value::Bool(*is),
            Self::Text(text) => Value::Str(text),
            // Never of a tag: see `into_tag`.
            Self::F64(_) => Value::Absent,
        }
    }

    pub(super) fn into_text(self) -> Box<str> {
        match self {
            Self::U64(n) => n.to_string().into(),
            Self::I64(n) => n.to_string().into(),
            Self::F64(n) => n.to_string().into(),
            Self::Bool(is) => is.to_string().into(),
            Self::Text(text) => text,
        }
    }
}

/// Hands over each field that `wants` names.
pub(super) struct Fields<W, T> {
    pub(super) wants: W,
    pub(super) take: T,
}

impl<W: Fn(&str) -> bool, T: FnMut(&'static str, FieldValue)> Fields<W, T> {
    fn field(&mut self, field: &Field, value: impl FnOnce() -> FieldValue) {
        // Nothing is formatted that nobody asked for.
        if (self.wants)(field.name()) {
            (self.take)(field.name(), value());
        }
    }
}

impl<W: Fn(&str) -> bool, T: FnMut(&'static str, FieldValue)> Visit for Fields<W, T> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, || FieldValue::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, || FieldValue::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, || FieldValue::U64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, || FieldValue::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, || FieldValue::Text(value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.field(field, || FieldValue::Text(value.to_string().into()));
    }

    // Integers of 128 bits come here too, and read as numbers.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, || FieldValue::Text(format!("{value:?}").into()));
    }
}
