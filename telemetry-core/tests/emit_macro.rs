//! `emit!`: what it evaluates, what it carries, and that nothing of the caller changes it.

mod seen;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seen::Recorder;
use telemetry_core::dispatch::Dispatch;
use telemetry_core::event::{Metadata, Origin};
use telemetry_core::{Callsite, Event, Number, TagValue, Unit, callsites, emit};

/// T3: a handler sees exactly the name, the measurements and the tags, in the order declared.
#[test]
fn an_event_carries_what_was_written_in_that_order() {
    let (seen, ()) = Recorder::during("macro.order", || {
        emit!("macro.order", { total: 12.5, items: 3u64 }, { country: "de", paid: true });
    });
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].name, "macro.order");
    assert_eq!(seen[0].measurements, [("total", Number::F64(12.5)), ("items", Number::U64(3))]);
    assert_eq!(seen[0].tags(), "country=de paid=true");
}

/// T14, T15: an event may have no tags, no measurements, or neither.
#[test]
fn fields_may_be_missing() {
    let total = 4u8;
    let country = Some("de");
    let (seen, ()) = Recorder::during("macro.missing.*", || {
        emit!("macro.missing.a");
        emit!("macro.missing.b",);
        emit!("macro.missing.c", { total });
        emit!("macro.missing.d", {}, { country },);
        emit!("macro.missing.e", { total, }, { country, },);
        emit!("macro.missing.f", {}, {});
        emit!("macro.missing.g", { absent: None::<u64> }, { absent: None::<&str> });
    });
    let shapes: Vec<_> = seen.iter().map(|event| (event.measurements.len(), event.tags())).collect();
    let (none, country) = (String::new(), String::from("country=de"));
    assert_eq!(
        shapes,
        [
            (0, none.clone()),
            (0, none.clone()),
            (1, none.clone()),
            (0, country.clone()),
            (1, country),
            (0, none.clone()),
            (0, none)
        ]
    );
}

/// T16: nobody listens, so nothing is evaluated.
#[test]
fn nothing_is_evaluated_when_nobody_listens() {
    let evaluated = Cell::new(0);
    let count = || evaluated.replace(evaluated.get() + 1);
    let emit_once = || emit!("macro.lazy", { a: count() }, { b: count() });

    emit_once();
    assert_eq!(evaluated.get(), 0);
    Recorder::during("macro.lazy", emit_once);
    assert_eq!(evaluated.get(), 2);
}

#[test]
fn each_expression_is_evaluated_once_and_in_order() {
    let order = RefCell::new(Vec::new());
    let mark = |at: u32| {
        order.borrow_mut().push(at);
        at
    };
    Recorder::during("macro.once", || {
        emit!("macro.once", { a: mark(1), b: mark(2) => Byte }, { c: mark(3), d: mark(4).to_string() });
    });
    assert_eq!(*order.borrow(), [1, 2, 3, 4]);
}

/// Values are borrowed: the caller keeps what it named, and what it made for the event lives until it is delivered.
#[test]
fn values_are_borrowed_through_the_emission() {
    let name = String::from("kept");
    let (seen, ()) = Recorder::during("macro.borrow", || {
        emit!("macro.borrow", {}, { name, made: format!("{}-{}", "made", 1), slice: &name[..2], lower: "ABC".to_lowercase().trim() });
    });
    assert_eq!(seen[0].tags(), "name=kept made=made-1 slice=ke lower=abc");
    assert_eq!(name, "kept");
}

#[test]
fn the_expressions_may_leave_the_function() {
    fn leave(value: Result<u64, String>) -> Result<u64, String> {
        emit!("macro.leave", { value: value? });
        Ok(0)
    }
    let (seen, result) = Recorder::during("macro.leave", || leave(Err("no".to_owned())));
    assert_eq!((seen.len(), result), (0, Err("no".to_owned())));
    let (seen, result) = Recorder::during("macro.leave", || leave(Ok(3)));
    assert_eq!((seen.len(), result), (1, Ok(0)));
}

fn metadata_of(name: &str) -> &'static Metadata {
    every_callsite().find(|metadata| metadata.name() == name).expect("every callsite is known")
}

fn every_callsite() -> impl Iterator<Item = &'static Metadata> {
    callsites().map(Callsite::metadata)
}

/// M33: units are declared where the measurement is; the program knows them before anything is emitted.
#[test]
fn metadata_is_known_without_an_emission() {
    #[allow(dead_code)]
    fn never_called(bytes: u64) {
        emit!("macro.known", { bytes => Byte, took: Duration::ZERO, orders: 1u8 => Other("orders") }, { r#type: 1, match: 2 });
    }
    let metadata = metadata_of("macro.known");
    let units: Vec<_> = metadata.measurements().iter().map(|field| (field.name, field.unit)).collect();
    assert_eq!(units, [("bytes", Some(Unit::Byte)), ("took", None), ("orders", Some(Unit::Other("orders")))]);
    assert_eq!(metadata.tags().iter().map(|field| field.name).collect::<Vec<_>>(), ["type", "match"]);
    assert_eq!(metadata.origin(), Origin::AdHoc);
    assert_eq!(metadata.location().module, module_path!());
    assert!(metadata.location().file.ends_with("emit_macro.rs"));
}

/// A generic function has one callsite, whatever it is called with.
#[test]
fn a_generic_function_has_one_callsite() {
    fn generic<T: TagValue + Copy>(value: T) {
        emit!("macro.generic", {}, { value });
    }
    let (seen, ()) = Recorder::during("macro.generic", || {
        generic("text");
        generic(7u64);
    });
    assert_eq!(seen.iter().map(seen::Seen::tags).collect::<Vec<_>>(), ["value=text", "value=7"]);
    assert_eq!(every_callsite().filter(|metadata| metadata.name() == "macro.generic").count(), 1);
}

#[test]
fn a_name_may_be_a_constant() {
    const NAME: &str = concat!("macro.", "constant");
    let (seen, ()) = Recorder::during("macro.*", || emit!(NAME));
    assert_eq!(seen[0].name, "macro.constant");
}

/// Variables named as those of the macro are the caller's.
#[test]
fn the_macro_hides_no_variable() {
    #[allow(non_snake_case)]
    let (callsite, METADATA, CALLSITE) = ("mine", "mine too", 3u64);
    let (seen, ()) = Recorder::during("macro.hidden", || {
        emit!("macro.hidden", { size: CALLSITE }, { callsite, other: METADATA });
    });
    assert_eq!(seen[0].tags(), "callsite=mine other=mine too");
    assert_eq!(seen[0].measurement("size"), Some(Number::U64(3)));
}

/// An event that is emitted while another one's expressions are evaluated has a callsite of its own.
#[test]
fn emissions_nest() {
    fn inner() -> u64 {
        emit!("macro.nest.inner");
        1
    }
    let (seen, ()) = Recorder::during("macro.nest.*", || {
        emit!("macro.nest.outer", { inner: inner(), block: { emit!("macro.nest.block"); 2u64 } });
    });
    assert_eq!(
        seen.iter().map(|event| event.name).collect::<Vec<_>>(),
        ["macro.nest.inner", "macro.nest.block", "macro.nest.outer"]
    );
}

#[test]
fn an_event_is_emitted_from_an_async_function_that_can_move_between_threads() {
    async fn task(name: String) {
        emit!("macro.task", {}, { name });
        std::future::ready(()).await;
        emit!("macro.task", {}, { name });
    }
    fn movable<F: Future + Send>(_: F) {}
    movable(task("a".to_owned()));
}

#[test]
fn a_handler_finds_fields_by_name_and_by_position() {
    let (dispatch, found) = (Dispatch::new(), Arc::new(Mutex::new(None)));
    let kept = Arc::clone(&found);
    let look = move |event: &Event<'_>| {
        let by_name = (event.measurement("size"), event.tag("country").map(|value| value.to_string()));
        *kept.lock().unwrap() = Some((by_name, event.tag_at(0).to_string(), event.tag("size").is_none()));
    };
    dispatch.attach("look", "macro.find", look).unwrap();
    let _scope = dispatch.enter();
    emit!("macro.find", { size: 3u8 }, { country: "de" });
    let by_name = (Some(Number::U64(3)), Some("de".to_owned()));
    assert_eq!(*found.lock().unwrap(), Some((by_name, "de".to_owned(), true)));
}
