//! What there is to know of the way from an event to a scraper, as families: failures of handlers, what became of the
//! events cast to lanes, and whom the endpoint turned away.

use std::sync::{Arc, Mutex, PoisonError};

use telemetry_core::dispatch::{self, Dispatch};
use telemetry_core::family::{Family, Kind};
use telemetry_core::lane::LaneStats;
use telemetry_core::scrape::{Labels, Sample, Series, Source, Total, Visit};

use crate::serve::GuardStats;

/// Shows the figures of a dispatcher.
#[derive(Debug)]
pub(crate) struct DispatchFigures(pub(crate) Dispatch);

impl Source for DispatchFigures {
    fn collect(&self, visitor: &mut dyn Visit) {
        self.collect_failures(visitor);
        self.collect_lanes(visitor);
        visitor.family(
            &Family::new("telemetry.emit.recursion.cut", Kind::Counter)
                .description("Events that were not delivered, because handlers emitted within handlers too deeply."),
        );
        show(visitor, &[], Sample::Total(Total::U64(dispatch::recursion_cut())));
    }
}

impl DispatchFigures {
    fn collect_failures(&self, visitor: &mut dyn Visit) {
        let failures = self.0.failures();
        let kinds = ["failures", "detachments", "quarantines"];
        let descriptions = [
            "Panics of a handler.",
            "How often a failure detached a handler.",
            "How often failures put a handler into quarantine.",
        ];
        for (kind, description) in kinds.into_iter().zip(descriptions) {
            let family = Family::new(format!("telemetry.handler.{kind}"), Kind::Counter);
            visitor.family(&family.description(description).labels(["handler"]));
            for handler in &failures {
                let count = match kind {
                    "failures" => handler.failures,
                    "detachments" => handler.detachments,
                    _ => handler.quarantines,
                };
                show(visitor, &[("handler", &handler.handler)], Sample::Total(Total::U64(count)));
            }
        }
    }

    fn collect_lanes(&self, visitor: &mut dyn Visit) {
        let lanes: Vec<(String, LaneStats)> =
            self.0.lanes().iter().map(|lane| (lane.name().to_owned(), lane.stats())).collect();
        let mut collect = |name: &str, kind, description: &str, sample: fn(&LaneStats) -> Sample<'static>| {
            visitor.family(&Family::new(name, kind).description(description).labels(["lane"]));
            for (at, (lane, stats)) in lanes.iter().enumerate() {
                // Two lanes may have one name; they can't be told apart, so the first is shown.
                if !lanes[..at].iter().any(|(before, _)| before == lane) {
                    show(visitor, &[("lane", lane)], sample(stats));
                }
            }
        };
        collect("telemetry.lane.cast", Kind::Counter, "Events that were to be cast to a lane.", |stats| {
            Sample::Total(Total::U64(stats.cast))
        });
        collect("telemetry.lane.delivered", Kind::Counter, "Events that a lane delivered to its handlers.", |stats| {
            Sample::Total(Total::U64(stats.delivered))
        });
        collect("telemetry.lane.dropped", Kind::Counter, "Events that a lane dropped, for want of room.", |stats| {
            Sample::Total(Total::U64(stats.dropped))
        });
        #[allow(clippy::cast_precision_loss)] // A queue is far shorter than 2^53.
        collect("telemetry.lane.depth", Kind::LastValue, "Events that wait in a lane.", |stats| {
            Sample::Gauge(stats.depth as f64)
        });
    }
}

/// Shows the figures of an endpoint that does not let in everybody.
#[derive(Debug)]
pub(crate) struct GuardFigures(pub(crate) Arc<Mutex<GuardStats>>);

impl Source for GuardFigures {
    fn collect(&self, visitor: &mut dyn Visit) {
        let stats = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut counter = |name: &str, description: &str, label: &'static str, counts: &[(&str, u64)]| {
            let labels = Some(label).filter(|label| !label.is_empty());
            visitor.family(&Family::new(name, Kind::Counter).description(description).labels(labels));
            for (value, count) in counts {
                let pair = [(label, *value)];
                let labels = if label.is_empty() { &[][..] } else { &pair };
                show(visitor, labels, Sample::Total(Total::U64(*count)));
            }
        };
        counter(
            "telemetry.endpoint.refusals",
            "Clients that the endpoint turned away.",
            "reason",
            &[
                ("busy", stats.busy),
                ("forbidden", stats.forbidden),
                ("handshake", stats.handshakes_failed),
                ("limited", stats.limited),
                ("unauthorized", stats.unauthorized),
            ],
        );
        counter(
            "telemetry.endpoint.passwords.checked",
            "How often a password was held against its hash.",
            "",
            &[("", stats.passwords_checked)],
        );
        counter(
            "telemetry.endpoint.reloads",
            "How often the endpoint took over changed files, or could not.",
            "result",
            &[("failed", stats.reloads_failed), ("ok", stats.reloads)],
        );
        visitor.family(
            &Family::new("telemetry.endpoint.reload.ok", Kind::LastValue)
                .description("Whether the files are in use as they are; 0 while those from before are."),
        );
        let is_ok = stats.reload_error.is_none();
        show(visitor, &[], Sample::Gauge(if is_ok { 1.0 } else { 0.0 }));
    }
}

fn show(visitor: &mut dyn Visit, labels: &[(&str, &str)], sample: Sample<'_>) {
    visitor.series(&Series::new(Labels::from_pairs(labels), sample));
}
