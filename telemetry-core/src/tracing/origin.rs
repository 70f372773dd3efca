//! Who made a callsite: what came from one side is never sent back to it.
//!
//! The callsites themselves are marked, not the thread that is under way: an event may come round over a lane, on a thread
//! of its own.

use std::collections::HashSet;
use std::sync::{OnceLock, PoisonError, RwLock};

use tracing_core::callsite::Identifier;

use crate::event::Metadata;

#[derive(Default)]
struct Made {
    /// Events made by a layer, by the address of their metadata.
    events: HashSet<usize>,
    /// Callsites of `tracing` made by a log.
    logged: HashSet<Identifier>,
}

// Callsites are made once and never go, so these grow with the program's rules and events, not with its work.
static MADE: OnceLock<RwLock<Made>> = OnceLock::new();

fn made() -> &'static RwLock<Made> {
    MADE.get_or_init(RwLock::default)
}

fn address(metadata: &'static Metadata) -> usize {
    std::ptr::from_ref(metadata).addr()
}

/// Notes an event that a layer makes of spans or events of `tracing`.
pub(super) fn note_event(metadata: &'static Metadata) {
    made().write().unwrap_or_else(PoisonError::into_inner).events.insert(address(metadata));
}

/// Whether a layer makes this event.
pub(super) fn is_of_layer(metadata: &'static Metadata) -> bool {
    made().read().unwrap_or_else(PoisonError::into_inner).events.contains(&address(metadata))
}

/// Notes a callsite that a log makes.
pub(super) fn note_logged(callsite: Identifier) {
    made().write().unwrap_or_else(PoisonError::into_inner).logged.insert(callsite);
}

/// Whether a log makes what this callsite emits.
pub(super) fn is_of_log(callsite: &Identifier) -> bool {
    made().read().unwrap_or_else(PoisonError::into_inner).logged.contains(callsite)
}
