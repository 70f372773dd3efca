//! Metrics of the facade that could not be taken: counted, and told of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::emit;
use crate::family::{Family, Kind};
use crate::metric::MetricError;
use crate::scrape::{Labels, Sample, Series, Source, Total, Visit};

/// How many calls were refused, by reason.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_name: AtomicU64,
    by_number: AtomicU64,
    told_of_number: AtomicBool,
}

impl Refusals {
    /// Tells that a metric is refused, or that something said of it is; once for each.
    pub(super) fn tell(&self, error: &MetricError) {
        let reason = error.to_string();
        emit!("telemetry.facade.refused", { count: 1 }, { metric: error.metric(), reason });
    }

    /// Counts a call for a metric that was refused.
    pub(super) fn count_name(&self) {
        // Relaxed: a figure to show.
        self.by_name.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call for a metric beyond the limit, and tells of the first.
    pub(super) fn count_number(&self, metric: &str, most: usize) {
        // Relaxed: a figure to show, and a flag that nothing depends on.
        self.by_number.fetch_add(1, Ordering::Relaxed);
        if !self.told_of_number.swap(true, Ordering::Relaxed) {
            let reason = format!(
                "there are {most} metrics of the facade already; names should not be made of values: use labels, or allow more with `metrics`"
            );
            emit!("telemetry.facade.refused", { count: 1 }, { metric, reason });
        }
    }
}

impl Source for Refusals {
    fn collect(&self, visitor: &mut dyn Visit) {
        let family = Family::new("telemetry.facade.refused", Kind::Counter)
            .description("Handles that code asked the metrics facade for, and that do nothing: the name is another metric's, or there are too many.")
            .labels(["reason"]);
        visitor.family(&family);
        for (reason, count) in [("name", &self.by_name), ("number", &self.by_number)] {
            // Relaxed: a figure to show.
            let sample = Sample::Total(Total::U64(count.load(Ordering::Relaxed)));
            visitor.series(&Series { labels: Labels::from_pairs(&[("reason", reason)]), created: None, sample });
        }
    }
}
