//! What a registry says of itself: what its metrics could not take, and how many series they keep.

use std::sync::Arc;

use crate::cells::Reader;
use crate::family::{Family, Kind};
use crate::scrape::{Sample, Total, Visit, show};

use super::Entry;

/// Shows what becomes of the metrics of a registry.
pub(super) fn show_own(entries: &[Arc<Entry>], visitor: &mut impl Visit) {
    if entries.is_empty() {
        return;
    }
    let mut reader = Reader::new();
    let skipped = Family::new("telemetry.metric.skipped", Kind::Counter)
        .description("Events that a metric saw and could not count, since the measurement was missing or invalid, and exemplars that it could not take.")
        .labels(["metric", "reason"]);
    visitor.family(&skipped);
    // What is held and has no values can't miss any.
    let has_values = |entry: &&Arc<Entry>| !matches!(entry.metric.family().kind(), Kind::Info | Kind::StateSet);
    for entry in entries.iter().filter(has_values) {
        let exemplars = entry.metric.exemplars().map(|kept| ("exemplar", kept.refused));
        let values = [("missing", entry.metric.missing_cell()), ("invalid", entry.metric.rejected_cell())];
        for (reason, cell) in values.into_iter().chain(exemplars) {
            let labels = [("metric", entry.metric.family().name()), ("reason", reason)];
            show(visitor, &labels, Sample::Total(Total::U64(reader.whole(cell))));
        }
    }
    let overflow = Family::new("telemetry.metric.overflow", Kind::Counter)
        .description(
            "Events that went to the overflow series of a metric, because it had as many series as its limit allows.",
        )
        .labels(["metric"]);
    visitor.family(&overflow);
    for entry in entries {
        let total = Total::U64(reader.whole(entry.projection.refused_cell()));
        show(visitor, &[("metric", entry.metric.family().name())], Sample::Total(total));
    }
    let series = Family::new("telemetry.metric.series", Kind::LastValue)
        .description("Series that a metric keeps in memory, hidden ones too.")
        .labels(["metric"]);
    visitor.family(&series);
    for entry in entries {
        let sample = Sample::Gauge(f64::from(entry.projection.len()));
        show(visitor, &[("metric", entry.metric.family().name())], sample);
    }
    let reclaimed = Family::new("telemetry.metric.reclaimed", Kind::Counter)
        .description("Series of a metric that were forgotten because they had been idle for long.")
        .labels(["metric"]);
    visitor.family(&reclaimed);
    for entry in entries {
        let total = Total::U64(entry.projection.reclaimed());
        show(visitor, &[("metric", entry.metric.family().name())], Sample::Total(total));
    }
}
