//! Handlers on lanes: attached, failing and scoped as others are.

mod declare;

use std::time::Duration;

use declare::{Notes, emit, told};
use telemetry_core::failure::EVENT;
use telemetry_core::handler::{Delivery, FailurePolicy, attachment};
use telemetry_core::lane::Lane;
use telemetry_core::{Dispatch, Event};

const PATIENCE: Duration = Duration::from_secs(60);

fn lane(name: &str) -> Lane {
    Lane::builder(name).build().unwrap()
}

fn panicking(_: &Event<'_>) {
    panic!("on the lane");
}

/// T3: handlers on a lane see each event once, in order, and are listed with their lane.
#[test]
fn handlers_on_a_lane_see_each_event_once() {
    callsite!(ONE: "lanes.one", [], []);
    callsite!(TWO: "lanes.two", [], []);
    let (dispatch, lane) = (Dispatch::new(), lane("seeing"));
    let (first, second) = (Notes::default(), Notes::default());
    attachment("first", first.handler()).event("lanes.*").lane(&lane).attach_to(&dispatch).unwrap();
    attachment("second", second.handler()).event("lanes.two").lane(&lane).attach_to(&dispatch).unwrap();
    dispatch.run(|| assert_eq!([&ONE, &TWO, &ONE].map(emit), [true; 3]));
    lane.flush(PATIENCE).unwrap();
    assert_eq!(first.names(), ["lanes.one", "lanes.two", "lanes.one"]);
    assert_eq!(second.names(), ["lanes.two"]);
    assert_eq!(dispatch.handlers("lanes.two")[0].delivery, Delivery::Lane("seeing".to_owned()));
}

/// T6, X6: a handler that panics on a lane is detached; the next one on the lane still runs, and the failure is told of
/// in the dispatcher that it was attached to, though the worker is in no scope.
#[test]
fn a_handler_that_panics_on_a_lane_is_detached() {
    callsite!(SITE: "lane_failure.event", [], []);
    let (dispatch, lane) = (Dispatch::new(), lane("failing"));
    let (after, failures) = (Notes::default(), Notes::default());
    attachment("bad", panicking).event("lane_failure.event").lane(&lane).attach_to(&dispatch).unwrap();
    attachment("after", after.handler()).event("lane_failure.event").lane(&lane).attach_to(&dispatch).unwrap();
    dispatch.attach("failures", EVENT, failures.handler()).unwrap();
    for _ in 0..2 {
        dispatch.run(|| emit(&SITE));
        lane.flush(PATIENCE).unwrap();
    }
    assert_eq!(after.names().len(), 2);
    assert_eq!(failures.take(), [told("bad", "lane_failure.event", "on the lane")]);
    assert_eq!(dispatch.failures()[0].detachments, 1);
}

/// X6: what a handler emits on a lane goes where it would have gone from the emitting thread.
#[test]
fn what_a_handler_emits_on_a_lane_stays_in_its_scope() {
    callsite!(SITE: "lane_scope.event", [], []);
    callsite!(NESTED: "lane_scope.nested", [], []);
    let (dispatch, lane, notes) = (Dispatch::new(), lane("scoped"), Notes::default());
    let emitting = |_: &Event<'_>| _ = emit(&NESTED);
    attachment("emitting", emitting).event("lane_scope.event").lane(&lane).attach_to(&dispatch).unwrap();
    dispatch.attach("notes", "lane_scope.nested", notes.handler()).unwrap();
    dispatch.run(|| emit(&SITE));
    lane.flush(PATIENCE).unwrap();
    assert_eq!(notes.names(), ["lane_scope.nested"]);
}

/// X2: failure handlers that panic on lanes, and stay, do not keep each other busy for ever.
#[test]
fn failing_failure_handlers_on_lanes_terminate() {
    callsite!(SITE: "lane_failures.event", [], []);
    let (dispatch, seen) = (Dispatch::new(), Notes::default());
    let lanes = ["ping", "pong"].map(lane);
    for lane in &lanes {
        attachment(lane.name(), panicking)
            .event(EVENT)
            .on_failure(FailurePolicy::Keep)
            .lane(lane)
            .attach_to(&dispatch)
            .unwrap();
    }
    attachment("bad", panicking).event("lane_failures.event").attach_to(&dispatch).unwrap();
    dispatch.attach("seen", EVENT, seen.handler()).unwrap();
    dispatch.run(|| emit(&SITE));
    for _ in 0..3 {
        lanes.iter().for_each(|lane| lane.flush(PATIENCE).unwrap());
    }
    let mut handlers: Vec<_> = seen.take().into_iter().map(|(.., tags)| tags[0].1.clone()).collect();
    handlers.sort();
    assert_eq!(handlers, ["bad", "ping", "pong"], "each failed once, and was seen by the handler that works");
}
