//! Numbers at the ends of what there is.

use std::sync::Barrier;
use std::thread;

use telemetry_core::Registry;
use telemetry_core::instrument::{Counter, Exponential, Histogram};
use telemetry_core::metric::{counter, distribution};
use telemetry_core::scrape::Total;
use telemetry_core::snapshot::ValueSnapshot;

/// Exponential buckets stay few whatever the values are: all powers of two, on both sides of zero, from several threads.
#[test]
fn values_from_end_to_end_have_few_buckets_and_are_all_counted() {
    const THREADS: u32 = 4;
    let registry = Registry::new();
    let finest = Exponential::new(8).expect("a schema");
    let metric = distribution("extremes.sizes").exponential(finest);
    let sizes = registry.register::<Histogram>(metric).unwrap().single().unwrap();
    let together = Barrier::new(THREADS as usize);
    let recorded: u64 = thread::scope(|scope| {
        let recorders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (sizes, together) = (&sizes, &together);
                scope.spawn(move || {
                    together.wait();
                    let mut recorded = 0;
                    for power in -1_074..1_024 {
                        for nudge in [1.0, 1.0 + f64::EPSILON, 1.3 + 0.1 * f64::from(thread)] {
                            let size = 2_f64.powi(power) * nudge;
                            sizes.record(size);
                            sizes.record(-size);
                            recorded += 2;
                        }
                    }
                    recorded
                })
            })
            .collect();
        recorders.into_iter().map(|recorder| recorder.join().expect("a recorder")).sum()
    });
    let snapshot = registry.snapshot();
    let ValueSnapshot::Histogram { exponential: Some(buckets), counts, .. } =
        &snapshot.family("extremes.sizes").unwrap().series[0].value
    else {
        panic!("no exponential buckets")
    };
    assert!(buckets.positive.len() + buckets.negative.len() <= 2 * 160, "{buckets:?}");
    let sum = |buckets: &[(i32, u64)]| buckets.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(sum(&buckets.positive), sum(&buckets.negative));
    assert_eq!(buckets.zero_count + 2 * sum(&buckets.positive), recorded);
    assert_eq!(counts.iter().sum::<u64>(), recorded);
}

/// V3: a count is exact beyond 2^53, to the last one that 64 bits hold; the next begins again at zero, as the counters of
/// network cards do, which Prometheus takes for a reset.
#[test]
fn a_count_is_exact_to_the_end_and_begins_again_after_it() {
    let registry = Registry::new();
    let count = registry.register::<Counter>(counter("extremes.count")).unwrap().single().unwrap();
    let value = || registry.snapshot().family("extremes.count").unwrap().series[0].value.clone();
    let total = |n: u64| ValueSnapshot::Total(Total::U64(n));
    count.add(1 << 53);
    count.increment();
    assert_eq!(value(), total((1 << 53) + 1));
    count.add(u64::MAX - (1 << 53) - 11);
    assert_eq!(value(), total(u64::MAX - 10));
    // Another thread counts in a shard of its own, and the shards are summed.
    thread::scope(|scope| {
        scope.spawn(|| (0..10).for_each(|_| count.increment()));
    });
    assert_eq!(value(), total(u64::MAX));
    count.add(3);
    assert_eq!(value(), total(2));
}
