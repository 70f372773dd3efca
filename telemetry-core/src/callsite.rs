//! The static behind each place that emits.

use crate::event::{Metadata, SpanContext};
use crate::value::{Number, Value};

/// One place that emits one event.
#[derive(Debug)]
pub struct Callsite {
    metadata: &'static Metadata,
}

inventory::collect!(&'static Callsite);

impl Callsite {
    /// A callsite that nobody has reached yet; the macros write these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(metadata: &'static Metadata) -> Self {
        Self { metadata }
    }

    /// What is known of the event.
    #[must_use]
    pub const fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Whether anybody listens: one relaxed load and a branch.
    #[inline(always)]
    #[must_use]
    pub fn is_wanted(&'static self) -> bool {
        false
    }

    /// Delivers an event to whoever listens on this thread; the event belongs to the current span.
    pub fn emit(&'static self, measurements: &[Option<Number>], tags: &[Value<'_>]) {
        let _ = (measurements, tags);
    }

    /// Delivers an event that belongs to `span`.
    pub fn emit_in(&'static self, span: SpanContext, measurements: &[Option<Number>], tags: &[Value<'_>]) {
        let _ = (span, measurements, tags);
    }
}
