//! A series that exists is recorded to through the facade without an allocation of ours.
#![cfg(feature = "metrics")]
#![allow(clippy::undocumented_unsafe_blocks)] // Every call is passed on as it is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use metrics::{counter, gauge, histogram, with_local_recorder};
use telemetry_core::Registry;
use telemetry_core::facade::Recorder;

struct Counting;

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
        let before = ALLOCATIONS.get();
        record();
        held.increment(1);
        assert_eq!(ALLOCATIONS.get(), before);
        counter!("calls", "route" => "/new").increment(1);
        assert_ne!(ALLOCATIONS.get(), before, "allocations are counted");
    });
}
