//! The ids of spans, and the time for which one is current.

use std::cell::Cell;
// Not through `crate::sync`: a static needs a constant initialiser, which loom's atomics lack.
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dispatch::context::{current_span, set_current_span};
use crate::event::SpanContext;

thread_local! {
    // The ids that this thread may still give away: from the first to below the second.
    static IDS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// How many ids a thread takes at a time.
const BLOCK: u64 = 1024;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A new span whose parent is the current one.
pub(crate) fn child_of_current() -> SpanContext {
    SpanContext { id: next_id(), parent: current_span().map(|parent| parent.id) }
}

/// An id that no other span of this process has.
fn next_id() -> u64 {
    // Relaxed: that each block is given once is the only fact, and an atomic addition has it in any order.
    let take = |count| NEXT.fetch_add(count, Ordering::Relaxed);
    let local = IDS.try_with(|ids| {
        let (mut next, mut end) = ids.get();
        if next == end {
            next = take(BLOCK);
            end = next + BLOCK;
        }
        ids.set((next + 1, end));
        next
    });
    // Without thread-local storage, as when a thread shuts down, ids are taken one at a time.
    local.unwrap_or_else(|_| take(1))
}

/// Makes a span the current one of this thread, until it is dropped.
pub(crate) struct Current {
    before: Option<SpanContext>,
}

impl Current {
    pub(crate) fn enter(span: SpanContext) -> Self {
        Self { before: set_current_span(Some(span)) }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        set_current_span(self.before);
    }
}
