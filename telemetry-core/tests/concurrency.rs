//! Attaching and detaching while other threads emit.

mod declare;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

use declare::{comes_true, emit};
use telemetry_core::{Dispatch, DynamicEvent, Event};

/// Counts how many handlers are alive, and how many were at once.
#[derive(Default)]
struct Alive {
    now: AtomicI64,
    most: AtomicI64,
}

struct Token(Arc<Alive>);

impl Token {
    fn new(alive: &Arc<Alive>) -> Self {
        alive.most.fetch_max(alive.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

/// X5: 10,000 attach/detach pairs under emitting threads: a handler that stays gets every event, those that come see
/// what is emitted while they are attached, and the handlers kept alive are bounded by the number of threads.
#[test]
fn attaching_and_detaching_loses_no_event_and_no_memory() {
    const THREADS: usize = 2;
    callsite!(SITE: "x5.event", [], []);
    let (dispatch, alive) = (Dispatch::new(), Arc::new(Alive::default()));
    let received = Arc::new(AtomicU64::new(0));
    let receive = Arc::clone(&received);
    dispatch.attach("stays", "x5.event", move |_: &Event<'_>| _ = receive.fetch_add(1, SeqCst)).unwrap();
    let is_over = AtomicBool::new(false);
    let emitted = thread::scope(|scope| {
        let emitters: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let _scope = dispatch.enter();
                    let mut emitted = 0_u64;
                    while !is_over.load(SeqCst) {
                        assert!(emit(&SITE), "somebody always listens");
                        emitted += 1;
                    }
                    emitted
                })
            })
            .collect();
        let _scope = dispatch.enter();
        let mut emitted_here = 0;
        for round in 0..10_000 {
            let (token, own) = (Token::new(&alive), Arc::new(AtomicU64::new(0)));
            let count = Arc::clone(&own);
            let comes = move |_: &Event<'_>| {
                let _alive = &token;
                count.fetch_add(1, SeqCst);
            };
            dispatch.attach("comes", "x5.*", comes).unwrap();
            if round % 10 == 0 {
                emit(&SITE);
                emitted_here += 1;
                assert!(own.load(SeqCst) >= 1, "it is in force when `attach` has returned");
            }
            dispatch.detach("comes").unwrap();
        }
        is_over.store(true, SeqCst);
        emitted_here + emitters.into_iter().map(|emitter| emitter.join().unwrap()).sum::<u64>()
    });
    assert_eq!(received.load(SeqCst), emitted);
    let most = alive.most.load(SeqCst);
    assert!(most <= 4 * (THREADS as i64 + 1), "{most} handlers were alive at once");
    assert!(comes_true(|| alive.now.load(SeqCst) == 0));
}

/// X4: callsites that several threads reach for the first time, while handlers come and go, in this dispatcher and in
/// another: no event is lost.
#[test]
fn callsites_reached_while_handlers_come_and_go_lose_no_event() {
    const THREADS: usize = 3;
    const EVENTS: usize = 200;
    let events: Vec<_> = (0..EVENTS).map(|n| DynamicEvent::new(&format!("x4.event{n}"), &[], &[]).unwrap()).collect();
    let dispatch = Dispatch::new();
    let received = Arc::new(AtomicU64::new(0));
    let receive = Arc::clone(&received);
    dispatch.attach("stays", "x4.*", move |_: &Event<'_>| _ = receive.fetch_add(1, SeqCst)).unwrap();
    let (start, is_over) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let emitters: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    dispatch.run(|| events.iter().for_each(|event| event.emit(&[], &[])));
                })
            })
            .collect();
        scope.spawn(|| {
            start.wait();
            while !is_over.load(SeqCst) {
                let other = Dispatch::new();
                other.attach("other", "x4.*", |_: &Event<'_>| {}).unwrap();
                dispatch.attach("comes", "x4.event7", |_: &Event<'_>| {}).unwrap();
                drop(other);
                dispatch.detach("comes").unwrap();
            }
        });
        emitters.into_iter().for_each(|emitter| emitter.join().unwrap());
        is_over.store(true, SeqCst);
    });
    assert_eq!(received.load(SeqCst), (THREADS * EVENTS) as u64);
    drop(dispatch);
    assert!(comes_true(|| events.iter().all(|event| !event.is_wanted())), "nobody is left to want them");
}

/// Two threads that use the global dispatcher first, at once, use the same one.
#[test]
fn the_global_dispatcher_is_one() {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        for id in ["one", "two"] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                Dispatch::global().attach(id, "global.event", |_: &Event<'_>| {}).unwrap();
            });
        }
    });
    assert_eq!(telemetry_core::handlers("global").len(), 2);
}
