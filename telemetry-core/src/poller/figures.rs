//! What a poller says of itself.

use std::sync::Arc;
use std::time::Duration;

use crate::family::{Family, Kind};
use crate::scrape::{Sample, Source, Total, Visit, show};
use crate::unit::Unit;

use super::shared::{Shared, Tally};

#[derive(Debug)]
pub(super) struct PollerFigures(pub(super) Arc<Shared>);

impl Source for PollerFigures {
    fn collect(&self, visitor: &mut dyn Visit) {
        let tallies = self.0.tallies();
        let poller = ("poller", self.0.name());
        let runs = Family::new("telemetry.poller.runs", Kind::Counter)
            .description("Runs of a poller's job, by how they ended.")
            .labels(["poller", "job", "outcome"]);
        visitor.family(&runs);
        for (job, tally) in &tallies {
            let outcomes = [
                ("ok", tally.ok),
                ("missing", tally.missing),
                ("error", tally.error),
                ("panic", tally.panic),
                ("timeout", tally.timeout),
            ];
            for (outcome, count) in outcomes {
                show(visitor, &[poller, ("job", job), ("outcome", outcome)], Sample::Total(Total::U64(count)));
            }
        }
        let missed = Family::new("telemetry.poller.missed", Kind::Counter)
            .description("Periods in which a poller's job did not run, because it ran still, or the process slept.")
            .labels(["poller", "job"]);
        visitor.family(&missed);
        for (job, tally) in &tallies {
            show(visitor, &[poller, ("job", job)], Sample::Total(Total::U64(tally.missed)));
        }
        let mut seconds = |name, description, figure: fn(&Tally) -> Option<Duration>| {
            let family = Family::new(name, Kind::LastValue);
            visitor.family(&family.unit(Some(Unit::Second)).description(description).labels(["poller", "job"]));
            for (job, tally) in &tallies {
                if let Some(figure) = figure(tally) {
                    show(visitor, &[poller, ("job", job)], Sample::Gauge(figure.as_secs_f64()));
                }
            }
        };
        let last_success = "When a poller's job last succeeded, since the Unix epoch.";
        seconds("telemetry.poller.last_success", last_success, |tally| tally.last_success);
        seconds("telemetry.poller.duration", "How long the newest run of a poller's job took.", |tally| tally.took);
    }
}
