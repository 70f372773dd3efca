//! Handlers are asked once for each callsite what they want, and may do what they like meanwhile.
//!
//! The tests of this file take turns: a callsite that one reaches would have handlers of another bound on its thread.

mod declare;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use declare::{Notes, emit, told};
use telemetry_core::event::Metadata;
use telemetry_core::failure::EVENT;
use telemetry_core::handler::{Bound, FailurePolicy, Handler, attachment};
use telemetry_core::{Dispatch, Event};

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counts(dispatch: &Dispatch) -> Vec<(String, u64, u64, u64)> {
    let failures = dispatch.failures().into_iter();
    failures.map(|counts| (counts.handler, counts.failures, counts.detachments, counts.quarantines)).collect()
}

/// A handler that says what it wants, and counts how often it was asked.
struct Choosy {
    asked: Arc<AtomicUsize>,
    handled: Arc<AtomicUsize>,
}

struct Chosen(Arc<AtomicUsize>);

impl Handler for Choosy {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        self.asked.fetch_add(1, SeqCst);
        let handled = Arc::clone(&self.handled);
        metadata.name().ends_with("wanted").then(|| Arc::new(Chosen(handled)) as Arc<dyn Bound>)
    }
}

impl Bound for Chosen {
    fn handle(&self, _: &Event<'_>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A handler is asked once for each callsite, whatever is attached and detached beside it; what it does not want is
/// not wanted by anybody.
#[test]
fn a_handler_is_bound_once_per_callsite() {
    let _turn = turn();
    callsite!(WANTED: "choosy.wanted", [], []);
    callsite!(OTHER: "choosy.other", [], []);
    let dispatch = Dispatch::new();
    let (asked, handled) = (Arc::default(), Arc::default());
    dispatch.attach("id", "choosy.*", Choosy { asked: Arc::clone(&asked), handled: Arc::clone(&handled) }).unwrap();
    for _ in 0..3 {
        dispatch.attach("beside", "choosy.*", |_: &Event<'_>| {}).unwrap();
        dispatch.run(|| [&WANTED, &OTHER].map(emit));
        dispatch.detach("beside").unwrap();
    }
    assert_eq!((asked.load(SeqCst), handled.load(SeqCst)), (2, 3));
    dispatch.run(|| assert_eq!([&WANTED, &OTHER].map(emit), [true, false]));
}

/// Emits and attaches while it is bound.
struct Restless {
    dispatch: Dispatch,
    other: Dispatch,
    notes: Notes,
    fresh: Option<&'static telemetry_core::Callsite>,
}

impl Handler for Restless {
    fn bind(self: Arc<Self>, _: &'static Metadata) -> Option<Arc<dyn Bound>> {
        self.fresh.map(emit);
        for dispatch in [&self.dispatch, &self.other] {
            let _ = dispatch.attach("second", "restless.*", self.notes.handler());
        }
        None
    }
}

/// X3: `bind` may emit, also at a new callsite of an event that the handler itself is bound to, and attach, to any
/// dispatcher; what it attached is in force when the outer attachment is.
#[test]
fn bind_may_emit_and_attach() {
    let _turn = turn();
    callsite!(SITE: "restless.event", [], []);
    callsite!(FRESH: "restless.fresh", [], []);
    emit(&SITE);
    for fresh in [None, Some(&FRESH)] {
        let (dispatch, other, notes) = (Dispatch::new(), Dispatch::new(), Notes::default());
        let restless = Restless { dispatch: dispatch.clone(), other: other.clone(), notes: notes.clone(), fresh };
        dispatch.attach("first", "restless.*", restless).unwrap();
        other.run(|| emit(&SITE));
        assert_eq!(notes.names(), ["restless.event"]);
        dispatch.run(|| {
            emit(&SITE);
            assert_eq!(notes.names(), ["restless.event"]);
            fresh.map(emit);
            assert_eq!(notes.names().len(), usize::from(fresh.is_some()));
        });
    }
}

/// Panics when it is asked what it wants of one of its events.
struct BadBind;

struct Nothing;

impl Bound for Nothing {
    fn handle(&self, _: &Event<'_>) {}
}

impl Handler for BadBind {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        assert!(!metadata.name().ends_with("bad"), "cannot bind {}", metadata.name());
        Some(Arc::new(Nothing))
    }
}

/// A panic in `bind` is a failure of that handler, when it is attached and when a callsite is first reached; kept, it
/// keeps its other events.
#[test]
fn a_panic_in_bind_is_a_failure_of_the_handler() {
    let _turn = turn();
    callsite!(GOOD: "bind.good", [], []);
    callsite!(BAD: "bind.bad", [], []);
    callsite!(LATE: "bind.late.bad", [], []);
    assert_eq!([&GOOD, &BAD].map(emit), [false, false]);
    let (dispatch, failures) = (Dispatch::new(), Notes::default());
    dispatch.attach("failures", EVENT, failures.handler()).unwrap();
    dispatch.run(|| {
        dispatch.attach("detached", "bind.*", BadBind).unwrap();
        assert_eq!(failures.take(), [told("detached", "bind.bad", "cannot bind bind.bad")]);
        assert!(!emit(&GOOD));

        attachment("kept", BadBind).event("bind.*").on_failure(FailurePolicy::Keep).attach_to(&dispatch).unwrap();
        assert_eq!(failures.take(), [told("kept", "bind.bad", "cannot bind bind.bad")]);
        assert!(emit(&GOOD));
        assert!(!emit(&BAD));
        assert!(!emit(&LATE));
        assert_eq!(failures.take(), [told("kept", "bind.late.bad", "cannot bind bind.late.bad")]);
        dispatch.attach("beside", "bind.*", |_: &Event<'_>| {}).unwrap();
        assert!(failures.take().is_empty(), "it is not asked again");
    });
    assert_eq!(counts(&dispatch), [("detached".to_owned(), 1, 1, 0), ("kept".to_owned(), 2, 0, 0)]);
}

/// Waits, while it is bound, until the test lets it go.
struct Slow {
    asked: mpsc::SyncSender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl Handler for Slow {
    fn bind(self: Arc<Self>, _: &'static Metadata) -> Option<Arc<dyn Bound>> {
        self.asked.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        Some(Arc::new(Nothing))
    }
}

/// X3: while a handler takes its time to bind, nobody else waits: not an emission, not one that has to take a new table,
/// not an attachment.
#[test]
fn nobody_waits_for_a_handler_that_binds() {
    let _turn = turn();
    callsite!(SITE: "slow.event", [], []);
    callsite!(OTHER: "slow_other.event", [], []);
    let (dispatch, other, notes) = (Dispatch::new(), Dispatch::new(), Notes::default());
    dispatch.attach("notes", "slow.event", notes.handler()).unwrap();
    dispatch.run(|| emit(&SITE));
    let (asked, is_asked) = mpsc::sync_channel(0);
    let (let_go, go) = mpsc::channel();
    let attaching = thread::spawn({
        let dispatch = dispatch.clone();
        move || dispatch.attach("slow", "slow.event", Slow { asked, go: Mutex::new(go) }).unwrap()
    });
    is_asked.recv().unwrap();
    dispatch.run(|| emit(&SITE));
    other.attach("notes", "*", notes.handler()).unwrap();
    other.run(|| emit(&SITE));
    dispatch.run(|| emit(&SITE));
    assert_eq!(notes.names().len(), 4);
    assert_eq!(dispatch.handlers("").len(), 2);
    let_go.send(()).unwrap();
    attaching.join().unwrap();
    other.run(|| emit(&OTHER));
    assert_eq!(notes.names().len(), 1);
}
