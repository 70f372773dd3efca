//! Exponential buckets as an application keeps them, against exact arithmetic, and within their limit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use telemetry_core::family::Family;
use telemetry_core::instrument::{Buckets, Exponential, Histogram};
use telemetry_core::metric::{Fault, distribution};
use telemetry_core::scrape::{Sample, Series, Visit};
use telemetry_core::{Clock, Registry};

/// The high half of a product.
fn high(a: u128, b: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let middle = a1 * b0 + ((a0 * b0) >> 64);
    a1 * b1 + (middle >> 64) + ((a0 * b1 + (middle & LOW)) >> 64)
}

/// The index of a bucket, by raising the number to the power of `2^schema`: no table, and no logarithm. Squares keep 128
/// bits, and a number is never so close to a bound that the lost ones would matter.
fn index(x: f64, schema: i8) -> i32 {
    let bits = x.to_bits();
    let (mut exponent, mut mantissa) = ((bits >> 52) as i32 - 1023, bits & ((1 << 52) - 1));
    if exponent == -1023 {
        let shift = mantissa.leading_zeros() as i32 - 11;
        (exponent, mantissa) = (-1022 - shift, mantissa << shift & ((1 << 52) - 1));
    }
    let above_power = i32::from(mantissa > 0);
    if schema <= 0 {
        return -(-(exponent + above_power)).div_euclid(1 << -schema);
    }
    // From 1 to below 2: the point stands behind the first bit.
    let mut power = u128::from(mantissa | 1 << 52) << 75;
    let mut doublings = 0;
    for _ in 0..schema {
        power = high(power, power);
        doublings *= 2;
        if power >> 127 == 1 {
            doublings += 1;
        } else {
            power <<= 1;
        }
    }
    (exponent << schema) + doublings + above_power
}

/// What a series should hold, at the resolution at which it is shown.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    zero: u64,
    positive: Vec<(i32, u64)>,
    negative: Vec<(i32, u64)>,
}

fn count(values: &[f64], schema: i8, threshold: f64) -> Counted {
    let (mut zero, mut positive, mut negative) = (0, BTreeMap::new(), BTreeMap::new());
    for x in values.iter().filter(|x| x.is_finite()) {
        if x.abs() <= threshold {
            zero += 1;
        } else {
            let side = if *x > 0.0 { &mut positive } else { &mut negative };
            *side.entry(index(x.abs(), schema)).or_default() += 1;
        }
    }
    Counted { zero, positive: positive.into_iter().collect(), negative: negative.into_iter().collect() }
}

/// One histogram, as a scrape shows it.
#[derive(Debug)]
struct Shown {
    created: Duration,
    schema: i8,
    threshold: f64,
    counted: Counted,
    counts: Vec<u64>,
    sum: f64,
}

impl Shown {
    fn buckets(&self) -> usize {
        self.counted.positive.len() + self.counted.negative.len()
    }

    /// By the exponential buckets.
    fn count(&self) -> u64 {
        let Counted { zero, positive, negative } = &self.counted;
        zero + positive.iter().chain(negative).map(|(_, count)| count).sum::<u64>()
    }
}

#[derive(Default)]
struct Last(Option<Shown>);

impl Visit for Last {
    fn family(&mut self, _: &Family) {}

    fn series(&mut self, series: &Series<'_>) {
        if let Sample::Histogram(histogram) = series.sample {
            let read = histogram.exponential.unwrap();
            let counted =
                Counted { zero: read.zero_count, positive: read.positive.to_vec(), negative: read.negative.to_vec() };
            self.0 = Some(Shown {
                created: series.created.unwrap(),
                schema: read.schema,
                threshold: read.zero_threshold,
                counted,
                counts: histogram.counts.to_vec(),
                sum: histogram.sum,
            });
        }
    }
}

fn scrape(registry: &Registry) -> Shown {
    let mut last = Last::default();
    registry.scrape().run(&mut last);
    last.0.unwrap()
}

/// A registry with one histogram, native alone.
fn native(settings: Exponential) -> (Registry, Histogram) {
    let registry = Registry::new();
    let histogram = registry.register::<Histogram>(distribution("h").exponential(settings)).unwrap();
    let histogram = histogram.single().unwrap();
    (registry, histogram)
}

/// Numbers that look random, and are the same each time.
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const EXTREMES: [f64; 13] = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    1.5e-310,
    f64::MIN_POSITIVE,
    -f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    1.0,
];

/// V3: a million values of every size and sign, subnormals, infinities and NaN among them, and as many schemas as there
/// are: every count is that of exact arithmetic. What is not finite is refused, and counted as such.
#[test]
fn a_million_values_are_counted_as_by_exact_arithmetic() {
    let each = 1_000_000 / 13 + 1;
    for schema in -4..=8_i8 {
        let settings = Exponential::new(schema).unwrap().zero_threshold(0.0);
        let mut draw = Draw(schema.unsigned_abs().into());
        // One half keeps its schema: so many values as its buckets have room for. The other is of every size there is.
        let doublings = (256.0 / f64::from(schema).exp2()).min(2_000.0);
        let kept = std::iter::repeat_with(|| {
            let size = ((draw.share() - 0.5) * doublings).exp2();
            if draw.bits() & 1 == 0 { size } else { -size }
        });
        let kept: Vec<f64> = kept.take(each / 2).collect();
        let wide: Vec<f64> =
            EXTREMES.into_iter().chain(std::iter::repeat_with(|| f64::from_bits(draw.bits())).take(each / 2)).collect();
        for (values, limit) in [(kept, 600), (wide, 160)] {
            let (registry, histogram) = native(settings.max_buckets(limit));
            values.iter().for_each(|x| histogram.record(*x));
            let shown = scrape(&registry);
            if limit == 600 {
                assert_eq!(shown.schema, schema);
            }
            assert!(shown.buckets() <= limit as usize);
            assert_eq!(shown.counted, count(&values, shown.schema, shown.threshold), "schema {schema}");
            let finite = values.iter().filter(|x| x.is_finite()).count() as u64;
            assert_eq!(shown.counts, [finite]);
            let refused = [("metric", "h"), ("reason", "invalid")];
            let refused = registry.snapshot().total("telemetry.metric.skipped", &refused);
            assert_eq!(refused, Some((values.len() as u64 - finite) as f64));
        }
    }
}

/// The bounds are the floats next to `2^(j/256)`, so a float above or below one is in the bucket that it belongs to.
#[test]
fn a_float_next_to_a_bound_is_in_its_bucket() {
    for j in 1..256_i32 {
        let bound = (f64::from(j) / 256.0).exp2();
        let (below, above) = (f64::from_bits(bound.to_bits() - 1), f64::from_bits(bound.to_bits() + 1));
        assert_eq!((index(below, 8), index(above, 8)), (j, j + 1), "{bound}");
        let (registry, histogram) = native(Exponential::new(8).unwrap());
        [below, bound, above].into_iter().for_each(|x| histogram.record(x));
        assert_eq!(scrape(&registry).counted.positive, [(j, 2), (j + 1, 1)], "{bound}");
    }
}

/// A definition says which schema it wants by how much a bound may grow.
#[test]
fn a_factor_chooses_the_schema() {
    for (factor, schema) in
        [(1.1, 3), (1.091, 3), (1.09, 4), (2.0, 0), (1.5, 1), (4.0, -1), (65_536.0, -4), (1e30, -4), (1.000_1, 8)]
    {
        assert_eq!(Exponential::factor(factor).unwrap().schema(), schema, "{factor}");
    }
    for factor in [1.0, 0.0, -2.0, f64::NAN] {
        assert_eq!(Exponential::factor(factor), None);
    }
}

/// M25-M32: settings that can't be are an error that says what to do.
#[test]
fn bad_settings_are_refused() {
    let settings = Exponential::default();
    for bad in [
        settings.max_buckets(0),
        settings.max_buckets(10_001),
        settings.zero_threshold(-1.0),
        settings.zero_threshold(f64::NAN),
        settings.max_zero_threshold(f64::INFINITY),
    ] {
        let error = Registry::new().register::<Histogram>(distribution("h").exponential(bad)).unwrap_err();
        assert!(matches!(error.fault(), Fault::Exponential(_)), "{error}");
        assert!(error.to_string().contains("_") && error.to_string().contains("\"h\""), "{error}");
    }
    let most = distribution("h").exponential(Exponential::new(8).unwrap().max_buckets(10_000).max_zero_threshold(1.0));
    Registry::new().register::<Histogram>(most).unwrap().single().unwrap().record(1.0);
}

/// Values that get ever larger and smaller: the buckets stay within the limit, no count is lost, and what was shown once
/// only gets coarser.
#[test]
fn buckets_stay_within_their_limit() {
    for (limit, widest) in [(160, 0.0), (160, 1e-3), (20, 0.0), (20, 1e3), (1, 0.0), (3, 1e-300)] {
        for schema in [-4, 0, 3, 8] {
            let settings = Exponential::new(schema).unwrap().max_buckets(limit).max_zero_threshold(widest);
            let (registry, histogram) = native(settings.zero_threshold(0.0));
            let mut values = Vec::new();
            let (mut coarsest, mut threshold) = (schema, 0.0);
            for k in 0..1_000_i32 {
                for (sign, power) in [(1.0, k), (1.0, -k), (-1.0, k), (-1.0, -k)] {
                    let x = sign * 2.0_f64.powi(power) * (1.0 + f64::EPSILON * f64::from(k % 3));
                    values.push(x);
                    histogram.record(x);
                }
                if k % 50 == 0 {
                    let shown = scrape(&registry);
                    assert!(shown.buckets() <= limit as usize, "{} buckets, limit {limit}", shown.buckets());
                    assert_eq!(shown.count(), values.len() as u64);
                    assert_eq!(shown.counts, [values.len() as u64]);
                    assert!(shown.schema <= coarsest && shown.threshold >= threshold, "{shown:?}");
                    (coarsest, threshold) = (shown.schema, shown.threshold);
                }
            }
        }
    }
}

/// The zero bucket widens before the resolution is halved, whatever the order of the values.
#[test]
fn the_zero_bucket_widens_first() {
    let settings = Exponential::new(0).unwrap().max_buckets(20).max_zero_threshold(2.0_f64.powi(-10));
    let values: Vec<f64> = (0..40).map(|k| 2.0_f64.powi(-k)).collect();
    for reversed in [false, true] {
        let (registry, histogram) = native(settings);
        let mut values = values.clone();
        if reversed {
            values.reverse();
        }
        values.iter().for_each(|x| histogram.record(*x));
        let shown = scrape(&registry);
        assert_eq!(shown.schema, 0);
        assert!(shown.threshold <= 2.0_f64.powi(-10) && shown.buckets() <= 20, "{shown:?}");
        assert_eq!(shown.counted, count(&values, 0, shown.threshold));
        // Beyond that, the resolution is halved, and the zero bucket stays as it is.
        (1..40).for_each(|k| histogram.record(2.0_f64.powi(k)));
        let wider = scrape(&registry);
        assert!(wider.schema < 0 && wider.threshold >= shown.threshold, "{wider:?}");
        assert!(wider.threshold <= 2.0_f64.powi(-10));
        assert_eq!(wider.count(), 79);
    }
}

/// A histogram that is old enough is shown once more when its buckets got too many, and begins anew: at its full
/// resolution, at zero, with a new time of creation, its explicit buckets too.
#[test]
fn a_histogram_begins_anew_when_it_is_old_enough() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let settings = Exponential::default().min_reset(Duration::from_secs(60));
    let metric = distribution("h").exponential(settings).buckets(Buckets::new([1.0, 1e9]).unwrap());
    let histogram = registry.register::<Histogram>(metric).unwrap().single().unwrap();
    let wide = || (-30..30).for_each(|k| histogram.record(2.0_f64.powi(k)));
    wide();
    let young = scrape(&registry);
    assert!(young.schema < 3 && young.created.is_zero(), "{young:?}");
    assert_eq!(young.counts, [31, 29, 0]);
    hands.advance(Duration::from_secs(60));
    histogram.record(5.0);
    assert_eq!(registry.snapshot().total("h", &[]), Some(61.0), "a look changes nothing");
    let last = scrape(&registry);
    assert_eq!((last.schema, last.count(), last.created), (young.schema, 61, Duration::ZERO));
    assert_eq!(last.counts, [31, 30, 0]);

    let anew = scrape(&registry);
    assert_eq!((anew.schema, anew.count(), anew.created), (3, 0, Duration::from_secs(60)));
    assert_eq!((anew.counts.as_slice(), anew.sum), ([0, 0, 0].as_slice(), 0.0));
    histogram.record(7.0);
    let anew = scrape(&registry);
    assert_eq!(anew.counted, Counted { positive: vec![(index(7.0, 3), 1)], ..Counted::default() });
    assert_eq!((anew.counts.as_slice(), anew.sum), ([0, 1, 0].as_slice(), 7.0));

    // The next life is as long.
    wide();
    assert!(scrape(&registry).schema < 3);
    hands.advance(Duration::from_secs(59));
    assert_eq!(scrape(&registry).count(), 61);
    assert_eq!(scrape(&registry).count(), 61);
    hands.advance(Duration::from_secs(1));
    assert_eq!(scrape(&registry).count(), 61);
    assert_eq!((scrape(&registry).count(), scrape(&registry).created), (0, Duration::from_secs(120)));
}

/// While another walk is under way, nothing that it may read is given back.
#[test]
fn a_histogram_waits_for_other_walks() {
    let settings = Exponential::default().min_reset(Duration::ZERO);
    let registry = Registry::new();
    let metric = distribution("h").exponential(settings).tags(["n"]);
    let histograms = registry.register::<Histogram>(metric).unwrap();
    // More than one step shows, so that a walk stands in their midst.
    for n in 0..300 {
        let histogram = histograms.with([n.to_string().as_str()]).unwrap();
        (-30..30).for_each(|k| histogram.record(2.0_f64.powi(k)));
    }
    let (mut other, mut last) = (registry.scrape(), Last::default());
    assert!(other.step(&mut last));
    assert_eq!(last.0.as_ref().unwrap().count(), 60);
    // The last series was not reached by the other walk; this one must leave it as it is.
    assert_eq!(scrape(&registry).count(), 60);
    assert_eq!(scrape(&registry).count(), 60);
    while other.step(&mut last) {}
    assert_eq!(last.0.as_ref().unwrap().count(), 60);
    drop(other);
    assert_eq!(scrape(&registry).count(), 0);
}

/// Nothing is lost and nothing is counted twice while threads record, scrapes come, and the histogram begins anew at each
/// of them.
#[test]
fn every_value_is_shown_in_one_life() {
    let settings = Exponential::new(3).unwrap().max_buckets(32).min_reset(Duration::ZERO);
    let (registry, histogram) = native(settings);
    let (each, threads, go_on) = (20_000_u64, 3, AtomicBool::new(true));
    let (mut lives, mut shown) = (0_u64, 0_u64);
    std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..threads)
            .map(|thread| {
                let histogram = histogram.clone();
                scope.spawn(move || {
                    let mut draw = Draw(thread);
                    (0..each).for_each(|_| histogram.record((draw.share() * 60.0 - 30.0).exp2()));
                })
            })
            .collect();
        let scraper = scope.spawn(|| {
            let (mut total, mut life, mut lives) = (0, (Duration::ZERO, 0), 0);
            loop {
                let is_last = !go_on.load(Ordering::Acquire);
                let now = scrape(&registry);
                if now.created != life.0 {
                    total += life.1;
                    lives += 1;
                } else {
                    assert!(now.count() >= life.1, "{} after {}", now.count(), life.1);
                }
                assert!(now.buckets() <= 32);
                life = (now.created, now.count());
                if is_last {
                    return (total + life.1, lives);
                }
            }
        });
        recorders.into_iter().for_each(|recorder| recorder.join().unwrap());
        go_on.store(false, Ordering::Release);
        (shown, lives) = scraper.join().unwrap();
    });
    assert_eq!(shown, each * threads);
    assert!(lives > 1, "{lives} lives");
}

/// Beside explicit buckets: whoever is counted in those is counted in the exponential ones, at any moment.
#[test]
fn explicit_buckets_are_never_ahead_of_the_exponential_ones() {
    let registry = Registry::new();
    let metric = distribution("h").exponential(Exponential::default()).buckets(Buckets::latency());
    let histogram = registry.register::<Histogram>(metric).unwrap().single().unwrap();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let recorder = scope.spawn(|| {
            let mut recorded = 0_u32;
            while go_on.load(Ordering::Relaxed) {
                histogram.record(0.001 * f64::from(recorded % 100));
                recorded += 1;
            }
            recorded
        });
        for _ in 0..2_000 {
            let shown = scrape(&registry);
            assert!(shown.counts.iter().sum::<u64>() <= shown.count());
        }
        go_on.store(false, Ordering::Relaxed);
        let recorded = u64::from(recorder.join().unwrap());
        let shown = scrape(&registry);
        assert_eq!((shown.counts.iter().sum::<u64>(), shown.count()), (recorded, recorded));
    });
}

/// What is reset by hand has a new time of creation, too.
#[test]
fn a_reset_is_a_new_creation() {
    let (clock, hands) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let histogram = registry.register::<Histogram>(distribution("h").exponential(Exponential::default())).unwrap();
    let histogram = histogram.single().unwrap();
    histogram.record(1.0);
    hands.advance(Duration::from_secs(5));
    assert_eq!(registry.reset("h", &[]), 1);
    assert_eq!((scrape(&registry).count(), scrape(&registry).created), (0, Duration::from_secs(5)));
}
