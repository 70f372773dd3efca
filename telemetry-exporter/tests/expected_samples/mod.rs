//! What a reader should find of what a registry holds, made from a snapshot, and not by the encoders.

use std::collections::BTreeMap;

use telemetry_core::snapshot::{FamilySnapshot, ValueSnapshot};
use telemetry_exporter::Format;
use telemetry_exporter::name::Naming;

/// A sample as a reader has it: its labels, the name among them, and its value.
pub(crate) type Samples = BTreeMap<BTreeMap<String, String>, Exact>;

/// A value that is equal to itself only; all NaN are one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exact(u64);

impl From<f64> for Exact {
    fn from(value: f64) -> Self {
        Self(if value.is_nan() { f64::NAN } else { value }.to_bits())
    }
}

impl std::fmt::Debug for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f64::from_bits(self.0).fmt(f)
    }
}

/// The samples of a family in a format whose names are made so.
///
/// # Panics
///
/// When two of them can't be told apart.
pub(crate) fn expand(family: &FamilySnapshot, format: Format, naming: Naming, samples: &mut Samples) {
    let names = naming.names(&family.family);
    for series in &family.series {
        let mut add = |name: &str, more: Option<(&str, String)>, value: f64| {
            let labels = series.labels.iter().map(|(name, value)| (naming.label(name).into_owned(), value.clone()));
            let own = [("__name__".to_owned(), name.to_owned())];
            let more = more.map(|(name, value)| (name.to_owned(), value));
            let replaced = samples.insert(labels.chain(own).chain(more).collect(), value.into());
            assert!(replaced.is_none(), "two samples of {name} have the same labels as {series:?}");
        };
        let suffixed = |suffix: &str| format!("{}{suffix}", names.base());
        match &series.value {
            ValueSnapshot::Total(total) => add(&names.main(), None, total.to_f64()),
            ValueSnapshot::Gauge(value) => add(&names.main(), None, *value),
            ValueSnapshot::Histogram { bounds, counts, sum, .. } => {
                let mut count = 0;
                for (bound, in_bucket) in bounds.iter().chain([&f64::INFINITY]).zip(counts) {
                    count += in_bucket;
                    add(&suffixed("_bucket"), Some(("le", threshold(*bound))), float(count));
                }
                // A sum that may go down is none in OpenMetrics, and sum and count come together.
                if format != Format::OpenMetrics || bounds.iter().all(|bound| *bound >= 0.0) {
                    add(&suffixed("_sum"), None, *sum);
                    add(&suffixed("_count"), None, float(count));
                }
            }
            ValueSnapshot::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    add(names.base(), Some(("quantile", threshold(*quantile))), *value);
                }
                add(&suffixed("_sum"), None, *sum);
                add(&suffixed("_count"), None, float(*count));
            }
            ValueSnapshot::Spiral(spiral) => {
                add(&names.main(), None, float(spiral.count));
                add(names.window().unwrap(), None, float(spiral.one));
            }
            ValueSnapshot::Info => add(&names.main(), None, 1.0),
            ValueSnapshot::States(states) => {
                for (state, holds) in states {
                    add(names.base(), Some((names.state_label().unwrap(), state.clone())), float(u64::from(*holds)));
                }
            }
            other => panic!("nothing is expected of {other:?}"),
        }
    }
}

#[allow(clippy::cast_precision_loss)] // Readers have floats.
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A threshold in a form of its own on both sides, so that only the number counts.
pub(crate) fn threshold(value: f64) -> String {
    format!("{value:?}")
}

/// The same of the labels that a reader has.
pub(crate) fn normalize(labels: &mut BTreeMap<String, String>) {
    for name in ["le", "quantile"] {
        if let Some(text) = labels.get_mut(name) {
            *text = threshold(text.parse().unwrap());
        }
    }
}
