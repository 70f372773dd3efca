//! A process that forks while others of its threads emit.
#![cfg(target_os = "linux")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use telemetry_core::instrument::{Counter, Histogram};
use telemetry_core::metric::{counter, distribution};
use telemetry_core::{Aggregator, Clock, Dispatch, Event, Registry, emit};

const FORKS: u32 = 100;
const THREADS: u64 = 4;
/// What a child may take, in seconds; then the system kills it, so that one which hangs is seen.
const CHILD_SECONDS: u32 = 60;

/// Runs `child` in a process of its own, which has no other thread, and waits for it.
fn fork(child: impl FnOnce()) {
    // SAFETY: the child goes on as a process with one thread. It uses what the others may have been in the midst of, as
    // is the point here; `std` and the allocator of the C library are made for that.
    let process = unsafe { libc::fork() };
    if process == 0 {
        // SAFETY: it takes an integer.
        unsafe { libc::alarm(CHILD_SECONDS) };
        let code = if catch_unwind(AssertUnwindSafe(child)).is_ok() { 0 } else { 1 };
        // SAFETY: it takes an integer, and runs nothing of the parent's, such as the test harness's reports.
        unsafe { libc::_exit(code) };
    }
    assert!(process > 0, "the system can't fork");
    let mut status = 0;
    // SAFETY: `status` is ours.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert!(!libc::WIFSIGNALED(status), "the child hangs, or crashed: signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed, see its message");
}

fn emit_all(n: u64) {
    emit!("fork.work", { size: n }, { n: n % 8 });
}

struct Held {
    registry: Registry,
    aggregator: Aggregator,
    count: Counter,
    sizes: Histogram,
    hands: telemetry_core::Hands,
}

impl Held {
    /// What a child does: everything that its parent could.
    fn live_on(&self, dispatch: &Dispatch) {
        let registry = &self.registry;
        let work = || (0..8).map(|n: u64| registry.snapshot().total("fork.work.count", &[("n", &n.to_string())]));
        let before: f64 = work().flatten().sum();
        let held = registry.snapshot().total("fork.held", &[]).expect("a counter");
        for n in 0..800 {
            emit_all(n);
            self.count.increment();
            self.sizes.record(n);
        }
        let after: f64 = work().flatten().sum();
        assert_eq!(after - before, 800.0, "it counts alone, from where its parent was");
        assert_eq!(registry.snapshot().total("fork.held", &[]), Some(held + 800.0));

        // Series, handlers and metrics of its own.
        emit!("fork.work", { size: 1_u64 }, { n: 1_000 });
        assert_eq!(registry.snapshot().total("fork.work.count", &[("n", "1000")]), Some(1.0));
        dispatch.attach("of the child", "fork.work", |_: &Event<'_>| {}).expect("a free id");
        emit_all(0);
        dispatch.detach("of the child").expect("it is attached");
        let own = registry.register::<Counter>(counter("fork.own")).expect("a metric").single().expect("no labels");
        own.increment();
        assert_eq!(registry.snapshot().total("fork.own", &[]), Some(1.0));

        // Threads of its own, and series that expire.
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| dispatch.run(|| (0..100).for_each(emit_all)));
            }
        });
        registry.sweep();
        self.hands.advance(Duration::from_secs(1_000));
        registry.sweep();
        let kept = registry.snapshot().total("telemetry.metric.series", &[("metric", "fork.work.count")]);
        assert_eq!(kept, Some(0.0), "the memory of idle series is given back, though others were emitting to them");
        emit_all(0);
        assert_eq!(registry.snapshot().total("fork.work.count", &[("n", "0")]), Some(1.0));
        assert!(self.aggregator.events().next().is_some());
    }
}

/// Fork: whatever the other threads were doing when the process forked, the child counts, scrapes, attaches and expires
/// by itself, and the parent's totals do not notice.
#[test]
fn a_child_that_was_forked_while_others_emit_lives_on() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let second = Duration::from_secs(1);
    let metrics = [
        counter("fork.work.count").tags(["n"]).expiry(100 * second, 100 * second),
        distribution("fork.work.size").tags(["n"]).expiry(100 * second, 100 * second),
    ];
    let dispatch = Dispatch::new();
    let aggregator = registry.aggregator(metrics).unwrap();
    aggregator.attach_to(&dispatch, "metrics").unwrap();
    let count = registry.register::<Counter>(counter("fork.held")).unwrap().single().unwrap();
    let sizes = registry.register::<Histogram>(distribution("fork.sizes")).unwrap().single().unwrap();
    let held = Held { registry: registry.clone(), aggregator, count, sizes, hands };
    // The series that they emit are there: making one takes a lock, which a child would find taken for ever.
    dispatch.run(|| (0..8).for_each(emit_all));

    let is_over = AtomicBool::new(false);
    let emitted: u64 = thread::scope(|scope| {
        let (began, begin) = std::sync::mpsc::channel();
        let emitters: Vec<_> = (0..THREADS)
            .map(|_| {
                let (began, is_over, held, dispatch) = (began.clone(), &is_over, &held, &dispatch);
                scope.spawn(move || {
                    let _scope = dispatch.enter();
                    let mut n = 0;
                    while !is_over.load(SeqCst) {
                        emit_all(n);
                        held.count.increment();
                        n += 1;
                        if n == 1 {
                            began.send(()).expect("somebody waits");
                        }
                    }
                    n
                })
            })
            .collect();
        begin.iter().take(emitters.len()).for_each(drop);
        let forked = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..FORKS {
                fork(|| dispatch.run(|| held.live_on(&dispatch)));
            }
        }));
        // Whatever came of it, the emitters are waited for.
        is_over.store(true, SeqCst);
        if let Err(panic) = forked {
            resume_unwind(panic);
        }
        emitters.into_iter().map(|emitter| emitter.join().expect("an emitter")).sum()
    });
    #[allow(clippy::cast_precision_loss, reason = "a few millions")]
    let expected = emitted as f64;
    assert_eq!(registry.snapshot().total("fork.held", &[]), Some(expected));
}
