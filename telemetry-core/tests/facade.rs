//! The facade of `metrics`, inwards: what is recorded through its macros is in the registry, by the registry's rules.
#![cfg(feature = "metrics")]

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use metrics::{Level, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics::{set_default_local_recorder, with_local_recorder};
use telemetry_core::facade::{Matcher, Recorder, Shape};
use telemetry_core::family::Kind;
use telemetry_core::instrument::{Buckets, Counter, Exponential, Window};
use telemetry_core::metric::{self, Fault};
use telemetry_core::registry::Claim;
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::{Clock, Dispatch, Event, Registry};

const SECOND: Duration = Duration::from_secs(1);

fn kinds(registry: &Registry) -> Vec<(String, Kind)> {
    let snapshot = registry.snapshot();
    let own = snapshot.families().iter().filter(|family| !family.family.name().starts_with("telemetry."));
    own.map(|family| (family.family.name().to_owned(), family.family.kind())).collect()
}

/// Every method of the three handles does what the facade says it does.
#[test]
fn what_is_recorded_is_in_the_registry() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry);
    with_local_recorder(&recorder, || {
        counter!("requests", "route" => "/").increment(2);
        counter!("requests", "route" => "/").increment(3);
        counter!("faults").absolute(7);
        counter!("faults").absolute(5);
        counter!("faults").increment(1);
        counter!("faults").absolute(10);
        gauge!("depth").set(4.5);
        gauge!("depth").increment(1.0);
        gauge!("depth").decrement(2.5);
        histogram!("took").record(0.3);
        histogram!("took").record(Duration::from_millis(20));
        histogram!("took").record_many(0.01, 5);
    });
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("requests", &[("route", "/")]), Some(5.0));
    assert_eq!(snapshot.total("faults", &[]), Some(10.0));
    assert_eq!(snapshot.total("depth", &[]), Some(3.0));
    let Some(ValueSnapshot::Histogram { bounds, counts, sum, .. }) = snapshot.sample("took", &[]) else { panic!() };
    assert_eq!((bounds[1], counts[1], counts.iter().sum::<u64>()), (0.01, 5, 7));
    assert!((sum - 0.37).abs() < 1e-12, "{sum}");
}

/// V6: what was asked for is there before it is written to, as it is with every recorder.
#[test]
fn a_series_is_there_when_its_handle_is() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        let _ = (counter!("a", "x" => "1"), gauge!("b", "x" => "1"), histogram!("c", "x" => "1"));
    });
    for name in ["a", "b", "c"] {
        assert_eq!(registry.snapshot().total(name, &[("x", "1")]), Some(0.0), "{name}");
    }
}

/// Calls of one metric may have different labels; order and empty values make no difference.
#[test]
fn labels_may_differ_between_calls() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        counter!("jobs").increment(1);
        counter!("jobs", "queue" => "mail").increment(2);
        counter!("jobs", "shard" => "7", "queue" => "mail").increment(4);
        counter!("jobs", "queue" => "mail", "shard" => "7").increment(8);
        counter!("jobs", "shard" => "7").increment(16);
        counter!("jobs", "shard" => "").increment(32);
    });
    let snapshot = registry.snapshot();
    let total = |labels: &[(&str, &str)]| snapshot.total("jobs", labels).unwrap();
    assert_eq!(total(&[]), 33.0);
    assert_eq!(total(&[("queue", "mail")]), 2.0);
    assert_eq!(total(&[("queue", "mail"), ("shard", "7")]), 12.0);
    assert_eq!(total(&[("shard", "7")]), 16.0);
    assert_eq!(snapshot.family("jobs").unwrap().series.len(), 4);
    assert_eq!(registry.remove("jobs", &[("shard", "7")]), 2);
    assert_eq!(registry.snapshot().family("jobs").unwrap().series.len(), 2);
}

/// V5: values with anything in them stay distinct; names of labels become ones that a label can have.
#[test]
fn labels_may_be_any_text() {
    let registry = Registry::new();
    let recorder = Recorder::builder(&registry).label("service", "shop").build();
    with_local_recorder(&recorder, || {
        counter!("x", "a" => "ab", "b" => "c").increment(1);
        counter!("x", "a" => "a", "b" => "bc").increment(2);
        counter!("x", "http.method" => "\"\\\n\0é").increment(4);
        counter!("x", "le" => "1", "service" => "own").increment(8);
    });
    let snapshot = registry.snapshot();
    let total = |labels: &[(&str, &str)]| snapshot.total("x", labels);
    assert_eq!(total(&[("a", "ab"), ("b", "c"), ("service", "shop")]), Some(1.0));
    assert_eq!(total(&[("a", "a"), ("b", "bc"), ("service", "shop")]), Some(2.0));
    assert_eq!(total(&[("http_method", "\"\\\n\0é"), ("service", "shop")]), Some(4.0));
    assert_eq!(total(&[("exported_le", "1"), ("service", "own")]), Some(8.0));
}

/// Each shape by its matcher; later ones override.
#[test]
fn shapes_are_chosen_by_name() {
    let registry = Registry::new();
    let recorder = Recorder::builder(&registry)
        .shape("*", Shape::new().limit(3))
        .shape("*_seconds", Shape::new().buckets(Buckets::new([0.1, 1.0]).unwrap()))
        .shape(Matcher::prefix("native"), Shape::new().exponential(Exponential::default()))
        .shape("both_seconds", Shape::new().buckets(Buckets::latency()).exponential(Exponential::default()))
        .shape("wait", Shape::new().summary([0.5]).window(Window::new(10 * SECOND, 10).unwrap()))
        .shape(Matcher::suffix("_recently"), Shape::new().spiral())
        .build();
    with_local_recorder(&recorder, || {
        histogram!("rpc_seconds").record(0.5);
        histogram!("native_size").record(100.0);
        histogram!("both_seconds").record(0.5);
        histogram!("wait").record_many(2.0, 10);
        counter!("jobs_recently").increment(3);
        counter!("jobs_recently").absolute(5);
        histogram!("items_recently").record_many(2.0, 3);
        histogram!("plain").record(1.0);
    });
    let snapshot = registry.snapshot();
    let sample = |name| snapshot.sample(name, &[]).unwrap();
    let bounds = |name| match sample(name) {
        ValueSnapshot::Histogram { bounds, exponential, .. } => (bounds.len(), exponential.is_some()),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(bounds("rpc_seconds"), (2, false));
    assert_eq!(bounds("native_size"), (0, true));
    assert_eq!(bounds("both_seconds"), (11, true));
    assert_eq!(bounds("plain"), (11, false));
    let ValueSnapshot::Summary { count: 10, sum: 20.0, quantiles } = sample("wait") else { panic!() };
    assert!(quantiles[0].0 == 0.5 && (quantiles[0].1 - 2.0).abs() < 0.03, "{quantiles:?}");
    for (name, expected) in [("jobs_recently", 5), ("items_recently", 6)] {
        let ValueSnapshot::Spiral(spiral) = sample(name) else { panic!() };
        assert_eq!((spiral.count, spiral.one), (expected, expected), "{name}");
    }
}

/// V7: beyond the limit everything lands in one series, totals stay right, and that is counted.
#[test]
fn series_beyond_the_limit_are_counted_together() {
    let registry = Registry::new();
    let recorder = Recorder::builder(&registry).shape("*", Shape::new().limit(2)).build();
    with_local_recorder(&recorder, || {
        for user in 0..10 {
            counter!("logins", "user" => user.to_string()).increment(1);
        }
        counter!("logins", "user" => "0").increment(1);
    });
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("logins", &[("user", "0")]), Some(2.0));
    assert_eq!(snapshot.total("logins", &[("otel_metric_overflow", "true")]), Some(8.0));
    assert_eq!(snapshot.total("telemetry.metric.overflow", &[("metric", "logins")]), Some(8.0));
}

/// V7: names of labels are bounded, too.
#[test]
fn labels_beyond_the_limit_are_counted_together() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        for column in 0..100 {
            counter!("wide", &[(format!("column{column}"), "v")]).increment(1);
        }
    });
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.family("wide").unwrap().family.label_names().len(), 64);
    assert_eq!(snapshot.total("wide", &[("otel_metric_overflow", "true")]), Some(36.0));
}

/// V8: a series that nobody uses is hidden, then forgotten, although its handle was ready; one that comes back is new.
#[test]
fn an_idle_series_is_forgotten() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let recorder = Recorder::builder(&registry).shape("*", Shape::new().expiry(10 * SECOND, 20 * SECOND)).build();
    let count = |n| with_local_recorder(&recorder, || counter!("jobs", "queue" => "mail").increment(n));
    let total = || registry.snapshot().total("jobs", &[("queue", "mail")]);
    let kept = || registry.snapshot().total("telemetry.metric.series", &[("metric", "jobs")]);

    count(1);
    assert_eq!(total(), Some(1.0));
    hands.advance(11 * SECOND);
    assert_eq!(total(), None, "hidden");
    count(1);
    assert_eq!(total(), Some(2.0), "it goes on where it was");
    for _ in 0..4 {
        hands.advance(11 * SECOND);
        let _ = total();
    }
    assert_eq!(kept(), Some(0.0), "forgotten");
    count(5);
    assert_eq!((total(), kept()), (Some(5.0), Some(1.0)), "a new one");
}

/// V8: a handle that is held over an expiry still counts, into the series that macros find.
#[test]
fn a_held_handle_outlives_an_expiry() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let recorder = Recorder::builder(&registry).shape("*", Shape::new().expiry(SECOND, SECOND)).build();
    let held = with_local_recorder(&recorder, || counter!("jobs"));
    held.increment(1);
    for _ in 0..10 {
        hands.advance(2 * SECOND);
        let _ = registry.snapshot();
    }
    assert_eq!(registry.snapshot().total("jobs", &[]), None);
    held.increment(2);
    with_local_recorder(&recorder, || counter!("jobs").increment(4));
    assert_eq!(registry.snapshot().total("jobs", &[]), Some(7.0));
    // Nor did the recorder's own handle go while this one was held; later it does.
    drop(held);
    for _ in 0..10 {
        hands.advance(2 * SECOND);
        let _ = registry.snapshot();
    }
    assert_eq!(registry.snapshot().total("telemetry.metric.series", &[("metric", "jobs")]), Some(0.0));
}

/// V9: a series that is reset or removed counts from zero, by the handles that there are.
#[test]
fn series_can_be_reset_and_removed() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry);
    let jobs = with_local_recorder(&recorder, || counter!("jobs", "queue" => "mail"));
    jobs.increment(5);
    assert_eq!(registry.reset("jobs", &[("queue", "mail")]), 1);
    jobs.increment(1);
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "mail")]), Some(1.0));
    assert_eq!(registry.remove("jobs", &[]), 1);
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "mail")]), None);
    with_local_recorder(&recorder, || counter!("jobs", "queue" => "mail").increment(2));
    assert_eq!(registry.snapshot().total("jobs", &[("queue", "mail")]), Some(2.0));
}

/// Descriptions and units are kept per kind, whether they come before the first use or after it.
#[test]
fn descriptions_come_before_or_after() {
    let registry = Registry::new();
    let recorder = Recorder::builder(&registry).shape("idle", Shape::new().description("Said by the shape.")).build();
    with_local_recorder(&recorder, || {
        describe_counter!("sent", Unit::Bytes, "Bytes sent.");
        describe_gauge!("sent", Unit::Seconds, "Of a gauge that never comes.");
        counter!("sent").increment(1);
        histogram!("wait").record(3.0);
        describe_histogram!("wait", Unit::Milliseconds, "The wait.");
        describe_histogram!("wait", "The wait for a worker.");
        let _ = (gauge!("idle"), gauge!(description: "As it is used.", unit: Unit::Percent, "load"));
        describe_gauge!("described", "Only described.");
    });
    let snapshot = registry.snapshot();
    let said = |name| {
        let family = &snapshot.family(name).unwrap().family;
        (family.help().to_owned(), family.values_unit())
    };
    assert_eq!(said("sent"), ("Bytes sent.".to_owned(), Some(telemetry_core::Unit::Byte)));
    assert_eq!(said("wait"), ("The wait for a worker.".to_owned(), Some(telemetry_core::Unit::Millisecond)));
    assert_eq!(said("idle").0, "Said by the shape.");
    assert_eq!(said("load"), ("As it is used.".to_owned(), Some(telemetry_core::Unit::Ratio)));
    assert!(snapshot.family("described").is_none());
}

/// What is below the level gets handles that do nothing.
#[test]
fn levels_below_are_not_seen() {
    let registry = Registry::new();
    let recorder = Recorder::builder(&registry).level(Level::INFO).build();
    with_local_recorder(&recorder, || {
        counter!(level: Level::DEBUG, "debug").increment(1);
        gauge!(level: Level::TRACE, "trace").set(1);
        histogram!(level: Level::DEBUG, "debug_too").record(1);
        counter!(level: Level::INFO, "info").increment(1);
        counter!(level: Level::ERROR, "error").increment(1);
    });
    assert_eq!(kinds(&registry), [("info".to_owned(), Kind::Counter), ("error".to_owned(), Kind::Counter)]);
}

/// V4: a name that is another's is refused, loudly and once; nothing panics, and the other is as it was.
#[test]
fn a_name_of_another_is_refused_and_told_of() {
    let registry = Registry::new();
    let own = registry.register::<Counter>(metric::counter("jobs")).unwrap().single().unwrap();
    own.add(1);
    let recorder = Recorder::builder(&registry).metrics(3).build();

    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let dispatch = Dispatch::new();
    let note = move |event: &Event<'_>| {
        listener
            .lock()
            .unwrap()
            .push((event.tag("metric").unwrap().to_string(), event.tag("reason").unwrap().to_string()));
    };
    dispatch.attach("note", "telemetry.facade.refused", note).unwrap();
    dispatch.run(|| {
        with_local_recorder(&recorder, || {
            for _ in 0..3 {
                counter!("jobs").increment(7);
                gauge!("depth").set(1);
                histogram!("depth").record(1);
                counter!("beyond").increment(1);
            }
        });
    });
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("jobs", &[]), Some(1.0));
    assert_eq!(snapshot.total("depth", &[]), Some(1.0));
    assert_eq!(snapshot.total("telemetry.facade.refused", &[("reason", "name")]), Some(6.0));
    assert_eq!(snapshot.total("telemetry.facade.refused", &[("reason", "number")]), Some(3.0));
    let told = told.lock().unwrap();
    let metrics: Vec<&str> = told.iter().map(|(metric, _)| metric.as_str()).collect();
    assert_eq!(metrics, ["jobs", "depth", "beyond"], "{told:?}");
    assert!(told[0].1.contains("defined twice") && told[2].1.contains("use labels"), "{told:?}");
}

/// V4: names that would be exposed as one are a collision too, also when a unit makes them so.
#[test]
fn exposed_names_do_not_collide() {
    let registry = Registry::new();
    let names = |family: &telemetry_core::family::Family| {
        let unit = family.values_unit().map_or_else(String::new, |unit| format!("_{unit}"));
        vec![Claim::family(format!("{}{unit}", family.name().replace('.', "_")))]
    };
    registry.exposed_names(names).unwrap();
    with_local_recorder(&Recorder::new(&registry), || {
        gauge!("a.b").set(1);
        gauge!("a_b").set(2);
        gauge!("a_b_seconds").set(3);
        describe_gauge!("a.b", Unit::Seconds, "Would take the name of the third.");
        describe_gauge!("a_b_seconds", Unit::Bytes, "Leaves its name.");
        describe_gauge!("a.b", Unit::Seconds, "Now it is free.");
    });
    assert_eq!(registry.snapshot().total("a.b", &[]), Some(1.0));
    assert_eq!(registry.snapshot().total("a_b", &[]), None);
    assert_eq!(registry.snapshot().family("a.b").unwrap().family.values_unit(), Some(telemetry_core::Unit::Second));
    let error = registry.open::<Counter>(metric::counter("a.b")).unwrap_err();
    assert_eq!(error.fault(), &Fault::Repeated);
}

/// Threads that use metrics for the first time all at once, while others scrape and absolute counts are raised.
#[test]
fn first_uses_of_many_threads_lose_nothing() {
    let registry = Registry::new();
    let recorder =
        Recorder::builder(&registry).shape("*", Shape::new().expiry(Duration::from_millis(1), SECOND)).build();
    let barrier = Barrier::new(5);
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (recorder, barrier) = (&recorder, &barrier);
            scope.spawn(move || {
                let _guard = set_default_local_recorder(recorder);
                barrier.wait();
                for n in 1..=500_u64 {
                    counter!(format!("metric{}", n % 50), "label" => (n % 7).to_string()).increment(1);
                    counter!("clock").absolute(n * 4 + thread);
                    histogram!("size").record_many(1.0, 2);
                }
            });
        }
        barrier.wait();
        for _ in 0..50 {
            let clock = registry.snapshot().total("clock", &[]).unwrap_or(0.0);
            assert!(clock <= 2003.0, "{clock}");
        }
    });
    // Hidden series are shown once they are written to.
    with_local_recorder(&recorder, || {
        for n in 0..350_u64 {
            counter!(format!("metric{}", n % 50), "label" => (n % 7).to_string()).increment(0);
        }
        let _ = (counter!("clock").increment(0), histogram!("size").record_many(1.0, 0));
    });
    let snapshot = registry.snapshot();
    let total: f64 = (0..50)
        .flat_map(|metric| (0..7).map(move |label| (format!("metric{metric}"), label.to_string())))
        .map(|(metric, label)| snapshot.total(&metric, &[("label", &label)]).unwrap_or(0.0))
        .sum();
    assert_eq!(total, 2_000.0);
    assert_eq!(snapshot.total("clock", &[]), Some(2_003.0));
    assert_eq!(snapshot.total("size", &[]), Some(4_000.0));
}

/// V3: values that are no numbers are rejected and counted, and poison nothing.
#[test]
fn values_that_are_no_numbers_are_rejected() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            gauge!("g").set(value);
            histogram!("h").record(value);
            histogram!("h").record_many(value, 3);
        }
        histogram!("h").record_many(f64::MAX, 3);
        counter!("c").increment(u64::MAX);
        counter!("c").absolute(u64::MAX);
    });
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("g", &[]), Some(0.0));
    assert_eq!(snapshot.total("h", &[]), Some(0.0));
    assert_eq!(snapshot.total("telemetry.metric.skipped", &[("metric", "h"), ("reason", "invalid")]), Some(7.0));
}

/// A process has one recorder; the second comes back, and says what to do.
#[test]
fn a_second_recorder_is_not_installed() {
    let registry = Registry::new();
    let first = Recorder::new(&registry).install();
    let second = Recorder::new(&Registry::new()).install();
    // Nothing else in this program installs one.
    assert!(first.is_ok());
    let error = second.unwrap_err();
    assert!(error.to_string().contains("a recorder already"), "{error}");
    thread::spawn(|| counter!("installed").increment(1)).join().unwrap();
    assert_eq!(registry.snapshot().total("installed", &[]), Some(1.0));
    with_local_recorder(&error.into_recorder(), || counter!("installed").increment(5));
    assert_eq!(registry.snapshot().total("installed", &[]), Some(1.0));
}
