//! Handlers that panic.

mod declare;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use declare::{Notes, emit, told};
use telemetry_core::failure::EVENT;
use telemetry_core::handler::{FailurePolicy, attachment};
use telemetry_core::{Dispatch, Event};

const FOREVER: Duration = Duration::from_secs(3600);

fn counts(dispatch: &Dispatch) -> Vec<(String, u64, u64, u64)> {
    let failures = dispatch.failures().into_iter();
    failures.map(|counts| (counts.handler, counts.failures, counts.detachments, counts.quarantines)).collect()
}

fn panicking(message: &'static str) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    move |_: &Event<'_>| std::panic::resume_unwind(Box::new(message))
}

/// T6, T11: a handler that panics is gone from all its events, the others of the same event run, before and after it,
/// the emitter notices nothing, and the failure event says who, where and why.
#[test]
fn a_panicking_handler_is_detached_and_the_others_run() {
    callsite!(SITE: "fail.event", [], []);
    callsite!(OTHER: "fail.other", [], []);
    let (dispatch, before, after, failures) = (Dispatch::new(), Notes::default(), Notes::default(), Notes::default());
    dispatch.attach("before", "fail.event", before.handler()).unwrap();
    attachment("bad", |event: &Event<'_>| panic!("no good at {}", event.name()))
        .events(["fail.event", "fail.other"])
        .attach_to(&dispatch)
        .unwrap();
    dispatch.attach("after", "fail.event", after.handler()).unwrap();
    dispatch.attach("failures", EVENT, failures.handler()).unwrap();
    dispatch.run(|| {
        emit(&SITE);
        assert_eq!(failures.take(), [told("bad", "fail.event", "no good at fail.event")]);
        assert!(!emit(&OTHER), "it is gone from its other event");
        emit(&SITE);
    });
    assert_eq!((before.names().len(), after.names().len()), (2, 2));
    assert!(failures.take().is_empty());
    assert!(dispatch.handlers("").iter().all(|info| info.id != "bad"));
    assert_eq!(counts(&dispatch), [("bad".to_owned(), 1, 1, 0)], "the counts outlive the attachment");
    dispatch.attach("bad", "fail.other", |_: &Event<'_>| {}).unwrap();
    assert_eq!(dispatch.handlers("fail.other")[0].detachments, 1, "they belong to the id");
}

/// T6: once a failure has detached a handler, it is not called by emissions that were in progress either.
#[test]
fn a_handler_detached_in_a_nested_emission_is_not_called_by_the_outer_one() {
    callsite!(OUTER: "nested.outer", [], []);
    callsite!(INNER: "nested.inner", [], []);
    let (dispatch, calls) = (Dispatch::new(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    dispatch.attach("nests", "nested.outer", |_: &Event<'_>| _ = emit(&INNER)).unwrap();
    let bad = move |_: &Event<'_>| assert!(count.fetch_add(1, SeqCst) > 0, "the first time");
    dispatch.attach("bad", "nested.*", bad).unwrap();
    dispatch.run(|| emit(&OUTER));
    assert_eq!(calls.load(SeqCst), 1);
}

/// A handler that is kept goes on, and each failure is counted.
#[test]
fn a_kept_handler_stays() {
    callsite!(SITE: "keep.event", [], []);
    let dispatch = Dispatch::new();
    attachment("bad", panicking("no"))
        .event("keep.event")
        .on_failure(FailurePolicy::Keep)
        .attach_to(&dispatch)
        .unwrap();
    dispatch.run(|| (0..3).for_each(|_| assert!(emit(&SITE))));
    assert_eq!(dispatch.handlers("keep")[0].failures, 3);
    assert_eq!(counts(&dispatch), [("bad".to_owned(), 3, 0, 0)]);
}

/// A handler in quarantine is passed over, comes back after its time, and is listed as away meanwhile.
#[test]
fn a_quarantined_handler_comes_back() {
    callsite!(SITE: "quarantine.event", [], []);
    for (back_after, comes_back) in [(FOREVER, false), (Duration::from_millis(20), true)] {
        let (dispatch, calls) = (Dispatch::new(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&calls);
        let fails_twice = move |_: &Event<'_>| assert!(count.fetch_add(1, SeqCst) >= 2, "too early");
        attachment("bad", fails_twice)
            .event("quarantine.event")
            .on_failure(FailurePolicy::Quarantine { after: 2, within: FOREVER, back_after })
            .attach_to(&dispatch)
            .unwrap();
        dispatch.run(|| {
            emit(&SITE);
            assert!(!dispatch.handlers("")[0].is_quarantined);
            emit(&SITE);
            assert_eq!(counts(&dispatch), [("bad".to_owned(), 2, 0, 1)]);
            if comes_back {
                let patience = Instant::now() + Duration::from_secs(60);
                while calls.load(SeqCst) == 2 && Instant::now() < patience {
                    emit(&SITE);
                }
                assert_eq!(calls.load(SeqCst), 3);
                assert!(!dispatch.handlers("")[0].is_quarantined);
            } else {
                emit(&SITE);
                assert_eq!(calls.load(SeqCst), 2, "it is passed over");
                assert!(dispatch.handlers("")[0].is_quarantined);
            }
        });
    }
}

/// X2: failure handlers that panic too, whatever their policies: it ends, and each failure is seen by the others.
#[test]
fn failing_failure_handlers_terminate_and_are_seen_by_the_others() {
    callsite!(SITE: "x2.event", [], []);
    let dispatch = Dispatch::new();
    let seen = Notes::default();
    for (id, policy) in [
        ("detached", FailurePolicy::Detach),
        ("kept", FailurePolicy::Keep),
        ("kept too", FailurePolicy::Keep),
        ("patient", FailurePolicy::Quarantine { after: 100, within: FOREVER, back_after: FOREVER }),
    ] {
        attachment(id, panicking("worse")).event(EVENT).on_failure(policy).attach_to(&dispatch).unwrap();
    }
    dispatch.attach("seen", EVENT, seen.handler()).unwrap();
    attachment("bad", panicking("bad"))
        .events(["x2.event", "telemetry.*"])
        .on_failure(FailurePolicy::Keep)
        .attach_to(&dispatch)
        .unwrap();
    dispatch.run(|| emit(&SITE));
    let mut failures = seen.take();
    assert!(failures.contains(&told("bad", "x2.event", "bad")));
    failures.retain(|line| *line != told("bad", "x2.event", "bad"));
    failures.sort_by_key(|(.., tags)| tags[0].1.clone());
    let expected = ["bad", "detached", "kept", "kept too", "patient"];
    let message = |id| if id == "bad" { "bad" } else { "worse" };
    assert_eq!(failures, expected.map(|id| told(id, EVENT, message(id))));

    dispatch.run(|| emit(&SITE));
    assert_eq!(seen.take(), [told("bad", "x2.event", "bad")], "the kept one still has its other event");
    assert!(dispatch.handlers("telemetry").iter().any(|info| info.id == "kept"), "and stays attached");
}

/// T6: a panic with something that panics when it is dropped does not reach the emitter either.
#[test]
fn a_payload_that_panics_when_dropped_is_contained() {
    callsite!(SITE: "payload.event", [], []);
    struct Worse;
    impl Drop for Worse {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }
    let dispatch = Dispatch::new();
    dispatch.attach("bad", "payload.event", |_: &Event<'_>| std::panic::panic_any(Worse)).unwrap();
    dispatch.run(|| emit(&SITE));
    assert_eq!(counts(&dispatch), [("bad".to_owned(), 1, 1, 0)]);
}

/// A handler may panic while its emitter unwinds already.
#[test]
fn a_handler_that_fails_while_the_emitter_unwinds_is_contained() {
    callsite!(SITE: "unwinding.event", [], []);
    struct Emits;
    impl Drop for Emits {
        fn drop(&mut self) {
            emit(&SITE);
        }
    }
    let dispatch = Dispatch::new();
    dispatch.attach("bad", "unwinding.event", |_: &Event<'_>| panic!("second")).unwrap();
    let first = std::panic::catch_unwind(|| {
        dispatch.run(|| {
            let _emits = Emits;
            panic!("first");
        });
    });
    assert_eq!(first.unwrap_err().downcast_ref::<&str>(), Some(&"first"));
    assert_eq!(counts(&dispatch), [("bad".to_owned(), 1, 1, 0)]);
}

/// X6: a failure in a scope is told of in that scope's dispatcher, and counted there.
#[test]
fn a_failure_is_told_of_where_the_handler_was_attached() {
    callsite!(SITE: "fail.scoped", [], []);
    let (outer, inner) = (Dispatch::new(), Dispatch::new());
    let (outer_notes, inner_notes) = (Notes::default(), Notes::default());
    outer.attach("failures", EVENT, outer_notes.handler()).unwrap();
    inner.attach("failures", EVENT, inner_notes.handler()).unwrap();
    let leaves = inner.clone();
    // Fails after it has entered, and left open, another scope.
    let forgetful = move |_: &Event<'_>| {
        std::mem::forget(outer.enter());
        drop(leaves.handlers(""));
        panic!("in the wrong scope");
    };
    inner.attach("bad", "fail.scoped", forgetful).unwrap();
    std::thread::spawn(move || {
        inner.run(|| emit(&SITE));
        assert_eq!(inner_notes.take(), [told("bad", "fail.scoped", "in the wrong scope")]);
    })
    .join()
    .unwrap();
    assert!(outer_notes.take().is_empty());
}
