//! Scoped dispatchers see what is emitted in their scopes, and nothing else does.

mod declare;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

use declare::{Notes, comes_true, emit};
use telemetry_core::{Dispatch, Event, attach, detach, handlers};

fn noting(pattern: &str) -> (Dispatch, Notes) {
    let (dispatch, notes) = (Dispatch::new(), Notes::default());
    dispatch.attach("notes", pattern, notes.handler()).unwrap();
    (dispatch, notes)
}

/// X6: a scope replaces the global dispatcher on its thread, and no other thread is concerned.
#[test]
fn a_scope_alone_sees_what_is_emitted_in_it() {
    callsite!(SITE: "scope.alone", [], []);
    let (dispatch, scoped) = noting("scope.alone");
    let global = Notes::default();
    Dispatch::global().attach("scope.alone", "scope.alone", global.handler()).unwrap();
    emit(&SITE);
    {
        let _scope = dispatch.enter();
        emit(&SITE);
        thread::spawn(|| emit(&SITE)).join().unwrap();
        emit(&SITE);
    }
    emit(&SITE);
    assert_eq!((scoped.names().len(), global.names().len()), (2, 3));
    Dispatch::global().detach("scope.alone").unwrap();
}

/// X6: a dispatcher is carried to threads.
#[test]
fn a_scope_is_carried_to_threads() {
    callsite!(SITE: "scope.threads", [], []);
    let (dispatch, notes) = noting("scope.threads");
    dispatch.run(|| {
        let carried = Dispatch::current();
        thread::spawn(move || {
            emit(&SITE);
            carried.run(|| emit(&SITE));
            emit(&SITE);
        })
        .join()
        .unwrap();
    });
    assert_eq!(notes.names().len(), 1);
}

/// Emits once each time it is polled, and when it is dropped; done at the third poll.
struct Emitting(&'static telemetry_core::Callsite, u32);

impl Future for Emitting {
    type Output = u32;
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        emit(self.0);
        self.1 += 1;
        if self.1 == 3 { Poll::Ready(self.1) } else { Poll::Pending }
    }
}

impl Drop for Emitting {
    fn drop(&mut self) {
        emit(self.0);
    }
}

/// X6: a followed future is polled and dropped in its dispatcher, on any thread, and between polls nothing is.
#[test]
fn a_followed_future_carries_its_dispatcher() {
    callsite!(SITE: "scope.future", [], []);
    let (dispatch, notes) = noting("scope.future");
    let mut future = Box::pin(dispatch.follow(Emitting(&SITE, 0)));
    fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }
    assert!(poll(&mut future).is_pending());
    emit(&SITE);
    let mut future = thread::spawn(move || {
        assert!(poll(&mut future).is_pending());
        emit(&SITE);
        future
    })
    .join()
    .unwrap();
    assert_eq!(poll(&mut future), Poll::Ready(3));
    assert_eq!(notes.names().len(), 3);
    drop(future);
    assert_eq!(notes.names().len(), 1, "its drop emits, too");
    let ready = pin!(dispatch.follow(async { emit(&SITE) }));
    assert_eq!(ready.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(true));
}

/// X4: a callsite reached first where nothing listens is on as soon as a scope elsewhere wants it, and off again when
/// the last handle of that dispatcher is gone.
#[test]
fn interest_is_the_union_over_all_dispatchers() {
    callsite!(SITE: "scope.interest", [], []);
    thread::spawn(|| assert!(!emit(&SITE))).join().unwrap();
    let (first, notes) = noting("scope.interest");
    let (second, _) = noting("scope.interest");
    assert!(SITE.is_wanted(), "whatever thread asks");
    second.detach("notes").unwrap();
    first.run(|| assert!(emit(&SITE), "the other dispatcher still wants it"));
    assert_eq!(notes.names().len(), 1);
    let carried = first.clone();
    drop(first);
    assert!(SITE.is_wanted());
    let scope = carried.enter();
    drop(carried);
    assert!(emit(&SITE), "the scope keeps the dispatcher");
    assert_eq!(notes.names().len(), 1);
    drop(scope);
    assert!(comes_true(|| !SITE.is_wanted()));
}

/// X6: handlers of a scope are gone when it is left and its dispatcher dropped, though this thread emits no more.
#[test]
fn a_dropped_dispatcher_drops_its_handlers() {
    callsite!(SITE: "scope.drop", [], []);
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let dispatch = Dispatch::new();
    dispatch.attach("holds", "scope.drop", move |_: &Event<'_>| drop(Arc::clone(&held))).unwrap();
    dispatch.run(|| emit(&SITE));
    assert_eq!(Arc::strong_count(&token), 2);
    drop(dispatch);
    assert!(comes_true(|| Arc::strong_count(&token) == 1));
}

/// X6: guards may be dropped in any order; the scope entered last, of those not left, is in force.
#[test]
fn scopes_may_be_left_in_any_order() {
    callsite!(SITE: "scope.order", [], []);
    let (first, first_notes) = noting("scope.order");
    let (second, second_notes) = noting("scope.order");
    let seen = || (first_notes.names().len(), second_notes.names().len());
    let outer = first.enter();
    let inner = second.enter();
    emit(&SITE);
    assert_eq!(seen(), (0, 1));
    drop(outer);
    emit(&SITE);
    assert_eq!(seen(), (0, 1));
    let again = first.enter();
    emit(&SITE);
    assert_eq!(seen(), (1, 0));
    drop(again);
    emit(&SITE);
    assert_eq!(seen(), (0, 1));
    drop(inner);
    emit(&SITE);
    assert_eq!(seen(), (0, 0));
}

/// X3, X6: a handler that enters and leaves scopes, in any order, and drops its own dispatcher, pulls nothing from
/// under the emission that it runs in.
#[test]
fn scopes_may_change_within_a_handler() {
    callsite!(SITE: "scope.within", [], []);
    callsite!(INNER: "scope.inner", [], []);
    let (inner, inner_notes) = noting("scope.inner");
    let (dispatch, notes) = noting("scope.*");
    let left = Arc::new(std::sync::Mutex::new(None));
    let entered = Arc::new(std::sync::Mutex::new(None));
    /// Drops its scope where it is dropped; a handler has to be `Send` to hold it.
    struct Guard {
        _scope: telemetry_core::scope::Scope,
    }
    // SAFETY: everything in this test runs on its one thread.
    unsafe impl Send for Guard {}
    let (leave, enter) = (Arc::clone(&left), Arc::clone(&entered));
    let changing = move |event: &Event<'_>| {
        if event.name() == "scope.within" {
            let guard = inner.enter();
            emit(&INNER);
            drop(leave.lock().unwrap().take());
            emit(&INNER);
            drop(guard);
            *enter.lock().unwrap() = Some(Guard { _scope: inner.enter() });
            emit(&INNER);
        }
    };
    dispatch.attach("changing", "scope.*", changing).unwrap();
    let (after, after_notes) = (Notes::default(), Notes::default());
    dispatch.attach("after", "scope.*", after.handler()).unwrap();
    *left.lock().unwrap() = Some(Guard { _scope: dispatch.enter() });
    drop(dispatch); // The scope keeps it, and the handler ends that scope.
    emit(&SITE);
    assert_eq!(inner_notes.names().len(), 3);
    assert_eq!(notes.names(), ["scope.within"]);
    assert_eq!(after.names(), ["scope.within"], "the dispatch in progress goes on");
    emit(&INNER);
    assert_eq!(inner_notes.names().len(), 1, "the scope entered by the handler is still in force");
    let guard = entered.lock().unwrap().take();
    drop(guard);
    emit(&INNER);
    assert!(inner_notes.names().is_empty() && after_notes.names().is_empty());
}

/// Free functions act on the dispatcher of the thread.
#[test]
fn the_free_functions_act_on_the_current_dispatcher() {
    let (dispatch, other) = (Dispatch::new(), Dispatch::new());
    dispatch.run(|| {
        attach("id", "scope.free", |_: &Event<'_>| {}).unwrap();
        other.run(|| assert!(handlers("").is_empty()));
        assert_eq!(handlers("scope.free").len(), 1);
    });
    assert_eq!(dispatch.handlers("").len(), 1);
    dispatch.run(|| detach("id").unwrap());
    assert!(dispatch.handlers("").is_empty());
}

/// Emits when its thread ends, after everything registered later is destroyed.
struct AtExit(&'static telemetry_core::Callsite, Option<Dispatch>);

impl Drop for AtExit {
    fn drop(&mut self) {
        emit(self.0);
        if let Some(dispatch) = self.1.take() {
            dispatch.run(|| emit(self.0));
            let guard = dispatch.enter();
            emit(self.0);
            drop(guard);
            emit(self.0);
        }
    }
}

/// T16: an event that is emitted while the thread's values are destroyed, before or after ours, arrives, in scopes too.
#[test]
fn emitting_while_a_thread_ends_works() {
    callsite!(SITE: "scope.exit", [], []);
    thread_local!(static AT_EXIT: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) });
    for emits_first in [false, true] {
        let (dispatch, notes) = noting("scope.exit");
        let carried = dispatch.clone();
        thread::spawn(move || {
            let _stays = std::mem::ManuallyDrop::new(carried.enter()); // Left open: the thread's end closes it.
            if emits_first {
                emit(&SITE);
            }
            AT_EXIT.with(|at_exit| *at_exit.borrow_mut() = Some(AtExit(&SITE, Some(carried))));
            emit(&SITE);
        })
        .join()
        .unwrap();
        // Where this test's value is destroyed first the open scope is still in force, which makes two more.
        let seen = notes.names().len() - usize::from(emits_first);
        assert!(seen == 1 + 2 || seen == 1 + 4, "{seen}");
        drop(dispatch);
        assert!(comes_true(|| !SITE.is_wanted()), "nothing of the ended thread keeps the dispatcher");
    }
}

/// T16: the same where the thread has emitted nothing before it ends.
#[test]
fn a_first_emission_while_a_thread_ends_works() {
    callsite!(SITE: "scope.exit_first", [], []);
    thread_local!(static AT_EXIT: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) });
    static SEEN: AtomicBool = AtomicBool::new(false);
    Dispatch::global().attach("scope.exit", "scope.exit_first", |_: &Event<'_>| SEEN.store(true, SeqCst)).unwrap();
    thread::spawn(|| AT_EXIT.with(|at_exit| *at_exit.borrow_mut() = Some(AtExit(&SITE, None)))).join().unwrap();
    assert!(SEEN.load(SeqCst));
    Dispatch::global().detach("scope.exit").unwrap();
}
