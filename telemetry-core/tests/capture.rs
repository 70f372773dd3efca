//! X6: a capture sees what its test emits, and nothing else does; what it lacks is told.
#![cfg(feature = "test-util")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use telemetry_core::metric::{counter, sum};
use telemetry_core::scrape::Total;
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::test::Capture;
use telemetry_core::{
    Dispatch, Event, Number, Registry, assert_emitted, assert_not_emitted, assert_sample, emit, span,
};

/// What an assertion panics with.
fn failure(assertion: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion fails");
    *payload.downcast::<String>().expect("with a message")
}

/// X6: name, fields and span of each event, in the order in which they came.
#[test]
fn events_are_kept_as_they_were_emitted() {
    let capture = Capture::start();
    emit!("capture.first", { took: Duration::from_millis(3), none: None::<u64> }, { country: "de", absent: None::<&str> });
    let context = {
        let span = span!("capture.span");
        let context = span.context();
        span.run(|| emit!("capture.within"));
        context
    };
    let events = capture.events();
    let names: Vec<&str> = events.iter().map(|event| event.name()).collect();
    assert_eq!(names, ["capture.first", "capture.span.start", "capture.within", "capture.span.stop"]);
    assert_eq!(events[0].measurements(), [("took", Number::Duration(Duration::from_millis(3)))]);
    assert_eq!(events[0].tags(), [("country", "de".to_owned())]);
    assert_eq!((events[0].measurement("none"), events[0].tag("absent"), events[0].span()), (None, None, None));
    assert!(context.is_some() && events[1..].iter().all(|event| event.span() == context));
    assert_eq!(capture.take(), events);
    assert!(capture.events().is_empty());
}

/// X6: eight tests at once, on as many threads, each see their own events and no others.
#[test]
fn captures_on_other_threads_see_nothing_of_this_one() {
    let begin = Arc::new(Barrier::new(8));
    let tests: Vec<_> = (0..8_u64)
        .map(|test| {
            let begin = Arc::clone(&begin);
            thread::spawn(move || {
                begin.wait();
                for round in 0..50_u64 {
                    let capture = Capture::of("capture.parallel");
                    emit!("capture.parallel", { round }, { test });
                    assert_emitted!(capture, "capture.parallel", { round }, { test });
                    assert_eq!(capture.events().len(), 1);
                }
            })
        })
        .collect();
    tests.into_iter().for_each(|test| test.join().unwrap());
}

/// X6: a capture replaces the dispatcher of its thread, and gives it back; captures nest.
#[test]
fn a_capture_ends_when_it_is_dropped() {
    let outer = Capture::start();
    let inner = Capture::of("capture.nested.*");
    emit!("capture.nested.inner");
    emit!("capture.outside");
    assert_eq!(inner.events().len(), 1);
    drop(inner);
    emit!("capture.nested.outer");
    assert_eq!(outer.events().len(), 1);
    assert_emitted!(outer, "capture.nested.outer");
}

/// X6: handlers outside of the scope see nothing of it, and a thread is captured only when it is given the dispatcher.
#[test]
fn a_capture_is_carried_and_otherwise_apart() {
    Dispatch::global().attach("apart", "capture.apart", |_: &Event<'_>| panic!("seen outside of the scope")).unwrap();
    let capture = Capture::start();
    let carried = capture.dispatch().clone();
    thread::spawn(move || carried.run(|| emit!("capture.apart", {}, { from: "carried" }))).join().unwrap();
    emit!("capture.apart", {}, { from: "here" });
    assert_eq!(Dispatch::global().handlers("capture.apart").len(), 1, "it has not failed");
    Dispatch::global().detach("apart").unwrap();
    thread::spawn(|| emit!("capture.apart", {}, { from: "elsewhere" })).join().unwrap();
    let from: Vec<String> = capture.events().iter().map(|event| event.tag("from").unwrap().to_owned()).collect();
    assert_eq!(from, ["carried", "here"]);
}

/// The first event that has all fields is given; names of fields may be keywords, and variables stand for themselves.
#[test]
fn an_assertion_gives_the_event_that_it_found() {
    let capture = Capture::start();
    for items in 1..4_u64 {
        emit!("capture.found", { items, total: 0.5 }, { type: "cart", paid: items > 1 });
    }
    let (items, paid) = (2, true);
    let found = assert_emitted!(capture, "capture.found", { items }, { type: "cart", paid });
    assert_eq!(found, capture.events()[1]);
    assert_emitted!(capture, "capture.found", {}, { paid: "true", country: None::<&str> },);
    assert_emitted!(capture, "capture.found", { items: 3, weight: None::<f64> });
}

/// A failed assertion shows the nearest events first, and in which fields each differs.
#[test]
fn a_failed_assertion_says_what_differs() {
    let capture = Capture::start();
    emit!("capture.failed", { items: 2, total: 3.0 }, { country: "fr" });
    emit!("capture.failed", { items: 3 }, { country: "de", paid: true });
    let message = failure(|| {
        assert_emitted!(capture, "capture.failed", { items: 3, total: 3 }, { country: "de", paid: None::<bool> });
    });
    assert_eq!(
        message,
        r#"no event was emitted as capture.failed { items: 3, total: 3 } { country: "de" } without paid
of that name were emitted, nearest first:
  capture.failed { items: 3 } { country: "de", paid: "true" }
    total is absent, expected 3
    paid is "true", expected absent
  capture.failed { items: 2, total: 3 } { country: "fr" }
    items is 2, expected 3
    total is F64(3.0), expected I64(3)
    country is "fr", expected "de""#
    );
}

/// A failed assertion over a name that is not there says which are.
#[test]
fn a_failed_assertion_says_which_events_there_were() {
    let capture = Capture::start();
    let message = failure(|| drop(assert_emitted!(capture, "capture.misspelt")));
    assert_eq!(
        message,
        "no event was emitted as capture.misspelt\nnone of that name was captured; nothing was: an event is captured on \
         the thread of the capture, and where `capture.dispatch()` is entered"
    );
    (0..2).for_each(|_| emit!("capture.mispelt"));
    emit!("capture.other");
    let message = failure(|| drop(assert_emitted!(capture, "capture.misspelt")));
    assert!(message.ends_with("; captured were capture.mispelt (2), capture.other (1)"), "{message}");
    (0..9).for_each(|n| emit!("capture.many", { n }));
    let message = failure(|| drop(assert_emitted!(capture, "capture.many", { n: 10 })));
    assert!(message.ends_with("\n    n is 4, expected 10\n  and 4 more"), "{message}");
}

/// A pattern that is none is told where the capture stands.
#[test]
fn a_bad_pattern_is_refused() {
    let message = failure(|| drop(Capture::of("capture..bad")));
    assert!(message.contains("\"capture..bad\" is not the name of an event: it has an empty segment"), "{message}");
}

/// X6: threads that nothing can be carried to are seen by a capture of the whole process; scopes stay apart.
#[test]
fn a_capture_of_the_process_sees_threads_that_are_in_no_scope() {
    let capture = Capture::everywhere("capture.everywhere.*");
    let scoped = Capture::start();
    emit!("capture.everywhere.scoped");
    thread::spawn(|| {
        emit!("capture.everywhere.seen", { n: 1 });
        emit!("capture.elsewhere");
        emit!("capture.everywhere.seen", { n: 2 });
    });
    let seen = capture.wait_for("capture.everywhere.seen", 2, Duration::from_secs(60));
    assert_eq!(seen[1].measurement("n"), Some(Number::I64(2)));
    assert_eq!(capture.events().len(), 2);
    assert_eq!(scoped.events().len(), 1);
    drop(scoped);
    emit!("capture.everywhere.here");
    assert_emitted!(capture, "capture.everywhere.here");
    drop(capture);
    assert!(!Dispatch::global().handlers("capture.everywhere").iter().any(|handler| handler.id == "telemetry.capture"));
    drop(Capture::everywhere("capture.everywhere.again"));
}

#[test]
fn waiting_for_events_that_do_not_come_says_what_came() {
    let capture = Capture::start();
    emit!("capture.waited", { n: 1 });
    let message = failure(|| drop(capture.wait_for("capture.waited", 2, Duration::from_millis(20))));
    assert_eq!(
        message,
        "after 20ms there were 1 events named capture.waited, expected 2; captured were capture.waited (1)"
    );
    assert_eq!(capture.wait_for("capture.other", 0, Duration::ZERO), []);
}

#[test]
fn an_event_that_is_not_to_be_is_shown() {
    let capture = Capture::start();
    emit!("capture.unwanted", { n: 1 }, { kind: "a" });
    assert_not_emitted!(capture, "capture.unwanted", { n: 2 });
    assert_not_emitted!(capture, "capture.unwanted", {}, { kind: None::<&str> });
    assert_not_emitted!(capture, "capture.wanted");
    let message = failure(|| assert_not_emitted!(capture, "capture.unwanted", { n: 1 }));
    assert_eq!(
        message,
        "1 events were emitted as capture.unwanted { n: 1 }, expected none:\n  capture.unwanted { n: 1 } { kind: \"a\" }"
    );
}

/// A registry is looked at as often as one likes; what is not as expected is shown with what is.
#[test]
fn samples_are_asserted_without_consuming_them() {
    let (capture, registry) = (Capture::start(), Registry::new());
    let metrics = [counter("capture.sold.count").tags(["country"]), sum("capture.sold.total")];
    registry.aggregator(metrics).unwrap().attach_to(capture.dispatch(), "metrics").unwrap();
    for country in ["de", "de", "fr"] {
        emit!("capture.sold", { total: 0.5 }, { country });
    }
    for _ in 0..2 {
        assert_sample!(registry, "capture.sold.count", { country: "de" }, 2);
        assert_sample!(registry.snapshot(), "capture.sold.total", 1.5);
        assert_sample!(registry, "capture.sold.count", { country: "it" }, None::<u64>);
    }
    assert_eq!(registry.sample("capture.sold.count", [("country", "fr")]), Some(ValueSnapshot::Total(Total::U64(1))));
    assert_eq!(registry.sample("capture.sold.total", []), Some(ValueSnapshot::Total(Total::F64(1.5))));
    assert_eq!(
        failure(|| assert_sample!(registry, "capture.sold.count", { country: "de" }, 3)),
        r#"capture.sold.count {country="de"} is 2, expected 3
the series of capture.sold.count are:
  capture.sold.count {country="de"} 2
  capture.sold.count {country="fr"} 1"#
    );
    let message = failure(|| assert_sample!(registry, "capture.sold.count", { country: "it" }, 1));
    assert!(message.starts_with("there is no series capture.sold.count {country=\"it\"}\nthe series of"), "{message}");
    let message = failure(|| assert_sample!(registry, "capture.sold.count", { country: "de" }, None::<u64>));
    assert!(message.starts_with("capture.sold.count {country=\"de\"} is 2, expected no such series"), "{message}");
    let message = failure(|| assert_sample!(registry, "capture.misspelt", 1));
    assert!(message.contains("there is no such metric, but capture.sold.count, capture.sold.total"), "{message}");
}
