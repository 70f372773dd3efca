//! What is attached sees what is emitted, exactly.

mod declare;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use declare::{Notes, comes_true, emit};
use telemetry_core::event::SpanContext;
use telemetry_core::handler::{AttachError, Delivery, DetachError, FailurePolicy, attachment, shared_attachment};
use telemetry_core::{Dispatch, DynamicEvent, Event, Number, Value, attach, callsites, detach, handlers};

/// T1: a bad name is refused when a handler is attached, with the reason.
#[test]
fn a_bad_name_cannot_be_attached_to() {
    let dispatch = Dispatch::new();
    for name in ["", ".a", "a.", "a..b", "a-b", "a.*.b", "é"] {
        let error = dispatch.attach("bad", name, |_: &Event<'_>| {}).unwrap_err();
        assert!(matches!(error, AttachError::Name(_)), "{name:?}: {error:?}");
        let source = std::error::Error::source(&error).expect("the reason is kept").to_string();
        assert!(source.contains("is not the name of an event"), "{source}");
    }
    assert!(dispatch.handlers("").is_empty());
    let none = attachment("bad", |_: &Event<'_>| {}).attach_to(&dispatch).unwrap_err();
    assert!(none.to_string().contains("names no event"), "{none}");
}

/// T2: an id is taken until it is detached, whatever the event, and the rejected handler comes back and still works.
#[test]
fn a_taken_id_gives_the_handler_back() {
    callsite!(FIRST: "taken.first", [], []);
    callsite!(SECOND: "taken.second", [], []);
    let dispatch = Dispatch::new();
    let (first, second) = (Notes::default(), Notes::default());
    dispatch.attach("id", "taken.first", first.handler()).unwrap();
    let error = dispatch.attach("id", "taken.second", second.handler()).unwrap_err();
    assert!(error.to_string().contains("\"id\""), "{error}");
    let rejected = error.into_handler().expect("the rejected handler");

    dispatch.run(|| (emit(&FIRST), emit(&SECOND)));
    assert_eq!((first.names().len(), second.names().len()), (1, 0));
    shared_attachment("other", rejected).event("taken.second").attach_to(&dispatch).unwrap();
    dispatch.run(|| (emit(&FIRST), emit(&SECOND)));
    assert_eq!((first.names(), second.names()), (vec!["taken.first".to_owned()], vec!["taken.second".to_owned()]));
}

/// T3, T14, T15: the handler sees the name, the measurements and the tags, in the order declared, and empty sets where
/// there are none.
#[test]
fn a_handler_sees_exactly_what_was_emitted() {
    callsite!(FULL: "exact.full", ["total", "items"], ["country", "paid", "coupon"]);
    callsite!(BARE: "exact.bare", [], []);
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    dispatch.attach("notes", "exact.*", notes.handler()).unwrap();
    dispatch.run(|| {
        assert!(FULL.is_wanted());
        let numbers = [Some(Number::F64(12.5)), Some(Number::U64(3))];
        FULL.emit(&numbers, &[Value::Str("de"), Value::Bool(true), Value::Absent]);
        FULL.emit(&[None, Some(Number::I64(-3))], &[Value::Absent, Value::U64(7), Value::Str("x")]);
        emit(&BARE);
    });
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(
        notes.take(),
        [
            (
                "exact.full".to_owned(),
                vec![("total".to_owned(), Number::F64(12.5)), ("items".to_owned(), Number::U64(3))],
                text(&[("country", "de"), ("paid", "true")]),
            ),
            (
                "exact.full".to_owned(),
                vec![("items".to_owned(), Number::I64(-3))],
                text(&[("paid", "7"), ("coupon", "x")]),
            ),
            ("exact.bare".to_owned(), vec![], vec![]),
        ]
    );
}

/// T4, T5, T12: handlers are listed by exact name, by prefix and by the empty prefix, once for each event.
#[test]
fn handlers_are_listed_by_prefix() {
    let dispatch = Dispatch::new();
    let nothing = |_: &Event<'_>| {};
    attachment("two", nothing).events(["a.b.c", "a.d.*", "a.b.c"]).attach_to(&dispatch).unwrap();
    attachment("all", nothing).event("*").on_failure(FailurePolicy::Keep).attach_to(&dispatch).unwrap();
    let listed = |prefix| -> Vec<(String, String)> {
        dispatch.handlers(prefix).into_iter().map(|info| (info.id, info.pattern.to_string())).collect()
    };
    let pair = |id: &str, pattern: &str| (id.to_owned(), pattern.to_owned());
    assert_eq!(listed(""), [pair("two", "a.b.c"), pair("two", "a.d.*"), pair("all", "*")]);
    assert_eq!(listed("a"), [pair("two", "a.b.c"), pair("two", "a.d.*")]);
    assert_eq!(listed("a.b"), [pair("two", "a.b.c")]);
    assert_eq!(listed("a.b.c"), [pair("two", "a.b.c")]);
    assert_eq!(listed("a.b.c.d"), []);
    assert_eq!(listed("a.b.cc"), []);

    let info = &dispatch.handlers("a.d")[0];
    assert_eq!((info.delivery.clone(), info.policy), (Delivery::Inline, FailurePolicy::Detach));
    assert_eq!((info.failures, info.detachments, info.quarantines, info.is_quarantined), (0, 0, 0, false));
    assert_eq!(dispatch.handlers("")[2].policy, FailurePolicy::Keep);
}

/// T7, T16: what is detached is not called, and nobody wants its callsite; nor before anything is attached.
#[test]
fn a_detached_handler_is_not_called() {
    callsite!(SITE: "detached.event", [], []);
    assert!(!emit(&SITE), "nothing is attached");
    SITE.emit(&[], &[]);
    let notes = Notes::default();
    attach("detached", "detached.event", notes.handler()).unwrap();
    assert_eq!(handlers("detached").len(), 1);
    assert!(emit(&SITE));
    detach("detached").unwrap();
    assert!(!emit(&SITE));
    SITE.emit(&[], &[]);
    assert_eq!(notes.names(), ["detached.event"]);
    let unknown = detach("detached").unwrap_err();
    assert_eq!(unknown, DetachError::Unknown { id: "detached".to_owned() });
    assert!(unknown.to_string().contains("\"detached\""));
}

/// T8, T9: an exact name matches that event alone; a prefix matches what lies below.
#[test]
fn exact_names_and_prefixes_match() {
    callsite!(SHORT: "a.test", [], []);
    callsite!(EXACT: "a.test.event", [], []);
    callsite!(LONG: "a.test.event.more", [], []);
    let (dispatch, exact, below) = (Dispatch::new(), Notes::default(), Notes::default());
    dispatch.attach("exact", "a.test.event", exact.handler()).unwrap();
    dispatch.attach("below", "a.test.*", below.handler()).unwrap();
    dispatch.run(|| [&SHORT, &EXACT, &LONG].map(emit));
    assert_eq!(exact.names(), ["a.test.event"]);
    assert_eq!(below.names(), ["a.test.event", "a.test.event.more"]);
}

/// T10, T13: one id on several events is called for each, and one detach leaves none; once per event, also where two
/// of its patterns match.
#[test]
fn one_id_on_several_events_is_detached_from_all() {
    callsite!(ONE: "several.one", [], []);
    callsite!(TWO: "several.two", [], []);
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    attachment("id", notes.handler()).events(["several.one", "several.two", "several.*"]).attach_to(&dispatch).unwrap();
    dispatch.run(|| [&ONE, &TWO].map(emit));
    assert_eq!(notes.names(), ["several.one", "several.two"]);
    dispatch.detach("id").unwrap();
    dispatch.run(|| [&ONE, &TWO].map(emit));
    assert!(notes.names().is_empty());
    assert!(dispatch.handlers("").is_empty());
}

/// Handlers of one event run in the order in which they were attached.
#[test]
fn handlers_run_in_the_order_of_attachment() {
    callsite!(SITE: "order.event", [], []);
    let (dispatch, order) = (Dispatch::new(), Arc::new(std::sync::Mutex::new(Vec::new())));
    for id in ["c", "a", "b"] {
        let order = Arc::clone(&order);
        dispatch.attach(id, "order.*", move |_: &Event<'_>| order.lock().unwrap().push(id)).unwrap();
    }
    dispatch.detach("a").unwrap();
    dispatch.run(|| emit(&SITE));
    assert_eq!(*order.lock().unwrap(), ["c", "b"]);
}

/// T1: an event made at run time arrives with its fields, and is known before it is emitted.
#[test]
fn dynamic_events_arrive() {
    let event = DynamicEvent::new("dynamic.event", &[("n", None)], &["t"]).unwrap();
    assert!(callsites().any(|callsite| std::ptr::eq(callsite.metadata(), event.metadata())));
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    dispatch.attach("notes", "dynamic.event", notes.handler()).unwrap();
    dispatch.run(|| event.emit(&[Some(Number::U64(1))], &[Value::Str("x")]));
    let expected = ("n".to_owned(), Number::U64(1));
    assert_eq!(notes.take(), [("dynamic.event".to_owned(), vec![expected], vec![("t".to_owned(), "x".to_owned())])]);
}

/// A mistake in the length of the values shows whether or not somebody listens.
#[test]
#[should_panic(expected = "emit it with a value for each")]
fn a_dynamic_event_without_its_values_panics() {
    DynamicEvent::new("dynamic.short", &[("n", None)], &[]).unwrap().emit(&[], &[]);
}

/// `emit_in` gives the event the span that it names.
#[test]
fn an_event_belongs_to_the_span_it_is_emitted_in() {
    callsite!(SITE: "span.event", [], []);
    let dispatch = Dispatch::new();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let spans = Arc::clone(&seen);
    dispatch.attach("spans", "span.event", move |event: &Event<'_>| spans.lock().unwrap().push(event.span())).unwrap();
    let span = SpanContext { id: 7, parent: Some(3) };
    dispatch.run(|| {
        SITE.emit_in(span, &[], &[]);
        SITE.emit(&[], &[]);
    });
    assert_eq!(*seen.lock().unwrap(), [Some(span), None]);
}

/// X1: a handler that another detaches during a dispatch is not called by any later emission, nested ones included.
#[test]
fn a_handler_detached_during_a_dispatch_is_not_called_later() {
    callsite!(OUTER: "x1.outer", [], []);
    callsite!(INNER: "x1.inner", [], []);
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    let handle = dispatch.clone();
    let detaching = move |_: &Event<'_>| {
        if handle.detach("b").is_ok() {
            emit(&INNER);
        }
    };
    dispatch.attach("a", "x1.outer", detaching).unwrap();
    dispatch.attach("b", "x1.*", notes.handler()).unwrap();
    dispatch.run(|| {
        emit(&OUTER);
        assert!(notes.names().len() <= 1, "it may run once, in the dispatch that was in progress");
        emit(&OUTER);
        emit(&INNER);
    });
    assert!(notes.names().is_empty());
}

/// X3: a handler attaches, detaches itself, lists, and emits at a callsite that nobody has reached, all from within an
/// event; the first nested event is not lost.
#[test]
fn a_handler_may_attach_detach_and_emit() {
    callsite!(OUTER: "x3.outer", [], []);
    callsite!(NESTED: "x3.nested", [], []);
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    let (handle, nested) = (dispatch.clone(), notes.clone());
    let busy = move |_: &Event<'_>| {
        handle.attach("nested", "x3.nested", nested.handler()).unwrap();
        emit(&NESTED);
        assert_eq!(handle.handlers("x3").len(), 2);
        handle.detach("busy").unwrap();
        emit(&NESTED);
        handle.detach("nested").unwrap();
        assert!(!emit(&NESTED));
    };
    dispatch.attach("busy", "x3.outer", busy).unwrap();
    dispatch.run(|| {
        emit(&OUTER);
        assert!(!emit(&OUTER));
    });
    assert_eq!(notes.names(), ["x3.nested", "x3.nested"]);
}

/// X3: a handler that emits its own event is cut at a fixed depth, and the cut is counted; the next emission is whole.
#[test]
fn recursion_is_cut_and_counted() {
    callsite!(SITE: "x3.recursive", [], []);
    let (dispatch, calls) = (Dispatch::new(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    let recursive = move |_: &Event<'_>| {
        count.fetch_add(1, SeqCst);
        emit(&SITE);
    };
    dispatch.attach("recursive", "x3.recursive", recursive).unwrap();
    let before = telemetry_core::dispatch::recursion_cut();
    dispatch.run(|| {
        emit(&SITE);
        assert_eq!(calls.swap(0, SeqCst), 16);
        emit(&SITE);
        assert_eq!(calls.swap(0, SeqCst), 16);
    });
    assert!(telemetry_core::dispatch::recursion_cut() >= before + 2);
}

/// The thread that detaches lets go of the handler at once, also from within an emission that does not use it any more.
#[test]
fn a_detached_handler_is_dropped_by_the_thread_that_detaches() {
    callsite!(SITE: "dropped.event", [], []);
    let dispatch = Dispatch::new();
    let attach = |id: &str| -> Weak<()> {
        let token = Arc::new(());
        let weak = Arc::downgrade(&token);
        dispatch.attach(id, "dropped.*", move |_: &Event<'_>| drop(Arc::clone(&token))).unwrap();
        weak
    };
    let outer = attach("outer");
    let handle = dispatch.clone();
    let detaching = move |_: &Event<'_>| drop(handle.detach("outer"));
    dispatch.attach("detaching", "dropped.*", detaching).unwrap();
    dispatch.run(|| {
        emit(&SITE);
        assert!(comes_true(|| outer.upgrade().is_none()), "the emission that used it has ended");
        let second = attach("second");
        emit(&SITE);
        dispatch.detach("second").unwrap();
        assert!(comes_true(|| second.upgrade().is_none()));
    });
}

/// A handler that emits, and even one that panics, when it is dropped harms nobody.
#[test]
fn a_handler_may_emit_or_panic_when_it_is_dropped() {
    callsite!(SITE: "drop.event", [], []);
    callsite!(LAST: "drop.last", [], []);
    static DROPPED: AtomicBool = AtomicBool::new(false);
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            DROPPED.store(emit(&LAST), SeqCst);
            std::panic::panic_any("dropped");
        }
    }
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    let loud = Loud;
    dispatch.attach("loud", "drop.event", move |_: &Event<'_>| _ = &loud).unwrap();
    dispatch.attach("notes", "drop.*", notes.handler()).unwrap();
    dispatch.run(|| {
        emit(&SITE);
        dispatch.detach("loud").unwrap();
        emit(&SITE);
    });
    assert!(DROPPED.load(SeqCst));
    assert_eq!(notes.names(), ["drop.event", "drop.last", "drop.event"]);
}
