//! Figures that are read when somebody looks.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use telemetry_core::instrument::Counter;
use telemetry_core::metric::{Fault, counter, last_value, sum};
use telemetry_core::registry::Claim;
use telemetry_core::scrape::Total;
use telemetry_core::snapshot::{Snapshot, ValueSnapshot};
use telemetry_core::{Registry, Unit, source};

const PATIENCE: Duration = Duration::from_secs(60);

fn total(registry: &Registry, name: &str) -> Option<f64> {
    registry.snapshot().total(name, &[])
}

fn failures(registry: &Registry, source: &str, reason: &str) -> f64 {
    let labels = [("metric", source), ("reason", reason)];
    registry.snapshot().total("telemetry.metric.unread", &labels).expect("each source has its counts")
}

#[test]
fn a_closure_is_read_anew_by_each_walk_and_by_nobody_else() {
    let registry = Registry::new();
    let reads = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&reads);
    registry.gauge_fn("pool.size", move || read.fetch_add(1, SeqCst)).unwrap().keep();
    assert_eq!(reads.load(SeqCst), 0);
    assert_eq!((total(&registry, "pool.size"), total(&registry, "pool.size")), (Some(0.0), Some(1.0)));
    assert_eq!(reads.load(SeqCst), 2);
}

#[test]
fn totals_are_exact_and_durations_are_converted() {
    let registry = Registry::new();
    registry.counter_fn("a", || u64::MAX).unwrap().keep();
    registry.counter_fn(sum("b").unit(Unit::Second), || Duration::from_millis(1_200)).unwrap().keep();
    registry.gauge_fn(last_value("c").unit(Unit::Millisecond), || Duration::from_secs(2)).unwrap().keep();
    registry.gauge_fn("d", || -3).unwrap().keep();
    registry.counter_fn("e", || 0.5).unwrap().keep();
    let snapshot = registry.snapshot();
    let sample = |name| snapshot.sample(name, &[]).cloned().unwrap();
    assert_eq!(sample("a"), ValueSnapshot::Total(Total::U64(u64::MAX)));
    assert_eq!(sample("b"), ValueSnapshot::Total(Total::F64(1.2)));
    assert_eq!(sample("c"), ValueSnapshot::Gauge(2_000.0));
    assert_eq!(sample("d"), ValueSnapshot::Gauge(-3.0));
    assert_eq!(sample("e"), ValueSnapshot::Total(Total::F64(0.5)));
}

/// V3, V7: one bad value costs nothing but itself, and is counted.
#[test]
fn what_a_series_cannot_be_is_left_out_and_counted() {
    let registry = Registry::new();
    let definition = counter("jobs.done").tags(["queue"]).limit(2);
    let source = registry.counters_fn(definition, |series| {
        series.set(["mail"], 3);
        series.set(["mail"], 4);
        series.set(["negative"], -1);
        series.set(["nan"], f64::NAN);
        series.set(["too", "many"], 1);
        series.set([""; 0], 1);
        series.set(["none"], None::<u64>);
        series.set([String::from("a \"quote\"\n")], 5);
        series.set(["beyond"], 6);
    });
    source.unwrap().keep();
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.family("jobs.done").unwrap().series.len(), 2);
    assert_eq!(snapshot.total("jobs.done", &[("queue", "mail")]), Some(3.0));
    assert_eq!(snapshot.total("jobs.done", &[("queue", "a \"quote\"\n")]), Some(5.0));
    let labels = |reason| [("metric", "jobs.done"), ("reason", reason)];
    let count = |reason| snapshot.total("telemetry.metric.unread", &labels(reason));
    assert_eq!((count("invalid"), count("overflow"), count("panic")), (Some(5.0), Some(1.0), Some(0.0)));
}

#[test]
fn a_source_that_panics_costs_its_own_series_and_is_asked_again() {
    let registry = Registry::new();
    let mut times = 0;
    let source = registry.gauge_fn("flaky", move || {
        times += 1;
        assert!(times != 1, "the first time");
        times
    });
    source.unwrap().keep();
    registry.gauge_fn("steady", || 7).unwrap().keep();
    let snapshot = registry.snapshot();
    assert_eq!((snapshot.total("flaky", &[]), snapshot.total("steady", &[])), (None, Some(7.0)));
    assert_eq!(total(&registry, "flaky"), Some(2.0));
    assert_eq!(failures(&registry, "flaky", "panic"), 1.0);
}

/// One that hangs costs a walk its time-out once; the others are read, and it comes back when it has returned.
#[test]
fn a_source_that_hangs_holds_up_no_other_and_comes_back() {
    let registry = Registry::new();
    let (release, released) = mpsc::channel::<()>();
    let stuck = source::gauge("stuck", move || released.recv().is_err()).timeout(Duration::from_millis(300));
    stuck.register(&registry).unwrap().keep();
    registry.gauge_fn("steady", || 7).unwrap().keep();

    let snapshot = registry.snapshot();
    assert_eq!((snapshot.total("stuck", &[]), snapshot.total("steady", &[])), (None, Some(7.0)));
    assert_eq!(snapshot.family("stuck").unwrap().series, []);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(total(&registry, "stuck"), None);
    }
    assert!(begun.elapsed() < Duration::from_millis(300) * 50, "no walk waits again for one that is late");
    assert!(failures(&registry, "stuck", "late") >= 101.0);

    drop(release);
    let begun = Instant::now();
    while total(&registry, "stuck") != Some(1.0) {
        assert!(begun.elapsed() < PATIENCE, "it has returned");
        thread::yield_now();
    }
}

/// A source is read by one thread at a time, and what a walk sees was read after the walk began.
#[test]
fn walks_at_once_see_values_that_were_read_after_they_began() {
    let registry = Registry::new();
    let truth = Arc::new(AtomicU64::new(0));
    let (inside, read) = (AtomicBool::new(false), Arc::clone(&truth));
    let source = source::counter("truth", move || {
        assert!(!inside.swap(true, SeqCst), "two readings at once");
        let value = read.load(SeqCst);
        thread::yield_now();
        inside.store(false, SeqCst);
        value
    });
    source.timeout(PATIENCE).register(&registry).unwrap().keep();
    let begin = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (registry, truth, begin) = (registry.clone(), Arc::clone(&truth), Arc::clone(&begin));
            thread::spawn(move || {
                begin.wait();
                for _ in 0..200 {
                    let before = truth.fetch_add(1, SeqCst) + 1;
                    let seen = total(&registry, "truth").expect("it answers");
                    assert!(seen >= before as f64, "{seen} is older than {before}");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(failures(&registry, "truth", "panic"), 0.0);
}

#[test]
fn a_registration_removes_its_source_and_frees_the_name() {
    let registry = Registry::new();
    let held = Arc::new(());
    let there = Arc::clone(&held);
    let registration = registry.gauge_fn("pool.size", move || Arc::strong_count(&there)).unwrap();
    assert_eq!(total(&registry, "pool.size"), Some(2.0));
    let fault = registry.gauge_fn("pool.size", || 1).unwrap_err();
    assert_eq!(fault.fault(), &Fault::Repeated);
    drop(registration);
    assert_eq!(registry.snapshot().family("pool.size").map(|_| ()), None);
    assert_eq!(Arc::strong_count(&held), 1, "the closure is dropped");
    registry.gauge_fn("pool.size", || 1).unwrap().keep();
    assert_eq!(total(&registry, "pool.size"), Some(1.0));
}

/// V4: names are checked against metrics that count, in both directions, as they are exposed.
#[test]
fn names_are_shared_with_no_other_metric() {
    let registry = Registry::new();
    registry.exposed_names(|family| vec![Claim::family(family.name().replace('.', "_"))]).unwrap();
    let held = registry.register::<Counter>(counter("a.b")).unwrap();
    assert_eq!(registry.counter_fn("a.b", || 1).unwrap_err().fault(), &Fault::Repeated);
    let collision = registry.counter_fn("a_b", || 1).unwrap_err();
    assert!(matches!(collision.fault(), Fault::Collision { .. }), "{collision}");
    drop(held);

    let read = registry.counter_fn("c.d", || 1).unwrap();
    assert_eq!(registry.register::<Counter>(counter("c.d")).unwrap_err().fault(), &Fault::Repeated);
    assert!(matches!(registry.register::<Counter>(counter("c_d")).unwrap_err().fault(), Fault::Collision { .. }));
    assert!(registry.exposed_names(|_| vec![Claim::family("same")]).is_err());
    drop(read);
    registry.register::<Counter>(counter("c_d")).unwrap();
}

/// M1-M7: a definition that can't be meant is refused, and says what to do.
#[test]
fn definitions_that_cannot_be_meant_are_refused() {
    let registry = Registry::new();
    let second = Duration::from_secs(1);
    let message = |definition| registry.gauge_fn(definition, || 1).unwrap_err().to_string();
    assert!(message(counter("a")).contains("defined as a counter, and asked for as a last_value"));
    assert!(message(last_value("a").expiry(second, second)).contains("`expiry` belongs to metrics that are counted"));
    assert!(message(last_value("a").tags(["x"]).values("x", ["1"])).contains("`values` belongs to"));
    assert!(message(last_value("a").tags(["le"])).contains("reserved"));
    assert!(message(last_value("a..b")).contains("its name is not one"));
    assert!(message(last_value("a").event("b.c")).contains("takes no event"));
    let fault = registry.counter_fn(last_value("a"), || 1).unwrap_err();
    assert_eq!(fault.fault(), &Fault::Kind { defined: "last_value", asked: "counter" });
}

/// Polls a task whenever it is woken, as a runtime would; stops when the task ends or the handle is dropped.
struct Runtime(Option<thread::JoinHandle<bool>>, mpsc::Sender<Signal>);

enum Signal {
    Woken,
    Stop,
}

struct Bell(Mutex<mpsc::Sender<Signal>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(Signal::Woken);
    }
}

impl Runtime {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let (send, woken) = mpsc::channel();
        let waker = Waker::from(Arc::new(Bell(Mutex::new(send.clone()))));
        let thread = thread::spawn(move || {
            let mut task = pin!(task);
            loop {
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    return true;
                }
                match woken.recv_timeout(PATIENCE) {
                    Ok(Signal::Woken) => {}
                    Ok(Signal::Stop) | Err(_) => return false,
                }
            }
        });
        Self(Some(thread), send)
    }

    /// Whether the task has ended by itself.
    fn ended(mut self) -> bool {
        self.0.take().unwrap().join().unwrap()
    }

    fn stop(mut self) {
        self.1.send(Signal::Stop).unwrap();
        self.0.take().unwrap().join().unwrap();
    }
}

#[test]
fn an_asynchronous_source_is_awaited_by_each_walk() {
    let registry = Registry::new();
    let reads = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&reads);
    let rows = source::gauge_async("rows", move || {
        let read = Arc::clone(&read);
        async move {
            // Pending once, as what waits for a socket is.
            let mut polled = false;
            std::future::poll_fn(move |context| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            read.fetch_add(1, SeqCst)
        }
    });
    let (registration, task) = rows.timeout(PATIENCE).register(&registry).unwrap();
    let runtime = Runtime::spawn(task);
    assert_eq!((total(&registry, "rows"), total(&registry, "rows")), (Some(0.0), Some(1.0)));
    assert_eq!(reads.load(SeqCst), 2);
    drop(registration);
    assert!(runtime.ended(), "the task ends with its registration");
    assert_eq!(total(&registry, "rows"), None);
}

#[test]
fn an_asynchronous_source_of_several_series_is_awaited() {
    let registry = Registry::new();
    let definition = counter("rows").tags(["table"]);
    let rows = source::counters_async(definition, || async { vec![(["orders"], 3_u64), (["carts"], 5)] });
    let (registration, task) = rows.timeout(PATIENCE).register(&registry).unwrap();
    let runtime = Runtime::spawn(task);
    assert_eq!(registry.snapshot().total("rows", &[("table", "carts")]), Some(5.0));
    registration.keep();
    drop(registry);
    assert!(runtime.ended(), "the task ends with its registry");
}

/// A future that hangs is dropped when it is late, so the next is awaited; one that panics is counted.
#[test]
fn an_asynchronous_source_recovers_from_hanging_and_from_panics() {
    let registry = Registry::new();
    let mut times = 0;
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    let rows = source::gauge_async("rows", move || {
        times += 1;
        let (time, held) = (times, Arc::clone(&held));
        assert!(time != 2, "no future is made");
        async move {
            let _held = held;
            match time {
                1 => pending().await,
                3 => panic!("within the future"),
                _ => {}
            }
            time
        }
    });
    let (registration, task) = rows.timeout(Duration::from_millis(200)).register(&registry).unwrap();
    let runtime = Runtime::spawn(task);
    let begun = Instant::now();
    while total(&registry, "rows").is_none() {
        assert!(begun.elapsed() < PATIENCE, "it recovers");
    }
    assert!(failures(&registry, "rows", "late") >= 1.0);
    assert_eq!(failures(&registry, "rows", "panic"), 2.0);
    assert_eq!(Arc::strong_count(&dropped), 2, "no future is kept");
    drop(registration);
    assert!(runtime.ended());
}

#[test]
fn a_task_that_is_gone_is_not_waited_for() {
    let registry = Registry::new();
    let rows = source::gauge_async("rows", || async { 3 }).timeout(PATIENCE * 60);
    let (registration, task) = rows.register(&registry).unwrap();
    let runtime = Runtime::spawn(task);
    assert_eq!(total(&registry, "rows"), Some(3.0));
    runtime.stop();
    let begun = Instant::now();
    assert_eq!(total(&registry, "rows"), None);
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(failures(&registry, "rows", "gone"), 2.0);
    drop(registration);
}

/// A closure may look at the registry that reads it: it does not wait for itself for ever.
#[test]
fn a_source_that_scrapes_its_own_registry_does_not_hang() {
    let registry = Registry::new();
    let own = registry.clone();
    let source = source::gauge("nested", move || own.snapshot().families().len());
    let registration = source.timeout(Duration::from_millis(100)).register(&registry).unwrap();
    registry.gauge_fn("other", || 1).unwrap().keep();
    assert_eq!(total(&registry, "other"), Some(1.0));
    assert!(failures(&registry, "nested", "late") >= 1.0);
    drop(registration);
}

/// A walk can be stepped by who must not wait: it is told for how long, and woken by the answer.
#[test]
fn a_walk_tells_whether_its_next_step_would_wait() {
    let registry = Registry::new();
    let (release, released) = mpsc::channel::<()>();
    let slow = move || released.recv_timeout(PATIENCE).is_ok();
    source::gauge("slow", slow).timeout(PATIENCE).register(&registry).unwrap().keep();
    let (send, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(Mutex::new(send))));
    let (mut walk, mut snapshot) = (registry.scrape(), Snapshot::default());
    while walk.waits(Some(&waker)).is_none() {
        assert!(walk.step(&mut snapshot), "it comes to the source");
    }
    assert!(woken.try_recv().is_err());
    release.send(()).unwrap();
    assert!(matches!(woken.recv_timeout(PATIENCE), Ok(Signal::Woken)));
    assert_eq!(walk.waits(None), None);
    walk.run(&mut snapshot);
    assert_eq!(snapshot.total("slow", &[]), Some(1.0));

    // Without an answer, it waits no longer than it is told to.
    let (mut walk, mut snapshot) = (registry.scrape(), Snapshot::default());
    walk.wait_until(Instant::now() + Duration::from_millis(20));
    while walk.step(&mut snapshot) {}
    assert_eq!(snapshot.total("slow", &[]), None);
    drop(release);
    assert_eq!(failures(&registry, "slow", "late"), 1.0);
}
