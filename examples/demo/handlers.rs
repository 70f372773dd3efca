//! Who listens beside the metrics.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry_core::handler::{AttachError, attachment};
use telemetry_core::lane::{Lane, Overflow};
use telemetry_core::{Event, Number, attach};

use crate::events::RequestStop;
use crate::say;

/// The longest time that any request took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slowest(Arc<AtomicU64>);

impl Slowest {
    pub(crate) fn duration(&self) -> Duration {
        // Relaxed: the number is the only fact.
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Attaches a handler inline: it runs on the thread that answers, before that goes on, so it does next to nothing.
pub(crate) fn slowest_request() -> Result<Slowest, AttachError> {
    let slowest = Slowest::default();
    let kept = slowest.clone();
    attach("slowest-request", RequestStop::EVENT, move |event: &Event<'_>| {
        if let Some(Number::Duration(duration)) = event.measurement(RequestStop::DURATION.name()) {
            let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            // Relaxed: as in `duration`.
            kept.0.fetch_max(nanos, Ordering::Relaxed);
        }
    })?;
    Ok(slowest)
}

/// Attaches a handler on a lane: printing can take long, so it happens on a thread of its own. When more fails than can
/// be printed, the oldest lines are left out, and counted.
pub(crate) fn log_of_failures() -> Result<Lane, Box<dyn Error>> {
    let lane = Lane::builder("log").capacity(256).overflow(Overflow::DropOldest).build()?;
    let print = |event: &Event<'_>| {
        let tag = |name: &str| event.tag(name).map(|value| value.to_string()).unwrap_or_default();
        if tag(RequestStop::STATUS.name()).starts_with('5') {
            say(format_args!("{} {} {}", tag("status"), tag("method"), tag("route")));
        }
    };
    attachment("log-of-failures", print).event(RequestStop::EVENT).lane(&lane).attach()?;
    Ok(lane)
}
