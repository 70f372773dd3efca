//! A wanted event allocates nothing on its way to a handler.

#![allow(clippy::undocumented_unsafe_blocks)] // Every call is passed on as it is.

mod declare;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use telemetry_core::{Dispatch, Event, Number, Value};

struct Counting;

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(body: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    body();
    ALLOCATIONS.get() - before
}

callsite!(SITE: "allocation.event", ["total", "items"], ["country", "paid"]);
callsite!(NESTED: "allocation.nested", [], []);
callsite!(UNWANTED: "allocation_unwanted.event", ["total"], []);

fn emit() {
    if SITE.is_wanted() {
        let measurements = [Some(Number::F64(12.5)), Some(Number::U64(3))];
        SITE.emit(black_box(&measurements), black_box(&[Value::Str("de"), Value::Bool(true)]));
    }
}

/// After the first event on a thread: no allocation and no release for a wanted event with two measurements and two
/// tags, nested ones included, in the global dispatcher and in a scope; nor for one that nobody wants.
#[test]
fn a_wanted_event_allocates_nothing() {
    assert!(allocations(|| drop(black_box(Box::new(1)))) == 2, "the allocator counts");
    let dispatch = Dispatch::new();
    for dispatch in [Dispatch::global(), &dispatch] {
        let handler = |event: &Event<'_>| {
            black_box(event.measurement("items"));
            if event.name() != "allocation.nested" && NESTED.is_wanted() {
                NESTED.emit(&[], &[]);
            }
        };
        dispatch.attach("handler", "allocation.*", handler).unwrap();
    }
    let events = || (0..1000).for_each(|_| emit());
    emit();
    assert_eq!(allocations(events), 0);
    dispatch.run(|| {
        emit();
        assert_eq!(allocations(events), 0);
    });
    assert!(!UNWANTED.is_wanted());
    assert_eq!(allocations(|| assert!(!UNWANTED.is_wanted())), 0);
}
