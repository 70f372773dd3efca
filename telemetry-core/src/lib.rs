//! Events, the handlers that they are delivered to, and the metrics that an application makes of them.
//!
//! ```text
//!  library                        application
//!  -------                        -----------
//!  emit! / span!                  attach(handler)                counter(..), distribution(..), ...
//!     |                              |                               |
//!  Callsite --- nobody wants it? one load, nothing more              |
//!     |                              |                               v
//!     +----> Dispatch ----> handlers, inline, in turn            Registry --- makes ---> Aggregator
//!                 |   \---> lanes: a queue and a worker              |                      | (a handler)
//!                 |                                                 v                      v
//!                 +---------------------------------------------------------------> rows and cells
//!                                                                   |
//!                                              Scrape: a walk over families, series, samples
//! ```
//!
//! A library emits events and knows nothing of metrics; whoever runs the program attaches handlers, and says which events
//! become which metrics. The crate `telemetry-exporter` serves those to Prometheus.
//!
//! # The words
//!
//! - **Event**: a name, measurements (numbers with units), tags (texts): [`struct@Event`], [`emit!`], [`TypedEvent`].
//! - **Span**: a start, and a stop or an exception, as events that know each other: [`span!`], [`macro@instrument`].
//! - **Callsite**: the static behind each place that emits: [`Callsite`].
//! - **Handler**: what is attached to events: [`handler::Handler`].
//! - **Lane**: a bounded queue with a worker, for handlers that the emitting thread must not wait for: [`lane::Lane`].
//! - **Dispatcher**: handlers, and what directs events to them; one is global, others are in scopes: [`Dispatch`].
//! - **Metric**: a definition over events: [`metric`].
//! - **Registry**: holds what metrics have counted: [`Registry`].
//! - **Aggregator**: the one handler that turns events into what a registry holds: [`Aggregator`].
//! - **Family**: all series of one metric: [`family::Family`].
//! - **Series**: one choice of labels: [`scrape::Series`].
//! - **Instrument**: how a series counts; code can hold one, without events: [`mod@instrument`].
//! - **Cell**: one 64-bit word of an instrument, of which each thread has its own.
//! - **Scrape**: one walk over all families, open to any consumer: [`registry::Scrape`], [`scrape::Visit`].
//! - **Source**: what gives figures when it is scraped: [`mod@source`], [`scrape::Source`].
//! - **Poller**: runs jobs at a fixed cadence: [`poller::Poller`].
//! - **Catalogue**: every event of the program: [`catalogue::Catalogue`].
//!
//! # An event becomes a metric
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::metric::{counter, distribution, sum};
//! use telemetry_core::{Registry, Unit, emit};
//!
//! // The application: what becomes of events.
//! let registry = Registry::new();
//! let aggregator = registry.aggregator([
//!     counter("shop.checkout.count").tags(["country"]),
//!     sum("shop.checkout.items").tags(["country"]),
//!     distribution("shop.checkout.took").unit(Unit::Second),
//! ])?;
//! aggregator.attach("metrics")?;
//!
//! // A library: what happens.
//! for country in ["de", "fr", "de"] {
//!     emit!("shop.checkout", { items: 3, took: Duration::from_millis(20) }, { country });
//! }
//!
//! let snapshot = registry.snapshot();
//! assert_eq!(snapshot.total("shop.checkout.count", &[("country", "de")]), Some(2.0));
//! assert_eq!(snapshot.total("shop.checkout.items", &[("country", "fr")]), Some(3.0));
//! assert_eq!(snapshot.total("shop.checkout.took", &[]), Some(3.0));
//! # telemetry_core::detach("metrics")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which thread runs my handler?
//!
//! The one that emits, before `emit!` returns; the handlers of an event run one after the other, in the order in which
//! they were attached. A handler on a lane runs on the lane's worker, which gets a copy of the event. No lock of this
//! crate is held meanwhile, so a handler may emit, attach and detach, itself too. A handler that panics is detached, unless
//! its [`handler::FailurePolicy`] says otherwise; the emitter notices nothing.
//!
//! # Consistency: what a scrape may see
//!
//! - A total never goes back from one scrape to the next: not when threads end, and not when a series is hidden and comes
//!   back. It starts again at zero when the series is reset, removed or forgotten; of one that is forgotten and comes back,
//!   the creation time tells.
//! - What a thread added is seen by every scrape that begins after the thread was joined. Of threads that are running, a
//!   scrape sees what they have added, give or take the events in flight.
//! - The count of a histogram is the sum of its buckets, read once each, so they agree always. Its sum may be ahead or
//!   behind by the values in flight.
//! - Different series, and different metrics of one event, are read one after the other: they may differ by the events
//!   that came between.
//! - A scrape holds up no emitter: it takes no lock that an emission of an existing series takes.
//!
//! # Features
//!
//! - `derive` (default): `#[derive(Event)]`, `#[derive(TagValue)]` and `#[instrument]`.
//! - `hdrhistogram` (default): quantiles of summaries are read through `hdrhistogram`.
//! - `http`: `http::ServerLayer` and `http::ClientLayer`, which tell of the requests of a `tower` service.
//! - `metrics`: the facade of the crate `metrics`, both ways: see `facade`.
//! - `test-util`: `test::Capture`, `assert_emitted!` and others, for tests of what is emitted and counted.

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
pub mod catalogue;
pub mod console;
pub mod explain;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod facade;
pub mod metric;
pub mod poller;
pub mod registry;

// What can be read.
pub mod family;
pub mod scrape;
pub mod snapshot;
pub mod source;

// The store.
mod cells;
mod index;
pub mod instrument;
mod key;
mod reclaim;
mod row;
mod series;

mod caught;
mod clock;
mod crew;
mod sync;

// For services over HTTP.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;

// For tests of an application.
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test;

#[cfg(all(test, not(loom)))]
mod allocations;
#[cfg(all(test, not(loom)))]
mod unlocked;

pub use aggregate::Aggregator;
pub use callsite::{Callsite, callsites};
pub use clock::{Clock, Hands};
pub use console::Console;
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
