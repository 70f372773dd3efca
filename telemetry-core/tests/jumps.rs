//! Clocks that jump: a machine that slept, and a wall clock that was set.

use std::fs;
use std::path::Path;
use std::time::Duration;

use telemetry_core::instrument::{Spiral, Summary};
use telemetry_core::metric::{counter, spiral, summary};
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::{Clock, Dispatch, Registry, emit};
use telemetry_testkit::source::files;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A machine that sleeps for long wakes up to empty windows and hidden series, and all of them go on from there.
#[test]
fn windows_and_expiry_survive_a_sleep_of_a_century() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock.clone());
    let second = Duration::from_secs(1);
    let dispatch = Dispatch::new();
    let metrics = [counter("jump.call.count").tags(["n"]).expiry(10 * second, 10 * YEAR)];
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let marks = registry.register::<Spiral>(spiral("jump.marks")).unwrap().single().unwrap();
    let waits = registry.register::<Summary>(summary("jump.waits")).unwrap().single().unwrap();
    let windowed = || {
        let snapshot = registry.snapshot();
        let value = |name| snapshot.family(name).unwrap().series[0].value.clone();
        let ValueSnapshot::Spiral(spiral) = value("jump.marks") else { panic!("no spiral") };
        let ValueSnapshot::Summary { count, quantiles, .. } = value("jump.waits") else { panic!("no summary") };
        (spiral.count, spiral.one, count, quantiles.iter().all(|(_, value)| value.is_nan()))
    };
    for (round, jump) in
        [second, YEAR, Duration::ZERO, 100 * YEAR, Duration::from_nanos(1), YEAR].into_iter().enumerate()
    {
        let round = round as u64 + 1;
        marks.mark(2);
        waits.record(0.5);
        dispatch.run(|| emit!("jump.call", {}, { n: 1 }));
        let (count, one, waited, is_empty) = windowed();
        assert_eq!((count, waited, is_empty), (2 * round, round, false));
        assert!((2..=count).contains(&one), "{one} of {count} in round {round}");
        assert!(registry.snapshot().total("jump.call.count", &[("n", "1")]).is_some());

        hands.advance(jump);
        let (count, one, waited, is_empty) = windowed();
        assert_eq!((count, waited), (2 * round, round), "totals are for ever");
        if jump >= YEAR {
            assert_eq!((one, is_empty), (0, true), "the window has gone by");
            assert_eq!(registry.snapshot().total("jump.call.count", &[("n", "1")]), None, "hidden, or forgotten");
        }
        for family in registry.snapshot().families() {
            for series in &family.series {
                let now = clock.origin() + clock.elapsed();
                assert!(series.created.is_none_or(|created| created <= now), "{series:?} is of the future");
            }
        }
    }
}

/// A step of the wall clock moves no window, expires no series and lengthens no span: it is read once by a registry, for
/// the times of creation, and by each span and each HTTP exchange for `system_time`, and no time that passes is reckoned by it.
#[test]
fn no_time_that_passes_is_reckoned_by_the_clock_on_the_wall() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut readers = files(&source);
    readers.retain(|path| fs::read_to_string(source.join(path)).expect("a source").contains("SystemTime::now"));
    assert_eq!(readers, ["clock.rs", "http/exchange.rs", "span.rs"].map(Path::new));
}
