//! Beside the crate `tracing`: its spans and events as events, and the other way; tags and exemplars from its spans.
//!
//! ```text
//! tracing                                            telemetry
//! -------                                            ---------
//! spans, events      --- EventLayer, by rules --->   events                what happened becomes a metric
//! events             <-- Log ---------------------   events                what was emitted becomes a log line
//! fields of spans    --- SpanTags ------------->     labels of metrics     the tenant of the request around it
//! ids of traces      --- Traces --------------->     exemplars             the trace that a bucket's value is from
//! ```
//!
//! Each is a part of its own. Nothing goes round: what the layer made of `tracing` is not logged back, and what the log wrote
//! does not become an event again, on whatever thread or lane.
//!
//! ```
//! use telemetry_core::metric::{counter, distribution};
//! use telemetry_core::tracing::{EventLayer, Rule, SpanTags};
//! use telemetry_core::{Registry, Unit, emit};
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! // Which spans become events, and what of their fields.
//! let events = EventLayer::new([
//!     Rule::span("request").emit("web.request").tags(["route"]).measurement("body", Unit::Byte),
//! ])?;
//! // Which fields of the spans around an event become labels of a metric.
//! let spans = SpanTags::new(["tenant"]);
//! let subscriber = tracing_subscriber::registry().with(events).with(spans.layer());
//!
//! let registry = Registry::new();
//! let aggregator = registry.aggregator([
//!     distribution("web.request.duration").tags(["route"]),
//!     counter("web.cache.miss.count").span_tags(&spans),
//! ])?;
//! aggregator.attach("web")?;
//!
//! tracing::subscriber::with_default(subscriber, || {
//!     let request = tracing::info_span!("request", route = "/carts", tenant = "acme", body = 512);
//!     request.in_scope(|| emit!("web.cache.miss"));
//! });
//! let snapshot = registry.snapshot();
//! assert_eq!(snapshot.total("web.request.duration", &[("route", "/carts")]), Some(1.0));
//! assert_eq!(snapshot.total("web.cache.miss.count", &[("tenant", "acme")]), Some(1.0));
//! # telemetry_core::detach("web")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod current;
mod field;
mod layer;
mod log;
mod origin;
mod rule;
mod span_tags;
mod trace;
mod watch;

pub use layer::EventLayer;
pub use log::Log;
pub use rule::{Rule, RuleError};
pub use span_tags::{SpanTags, SpanTagsLayer};
pub use trace::{Trace, TraceLayer, TracedSpan, Traces};

/// Numbers the layers of this process, so that each knows its own among what spans carry.
fn next_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: an addition gives each number once.
    NEXT.fetch_add(1, Ordering::Relaxed)
}
