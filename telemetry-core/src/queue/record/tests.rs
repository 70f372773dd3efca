use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::allocations;
use crate::lane::tests::{each, metadata};

/// An event in full, down to the variant of each value; floats that are not numbers compare too.
fn in_full(event: &Event<'_>) -> String {
    format!("{event:?}")
}

/// What comes out of `slot` when `event` goes in, and through `own` as through a worker's record.
fn through(slot: &mut Record, own: &mut Record, event: &Event<'_>) -> String {
    let seen = Arc::new(Mutex::new(String::new()));
    let deliver = {
        let seen = Arc::clone(&seen);
        each(move |event| *seen.lock().unwrap() = in_full(event))
    };
    slot.fill(event, &deliver);
    slot.move_into(own);
    own.deliver();
    drop(own.clear());
    assert_eq!(Arc::strong_count(&deliver), 1, "nobody holds on to what an event was for");
    seen.lock().unwrap().clone()
}

fn number() -> impl Strategy<Value = Option<Number>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|n| Some(Number::U64(n))),
        any::<i64>().prop_map(|n| Some(Number::I64(n))),
        any::<u64>().prop_map(|bits| Some(Number::F64(f64::from_bits(bits)))),
        any::<std::time::Duration>().prop_map(|d| Some(Number::Duration(d))),
    ]
}

/// A tag that owns its text.
#[derive(Clone, Debug)]
enum Owned {
    Text(String),
    Other(Value<'static>),
}

const VARIANTS: &[&str] = &["red", "green", "blue"];

fn tag() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::Other(Value::Absent)),
        ".{0,40}".prop_map(Owned::Text),
        (0..20_000usize, any::<char>()).prop_map(|(len, c)| Owned::Text(std::iter::repeat_n(c, len).collect())),
        any::<u64>().prop_map(|n| Owned::Other(Value::U64(n))),
        any::<i64>().prop_map(|n| Owned::Other(Value::I64(n))),
        any::<bool>().prop_map(|b| Owned::Other(Value::Bool(b))),
        (0..VARIANTS.len()).prop_map(|at| Owned::Other(Value::Variant(Variant::new(at, VARIANTS)))),
    ]
}

fn span() -> impl Strategy<Value = Option<SpanContext>> {
    proptest::option::of(
        (1..u64::MAX, proptest::option::of(1..u64::MAX)).prop_map(|(id, parent)| SpanContext { id, parent }),
    )
}

/// The parts of an event.
type Parts = (Vec<Option<Number>>, Vec<Owned>, Option<SpanContext>);

proptest! {
    /// T3, T14, T15: names, measurements, tags and span come out as they went in, with any number of fields and any
    /// texts, whatever the records were used for before.
    #[test]
    fn any_event_comes_out_as_it_went_in(
        events in proptest::collection::vec(
            (proptest::collection::vec(number(), 0..30), proptest::collection::vec(tag(), 0..30), span()),
            1..5,
        )
    ) {
        let events: Vec<Parts> = events;
        let (mut slot, mut own) = (Record::new(), Record::new());
        for (measurements, tags, span) in &events {
            let values: Vec<Value<'_>> = tags
                .iter()
                .map(|tag| match tag {
                    Owned::Text(text) => Value::Str(text),
                    Owned::Other(value) => *value,
                })
                .collect();
            let event = Event::new(metadata(measurements.len(), values.len()), measurements, &values, *span);
            prop_assert_eq!(through(&mut slot, &mut own, &event), in_full(&event));
        }
    }
}

/// V5: a tag of 10 kB and an event of 30 fields are carried whole.
#[test]
fn large_events_come_out_whole() {
    let long = "é".repeat(5_000);
    let measurements: Vec<_> = (0..15).map(|n| Some(Number::U64(n))).collect();
    let mut tags: Vec<_> = (0..14).map(Value::U64).collect();
    tags.push(Value::Str(&long));
    let event = Event::new(metadata(15, 15), &measurements, &tags, None);
    let seen = through(&mut Record::new(), &mut Record::new(), &event);
    assert_eq!(seen, in_full(&event));
    assert!(seen.contains(&long));
}

#[test]
fn an_event_that_fits_in_place_allocates_nothing() {
    let text = "x".repeat(INLINE_TEXT / 2);
    let measurements = [Some(Number::U64(1)); INLINE_FIELDS];
    let mut tags = [Value::Absent; INLINE_FIELDS];
    tags[0] = Value::Str(&text);
    tags[INLINE_FIELDS - 1] = Value::Str(&text);
    let event = Event::new(metadata(INLINE_FIELDS, INLINE_FIELDS), &measurements, &tags, None);
    let deliver = each(|_| ());
    let (mut slot, mut own) = (Record::new(), Record::new());
    let allocated = allocations::during(|| {
        slot.fill(&event, &deliver);
        slot.move_into(&mut own);
        own.deliver();
        drop(own.clear());
    });
    assert_eq!(allocated, 0);
}

/// A large event finds the memory that an earlier one has left, and one that is very large leaves none.
#[test]
fn heap_memory_is_kept_for_the_next_event_up_to_a_limit() {
    let deliver = each(|_| ());
    let cast = |slot: &mut Record, own: &mut Record, bytes: usize| {
        let text = "x".repeat(bytes);
        let tags = [Value::Str(&text)];
        let event = Event::new(metadata(0, 1), &[], &tags, None);
        allocations::during(|| {
            slot.fill(&event, &deliver);
            slot.move_into(own);
            drop(own.clear());
        })
    };
    let (mut slot, mut own) = (Record::new(), Record::new());
    assert_eq!(cast(&mut slot, &mut own, INLINE_TEXT), 0);
    // The first fills the slot's memory, which goes to the worker's record; the second that of the slot's next.
    assert_eq!(cast(&mut slot, &mut own, 10_000), 1);
    assert_eq!(cast(&mut slot, &mut own, 10_000), 1);
    assert_eq!(cast(&mut slot, &mut own, 10_000), 0);
    assert_eq!(own.heap_bytes(), 10_000);
    cast(&mut slot, &mut own, 10 * KEPT_BYTES);
    assert_eq!(own.heap_bytes(), 0);
}
