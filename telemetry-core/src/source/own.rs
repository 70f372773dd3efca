//! What sources say of themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::family::{Family, Kind};
use crate::scrape::{Sample, Total, Visit, show};
use crate::unit::Unit;

use super::Probe;
use super::figures::Refused;

/// Why a source was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It panicked.
    Panic,
    /// It did not answer in time.
    Late,
    /// Its task was dropped, or the source was removed.
    Gone,
    /// The system gave no thread to read it.
    NoThread,
}

/// What became of a source's readings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    panics: u64,
    late: u64,
    gone: u64,
    no_thread: u64,
    invalid: u64,
    overflow: u64,
    // `None` before the first reading.
    took: Option<Duration>,
}

impl Tally {
    pub(super) fn count(&mut self, failure: Failure) {
        match failure {
            Failure::Panic => self.panics += 1,
            Failure::Late => self.late += 1,
            Failure::Gone => self.gone += 1,
            Failure::NoThread => self.no_thread += 1,
        }
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        self.invalid += refused.invalid;
        self.overflow += refused.overflow;
    }

    pub(super) fn took(&mut self, duration: Duration) {
        self.took = Some(duration);
    }
}

/// Shows the tallies of sources.
pub(crate) fn show_tallies(probes: &[Arc<Probe>], visitor: &mut impl Visit) {
    if probes.is_empty() {
        return;
    }
    let failures = Family::new("telemetry.metric.unread", Kind::Counter)
        .description("Scrapes that went without a metric because it could not be read, and values that it can't have.")
        .labels(["metric", "reason"]);
    visitor.family(&failures);
    for probe in probes {
        let tally = probe.tally();
        let reasons = [
            ("panic", tally.panics),
            ("late", tally.late),
            ("gone", tally.gone),
            ("no_thread", tally.no_thread),
            ("invalid", tally.invalid),
            ("overflow", tally.overflow),
        ];
        for (reason, count) in reasons {
            show(visitor, &[("metric", probe.family().name()), ("reason", reason)], Sample::Total(Total::U64(count)));
        }
    }
    let duration = Family::new("telemetry.metric.read_time", Kind::LastValue)
        .unit(Some(Unit::Second))
        .description("How long the newest reading of a metric took.")
        .labels(["metric"]);
    visitor.family(&duration);
    for probe in probes {
        if let Some(took) = probe.tally().took {
            show(visitor, &[("metric", probe.family().name())], Sample::Gauge(took.as_secs_f64()));
        }
    }
}
