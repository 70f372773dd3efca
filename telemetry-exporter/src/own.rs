//! What the event half knows of itself, as families: failures of handlers, and what became of the events cast to lanes.

use telemetry_core::dispatch::{self, Dispatch};
use telemetry_core::family::{Family, Kind};
use telemetry_core::lane::LaneStats;
use telemetry_core::scrape::{Exemplars, Labels, Sample, Series, Source, Total, Visit};

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

fn show(visitor: &mut dyn Visit, labels: &[(&str, &str)], sample: Sample<'_>) {
    let (labels, exemplars) = (Labels::from_pairs(labels), Exemplars::default());
    visitor.series(&Series { labels, created: None, sample, exemplars });
}
