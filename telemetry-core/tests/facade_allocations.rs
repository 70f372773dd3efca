//! A series that exists is recorded to through the facade without an allocation of ours.
#![cfg(feature = "metrics")]

#[path = "../src/allocations.rs"]
mod allocations;

use metrics::{counter, gauge, histogram, with_local_recorder};
use telemetry_core::Registry;
use telemetry_core::facade::Recorder;

/// What the macros themselves allocate for labels of the moment is theirs; with literal labels that is nothing.
#[test]
fn a_series_that_exists_costs_no_allocation() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry);
    let record = || {
        counter!("calls", "route" => "/", "status" => "200").increment(1);
        counter!("ticks").absolute(7);
        gauge!("depth", "queue" => "mail").set(4.0);
        histogram!("took", "route" => "/").record(0.3);
        histogram!("took", "route" => "/").record_many(0.3, 5);
    };
    with_local_recorder(&recorder, || {
        let held = counter!("held");
        record();
        held.increment(1);
        let again = || {
            record();
            held.increment(1);
        };
        assert_eq!(allocations::during(again), 0);
        let new = || counter!("calls", "route" => "/new").increment(1);
        assert_ne!(allocations::during(new), 0, "a new series allocates");
    });
}
