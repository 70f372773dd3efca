//! Metrics of the facade that could not be taken: counted, and told of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::callsite::Callsite;
use crate::event::{Location, MeasurementField, Metadata, Origin, TagField};
use crate::family::{Family, Kind};
use crate::metric::MetricError;
use crate::scrape::{Labels, Sample, Series, Source, Total, Visit};
use crate::value::{Number, Value};

static METADATA: Metadata = Metadata::new(
    "telemetry.facade.refused",
    "A metric that code records through the facade is not taken, so what it records is lost.",
    &[MeasurementField { name: "count", unit: None, description: "One." }],
    &[
        TagField { name: "metric", variants: None, description: "The name of the metric." },
        TagField { name: "reason", variants: None, description: "What is wrong with it, and what to do." },
    ],
    Origin::Typed,
    Location { module: module_path!(), file: file!(), line: line!() },
);
static CALLSITE: Callsite = Callsite::new(&METADATA);
inventory::submit! { &CALLSITE }

fn tell(metric: &str, reason: &str) {
    if CALLSITE.is_wanted() {
        // As `emit!` has it of a literal.
        CALLSITE.emit(&[Some(Number::I64(1))], &[Value::Str(metric), Value::Str(reason)]);
    }
}

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
        tell(error.metric(), &error.to_string());
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
            tell(metric, &reason);
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
            visitor.series(&Series::new(Labels::from_pairs(&[("reason", reason)]), sample));
        }
    }
}
