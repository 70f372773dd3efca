//! Everything at once, and totals that are exact at the end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use telemetry_core::family::Family;
use telemetry_core::instrument::{Buckets, Counter, Histogram, Sum};
use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::scrape::{Sample, Series, Total, Visit};
use telemetry_core::{Clock, Dispatch, Registry, emit};

/// How much less is done where every access is checked or nothing is optimised.
const fn scaled(many: u64, few: u64) -> u64 {
    if cfg!(debug_assertions) { few } else { many }
}

/// The totals of each family: of counters and sums as they are, of histograms the count.
#[derive(Default)]
struct Totals {
    family: String,
    totals: HashMap<String, u64>,
    series: HashMap<String, HashMap<String, u64>>,
}

impl Totals {
    fn of(registry: &Registry) -> Self {
        let mut totals = Self::default();
        registry.scrape().run(&mut totals);
        totals
    }

    fn total(&self, family: &str) -> u64 {
        self.totals.get(family).copied().unwrap_or(0)
    }

    fn series(&self, family: &str, label: &str) -> Option<u64> {
        self.series.get(family)?.get(label).copied()
    }
}

impl Visit for Totals {
    fn family(&mut self, family: &Family) {
        family.name().clone_into(&mut self.family);
    }

    fn series(&mut self, series: &Series<'_>) {
        let total = match series.sample {
            Sample::Total(Total::U64(total)) => total,
            Sample::Histogram(histogram) => histogram.count(),
            _ => return,
        };
        *self.totals.entry(self.family.clone()).or_default() += total;
        // Of the family with a hundred thousand series the total is enough.
        if !self.family.starts_with("stress.grow") {
            let label = series.labels.iter().map(|(_, value)| value).collect::<String>();
            self.series.entry(self.family.clone()).or_default().insert(label, total);
        }
    }
}

/// Draws the same numbers each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Runs eight threads, and waits until they have ended: a scope by itself waits for their closures only.
fn eight_at_once(body: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        let body = &body;
        let threads: Vec<_> = (0..8).map(|at| scope.spawn(move || body(at))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

const SECOND: Duration = Duration::from_secs(1);
/// Series that get events all the time, and are never idle for as long as it takes to be forgotten.
const BUSY: [&str; 4] = ["mail", "print", "scan", "fax"];

/// V7, V8, V9: short threads come and go, a family grows to many series, another's series are forgotten and come back,
/// handles are held, series are reset and removed, and all is scraped meanwhile. What is not reset is exact, no total
/// goes back, and no event of a series that is in use is lost.
#[test]
fn everything_at_once() {
    let (most_series, threads, events) = (scaled(100_000, 20_000), scaled(600, 120), scaled(2_000, 300));
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let metrics = [
        counter("stress.grow.count").tags(["n"]).limit(200_000),
        sum("stress.grow.size").tags(["n"]).limit(200_000),
        distribution("stress.kept.size").tags(["class"]),
        counter("stress.kept.count").tags(["class"]),
        counter("stress.busy.count").tags(["queue"]).expiry(SECOND, SECOND),
        distribution("stress.busy.size").tags(["queue"]).expiry(SECOND, SECOND),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let held = registry.register::<Counter>(counter("stress.held").tags(["queue"]).expiry(SECOND, SECOND)).unwrap();
    let kept = held.with(["kept"]).unwrap();
    let sizes = registry.register::<Histogram>(distribution("stress.sizes").buckets(Buckets::latency())).unwrap();
    let sizes = sizes.single().unwrap();

    let [busy, grown, shown, forgotten] = [const { AtomicU64::new(0) }; 4];
    let is_over = AtomicBool::new(false);
    let emit_some = |seed: u64| {
        let mut draw = Draw(seed);
        let _scope = dispatch.enter();
        let (mut to_busy, mut to_grown) = (0, 0);
        for n in 0..events {
            // Every series is reached by somebody; most events are of some that are there.
            let series = if n % 4 == 0 { (seed * events / 4 + n / 4) % most_series } else { draw.below(most_series) };
            emit!("stress.grow", { size: 3_u64 }, { n: series });
            to_grown += 1;
            emit!("stress.kept", { size: draw.below(20) }, { class: draw.below(10) });
            let queue = draw.below(BUSY.len() as u64 * 2) as usize;
            if let Some(queue) = BUSY.get(queue) {
                emit!("stress.busy", { size: 1_u64 }, { queue });
                to_busy += 1;
            } else {
                // Some of these are idle for long at any time.
                emit!("stress.busy", { size: 1_u64 }, { queue: draw.below(1_000) });
            }
            kept.increment();
            sizes.record(0.1);
            if n % 64 == 0 {
                held.with([BUSY[queue % BUSY.len()]]).unwrap().increment();
            }
        }
        busy.fetch_add(to_busy, SeqCst);
        grown.fetch_add(to_grown, SeqCst);
    };
    thread::scope(|scope| {
        // Time passes, in steps that a series in use survives.
        scope.spawn(|| {
            let _scope = dispatch.enter();
            while !is_over.load(SeqCst) {
                for queue in BUSY {
                    emit!("stress.busy", { size: 1_u64 }, { queue });
                }
                busy.fetch_add(BUSY.len() as u64, SeqCst);
                registry.sweep();
                hands.advance(SECOND / 3);
                thread::yield_now();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut before, mut most_forgotten) = (Totals::default(), 0);
                while !is_over.load(SeqCst) {
                    let now = Totals::of(&registry);
                    for family in
                        ["stress.grow.count", "stress.grow.size", "stress.kept.size", "stress.held", "stress.sizes"]
                    {
                        // Handles that were dropped may be forgotten; the one that is kept may not.
                        let (before, now) = match family {
                            "stress.held" => (
                                before.series(family, "kept"),
                                now.series(family, "kept").or(before.series(family, "kept")),
                            ),
                            _ => (Some(before.total(family)), Some(now.total(family))),
                        };
                        assert!(before <= now, "{family} went back from {before:?} to {now:?}");
                    }
                    most_forgotten =
                        most_forgotten.max(now.series("telemetry.metric.reclaimed", "stress.busy.count").unwrap());
                    before = now;
                    shown.fetch_add(1, SeqCst);
                }
                forgotten.fetch_max(most_forgotten, SeqCst);
            });
        }
        scope.spawn(|| {
            let mut draw = Draw(7);
            while !is_over.load(SeqCst) {
                let class = draw.below(10).to_string();
                match draw.below(2) {
                    0 => registry.reset("stress.kept.count", &[("class", &class)]),
                    _ => registry.remove("stress.kept.count", &[("class", &class)]),
                };
                thread::yield_now();
            }
        });
        for round in 0..threads / 8 {
            eight_at_once(|at| emit_some(round * 8 + at));
        }
        is_over.store(true, SeqCst);
    });

    let emitted = threads * events;
    // One event more, so that what is hidden is shown.
    dispatch.run(|| BUSY.iter().for_each(|queue| emit!("stress.busy", { size: 1_u64 }, { queue })));
    kept.increment();
    let totals = Totals::of(&registry);
    assert_eq!(grown.into_inner(), emitted);
    assert_eq!((totals.total("stress.grow.count"), totals.total("stress.grow.size")), (emitted, 3 * emitted));
    assert_eq!(totals.total("stress.kept.size"), emitted);
    assert_eq!(totals.total("stress.sizes"), emitted);
    assert_eq!(totals.series("stress.held", "kept"), Some(emitted + 1));
    for family in ["stress.busy.count", "stress.busy.size"] {
        let in_use: u64 = BUSY.iter().map(|queue| totals.series(family, queue).unwrap()).sum();
        assert_eq!(in_use, busy.load(SeqCst) + BUSY.len() as u64, "{family}");
    }
    assert_eq!(totals.total("telemetry.metric.overflow"), 0);
    // What was reset for the last time, with nobody about, counts from there.
    registry.reset("stress.kept.count", &[]);
    assert_eq!(Totals::of(&registry).total("stress.kept.count"), 0);
    dispatch.run(|| emit!("stress.kept", { size: 1_u64 }, { class: 3_u64 }));
    let totals = Totals::of(&registry);
    assert_eq!((totals.total("stress.kept.count"), totals.total("stress.kept.size")), (1, emitted + 1));
    assert!(shown.into_inner() > 0 && forgotten.into_inner() > 0, "something was scraped, and something was forgotten");
}

/// Eight threads with a million events each: every one is counted, by metrics over events and by handles.
#[test]
fn millions_of_events_are_counted_one_by_one() {
    let each = scaled(1_000_000, 20_000);
    let registry = Registry::new();
    let metrics = [
        counter("stress.many.count").tags(["n"]),
        sum("stress.many.size").tags(["n"]),
        distribution("stress.many.size.spread").event("stress.many").measurement("size").tags(["n"]),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let held = registry.register::<Sum>(sum("stress.many.held")).unwrap().single().unwrap();
    eight_at_once(|_| {
        let _scope = dispatch.enter();
        for n in 0..each {
            emit!("stress.many", { size: n }, { n: n % 10 });
            held.add(1_u64);
        }
    });
    let totals = Totals::of(&registry);
    for n in 0..10 {
        let label = n.to_string();
        let sizes = (0..each).filter(|size| size % 10 == n).sum::<u64>();
        assert_eq!(totals.series("stress.many.count", &label), Some(8 * each / 10));
        assert_eq!(totals.series("stress.many.size.spread", &label), Some(8 * each / 10));
        assert_eq!(totals.series("stress.many.size", &label), Some(8 * sizes));
    }
    assert_eq!(totals.total("stress.many.held"), 8 * each);
}

/// Emits when its thread ends.
struct Last(&'static str, RefCell<Option<Counter>>);

impl Drop for Last {
    fn drop(&mut self) {
        emit!("stress.last", {}, { from: self.0 });
        if let Some(count) = self.1.take() {
            count.increment();
        }
    }
}

thread_local! {
    // Destructors run in the reverse of the order of first use: this one is used before anything of ours, so it runs
    // when that is gone.
    static AFTER: Last = const { Last("after", RefCell::new(None)) };
    static BEFORE: Last = const { Last("before", RefCell::new(None)) };
}

/// T16: what a thread emits while it ends is counted, whether our own thread-local values are there still or not.
#[test]
fn events_of_threads_that_end_are_counted() {
    let rounds = scaled(500, 50);
    let registry = Registry::new();
    let aggregator = registry.aggregator([counter("stress.last.count").tags(["from"])]).unwrap();
    // Scopes are left by then: the global dispatcher is in force.
    aggregator.attach_to(Dispatch::global(), "stress.last").unwrap();
    let held = registry.register::<Counter>(counter("stress.last.held")).unwrap().single().unwrap();
    for _ in 0..rounds {
        eight_at_once(|at| {
            AFTER.with(|after| after.1.replace(Some(held.clone())));
            // In some threads nothing is emitted before they end.
            if at % 2 == 0 {
                emit!("stress.last", {}, { from: "life" });
                held.increment();
            }
            BEFORE.with(|before| before.1.replace(Some(held.clone())));
        });
    }
    let totals = Totals::of(&registry);
    let of = |from| totals.series("stress.last.count", from);
    let all = 8 * rounds;
    assert_eq!((of("life"), of("before"), of("after")), (Some(all / 2), Some(all), Some(all)));
    assert_eq!(totals.total("stress.last.held"), all / 2 + 2 * all);
}
