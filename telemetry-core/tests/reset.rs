//! Series that are set back to zero, beside what else becomes of them: row V9 of the reference behaviours.

use std::time::Duration;

use telemetry_core::family::Family;
use telemetry_core::instrument::{Counter, Sum};
use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::scrape::{Sample, Series, Total, Visit};
use telemetry_core::{Clock, Dispatch, Registry, emit};

/// V8, V9: a series that was reset and then forgotten leaves nothing behind for the series that gets its cells.
#[test]
fn a_new_series_does_not_inherit_the_reset_of_a_forgotten_one() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let second = Duration::from_secs(1);
    let jobs = registry.register::<Counter>(counter("jobs").tags(["queue"]).expiry(second, second)).unwrap();
    let sizes = registry.register::<Sum>(sum("sizes").tags(["queue"]).expiry(second, second)).unwrap();
    jobs.with(["mail"]).unwrap().add(100);
    sizes.with(["mail"]).unwrap().add(100_u64);
    assert_eq!((registry.reset("jobs", &[]), registry.remove("sizes", &[])), (1, 1));
    for _ in 0..4 {
        hands.advance(second);
        let _ = registry.snapshot();
    }
    let forgotten = registry.snapshot().total("telemetry.metric.reclaimed", &[("metric", "jobs")]);
    assert_eq!(forgotten, Some(1.0));
    jobs.with(["print"]).unwrap().add(3);
    sizes.with(["print"]).unwrap().add(3_u64);
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "print")]), Some(3.0));
    assert_eq!(registry.snapshot().total("sizes", &[("queue", "print")]), Some(3.0));
}

/// V9: a counter that counts by the buckets of a distribution is not reset with it, nor the other way round.
#[test]
fn metrics_of_the_same_rows_are_reset_one_by_one() {
    let registry = Registry::new();
    let metrics = [
        distribution("reset.shared.size").tags(["queue"]),
        counter("reset.shared.count").tags(["queue"]),
        distribution("reset.shared.weight").tags(["queue"]),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let emit = |times: u32| {
        dispatch
            .run(|| (0..times).for_each(|_| emit!("reset.shared", { size: 1_u64, weight: 2_u64 }, { queue: "mail" })));
    };
    let totals = || {
        let snapshot = registry.snapshot();
        ["size", "count", "weight"]
            .map(|name| snapshot.total(&format!("reset.shared.{name}"), &[("queue", "mail")]).unwrap())
    };
    emit(5);
    assert_eq!(totals(), [5.0, 5.0, 5.0]);
    assert_eq!(registry.reset("reset.shared.size", &[]), 1);
    assert_eq!(totals(), [0.0, 5.0, 5.0]);
    emit(2);
    assert_eq!(registry.reset("reset.shared.count", &[]), 1);
    assert_eq!(totals(), [2.0, 0.0, 7.0]);
    emit(1);
    assert_eq!(totals(), [3.0, 1.0, 8.0]);
}

/// Runs something when the first series is shown, and keeps the total of the last.
struct Meanwhile<F> {
    run: Option<F>,
    last: Option<Total>,
}

impl<F: FnOnce()> Visit for Meanwhile<F> {
    fn family(&mut self, _: &Family) {}

    fn series(&mut self, series: &Series<'_>) {
        if let Some(run) = self.run.take() {
            run();
        }
        if let Sample::Total(total) = series.sample {
            self.last = Some(total);
        }
    }
}

/// V9: a series that is reset while a scrape is on its way there holds what came after, whoever had added before.
#[test]
fn a_reset_in_the_midst_of_a_scrape_takes_off_no_more_than_is_read() {
    let registry = Registry::new();
    let jobs = registry.register::<Counter>(counter("jobs").tags(["queue"]).limit(10_000)).unwrap();
    // So many that the last ones lie in cells that no other thread has.
    let queues: Vec<Counter> = (0..5_000).map(|n| jobs.with([n.to_string().as_str()]).unwrap()).collect();
    queues.iter().for_each(|queue| queue.add(3));
    let last = queues.last().unwrap();
    let mut scrape = registry.scrape();
    // Up to the step that shows the last ones.
    for _ in 0..5_000 / 256 {
        assert!(scrape.step(&mut Meanwhile::<fn()> { run: None, last: None }));
    }
    let mut meanwhile = Meanwhile {
        run: Some(|| {
            std::thread::scope(|scope| scope.spawn(|| last.add(5)).join().unwrap());
            assert_eq!(registry.reset("jobs", &[("queue", "4999")]), 1);
            last.add(2);
        }),
        last: None,
    };
    scrape.step(&mut meanwhile);
    assert_eq!(meanwhile.last, Some(Total::U64(2)));
}
