//! Exemplars: which events become one, where it stands, and that nothing else notices.

#[path = "../src/allocations.rs"]
mod allocations;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use telemetry_core::exemplar::{DEFAULT_INTERVAL, Sampler};
use telemetry_core::family::Family;
use telemetry_core::instrument::{Buckets, Counter, Exponential, Histogram, Sum};
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::scrape::{Sample, Series, Visit};
use telemetry_core::snapshot::ExemplarSnapshot;
use telemetry_core::{Clock, Dispatch, Hands, Registry, Unit, emit};

thread_local!(static TRACE: Cell<u128> = const { Cell::new(0) });

/// Takes the trace that the thread is in, if any.
fn traces() -> Sampler {
    Sampler::new(|exemplar| exemplar.trace(TRACE.get(), 0))
}

struct Fixture {
    registry: Registry,
    dispatch: Dispatch,
    hands: Hands,
}

impl Fixture {
    fn new(metrics: impl IntoIterator<Item = Metric>) -> Self {
        let ((clock, hands), dispatch) = (Clock::manual(), Dispatch::new());
        let registry = Registry::with_clock(clock);
        registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
        Self { registry, dispatch, hands }
    }

    /// Runs `body` within a trace.
    fn within(&self, trace: u128, body: impl FnOnce()) {
        TRACE.set(trace);
        self.dispatch.run(body);
        TRACE.set(0);
    }

    fn exemplars(&self, metric: &str) -> Vec<ExemplarSnapshot> {
        let snapshot = self.registry.snapshot();
        snapshot.family(metric).unwrap().series.iter().flat_map(|series| series.exemplars.clone()).collect()
    }

    /// Trace and value of each exemplar.
    fn seen(&self, metric: &str) -> Vec<(u128, f64)> {
        self.exemplars(metric).iter().map(|exemplar| (trace_of(exemplar), exemplar.value)).collect()
    }

    fn refused(&self, metric: &str) -> f64 {
        let labels = [("metric", metric), ("reason", "exemplar")];
        self.registry.snapshot().total("telemetry.metric.skipped", &labels).unwrap()
    }
}

fn trace_of(exemplar: &ExemplarSnapshot) -> u128 {
    u128::from_str_radix(&exemplar.labels["trace_id"], 16).unwrap()
}

fn seconds(metric: Metric) -> Metric {
    metric.unit(Unit::Second).buckets(Buckets::new([0.1, 1.0]).unwrap())
}

#[test]
fn each_bucket_keeps_an_event_of_its_own() {
    let duration = seconds(distribution("exemplars.request.took").exemplars(&traces()));
    let fixture = Fixture::new([counter("exemplars.request.count").exemplars(&traces()), duration]);
    fixture.hands.advance(Duration::from_micros(1_234_999));
    for (trace, millis) in [(1, 100), (2, 101), (3, 1_000), (4, 5_000)] {
        fixture.within(trace, || emit!("exemplars.request", { took: Duration::from_millis(millis) }));
    }
    // A value on a bound belongs to that bucket, and the third came too soon after the second.
    assert_eq!(fixture.seen("exemplars.request.took"), [(1, 0.1), (2, 0.101), (4, 5.0)]);
    assert_eq!(fixture.seen("exemplars.request.count"), [(1, 1.0)]);
    assert_eq!(fixture.exemplars("exemplars.request.took")[0].timestamp, Duration::from_millis(1_234));
}

#[test]
fn an_exemplar_is_found_by_the_bounds_of_its_bucket() {
    struct Found(Vec<(usize, f64)>);

    impl Visit for Found {
        fn family(&mut self, _: &Family) {}

        fn series(&mut self, series: &Series<'_>) {
            let Sample::Histogram(histogram) = series.sample else { return };
            let mut lower = f64::NEG_INFINITY;
            for (at, upper) in histogram.bounds.iter().copied().chain([f64::INFINITY]).enumerate() {
                self.0.extend(series.exemplars.within(lower, upper).map(|exemplar| (at, exemplar.value)));
                lower = upper;
            }
        }
    }

    // Whole nanoseconds and floats fall into the same buckets, and so do their exemplars.
    let bounds = Buckets::new([1e-9, 0.005, 0.3, 1.5]).unwrap();
    let fixture = Fixture::new([distribution("exemplars.bound.took")
        .unit(Unit::Second)
        .buckets(bounds.clone())
        .exemplars(&traces().every(Duration::ZERO))]);
    for (at, bound) in bounds.bounds().iter().enumerate() {
        let above = f64::from_bits(bound.to_bits() + 1);
        for (took, expected) in [(*bound, at), (above, at + 1)] {
            fixture.registry.reset("exemplars.bound.took", &[]);
            fixture.within(7, || emit!("exemplars.bound", { took }));
            let mut found = Found(Vec::new());
            fixture.registry.scrape().run(&mut found);
            assert_eq!(found.0, [(expected, took)]);
        }
        fixture.registry.reset("exemplars.bound.took", &[]);
        fixture.within(7, || emit!("exemplars.bound", { took: Duration::from_secs_f64(*bound) }));
        let mut found = Found(Vec::new());
        fixture.registry.scrape().run(&mut found);
        assert_eq!(found.0, [(at, *bound)]);
    }
}

#[test]
fn a_series_takes_one_exemplar_in_an_interval() {
    let sampler = traces().every(Duration::from_secs(10));
    let fixture = Fixture::new([counter("exemplars.limited.count").tags(["of"]).exemplars(&sampler)]);
    let event = |trace| fixture.within(trace, || emit!("exemplars.limited", {}, { of: "a" }));
    event(1);
    fixture.hands.advance(Duration::from_millis(9_999));
    event(2);
    assert_eq!(fixture.seen("exemplars.limited.count"), [(1, 1.0)]);
    fixture.hands.advance(Duration::from_millis(1));
    event(3);
    assert_eq!(fixture.seen("exemplars.limited.count"), [(3, 1.0)]);
    // Another series is another slot.
    fixture.within(4, || emit!("exemplars.limited", {}, { of: "b" }));
    assert_eq!(fixture.seen("exemplars.limited.count"), [(3, 1.0), (4, 1.0)]);
}

#[test]
fn an_event_outside_of_every_trace_takes_no_turn() {
    let fixture = Fixture::new([counter("exemplars.outside.count").exemplars(&traces())]);
    fixture.dispatch.run(|| emit!("exemplars.outside"));
    assert!(fixture.exemplars("exemplars.outside.count").is_empty());
    fixture.within(5, || emit!("exemplars.outside"));
    assert_eq!(fixture.seen("exemplars.outside.count"), [(5, 1.0)]);
}

#[test]
fn a_metric_has_exemplars_only_where_it_says_so() {
    let fixture = Fixture::new([
        counter("exemplars.off.count").tags(["of"]),
        counter("exemplars.on").event("exemplars.off").tags(["of"]).exemplars(&traces()),
    ]);
    fixture.within(6, || emit!("exemplars.off", {}, { of: "a" }));
    assert!(fixture.exemplars("exemplars.off.count").is_empty());
    // Counts only events that carry a measurement of its own, and takes no exemplar of others.
    assert!(fixture.exemplars("exemplars.on").is_empty());
}

/// V4: what can't have exemplars says so when it is built.
#[test]
fn exemplars_stand_behind_totals_and_buckets_alone() {
    for metric in [last_value("a.b"), summary("a.b"), spiral("a.b")] {
        let error = Registry::new().aggregator([metric.exemplars(&traces())]).unwrap_err().to_string();
        assert!(error.contains("exemplars") && error.contains("counters, sums and distributions"), "{error}");
    }
}

#[test]
fn the_sampler_sees_the_event() {
    let orders = Sampler::new(|exemplar| {
        if let Some(order) = exemplar.event().and_then(|event| event.tag("order")) {
            exemplar.label("order", order);
        }
    });
    let paid = sum("exemplars.order.amount").exemplars(&orders);
    let fixture = Fixture::new([paid]);
    fixture.dispatch.run(|| emit!("exemplars.order", { amount: 2.5 }, { order: 4_711_u64 }));
    let exemplar = &fixture.exemplars("exemplars.order.amount")[0];
    assert_eq!((exemplar.value, exemplar.labels["order"].as_str()), (2.5, "4711"));
}

/// T6: a sampler that panics costs its exemplar, and nothing else.
#[test]
fn a_sampler_that_fails_is_counted_and_the_event_too() {
    let fixture = Fixture::new([
        counter("exemplars.failing.count").exemplars(&Sampler::new(|_| panic!("no trace today"))),
        distribution("exemplars.failing.took").exemplars(&Sampler::new(|exemplar| exemplar.label("a-b", "x"))),
    ]);
    for _ in 0..3 {
        fixture.dispatch.run(|| emit!("exemplars.failing", { took: 0.5 }));
    }
    for metric in ["exemplars.failing.count", "exemplars.failing.took"] {
        assert_eq!(fixture.registry.snapshot().total(metric, &[]), Some(3.0));
        assert!(fixture.exemplars(metric).is_empty());
        assert_eq!(fixture.refused(metric), 3.0);
    }
}

/// Sweeps until the metric has forgotten a series. One sweep may not do: a thread of another test that lost its core in
/// the midst of an event holds it up.
fn forget(registry: &Registry, metric: &str) -> bool {
    let patience = Instant::now() + Duration::from_secs(20);
    let forgotten = || registry.snapshot().total("telemetry.metric.reclaimed", &[("metric", metric)]) == Some(1.0);
    while !forgotten() && Instant::now() < patience {
        registry.sweep();
    }
    forgotten()
}

/// X3: a sampler may do what a handler may. It runs in no section, or the sweep would forget nothing.
#[test]
fn a_sampler_may_emit_and_sweep() {
    let fixture: Arc<std::sync::OnceLock<(Registry, Hands)>> = Arc::default();
    let swept = Arc::new(AtomicBool::new(false));
    let sampler = {
        let (fixture, swept) = (Arc::clone(&fixture), Arc::clone(&swept));
        Sampler::new(move |exemplar| {
            let Some((registry, hands)) = fixture.get() else { return };
            if !swept.swap(true, Ordering::Relaxed) {
                hands.advance(Duration::from_secs(60));
                assert!(forget(registry, "exemplars.busy.count"));
                emit!("exemplars.busy", {}, { of: "nested" });
            }
            exemplar.trace(8, 8);
        })
    };
    let busy = counter("exemplars.busy.count").tags(["of"]).exemplars(&sampler);
    let busy = busy.expiry(Duration::from_secs(1), Duration::from_secs(1));
    let made = Fixture::new([busy]);
    made.dispatch.run(|| emit!("exemplars.busy", {}, { of: "idle" }));
    made.registry.sweep();
    fixture.set((made.registry.clone(), made.hands.clone())).unwrap();
    made.dispatch.run(|| emit!("exemplars.busy", {}, { of: "outer" }));
    assert_eq!(made.seen("exemplars.busy.count").len(), 2);
    assert_eq!(made.refused("exemplars.busy.count"), 0.0);
}

/// V8, V9: exemplars go with what they stand for.
#[test]
fn a_series_that_starts_again_has_no_exemplar() {
    let expiring = counter("exemplars.gone.count").tags(["of"]).exemplars(&traces().every(Duration::MAX));
    let fixture = Fixture::new([expiring.expiry(Duration::from_secs(1), Duration::from_secs(1))]);
    let event = |trace| fixture.within(trace, || emit!("exemplars.gone", {}, { of: "a" }));
    event(1);
    fixture.registry.reset("exemplars.gone.count", &[]);
    assert!(fixture.exemplars("exemplars.gone.count").is_empty());
    // At once, although the interval is not over.
    event(2);
    assert_eq!(fixture.seen("exemplars.gone.count"), [(2, 1.0)]);
    fixture.hands.advance(Duration::from_secs(1));
    fixture.registry.sweep();
    fixture.hands.advance(Duration::from_secs(2));
    assert!(forget(&fixture.registry, "exemplars.gone.count"));
    fixture.dispatch.run(|| emit!("exemplars.gone", {}, { of: "a" }));
    assert!(fixture.exemplars("exemplars.gone.count").is_empty());
    event(3);
    assert_eq!(fixture.seen("exemplars.gone.count"), [(3, 1.0)]);
}

/// V7: the series that takes the rest has one, too.
#[test]
fn the_overflow_series_has_exemplars() {
    let fixture = Fixture::new([counter("exemplars.many.count").tags(["of"]).limit(1).exemplars(&traces())]);
    for of in 1..4_u32 {
        fixture.within(of.into(), || emit!("exemplars.many", {}, { of }));
    }
    assert_eq!(fixture.seen("exemplars.many.count"), [(1, 1.0), (2, 1.0)]);
}

#[test]
fn exponential_buckets_keep_exemplars_of_different_size() {
    let sizes = distribution("exemplars.sized.bytes").exponential(Exponential::default()).exemplars(&traces());
    let fixture = Fixture::new([sizes]);
    for (trace, bytes) in [(1, 1.0), (2, 1.1), (3, 2.0), (4, 4.0), (5, -8.0)] {
        fixture.within(trace, || emit!("exemplars.sized", { bytes }));
    }
    let mut seen = fixture.seen("exemplars.sized.bytes");
    seen.sort_by_key(|(trace, _)| *trace);
    assert_eq!(seen, [(1, 1.0), (3, 2.0), (4, 4.0), (5, -8.0)]);
}

#[test]
fn handles_take_exemplars() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let sampler = traces();
    let jobs = registry.register::<Counter>(counter("held.jobs").exemplars(&sampler)).unwrap().single().unwrap();
    let bytes = registry.register::<Sum>(sum("held.bytes").exemplars(&sampler)).unwrap().single().unwrap();
    let waits = seconds(distribution("held.waits").exemplars(&sampler).expiry(Duration::from_secs(9), Duration::ZERO));
    let waits = registry.register::<Histogram>(waits).unwrap().single().unwrap();
    TRACE.set(9);
    jobs.add(3);
    bytes.add(12_u64);
    waits.record(Duration::from_millis(250));
    hands.advance(DEFAULT_INTERVAL / 2);
    jobs.increment();
    TRACE.set(0);
    let snapshot = registry.snapshot();
    for (metric, total, value) in [("held.jobs", 4.0, 3.0), ("held.bytes", 12.0, 12.0), ("held.waits", 1.0, 0.25)] {
        let exemplars = &snapshot.family(metric).unwrap().series[0].exemplars;
        assert_eq!(exemplars.iter().map(|exemplar| exemplar.value).collect::<Vec<_>>(), [value], "{metric}");
        assert_eq!(snapshot.total(metric, &[]), Some(total), "{metric}");
    }
}

#[test]
fn long_texts_find_room() {
    let text = Arc::new(std::sync::Mutex::new(String::new()));
    let sampler = {
        let text = Arc::clone(&text);
        Sampler::new(move |exemplar| exemplar.label("t", text.lock().unwrap().as_str())).every(Duration::ZERO)
    };
    let fixture = Fixture::new([counter("exemplars.long.count").exemplars(&sampler)]);
    for written in ["short", &"é".repeat(127), &"😱".repeat(127), "short again", "\"\\\n"] {
        *text.lock().unwrap() = written.to_owned();
        fixture.dispatch.run(|| emit!("exemplars.long"));
        assert_eq!(fixture.exemplars("exemplars.long.count")[0].labels["t"], written);
    }
}

/// A series that has its exemplars allocates for none of the next.
#[test]
fn replacing_an_exemplar_allocates_nothing() {
    let sampler = traces().every(Duration::ZERO);
    let duration = seconds(distribution("exemplars.frugal.took").tags(["of"]).exemplars(&sampler));
    let fixture = Fixture::new([counter("exemplars.frugal.count").tags(["of"]).exemplars(&sampler), duration]);
    let event = || emit!("exemplars.frugal", { took: Duration::from_millis(5) }, { of: "a" });
    fixture.within(1, event);
    fixture.within(2, || {
        assert_eq!(allocations::during(|| (0..100).for_each(|_| event())), 0);
    });
    assert_eq!(fixture.seen("exemplars.frugal.took"), [(2, 0.005)]);
    // Nor does reading them, from series to series.
    struct Nothing;
    impl Visit for Nothing {
        fn family(&mut self, _: &Family) {}
        fn series(&mut self, series: &Series<'_>) {
            assert!(series.exemplars.iter().all(|exemplar| exemplar.labels.iter().count() == 1));
        }
    }
    let mut scrape = fixture.registry.scrape();
    scrape.step(&mut Nothing);
}

/// Threads that replace exemplars, and a reader that finds each whole and in its place.
#[test]
fn an_exemplar_is_whole_whoever_writes() {
    static READ: AtomicUsize = AtomicUsize::new(0);

    struct Whole;
    impl Visit for Whole {
        fn family(&mut self, _: &Family) {}
        fn series(&mut self, series: &Series<'_>) {
            let Sample::Histogram(histogram) = series.sample else { return };
            for exemplar in series.exemplars.iter() {
                let labels: Vec<(&str, &str)> = exemplar.labels.iter().collect();
                let text = format!("{}", exemplar.value).repeat(1 + exemplar.value as usize % 7);
                assert_eq!(labels, [("v", text.as_str())]);
                READ.fetch_add(1, Ordering::Relaxed);
            }
            assert!(series.exemplars.iter().count() <= histogram.bounds.len() + 1);
        }
    }

    let sampler = Sampler::new(|exemplar| {
        let value = exemplar.event().and_then(|event| event.measurement("value")).unwrap().to_f64();
        exemplar.label("v", format!("{value}").repeat(1 + value as usize % 7));
    });
    let buckets = Buckets::linear(10.0, 10.0, 9).unwrap();
    let values = distribution("exemplars.whole.value").buckets(buckets).exemplars(&sampler.every(Duration::ZERO));
    let fixture = Fixture::new([values]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u64)
            .map(|seed| {
                let fixture = &fixture;
                scope.spawn(move || {
                    fixture.dispatch.run(|| {
                        (0..if cfg!(miri) { 40 } else { 20_000 }).for_each(|n: u64| {
                            emit!("exemplars.whole", { value: (n * 7 + seed * 31) % 100 });
                        });
                    });
                })
            })
            .collect();
        let (fixture, done) = (&fixture, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                fixture.registry.scrape().run(&mut Whole);
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    fixture.registry.scrape().run(&mut Whole);
    assert!(READ.load(Ordering::Relaxed) >= 10);
}
