//! `tracing`, for events that nobody wants: it keeps no metrics.

use crate::case::{Counted, Setup, each};
use crate::implementation::{Implementation, Kind};
use crate::tags::{Draw, Tags};

/// As documented: an event with fields; no subscriber is set.
#[derive(Debug)]
pub struct Tracing;

impl Implementation for Tracing {
    fn name(&self) -> &'static str {
        "tracing"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`tracing::info!(duration, route, status)` without a subscriber"
    }

    fn emit_disabled(&self) -> Setup {
        each(|_| tracing::info!(duration = 0.02, route = "/", status = "ok"), || Counted::Nothing)
    }

    fn emit_disabled_two_tags(&self, tags: &'static Tags) -> Setup {
        let emit = |draw: &mut Draw| {
            let drawn = draw.event(tags);
            tracing::info!(duration = drawn.value, route = drawn.route, status = drawn.status);
        };
        each(emit, || Counted::Nothing)
    }
}
