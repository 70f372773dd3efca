//! Events that cost nothing when unwanted, and metrics that cost next to nothing when wanted.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The macros name this crate by its own name, also inside of it.
extern crate self as telemetry_core;

// The words.
pub mod name;
pub mod unit;
pub mod value;

// Emitting.
mod callsite;
mod dynamic;
pub mod event;
mod macros;
pub mod span;
pub mod typed;

// Dispatching.
pub mod dispatch;
pub mod failure;
pub mod handler;
pub mod lane;
mod queue;
pub mod scope;

// From events to series.
mod aggregate;
pub mod metric;
pub mod registry;

// What can be read.
pub mod family;
pub mod scrape;
pub mod snapshot;

// The store.
mod cells;
mod index;
pub mod instrument;
mod key;
mod reclaim;
mod row;
mod series;

mod clock;
mod sync;

#[cfg(all(test, not(loom)))]
mod allocations;
#[cfg(all(test, not(loom)))]
mod unlocked;

pub use aggregate::Aggregator;
pub use callsite::{Callsite, callsites};
pub use clock::{Clock, Hands};
pub use dispatch::{Dispatch, attach, detach, handlers};
pub use dynamic::{DynamicEvent, DynamicEventError};
pub use event::Event;
pub use registry::Registry;
pub use typed::TypedEvent;
pub use unit::Unit;
pub use value::{Measurement, Number, TagValue, Value};

#[cfg(feature = "derive")]
pub use telemetry_macros::{Event, TagValue, instrument};

/// What the macros expand to; nothing here is for anybody else.
#[doc(hidden)]
pub mod __private {
    pub use inventory;

    pub use crate::macros::constant::{checked, checked_end, measurement, tag};
    pub use crate::span::held::{HeldByCopy, HeldByReference, Hold};
    pub use crate::span::outcome::{Judge, JudgedByOutcome, JudgedOk};
    pub use crate::span::site::{
        DURATION, SYSTEM_TIME, Sites, check_room, count_at_stop, places_of_extras, tags_at_exception, tags_at_stop,
    };
}
