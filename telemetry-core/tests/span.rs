//! Spans: `span!`, `#[instrument]`, and what their three events carry.

mod seen;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seen::{Recorder, Seen};
use telemetry_core::span::Outcome;
use telemetry_core::{Number, Unit, callsites, emit, span};

fn names(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|event| event.name.rsplit('.').next().unwrap()).collect()
}

/// Polls once; `None` when it is pending.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(value) = poll_once(future.as_mut()) {
            return value;
        }
    }
}

/// A future that is pending once.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// T17, T21: the start has the system time, the stop has the duration, and both the tags.
#[test]
fn a_span_starts_and_stops_with_its_tags() {
    let retry = 2u8;
    let before = SystemTime::now();
    let (seen, result) = Recorder::during("span.plain.*", || {
        span!("span.plain", { provider: "acme", retry }).run(|| {
            std::thread::sleep(Duration::from_millis(2));
            7
        })
    });
    assert_eq!(result, 7);
    assert_eq!(seen.iter().map(|event| event.name).collect::<Vec<_>>(), ["span.plain.start", "span.plain.stop"]);
    assert_eq!(seen[0].tags(), "provider=acme retry=2");
    assert_eq!(seen[1].tags(), "provider=acme retry=2 outcome=ok");

    let Some(Number::Duration(system_time)) = seen[0].measurement("system_time") else { panic!("{seen:?}") };
    assert!(system_time >= before.duration_since(UNIX_EPOCH).unwrap());
    let Some(Number::Duration(duration)) = seen[1].measurement("duration") else { panic!("{seen:?}") };
    assert!(duration >= Duration::from_millis(2));
}

/// T17, T21: the stop has the extra measurements and tags; extras override the tags of the start; what is not set is
/// absent.
#[test]
fn the_stop_carries_what_the_body_sets() {
    let body = |set: bool| {
        let span = span!("span.extra", { source: "file", format: "?" }, stop: { rows, size => Byte }, { format, last });
        span.run_with(|stop| {
            if set {
                stop.rows.set(3u64);
                stop.size.set(1u8);
                stop.size.set(2u8);
                stop.format.set(String::from("csv"));
                stop.last.set(Some("x"));
            }
        });
    };
    let (seen, ()) = Recorder::during("span.extra.*", || {
        body(true);
        body(false);
    });
    assert_eq!(seen[0].tags(), "source=file format=?");
    assert_eq!(seen[1].tags(), "source=file format=csv last=x outcome=ok");
    assert_eq!(seen[1].measurement("rows"), Some(Number::U64(3)));
    assert_eq!(seen[1].measurement("size"), Some(Number::U64(2)));
    assert_eq!(seen[3].tags(), "source=file format=? outcome=ok");
    assert_eq!(seen[3].measurements.len(), 1, "{seen:?}");
    body(true); // Nobody listens.
}

/// T18: a body that panics ends in an exception with the message, and the panic goes on.
#[test]
fn a_panicking_body_is_an_exception_and_the_panic_goes_on() {
    let cause = String::from("card");
    let (seen, panic) = Recorder::during("span.panic.*", || {
        catch_unwind(|| span!("span.panic", { provider: "acme" }).run(|| -> () { panic!("no {cause}") })).unwrap_err()
    });
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "no card");
    assert_eq!(names(&seen), ["start", "exception"]);
    assert_eq!(seen[1].tags(), "provider=acme kind=panic message=no card");
    assert!(matches!(seen[1].measurement("duration"), Some(Number::Duration(_))));
    assert_eq!(seen[0].span, seen[1].span);
}

/// T18: a panic with something that is not a text has no message, and arrives as it was thrown.
#[test]
fn a_panic_without_a_text_has_no_message() {
    let (seen, panic) = Recorder::during("span.payload.*", || {
        catch_unwind(|| span!("span.payload").run(|| -> () { std::panic::panic_any(7u32) })).unwrap_err()
    });
    assert_eq!(panic.downcast_ref::<u32>(), Some(&7));
    assert_eq!(seen[1].tags(), "kind=panic");
}

/// T18b: a body that returns `Err` stops with the outcome `error`.
#[test]
fn an_error_is_an_outcome() {
    fn pay(fails: bool) -> Result<u8, String> {
        let cents = span!("span.result").run(|| if fails { Err("declined".to_owned()) } else { Ok(3) })?;
        Ok(cents)
    }
    let (seen, results) = Recorder::during("span.result.stop", || (pay(true), pay(false)));
    assert_eq!(results, (Err("declined".to_owned()), Ok(3)));
    assert_eq!(seen.iter().map(Seen::tags).collect::<Vec<_>>(), ["outcome=error", "outcome=ok"]);
}

struct Reply(u16);

impl Outcome for Reply {
    fn is_error(&self) -> bool {
        self.0 >= 500
    }
}

/// T18b: a type says for itself whether it is an error, or is judged where it is returned.
#[test]
fn a_type_may_judge_itself_or_be_judged() {
    struct Foreign(bool);
    let (seen, ()) = Recorder::during("span.judged.stop", || {
        span!("span.judged").run(|| Reply(503));
        span!("span.judged").run(|| Reply(200));
        span!("span.judged").run_as(|_| Foreign(true), |value| value.0);
        span!("span.judged").run(|| None::<u8>);
    });
    let outcomes: Vec<_> = seen.iter().map(|event| event.tag("outcome").unwrap()).collect();
    assert_eq!(outcomes, ["error", "ok", "error", "ok"]);
}

/// T19: the events of one span share an id, those of another have another; a child knows its parent.
#[test]
fn a_child_knows_its_parent() {
    let (seen, ()) = Recorder::during("span.tree.*", || {
        span!("span.tree.parent").run(|| {
            span!("span.tree.child").run(|| emit!("span.tree.leaf"));
            emit!("span.tree.after");
        });
        span!("span.tree.next").run(|| {});
        emit!("span.tree.outside");
    });
    let event = |name: &str| seen.iter().find(|event| event.name == name).unwrap();
    let (parent, child) = (event("span.tree.parent.start"), event("span.tree.child.start"));
    assert_eq!(parent.span, event("span.tree.parent.stop").span);
    assert_eq!(child.span, event("span.tree.child.stop").span);
    assert_ne!(parent.id(), child.id());
    assert_eq!(parent.span.unwrap().parent, None);
    assert_eq!(child.span.unwrap().parent, Some(parent.id()));
    assert_eq!(event("span.tree.leaf").span, child.span);
    assert_eq!(event("span.tree.after").span, parent.span);
    assert_eq!(event("span.tree.next.start").span.unwrap().parent, None);
    assert_ne!(event("span.tree.next.start").id(), parent.id());
    assert_eq!(event("span.tree.outside").span, None);
}

/// T19: ids are unique across threads, also where a thread takes more than one block of them.
#[test]
fn ids_are_unique_across_threads() {
    let recorder = Recorder::of("span.ids.start");
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let _scope = recorder.dispatch.enter();
                (0..1_500).for_each(|_| span!("span.ids").run(|| {}));
            });
        }
    });
    let mut ids: Vec<_> = recorder.events().iter().map(Seen::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6_000);
    assert!(!ids.contains(&0));
}

/// T16: nobody listens, so no tag is evaluated, no id taken, and the body runs.
#[test]
fn a_span_that_nobody_listens_to_only_runs_its_body() {
    let evaluated = Cell::new(0);
    let make = || span!("span.idle", { tag: evaluated.replace(evaluated.get() + 1) });
    assert_eq!(make().context(), None);
    assert_eq!(make().run(|| 3), 3);
    assert_eq!(block_on(make().instrument(ready(4))), 4);
    drop(make().enter());
    assert_eq!(evaluated.get(), 0);
    Recorder::during("span.idle.start", || make().run(|| {}));
    assert_eq!(evaluated.get(), 1);
}

/// Each of the three events is delivered to whoever listens to it alone.
#[test]
fn a_listener_of_one_event_suffices() {
    for (pattern, count) in [("span.one.start", 1), ("span.one.stop", 1), ("span.one.exception", 0)] {
        let (seen, ()) = Recorder::during(pattern, || span!("span.one", { a: 1 }).run(|| {}));
        assert_eq!(seen.len(), count, "{pattern}");
        assert!(seen.iter().all(|event| event.name == pattern && event.tag("a") == Some("1")));
    }
}

/// A span that is dropped before it runs a body never started.
#[test]
fn a_span_without_a_body_emits_nothing() {
    let (seen, ()) = Recorder::during("span.unused.*", || {
        drop(span!("span.unused"));
        drop(span!("span.unused").instrument(pending::<()>()));
    });
    assert_eq!(seen.len(), 0);
}

/// The guard: the rest of the block is the body.
#[test]
fn a_guard_stops_the_span_when_it_is_dropped() {
    let (seen, ()) = Recorder::during("span.guard.*", || {
        let mut outer = span!("span.guard.outer", { a: 1 }, stop: { rows }).enter();
        {
            let mut inner = span!("span.guard.inner").enter();
            inner.fail();
        }
        outer.rows.set(5u64);
        emit!("span.guard.leaf");
    });
    let order: Vec<_> = seen.iter().map(|event| event.name.strip_prefix("span.guard.").unwrap()).collect();
    assert_eq!(order, ["outer.start", "inner.start", "inner.stop", "leaf", "outer.stop"]);
    assert_eq!(seen[2].tags(), "outcome=error");
    assert_eq!(seen[1].span.unwrap().parent, Some(seen[0].id()));
    assert_eq!(seen[3].span, seen[0].span);
    assert_eq!(seen[4].tags(), "a=1 outcome=ok");
    assert_eq!(seen[4].measurement("rows"), Some(Number::U64(5)));
}

/// T18: a guard that is dropped by a panic is an exception; one that lives while something is unwound is not.
#[test]
fn a_guard_that_is_unwound_is_an_exception() {
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            drop(span!("span.unwound.cleanup").enter());
        }
    }
    let (seen, result) = Recorder::during("span.unwound.*", || {
        catch_unwind(AssertUnwindSafe(|| {
            let _cleanup = Cleanup;
            let _entered = span!("span.unwound.body").enter();
            panic!("unwound");
        }))
    });
    assert!(result.is_err());
    let order: Vec<_> = seen.iter().map(|event| event.name.strip_prefix("span.unwound.").unwrap()).collect();
    assert_eq!(order, ["body.start", "body.exception", "cleanup.start", "cleanup.stop"]);
    assert_eq!(seen[1].tags(), "kind=panic");
}

/// After a panic the span before is current again.
#[test]
fn a_panic_leaves_the_current_span_as_it_was() {
    let (seen, ()) = Recorder::during("span.restore.*", || {
        span!("span.restore.outer").run(|| {
            let inner = || span!("span.restore.inner").run(|| -> () { panic!("inner") });
            assert!(catch_unwind(inner).is_err());
            emit!("span.restore.leaf");
        });
    });
    let leaf = seen.iter().find(|event| event.name == "span.restore.leaf").unwrap();
    assert_eq!(leaf.span, seen[0].span);
}

/// A future is in its span while it is polled, and only then.
#[test]
fn a_future_is_in_its_span_while_it_is_polled() {
    let (seen, ()) = Recorder::during("span.future.*", || {
        let body = async {
            emit!("span.future.first");
            yield_once().await;
            emit!("span.future.second");
            Err::<(), _>("late")
        };
        let mut future = pin!(span!("span.future", { provider: "acme" }).instrument(body));
        assert_eq!(poll_once(future.as_mut()), None);
        emit!("span.future.between");
        assert_eq!(poll_once(future.as_mut()), Some(Err("late")));
    });
    assert_eq!(names(&seen), ["start", "first", "between", "second", "stop"]);
    assert_eq!(seen[1].span, seen[0].span);
    assert_eq!(seen[2].span, None);
    assert_eq!(seen[3].span, seen[0].span);
    assert_eq!(seen[4].tags(), "provider=acme outcome=error");
}

/// What a future does while it is dropped belongs to its span.
#[test]
fn a_future_is_dropped_in_its_span() {
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            emit!("span.dropped.cleanup");
        }
    }
    let body = async |cleanup: Cleanup| {
        pending::<()>().await;
        drop(cleanup);
    };
    let (seen, ()) = Recorder::during("span.dropped.*", || {
        poll_once(pin!(span!("span.dropped").instrument(body(Cleanup))));
        poll_once(pin!(span!("span.dropped", stop: { rows }).instrument_with(async |_| body(Cleanup).await)));
    });
    assert_eq!(names(&seen), ["start", "cleanup", "stop", "start", "cleanup", "stop"]);
    assert_eq!(seen[1].span, seen[0].span);
    assert_eq!(seen[4].span, seen[3].span);
}

/// T18b: a future that is dropped before it ends was cancelled.
#[test]
fn a_dropped_future_was_cancelled() {
    let (seen, ()) = Recorder::during("span.cancel.*", || {
        {
            let mut future = pin!(span!("span.cancel").instrument(pending::<()>()));
            assert_eq!(poll_once(future.as_mut()), None);
        }
        let mut extras = pin!(span!("span.cancel", stop: { rows }).instrument_with(async |stop| {
            stop.rows.set(1u64);
            pending::<()>().await;
        }));
        assert_eq!(poll_once(extras.as_mut()), None);
    });
    assert_eq!(names(&seen), ["start", "stop", "start", "stop"]);
    assert_eq!(seen[1].tags(), "outcome=cancelled");
    assert_eq!(seen[3].measurement("rows"), Some(Number::U64(1)));
}

/// T18: a future that panics is an exception; the panic goes on.
#[test]
fn a_panicking_future_is_an_exception() {
    let (seen, result) = Recorder::during("span.thrown.*", || {
        catch_unwind(|| {
            block_on(span!("span.thrown").instrument(async {
                yield_once().await;
                assert!(poll_once(pin!(yield_once())).is_some(), "late");
            }))
        })
    });
    assert!(result.is_err());
    assert_eq!(names(&seen), ["start", "exception"]);
    assert_eq!(seen[1].tag("message"), Some("late"));
}

#[test]
fn an_async_body_sets_what_the_stop_carries() {
    let (seen, rows) = Recorder::during("span.async_extra.*", || {
        let span = span!("span.async_extra", stop: { rows }, { format });
        block_on(span.instrument_with(async |stop| {
            yield_once().await;
            stop.rows.set(9u64);
            stop.format.set("csv");
            9
        }))
    });
    assert_eq!(rows, 9);
    assert_eq!(seen[1].tags(), "format=csv outcome=ok");
    assert_eq!(seen[1].measurement("rows"), Some(Number::U64(9)));
}

/// A span whose tags borrow nothing moves to another thread with its future; its parent is the one that made it.
#[test]
fn a_span_moves_into_a_task() {
    let recorder = Recorder::of("span.moved.*");
    let _scope = recorder.dispatch.enter();
    let name = String::from("a name that is longer than what is kept in place");
    span!("span.moved.parent").run(|| {
        let task =
            span!("span.moved.task", { name, short: format!("{}", 1), literal: "x", number: 3 }).instrument(async {});
        let dispatch = recorder.dispatch.clone();
        let run = move || {
            let _scope = dispatch.enter();
            block_on(task);
        };
        std::thread::spawn(run).join().unwrap();
    });
    drop(name);
    let seen = recorder.events();
    let (parent, start) = (&seen[0], &seen[1]);
    assert_eq!(start.span.unwrap().parent, Some(parent.id()));
    assert_eq!(start.tags(), "name=a name that is longer than what is kept in place short=1 literal=x number=3");
    assert_eq!(seen[2].tags(), format!("{} outcome=ok", start.tags()));
}

/// Spans of futures that can move between threads can move too.
#[test]
fn futures_stay_movable() {
    fn movable<F: Future + Send + 'static>(_: F) {}
    movable(span!("span.movable", { name: String::new() }).instrument(yield_once()));
    movable(span!("span.movable", stop: { rows }, { format }).instrument_with(async |stop| {
        yield_once().await;
        stop.rows.set(1u64);
    }));
    movable(span!("span.movable").instrument_as(async { std::thread::current() }, |_| false));
}

/// A span can be kept and named as a type.
#[test]
fn a_span_can_be_stored() {
    struct Job {
        span: telemetry_core::span::Span<'static, 1>,
    }
    let (seen, ()) = Recorder::during("span.stored.*", || {
        let job = Job { span: span!("span.stored", { id: 7u64 }) };
        assert!(job.span.context().is_some());
        job.span.run(|| {});
    });
    assert_eq!(seen[1].tags(), "id=7 outcome=ok");
}

/// Nested futures are no larger than the sum of their parts: a span doesn't hold its future twice.
#[test]
fn an_instrumented_future_holds_its_body_once() {
    let body = async {
        let room = [0u8; 4_096];
        yield_once().await;
        assert_eq!(room[0], 0);
    };
    let alone = size_of_val(&body);
    let nested = span!("span.size").instrument(span!("span.size").instrument(body));
    assert!(size_of_val(&nested) < alone + 1_024, "{} for {alone}", size_of_val(&nested));
}

/// The metadata of the three events: units, closed sets of values.
#[test]
fn the_metadata_says_what_a_span_emits() {
    span!("span.metadata", { a: 1 }, stop: { size => Byte }, { b }).run(|| {});
    let metadata = |name: &str| callsites().map(|site| site.metadata()).find(|m| m.name() == name).unwrap();

    let start = metadata("span.metadata.start");
    assert_eq!(start.measurements()[0].unit, Some(Unit::Second));
    let stop = metadata("span.metadata.stop");
    assert_eq!(
        stop.measurements().iter().map(|field| field.unit).collect::<Vec<_>>(),
        [Some(Unit::Second), Some(Unit::Byte)]
    );
    assert_eq!(stop.tags().iter().map(|field| field.name).collect::<Vec<_>>(), ["a", "b", "outcome"]);
    assert_eq!(stop.tags()[2].variants, Some(&["ok", "error", "cancelled"][..]));
    let exception = metadata("span.metadata.exception");
    assert_eq!(exception.tags().iter().map(|field| field.name).collect::<Vec<_>>(), ["a", "kind", "message"]);
}
