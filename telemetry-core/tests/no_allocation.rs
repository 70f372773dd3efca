//! A wanted event allocates nothing on its way to a handler.

#[path = "../src/allocations.rs"]
mod allocations;
mod declare;

use std::hint::black_box;

use telemetry_core::{Dispatch, Event, Number, Value};

use allocations::and_frees_during;

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
    assert_eq!(and_frees_during(events), 0);
    dispatch.run(|| {
        emit();
        assert_eq!(and_frees_during(events), 0);
    });
    assert!(!UNWANTED.is_wanted());
    assert_eq!(and_frees_during(|| assert!(!UNWANTED.is_wanted())), 0);
}
