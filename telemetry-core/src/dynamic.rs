//! Events whose name or fields are known at run time only.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location as Caller;

use crate::callsite::Callsite;
use crate::dispatch;
use crate::dispatch::registry::lock;
use crate::event::{Location, MeasurementField, Metadata, Origin, TagField};
use crate::name::{self, NameError};
use crate::sync::Mutex;
use crate::unit::Unit;
use crate::value::{Number, Value};

/// An event whose name or fields are known at run time only; a handle to copy and keep.
///
/// Each distinct event, by its name and its fields in order, is made once and stays for as long as the process: making
/// the same one again finds it, and costs no more memory. So make them of what is configured, not of what is received.
///
/// ```
/// use telemetry_core::{DynamicEvent, Number, Unit, Value};
///
/// let polled = DynamicEvent::new("device.polled", &[("took", Some(Unit::Millisecond))], &["device"])?;
/// polled.emit(&[Some(Number::U64(12))], &[Value::Str("thermometer")]);
/// # Ok::<(), telemetry_core::DynamicEventError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DynamicEvent {
    callsite: &'static Callsite,
}

/// Why an event could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DynamicEventError {
    /// The name is not the name of an event.
    Name(NameError),
    /// A measurement or a tag has no name.
    EmptyField,
    /// Two measurements, or two tags, have this name.
    DuplicateField(String),
}

impl fmt::Display for DynamicEventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) => f.write_str("the event cannot be made under this name"),
            Self::EmptyField => f.write_str("a measurement or a tag of the event has an empty name; give it one"),
            Self::DuplicateField(field) => {
                write!(f, "two measurements or two tags of the event are named {field:?}; rename one of them")
            }
        }
    }
}

impl std::error::Error for DynamicEventError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(fault) => Some(fault),
            Self::EmptyField | Self::DuplicateField(_) => None,
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    name: String,
    measurements: Vec<(String, Option<Unit>)>,
    tags: Vec<String>,
}

// Callsites made so far. Made with `get_or_init`, which may wait for another thread, since nothing of a user runs in it.
static MADE: std::sync::OnceLock<Mutex<HashMap<Key, &'static Callsite>>> = std::sync::OnceLock::new();

impl DynamicEvent {
    /// The event of this name with these measurements, each with its unit, and these tags.
    ///
    /// # Errors
    ///
    /// [`DynamicEventError`] when the name is not the name of an event, or when a field has no name or shares it with
    /// another of its kind.
    #[track_caller]
    pub fn new(name: &str, measurements: &[(&str, Option<Unit>)], tags: &[&str]) -> Result<Self, DynamicEventError> {
        name::check(name).map_err(DynamicEventError::Name)?;
        check_fields(measurements.iter().map(|(field, _)| *field))?;
        check_fields(tags.iter().copied())?;
        let caller = Caller::caller();
        let key = Key {
            name: name.to_owned(),
            measurements: measurements.iter().map(|(field, unit)| ((*field).to_owned(), *unit)).collect(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        let mut made = lock(MADE.get_or_init(Mutex::default));
        let callsite = made.entry(key).or_insert_with_key(|key| leak(key, caller));
        // Known from now on, so that a definition over the event finds it before the first emission.
        dispatch::registry().enrol(callsite);
        Ok(Self { callsite })
    }

    /// What is known of the event.
    #[must_use]
    pub const fn metadata(self) -> &'static Metadata {
        self.callsite.metadata()
    }

    /// Whether anybody listens, in any dispatcher.
    #[inline]
    #[must_use]
    pub fn is_wanted(self) -> bool {
        self.callsite.is_wanted()
    }

    /// Delivers the event to whoever listens on this thread: a value, or `None` and [`Value::Absent`], for each field,
    /// in the order of the fields.
    ///
    /// # Panics
    ///
    /// When the slices are not as long as the fields, whether anybody listens or not.
    #[inline]
    pub fn emit(self, measurements: &[Option<Number>], tags: &[Value<'_>]) {
        let metadata = self.metadata();
        assert!(
            measurements.len() == metadata.measurements().len() && tags.len() == metadata.tags().len(),
            "{:?} has {} measurements and {} tags; emit it with a value for each",
            metadata.name(),
            metadata.measurements().len(),
            metadata.tags().len()
        );
        if self.callsite.is_wanted() {
            self.callsite.emit(measurements, tags);
        }
    }
}

fn check_fields<'a>(fields: impl Iterator<Item = &'a str> + Clone) -> Result<(), DynamicEventError> {
    for (at, field) in fields.clone().enumerate() {
        if field.is_empty() {
            return Err(DynamicEventError::EmptyField);
        }
        if fields.clone().take(at).any(|other| other == field) {
            return Err(DynamicEventError::DuplicateField(field.to_owned()));
        }
    }
    Ok(())
}

fn leak(key: &Key, caller: &'static Caller<'static>) -> &'static Callsite {
    let text = |text: &str| -> &'static str { Box::leak(Box::from(text)) };
    let measurements: Vec<_> = key
        .measurements
        .iter()
        .map(|(name, unit)| MeasurementField { name: text(name), unit: *unit, description: "" })
        .collect();
    let tags: Vec<_> =
        key.tags.iter().map(|name| TagField { name: text(name), variants: None, description: "" }).collect();
    let location = Location { module: "", file: caller.file(), line: caller.line() };
    let (measurements, tags) = (measurements.leak(), tags.leak());
    let metadata = Metadata::new(text(&key.name), "", measurements, tags, Origin::Dynamic, location);
    Box::leak(Box::new(Callsite::new(Box::leak(Box::new(metadata)))))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// T1: a bad name, and bad fields, are refused at run time.
    #[test]
    fn bad_names_and_fields_are_refused() {
        assert!(matches!(DynamicEvent::new("a..b", &[], &[]), Err(DynamicEventError::Name(_))));
        let twice = DynamicEvent::new("a.b", &[("n", None), ("n", Some(Unit::Byte))], &[]);
        assert_eq!(twice.unwrap_err(), DynamicEventError::DuplicateField("n".to_owned()));
        let twice = DynamicEvent::new("a.b", &[], &["t", "u", "t"]);
        assert_eq!(twice.unwrap_err(), DynamicEventError::DuplicateField("t".to_owned()));
        assert_eq!(DynamicEvent::new("a.b", &[], &[""]).unwrap_err(), DynamicEventError::EmptyField);
        assert!(DynamicEvent::new("a.b", &[("same", None)], &["same"]).is_ok());
    }

    #[test]
    fn the_same_event_is_made_once_and_another_apart() {
        let make = |unit| DynamicEvent::new("dynamic.interned", &[("n", unit)], &["t"]).unwrap();
        let first = make(None);
        assert!(std::ptr::eq(first.callsite, make(None).callsite));
        assert!(!std::ptr::eq(first.callsite, make(Some(Unit::Byte)).callsite));
        assert_eq!(crate::callsites().filter(|callsite| callsite.metadata().name() == "dynamic.interned").count(), 2);
        assert_eq!(first.metadata().location().line, line!() - 5);
    }
}
