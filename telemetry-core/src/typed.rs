//! Events that are types: declared once with `#[derive(Event)]`, documented, and checked where they are used.
//!
//! The derive gives the type `emit` and `is_wanted`, and a constant for itself and for each of its fields. A metric
//! takes these in place of texts, so a name that is misspelt is a compile error at the name:
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::{Event, TypedEvent, Unit};
//!
//! /// A request was answered.
//! #[derive(Event)]
//! #[event(name = "http.client.request.stop")]
//! struct RequestStop<'a> {
//!     /// From the first byte read to the last byte written.
//!     #[measurement]
//!     duration: Duration,
//!     #[tag]
//!     route: &'a str,
//! }
//!
//! RequestStop { duration: Duration::from_millis(20), route: "/carts" }.emit();
//!
//! assert_eq!(RequestStop::NAME, "http.client.request.stop");
//! assert_eq!(RequestStop::EVENT.metadata().description(), "A request was answered.");
//! assert_eq!(RequestStop::DURATION.path(), "http.client.request.stop.duration");
//! assert_eq!(RequestStop::DURATION.unit(), Some(Unit::Second));
//! assert_eq!(RequestStop::ROUTE.name(), "route");
//! ```

use std::fmt;

use crate::Callsite;
use crate::event::Metadata;
use crate::unit::Unit;

/// An event that is a type; `#[derive(Event)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "add `#[derive(Event)]` and `#[event(name = \"...\")]` to the struct"
)]
pub trait TypedEvent {
    /// The name of the event.
    const NAME: &'static str;

    /// The one callsite through which all events of this type are emitted.
    fn callsite() -> &'static Callsite;
}

/// A typed event, to be named where a metric is defined.
#[derive(Clone, Copy, Debug)]
pub struct EventRef {
    metadata: &'static Metadata,
}

/// A measurement of a typed event, to be named where a metric is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasurementRef {
    // Invariant: `event`, a dot, `name`; held by the derive.
    path: &'static str,
    event: &'static str,
    name: &'static str,
    unit: Option<Unit>,
}

/// A tag of a typed event, to be named where a metric is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagRef {
    event: &'static str,
    name: &'static str,
}

impl EventRef {
    /// A reference to the event of this metadata; the derive writes these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(metadata: &'static Metadata) -> Self {
        Self { metadata }
    }

    /// The name of the event.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.metadata.name()
    }

    /// What is known of the event.
    #[must_use]
    pub const fn metadata(self) -> &'static Metadata {
        self.metadata
    }
}

impl MeasurementRef {
    /// A reference to the measurement `name` of `event`; the derive writes these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(path: &'static str, event: &'static str, name: &'static str, unit: Option<Unit>) -> Self {
        Self { path, event, name, unit }
    }

    /// The names of the event and of the measurement, joined by a dot: what a metric over it is called.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.path
    }

    /// The name of the event.
    #[must_use]
    pub const fn event(self) -> &'static str {
        self.event
    }

    /// The name of the measurement.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The unit of the measurement, where one is declared.
    #[must_use]
    pub const fn unit(self) -> Option<Unit> {
        self.unit
    }
}

impl TagRef {
    /// A reference to the tag `name` of `event`; the derive writes these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(event: &'static str, name: &'static str) -> Self {
        Self { event, name }
    }

    /// The name of the event.
    #[must_use]
    pub const fn event(self) -> &'static str {
        self.event
    }

    /// The name of the tag.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Two references are equal when they name one event.
impl PartialEq for EventRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for EventRef {}

macro_rules! named {
    ($($reference:ty: $text:ident),*) => {$(
        impl AsRef<str> for $reference {
            fn as_ref(&self) -> &str {
                self.$text()
            }
        }

        impl fmt::Display for $reference {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.$text())
            }
        }

        impl From<$reference> for &'static str {
            fn from(reference: $reference) -> Self {
                reference.$text()
            }
        }

        impl From<$reference> for String {
            fn from(reference: $reference) -> Self {
                reference.$text().to_owned()
            }
        }
    )*};
}
named!(EventRef: name, MeasurementRef: path, TagRef: name);
