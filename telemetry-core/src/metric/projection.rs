//! From the plans of one projection to its rows.

use std::sync::Arc;

use crate::clock::Clock;
use crate::instrument::Instrument;
use crate::series::{Layout, Projection};

use super::{Compiled, Plan, compile};

/// The projection of metrics with the same key, with the series that are there from the start.
pub(crate) fn project(clock: &Clock, plans: &[&Plan]) -> (Arc<Projection>, Vec<Arc<Compiled>>) {
    let (compiled, cells) = compile(plans);
    let key = &plans[0].key;
    let layout = Layout {
        labels: key.tags.iter().map(|tag| Arc::from(tag.label.as_str())).collect(),
        cells,
        limit: key.limit,
        expiry: key.expiry,
        chunk_tables: compiled.iter().filter_map(|metric| metric.instrument().chunk_table().cloned()).collect(),
        exemplars: compiled.iter().filter_map(|metric| metric.exemplars().map(|kept| kept.place)).collect(),
    };
    let projection = Arc::new(Projection::new(layout, clock.clone()));
    for plan in plans {
        for values in plan.declared().expect("the plan was checked") {
            let held = projection.hold(values);
            for (plan, metric) in plans.iter().zip(&compiled) {
                // A gauge over events has no value before the first; one that is declared, or held, has zero.
                let starts_at_zero = !plan.metric.declared.is_empty() || plan.key.event.is_empty();
                if let (Instrument::LastValue(gauge), true) = (metric.instrument(), starts_at_zero) {
                    gauge.initialize(held.first_cell());
                }
            }
            if plan.key.expiry.is_some() {
                // Declared series are there, also when they are idle.
                projection.keep(held);
            }
        }
    }
    (projection, compiled)
}
