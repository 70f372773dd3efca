//! Poller: cadence, time-outs, back-off, its own figures, and jobs that come and go.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use telemetry_core::poller::{AddError, PollError, Poller, RemoveError, StartError, StopError, job};
use telemetry_core::{Clock, Dispatch, Event, Hands, Registry, emit};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A poller on a clock that the test drives, with its figures.
struct Bench {
    poller: Poller,
    hands: Hands,
    registry: Registry,
    dispatch: Dispatch,
}

impl Bench {
    fn new() -> Self {
        let (clock, hands) = Clock::manual();
        let (registry, dispatch) = (Registry::new(), Dispatch::new());
        let poller = Poller::builder("bench").every(SECOND).clock(&clock).dispatch(&dispatch).start().unwrap();
        registry.source(poller.figures());
        Self { poller, hands, registry, dispatch }
    }

    fn figure(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = [("poller", "bench")].iter().chain(labels).copied().collect();
        self.registry.snapshot().total(name, &labels).unwrap_or(f64::NAN)
    }

    fn runs(&self, job: &str, outcome: &str) -> f64 {
        self.figure("telemetry.poller.runs", &[("job", job), ("outcome", outcome)])
    }

    /// Waits for what other threads are about to do.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn until_runs(&self, job: &str, outcome: &str, number: f64) {
        self.until(&format!("{job} has run {number} times"), |bench| bench.runs(job, outcome) >= number);
        assert_eq!(self.runs(job, outcome), number);
    }
}

/// Poller: fixed cadence; due at once, then whole periods later, and never in between.
#[test]
fn a_job_runs_once_in_each_period() {
    let bench = Bench::new();
    bench.poller.add(job("tick", || {})).unwrap();
    bench.until_runs("tick", "ok", 1.0);
    for period in 2..6 {
        bench.hands.advance(SECOND / 2);
        thread::sleep(Duration::from_millis(10));
        assert_eq!(bench.runs("tick", "ok"), f64::from(period - 1), "it is not due");
        bench.hands.advance(SECOND / 2);
        bench.until_runs("tick", "ok", f64::from(period));
    }
    assert_eq!(bench.figure("telemetry.poller.last_success", &[("job", "tick")]), 4.0);
    bench.hands.advance(SECOND * 10);
    bench.until_runs("tick", "ok", 6.0);
    assert_eq!(bench.figure("telemetry.poller.missed", &[("job", "tick")]), 9.0, "what passed is not made up for");
}

/// Poller: a job that hangs has failed when its time is up, never runs twice at once, and delays no other.
#[test]
fn a_job_that_hangs_delays_no_other_and_comes_back() {
    let bench = Bench::new();
    let (release, released) = mpsc::channel::<()>();
    let mut times = 0;
    let hangs = move || {
        times += 1;
        if times == 1 {
            let _ = released.recv();
        }
    };
    bench.poller.add(job("hangs", hangs).timeout(SECOND * 2)).unwrap();
    bench.poller.add(job("other", || {})).unwrap();
    bench.until_runs("other", "ok", 1.0);
    for period in 1..4 {
        bench.hands.advance(SECOND);
        bench.until_runs("other", "ok", f64::from(period) + 1.0);
    }
    bench.until_runs("hangs", "timeout", 1.0);
    assert_eq!(bench.runs("hangs", "ok"), 0.0);
    drop(release);
    bench.until("it has returned", |bench| bench.figure("telemetry.poller.duration", &[("job", "hangs")]) >= 0.0);
    assert_eq!(bench.runs("hangs", "ok"), 0.0, "what came too late is no success");
    let before = bench.figure("telemetry.poller.missed", &[("job", "hangs")]);
    assert!(before >= 1.0, "{before}");
    bench.hands.advance(SECOND * 4);
    bench.until_runs("hangs", "ok", 1.0);
    bench.hands.advance(SECOND);
    bench.until_runs("hangs", "ok", 2.0);
}

/// Poller: a failing job backs off and comes back; each failure is counted by its reason, and is an event.
#[test]
fn a_job_that_fails_backs_off_and_comes_back() {
    let bench = Bench::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let handler = move |event: &Event<'_>| keep.lock().unwrap().push(event.to_string());
    bench.dispatch.attach("seen", "telemetry.poller.failure", handler).unwrap();
    let mut times = 0;
    let fails = move || {
        times += 1;
        match times {
            1 => Err(PollError::failed("no answer")),
            2 => panic!("no luck"),
            _ => Ok(()),
        }
    };
    bench.poller.add(job("fails", fails)).unwrap();
    bench.until_runs("fails", "error", 1.0);
    bench.hands.advance(SECOND);
    thread::sleep(Duration::from_millis(10));
    assert_eq!(bench.runs("fails", "panic"), 0.0, "it waits for two periods");
    bench.hands.advance(SECOND);
    bench.until_runs("fails", "panic", 1.0);
    bench.hands.advance(SECOND * 3);
    thread::sleep(Duration::from_millis(10));
    assert_eq!(bench.runs("fails", "ok"), 0.0, "it waits for four periods");
    for success in 1..4 {
        bench.hands.advance(SECOND);
        bench.until_runs("fails", "ok", f64::from(success));
    }
    assert_eq!(bench.figure("telemetry.poller.missed", &[("job", "fails")]), 0.0);
    bench.until("both failures are told of", |_| seen.lock().unwrap().len() == 2);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            r#"telemetry.poller.failure {} { poller: "bench", job: "fails", reason: "error", message: "no answer" }"#,
            r#"telemetry.poller.failure {} { poller: "bench", job: "fails", reason: "panic", message: "no luck" }"#,
        ]
    );
}

/// Poller: a missing source is skipped, not an error, and the job keeps its cadence.
#[test]
fn what_is_missing_is_no_failure() {
    let bench = Bench::new();
    let file = || {
        fs::read_to_string("/there/is/no/such/file")?;
        Ok::<(), PollError>(())
    };
    bench.poller.add(job("file", file)).unwrap();
    bench.poller.add(job("process", || Err(io::Error::from_raw_os_error(3)))).unwrap();
    bench.poller.add(job("said", || Err(PollError::missing("no such queue")))).unwrap();
    for period in 1..4 {
        for job in ["file", "process", "said"] {
            bench.until_runs(job, "missing", f64::from(period));
            assert_eq!(bench.runs(job, "error"), 0.0);
        }
        bench.hands.advance(SECOND);
    }
    assert!(bench.figure("telemetry.poller.last_success", &[("job", "file")]).is_nan(), "it is no success either");
}

/// Poller: errors tell of their causes.
#[test]
fn any_error_becomes_an_error_of_a_job() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the spool can't be read")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = PollError::from(Outer(io::Error::other("disk on fire")));
    assert_eq!((error.to_string().as_str(), error.is_missing()), ("the spool can't be read: disk on fire", false));
    assert!(PollError::from(Outer(io::ErrorKind::NotFound.into())).is_missing());
}

#[test]
fn jobs_come_and_go_while_the_poller_runs() {
    let bench = Bench::new();
    let held = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&held);
    let counts = move || {
        count.fetch_add(1, SeqCst);
    };
    bench.poller.add(job("a", counts)).unwrap();
    bench.poller.add(job("b", || {})).unwrap();
    assert_eq!(bench.poller.add(job("a", || {})), Err(AddError::Taken { job: "a".to_owned() }));
    bench.until_runs("a", "ok", 1.0);
    bench.poller.remove("a").unwrap();
    assert_eq!(bench.poller.remove("a"), Err(RemoveError::Unknown { job: "a".to_owned() }));
    assert_eq!(bench.poller.jobs(), ["b"]);
    assert!(bench.runs("a", "ok").is_nan(), "its series is gone");
    bench.hands.advance(SECOND);
    bench.until_runs("b", "ok", 2.0);
    assert_eq!(held.load(SeqCst), 1);
    assert_eq!(Arc::strong_count(&held), 1, "what it held is dropped");
    bench.poller.add(job("a", || {})).unwrap();
    bench.until_runs("a", "ok", 1.0);
}

/// Poller: a job that is removed while it runs is left to return, and a new one of its id is not taken for it.
#[test]
fn a_job_can_be_removed_while_it_runs() {
    let bench = Bench::new();
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let held = Arc::new(());
    let there = Arc::clone(&held);
    let runs = move || {
        let _there = &there;
        begin.send(()).unwrap();
        let _ = released.recv();
    };
    bench.poller.add(job("a", runs)).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    bench.poller.remove("a").unwrap();
    bench.poller.add(job("a", || Err(PollError::failed("the new one")))).unwrap();
    bench.until_runs("a", "error", 1.0);
    drop(release);
    bench.until("the old one is dropped", |_| Arc::strong_count(&held) == 1);
    assert_eq!((bench.runs("a", "ok"), bench.runs("a", "error")), (0.0, 1.0));
}

/// X6: jobs emit where the poller was started, or where it was told.
#[test]
fn jobs_emit_in_the_dispatcher_of_their_poller() {
    let dispatch = Dispatch::new();
    let (send, sent) = mpsc::channel();
    let send = Mutex::new(send);
    let handler = move |event: &Event<'_>| send.lock().unwrap().send(event.name()).unwrap();
    dispatch.attach("seen", "poller.job.*", handler).unwrap();
    let poller = dispatch.run(|| Poller::builder("scoped").start().unwrap());
    poller.add(job("emits", || emit!("poller.job.emitted"))).unwrap();
    assert_eq!(sent.recv_timeout(PATIENCE), Ok("poller.job.emitted"));
    poller.stop(PATIENCE).unwrap();
}

/// Poller: on the system's clock, without a hand that drives it.
#[test]
fn a_poller_on_the_systems_clock_runs_its_jobs() {
    let poller = Poller::builder("system").every(Duration::from_millis(5)).start().unwrap();
    let (send, sent) = mpsc::channel();
    poller.add(job("ticks", move || send.send(()).unwrap_or_default())).unwrap();
    (0..10).for_each(|_| sent.recv_timeout(PATIENCE).unwrap());
    poller.stop(PATIENCE).unwrap();
    while sent.try_recv().is_ok() {}
    assert_eq!(sent.recv_timeout(Duration::from_millis(50)), Err(mpsc::RecvTimeoutError::Disconnected));
}

/// Poller: stop waits for what runs, and tells what hangs.
#[test]
fn stop_joins_and_names_the_jobs_that_hang() {
    let bench = Bench::new();
    let done = Arc::new(AtomicU64::new(0));
    let (begin, begun) = mpsc::channel();
    let does = Arc::clone(&done);
    let slow = move || {
        begin.send(()).unwrap();
        thread::sleep(Duration::from_millis(50));
        does.store(1, SeqCst);
    };
    bench.poller.add(job("slow", slow)).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    bench.poller.stop(PATIENCE).unwrap();
    assert_eq!(done.load(SeqCst), 1, "it was waited for");

    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let bench = Bench::new();
    let hangs = move || {
        begin.send(()).unwrap();
        let _ = released.recv();
    };
    bench.poller.add(job("hangs", hangs)).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    let error = bench.poller.stop(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error, StopError::Hanging { poller: "bench".to_owned(), jobs: vec!["hangs".to_owned()] });
    drop(release);
}

/// Poller: hundreds of jobs share a thread, whatever is due at once.
#[test]
fn many_jobs_share_a_thread() {
    let bench = Bench::new();
    let threads = Arc::new(Mutex::new(std::collections::HashSet::new()));
    for n in 0..200 {
        let threads = Arc::clone(&threads);
        bench
            .poller
            .add(job(format!("job{n}"), move || {
                threads.lock().unwrap().insert(thread::current().id());
            }))
            .unwrap();
    }
    for n in 0..200 {
        bench.until_runs(&format!("job{n}"), "ok", 1.0);
    }
    // More than a few only where threads wait so long for a core that jobs seem to hang.
    assert!(threads.lock().unwrap().len() <= 50, "{}", threads.lock().unwrap().len());
}

#[test]
fn periods_of_zero_are_refused() {
    let zero = Poller::builder("zero").every(Duration::ZERO).start();
    assert!(matches!(zero, Err(StartError::Period { .. })), "{zero:?}");
    let bench = Bench::new();
    let zero = || AddError::Zero { job: "a".to_owned() };
    assert_eq!(bench.poller.add(job("a", || {}).every(Duration::ZERO)), Err(zero()));
    assert_eq!(bench.poller.add(job("a", || {}).timeout(Duration::ZERO)), Err(zero()));
}
