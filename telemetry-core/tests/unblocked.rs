//! Nothing that reads the store holds up who writes to it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use telemetry_core::family::Family;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::{counter, distribution};
use telemetry_core::scrape::{Series, Visit};
use telemetry_core::snapshot::Snapshot;
use telemetry_core::{Clock, Dispatch, Registry, emit};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// More than a step of a scrape shows.
const SERIES: u64 = 1_000;

fn registry() -> (Registry, Dispatch) {
    let (clock, _) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let metrics = [
        counter("unblocked.count").tags(["n"]).limit(10_000).expiry(SECOND, SECOND),
        distribution("unblocked.size").tags(["n"]).limit(10_000).expiry(SECOND, SECOND),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    (registry, dispatch)
}

/// Emits for each number, on a thread that begins and ends with it, and fails if that takes too long.
#[track_caller]
fn emit_on_a_thread(dispatch: &Dispatch, numbers: std::ops::Range<u64>) {
    let (tell, told) = mpsc::channel();
    let dispatch = dispatch.clone();
    let thread = thread::spawn(move || {
        dispatch.run(|| numbers.for_each(|n| emit!("unblocked", { size: 1_u64 }, { n })));
        tell.send(()).unwrap();
    });
    told.recv_timeout(PATIENCE).expect("an emission waits for a scrape");
    thread.join().unwrap();
}

fn total(snapshot: &Snapshot, name: &str) -> u64 {
    let series = &snapshot.family(name).unwrap().series;
    series.iter().map(|series| snapshot.total(name, &[("n", &series.labels["n"])]).unwrap() as u64).sum()
}

/// A scrape that stops for as long as it likes holds up neither series that exist, nor new ones, nor new threads; and
/// what a thread has added that was joined meanwhile is in the rest of what it shows.
#[test]
fn a_scrape_that_stands_still_holds_nobody_up() {
    let (registry, dispatch) = registry();
    emit_on_a_thread(&dispatch, 0..SERIES);
    let mut scrape = registry.scrape();
    let mut shown = Snapshot::default();
    assert!(scrape.step(&mut shown));
    let before = shown.families()[0].series.len() as u64;
    assert!(before > 0 && before < SERIES);
    // From threads that live at the same time, so that they own shards which the scrape has not seen.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| emit_on_a_thread(&dispatch, 0..2 * SERIES));
        }
    });
    // Also one that sweeps, and one that reads it all.
    assert_eq!(total(&registry.snapshot(), "unblocked.count"), SERIES + 4 * 2 * SERIES);
    while scrape.step(&mut shown) {}
    // What was shown before the threads began shows one event each, what was shown after five, or four for the new ones.
    assert_eq!(total(&shown, "unblocked.count"), before + 5 * (SERIES - before) + 4 * SERIES);
    assert_eq!(total(&shown, "unblocked.size"), 5 * SERIES + 4 * SERIES);
}

/// Waits at the first series.
struct Blocking {
    reached: Option<mpsc::Sender<()>>,
    go_on: mpsc::Receiver<()>,
    series: usize,
}

impl Visit for Blocking {
    fn family(&mut self, _: &Family) {}

    fn series(&mut self, _: &Series<'_>) {
        self.series += 1;
        if let Some(reached) = self.reached.take() {
            reached.send(()).unwrap();
            self.go_on.recv().unwrap();
        }
    }
}

/// A visitor that blocks holds up nobody either: not who emits, holds, resets or scrapes.
#[test]
fn a_visitor_that_blocks_holds_nobody_up() {
    let (registry, dispatch) = registry();
    emit_on_a_thread(&dispatch, 0..SERIES);
    let (reach, reached) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let scraper = {
        let registry = registry.clone();
        thread::spawn(move || {
            let mut visitor = Blocking { reached: Some(reach), go_on: wait, series: 0 };
            registry.scrape().run(&mut visitor);
            visitor.series
        })
    };
    reached.recv_timeout(PATIENCE).unwrap();
    emit_on_a_thread(&dispatch, 0..2 * SERIES);
    let jobs = registry.register::<Counter>(counter("jobs").tags(["queue"])).unwrap();
    jobs.with(["mail"]).unwrap().increment();
    assert_eq!(registry.reset("unblocked.count", &[("n", "7")]), 1);
    let snapshot = registry.snapshot();
    assert_eq!(total(&snapshot, "unblocked.count"), 3 * SERIES - 2);
    assert_eq!(snapshot.total("jobs", &[("queue", "mail")]), Some(1.0));
    go_on.send(()).unwrap();
    assert!(scraper.join().unwrap() >= 2 * SERIES as usize);
}
