//! An attacker chooses the values of a tag: what it costs is bounded, and given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::snapshot::{FamilySnapshot, ValueSnapshot};
use telemetry_core::{Clock, Dispatch, Registry, emit};

/// Counts the bytes that are in use in the whole process, and the requests for more.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// Relaxed, everywhere: who compares two readings has ordered them by joining the threads between.
static LIVE: AtomicIsize = AtomicIsize::new(0);
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

fn change(bytes: isize) {
    LIVE.fetch_add(bytes, Ordering::Relaxed);
}

fn size(layout: Layout) -> isize {
    isize::try_from(layout.size()).expect("less than half of the address space")
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(size(layout));
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        change(size(layout));
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        change(-size(layout));
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// What the test harness may take meanwhile.
const NOISE: isize = 16 * 1024;

/// Keeps the tests from counting each other's bytes.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Values that do not repeat: xorshift visits every number but zero.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn sum_of(family: &FamilySnapshot) -> f64 {
    let values = family.series.iter().map(|series| match &series.value {
        ValueSnapshot::Total(total) => total.to_f64(),
        #[allow(clippy::cast_precision_loss, reason = "a few millions")]
        ValueSnapshot::Histogram { counts, .. } => counts.iter().sum::<u64>() as f64,
        other => panic!("{other:?}"),
    });
    values.sum()
}

/// V7: random values of a tag cost what the limit allows and no more, and no request for memory beyond it; all series
/// together are what was emitted, and what was refused is known. `ci/attack` does it with ten millions.
#[test]
fn memory_is_flat_at_the_limit_and_nothing_is_lost() {
    const THREADS: u64 = 2;
    const EACH: u64 = 200_000;
    const LIMIT: u32 = 500;
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = Registry::new();
    let tags = ["user", "path"];
    let metrics = [
        counter("attack.request.count").tags(tags).limit(LIMIT),
        sum("attack.request.bytes").tags(tags).limit(LIMIT),
        distribution("attack.size").event("attack.request").measurement("bytes").tags(["user"]).limit(LIMIT),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let attack = |seed: u64, times: u64| {
        let mut random = Random(seed);
        for _ in 0..times {
            let user = random.next();
            emit!("attack.request", { bytes: 1_u64 }, { user, path: user % 3 });
        }
    };

    let (begin, begun) = (std::sync::Barrier::new(3), std::sync::Barrier::new(3));
    let end = std::sync::Barrier::new(3);
    let (mut before, mut after) = ((0, 0), (0, 0));
    let reading = || (live(), REQUESTS.load(Ordering::Relaxed));
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (begin, begun, end, dispatch, attack) = (&begin, &begun, &end, &dispatch, &attack);
            scope.spawn(move || {
                let _scope = dispatch.enter();
                attack(seed * 0x9E37_79B9, 10_000); // To the limit, and beyond.
                begin.wait();
                begun.wait();
                attack(seed * 0x85EB_CA6B, EACH);
                end.wait();
            });
        }
        begin.wait();
        before = reading();
        begun.wait();
        end.wait();
        after = reading();
    });
    assert!(after.0 <= before.0 + NOISE, "{} bytes became {}", before.0, after.0);
    assert!(after.1 <= before.1 + 100, "{} requests for memory", after.1 - before.1);

    let snapshot = registry.snapshot();
    #[allow(clippy::cast_precision_loss, reason = "a few millions")]
    let emitted = (THREADS * (EACH + 10_000)) as f64;
    for name in ["attack.request.count", "attack.request.bytes", "attack.size"] {
        let family = snapshot.family(name).unwrap();
        assert_eq!(family.series.len(), LIMIT as usize + 1, "{name}: the series and the overflow");
        assert_eq!(sum_of(family), emitted, "{name}");
        let refused = snapshot.total("telemetry.metric.overflow", &[("metric", name)]).unwrap();
        let in_overflow = family.series.iter().find(|series| series.labels.contains_key("otel_metric_overflow"));
        let in_overflow = FamilySnapshot { series: vec![in_overflow.expect("it overflows").clone()], ..family.clone() };
        assert_eq!(sum_of(&in_overflow), refused, "{name}");
    }
}

/// Nobody scrapes: events of series that exist take no memory, however many there are.
#[test]
fn without_a_scrape_memory_is_that_of_the_series() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = Registry::new();
    let metrics = [counter("unscraped.count").event("unscraped").measurement("count").tags(["n"])];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let emit_some = |times: u64| (0..times).for_each(|n| emit!("unscraped", {}, { n: n % 100 }));
    dispatch.run(|| {
        emit_some(1_000);
        let before = live();
        emit_some(500_000);
        assert!(live() <= before + NOISE, "{before} bytes became {}", live());
    });
    let total: f64 = sum_of(registry.snapshot().family("unscraped.count").unwrap());
    assert_eq!(total, 501_000.0);
}

/// V8: series that come and go use the memory of those before them, and what they leave is as much after two hundred
/// generations as after fifty.
#[test]
fn series_that_come_and_go_give_their_memory_back() {
    const GENERATION: u64 = 100;
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let second = Duration::from_secs(1);
    let metrics = [
        counter("churn.session.count").tags(["session"]).expiry(second, second).limit(10_000),
        distribution("churn.session.took").tags(["session"]).expiry(second, second).limit(10_000),
    ];
    let dispatch = Dispatch::new();
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let kept = || registry.snapshot().total("telemetry.metric.series", &[("metric", "churn.session.count")]);
    let generation = |number: u64| {
        dispatch.run(|| {
            for n in 0..GENERATION {
                emit!("churn.session", { took: 1.5 }, { session: format!("{}", number * GENERATION + n).as_str() });
            }
        });
        // From when it is seen to have stopped, a series is idle.
        registry.sweep();
        hands.advance(3 * second);
        let start = Instant::now();
        // A series is forgotten when no thread is in the midst of an event, and the harness has others.
        while kept() != Some(0.0) {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?} series are kept", kept());
            thread::yield_now();
        }
        live()
    };
    // What the texts of dead series take is given back when it is a certain size, so it goes up and down.
    let warm = (0..50).map(generation).max().unwrap();
    let later = (50..200).map(generation).max().unwrap();
    assert!(later <= warm + NOISE, "{warm} bytes became {later}");
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("telemetry.metric.overflow", &[("metric", "churn.session.count")]), Some(0.0));
}
