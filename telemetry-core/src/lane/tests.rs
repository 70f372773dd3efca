use std::sync::Mutex as StdMutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::allocations;
use crate::event::{Location, MeasurementField, Metadata, Origin, TagField};
use crate::value::{Number, Value};

mod accounting;

/// Longer than anything here takes; only a lost wake-up comes to its end.
pub(crate) const LONG: Duration = Duration::from_secs(60);

struct Each<F>(F);

impl<F: Fn(&Event<'_>) + Send + Sync> Deliver for Each<F> {
    fn deliver(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

/// Delivers each event to `see`.
pub(crate) fn each(see: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Arc<dyn Deliver> {
    Arc::new(Each(see))
}

/// The metadata of an event with so many fields.
pub(crate) fn metadata(measurements: usize, tags: usize) -> &'static Metadata {
    const MEASUREMENT: MeasurementField = MeasurementField { name: "m", unit: None, description: "" };
    const TAG: TagField = TagField { name: "t", variants: None, description: "" };
    static MEASUREMENTS: [MeasurementField; 30] = [MEASUREMENT; 30];
    static TAGS: [TagField; 30] = [TAG; 30];
    let location = Location { module: module_path!(), file: file!(), line: line!() };
    let metadata =
        Metadata::new("a.lane.test", "", &MEASUREMENTS[..measurements], &TAGS[..tags], Origin::Dynamic, location);
    Box::leak(Box::new(metadata))
}

fn lane(capacity: usize, overflow: Overflow) -> Lane {
    Lane::builder("test").capacity(capacity).overflow(overflow).build().unwrap()
}

/// What a test casts: an event with one measurement.
#[derive(Clone, Copy)]
struct Numbered(&'static Metadata);

impl Numbered {
    fn new() -> Self {
        Self(metadata(1, 0))
    }

    fn cast(self, lane: &Lane, number: u64, deliver: &Arc<dyn Deliver>) {
        lane.cast(&Event::new(self.0, &[Some(Number::U64(number))], &[], None), deliver);
    }
}

fn number_of(event: &Event<'_>) -> u64 {
    match event.measurement_at(0) {
        Some(Number::U64(number)) => number,
        other => panic!("not the event that was cast: {other:?}"),
    }
}

/// A handler that reports the start of each delivery and stays in it until told to go on.
struct Stepped {
    deliver: Arc<dyn Deliver>,
    started: Receiver<u64>,
    go_on: Sender<()>,
}

impl Stepped {
    fn new() -> Self {
        let (start, started) = channel();
        let (go_on, wait) = channel();
        let wait = StdMutex::new(wait);
        let deliver = each(move |event| {
            let _ = start.send(number_of(event));
            let _ = wait.lock().unwrap().recv();
        });
        Self { deliver, started, go_on }
    }

    /// Waits for the start of a delivery, and returns what is delivered.
    fn next(&self) -> u64 {
        self.started.recv_timeout(LONG).unwrap()
    }

    /// Ends this delivery and all others, and returns what they delivered.
    fn run(self, lane: &Lane) -> Vec<u64> {
        drop(self.go_on);
        lane.flush(LONG).unwrap();
        self.started.try_iter().collect()
    }
}

fn total(lane: &Lane) -> (u64, u64, u64) {
    let stats = lane.stats();
    (stats.cast, stats.delivered, stats.dropped)
}

/// T3: the handler sees the event, on a thread of the lane.
#[test]
fn an_event_is_delivered_on_the_thread_of_the_lane() {
    let lane = Lane::builder("audit").build().unwrap();
    let (send, receive) = channel();
    let deliver = each(move |event| {
        let thread = std::thread::current();
        send.send((format!("{event:?}"), thread.name().map(str::to_owned))).unwrap();
    });
    let measurements = [Some(Number::F64(12.5)), None];
    let tags = [Value::Str("de"), Value::Absent, Value::Bool(true)];
    let span = Some(crate::event::SpanContext { id: 7, parent: Some(3) });
    let event = Event::new(metadata(2, 3), &measurements, &tags, span);
    lane.cast(&event, &deliver);
    let (seen, thread) = receive.recv_timeout(LONG).unwrap();
    assert_eq!(seen, format!("{event:?}"));
    assert_eq!(thread.as_deref(), Some("lane audit"));
    lane.flush(LONG).unwrap();
    assert_eq!(total(&lane), (1, 1, 0));
}

#[test]
fn a_full_lane_drops_the_newest() {
    let (lane, event, handler) = (lane(2, Overflow::DropNewest), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &handler.deliver);
    assert_eq!(handler.next(), 0);
    for number in 1..=5 {
        event.cast(&lane, number, &handler.deliver);
    }
    assert_eq!(lane.stats().depth, 2);
    assert_eq!(handler.run(&lane), [1, 2]);
    assert_eq!(total(&lane), (6, 3, 3));
}

#[test]
fn a_full_lane_drops_the_oldest_and_keeps_the_order() {
    let (lane, event, handler) = (lane(2, Overflow::DropOldest), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &handler.deliver);
    assert_eq!(handler.next(), 0);
    for number in 1..=5 {
        event.cast(&lane, number, &handler.deliver);
    }
    assert_eq!(handler.run(&lane), [4, 5]);
    assert_eq!(total(&lane), (6, 3, 3));
}

#[test]
fn a_full_lane_blocks_until_there_is_room() {
    let (lane, event, handler) = (lane(1, Overflow::BlockAtMost(LONG)), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &handler.deliver);
    assert_eq!(handler.next(), 0);
    event.cast(&lane, 1, &handler.deliver);
    let blocked = {
        let (lane, deliver) = (lane.clone(), Arc::clone(&handler.deliver));
        std::thread::spawn(move || event.cast(&lane, 2, &deliver))
    };
    assert_eq!(lane.stats().depth, 1);
    handler.go_on.send(()).unwrap();
    // The handler now stays in the second delivery, for which the worker made the room of the third.
    assert_eq!(handler.next(), 1);
    blocked.join().unwrap();
    assert_eq!(lane.stats().depth, 1);
    assert_eq!(handler.run(&lane), [2]);
    assert_eq!(total(&lane), (3, 3, 0));
}

#[test]
fn a_full_lane_blocks_no_longer_than_allowed() {
    let (lane, event) = (lane(1, Overflow::BlockAtMost(Duration::from_millis(1))), Numbered::new());
    let handler = Stepped::new();
    event.cast(&lane, 0, &handler.deliver);
    assert_eq!(handler.next(), 0);
    event.cast(&lane, 1, &handler.deliver);
    event.cast(&lane, 2, &handler.deliver);
    assert_eq!(handler.run(&lane), [1]);
    assert_eq!(total(&lane), (3, 2, 1));
}

#[test]
fn a_shutdown_ends_the_wait_of_a_blocked_emitter() {
    let (lane, event, handler) = (lane(1, Overflow::BlockAtMost(LONG)), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &handler.deliver);
    assert_eq!(handler.next(), 0);
    event.cast(&lane, 1, &handler.deliver);
    let blocked = {
        let (lane, deliver) = (lane.clone(), Arc::clone(&handler.deliver));
        std::thread::spawn(move || event.cast(&lane, 2, &deliver))
    };
    while lane.0.shared.room.0.waiting() == 0 {
        std::thread::yield_now();
    }
    assert!(matches!(lane.shutdown(Duration::ZERO), Err(ShutdownError::TimedOut { left: 1, .. })));
    blocked.join().unwrap();
    assert_eq!(handler.run(&lane), [1]);
    lane.shutdown(LONG).unwrap();
    assert_eq!(total(&lane), (3, 2, 1));
}

/// X3: a handler that emits to its own full lane does not wait for itself.
#[test]
fn a_handler_never_waits_for_its_own_lane() {
    let (lane, event) = (lane(1, Overflow::BlockAtMost(LONG)), Numbered::new());
    let deliver = {
        let (lane, nothing) = (lane.clone(), each(|_| ()));
        each(move |_| (1..=3).for_each(|number| event.cast(&lane, number, &nothing)))
    };
    event.cast(&lane, 0, &deliver);
    // Once for what was cast here, and once more for what was cast there.
    lane.flush(LONG).unwrap();
    lane.flush(LONG).unwrap();
    assert_eq!(total(&lane), (4, 2, 2));
}

/// X3: flush and shutdown from inside a handler are errors, not deadlocks.
#[test]
fn a_handler_can_neither_flush_nor_end_its_own_lane() {
    let (lane, other) = (lane(4, Overflow::DropNewest), lane(4, Overflow::DropNewest));
    let (send, receive) = channel();
    let deliver = {
        let (lane, other) = (lane.clone(), other.clone());
        each(move |_| send.send((lane.flush(LONG), other.flush(LONG), lane.shutdown(LONG))).unwrap())
    };
    Numbered::new().cast(&lane, 0, &deliver);
    let (flush, flush_of_other, shutdown) = receive.recv_timeout(LONG).unwrap();
    assert!(matches!(flush, Err(FlushError::OnWorker { lane }) if &*lane == "test"));
    assert_eq!(flush_of_other, Ok(()));
    assert!(matches!(shutdown, Err(ShutdownError::OnWorker { .. })));
    lane.shutdown(LONG).unwrap();
}

#[test]
fn a_flush_waits_for_what_was_cast_and_says_when_it_takes_too_long() {
    let (lane, event, handler) = (lane(8, Overflow::DropNewest), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &handler.deliver);
    let late = lane.flush(Duration::from_millis(1));
    assert!(matches!(&late, Err(FlushError::TimedOut { .. })));
    let message = late.unwrap_err().to_string();
    assert!(message.contains("\"test\"") && message.contains("1ms") && message.contains("slow handler"), "{message}");
    assert_eq!(handler.run(&lane), [0]);
    assert_eq!(lane.flush(Duration::ZERO), Ok(()));
}

#[test]
fn a_shutdown_delivers_what_is_queued_and_later_casts_are_counted_as_dropped() {
    let (lane, event) = (lane(1024, Overflow::DropNewest), Numbered::new());
    let seen = Arc::new(StdMutex::new(Vec::new()));
    let deliver = {
        let seen = Arc::clone(&seen);
        each(move |event| seen.lock().unwrap().push(number_of(event)))
    };
    (0..1000).for_each(|number| event.cast(&lane, number, &deliver));
    lane.shutdown(LONG).unwrap();
    event.cast(&lane, 1000, &deliver);
    assert!((0..1000).eq(seen.lock().unwrap().iter().copied()));
    assert_eq!(total(&lane), (1001, 1000, 1));
    assert_eq!((lane.shutdown(LONG), lane.flush(LONG)), (Ok(()), Ok(())));
}

/// The worker ends only when what was queued is delivered, and nobody has to ask it to.
#[test]
fn the_last_handle_ends_the_worker() {
    struct AtExit(Sender<()>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    thread_local! {
        static AT_EXIT: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) };
    }

    let (lane, event) = (lane(8, Overflow::DropNewest), Numbered::new());
    let (exit, exited) = channel();
    let (send, receive) = channel();
    let deliver = each(move |event| {
        AT_EXIT.set(Some(AtExit(exit.clone())));
        let _ = send.send(number_of(event));
    });
    let clone = lane.clone();
    assert_eq!(lane, clone);
    event.cast(&lane, 0, &deliver);
    drop(lane);
    event.cast(&clone, 1, &deliver);
    drop(clone);
    // The value of the thread is replaced by the second delivery and dropped at the end of the thread.
    exited.recv_timeout(LONG).unwrap();
    exited.recv_timeout(LONG).unwrap();
    assert_eq!(receive.try_iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(Arc::strong_count(&deliver), 1);
}

/// Panics when its last reference is dropped.
struct Fragile;

impl Deliver for Fragile {
    fn deliver(&self, _: &Event<'_>) {}
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("thrown by a destructor");
    }
}

/// T6: the failure policy of dispatch stands before this; what passes it does not end the lane.
#[test]
fn the_worker_survives_panics() {
    struct Thrown;
    impl Drop for Thrown {
        fn drop(&mut self) {
            panic!("thrown again by what was thrown");
        }
    }

    let (lane, event, handler) = (lane(16, Overflow::DropNewest), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &each(|_| panic!("thrown by a handler")));
    event.cast(&lane, 1, &each(|_| std::panic::panic_any(Thrown)));
    event.cast(&lane, 2, &handler.deliver);
    assert_eq!(handler.next(), 2);
    // While the worker is held up, what we cast for becomes the worker's alone.
    let fragile: Arc<dyn Deliver> = Arc::new(Fragile);
    event.cast(&lane, 3, &fragile);
    drop(fragile);
    event.cast(&lane, 4, &handler.deliver);
    assert_eq!(handler.run(&lane), [4]);
    assert_eq!(total(&lane), (5, 5, 0));
    assert_eq!(lane.stats().panicked, 3);
}

/// T6: the emitter notices nothing of a destructor that panics because of its cast.
#[test]
fn an_emitter_survives_the_panic_of_what_it_drops() {
    let (lane, event, handler) = (lane(1, Overflow::DropOldest), Numbered::new(), Stepped::new());
    event.cast(&lane, 0, &handler.deliver);
    assert_eq!(handler.next(), 0);
    let fragile: Arc<dyn Deliver> = Arc::new(Fragile);
    event.cast(&lane, 1, &fragile);
    drop(fragile);
    event.cast(&lane, 2, &handler.deliver);
    assert_eq!(lane.stats().panicked, 1);
    assert_eq!(handler.run(&lane), [2]);
    assert_eq!(total(&lane), (3, 2, 1));
}

#[test]
fn a_cast_of_an_event_that_fits_allocates_nothing() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::BlockAtMost(Duration::from_micros(1))] {
        let lane = lane(4, overflow);
        let deliver = each(|_| ());
        let measurements = [Some(Number::U64(1)); 8];
        let text = "x".repeat(32);
        let tags = [Value::Str(&text); 8];
        let event = Event::new(metadata(8, 8), &measurements, &tags, None);
        let allocated = allocations::during(|| (0..10_000).for_each(|_| lane.cast(&event, &deliver)));
        assert_eq!(allocated, 0, "{overflow:?}");
        lane.flush(LONG).unwrap();
        assert_eq!(lane.stats().cast, 10_000);
    }
}
