//! Exponential buckets against a slow reference that shares no arithmetic with them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;
use crate::Registry;
use crate::instrument::{Buckets, Histogram};
use crate::metric::distribution;
use crate::snapshot::ValueSnapshot;

/// The exponent and the fraction, from 1 to below 2, of a number above zero; halving and doubling are exact.
fn split(mut x: f64) -> (i32, f64) {
    let mut exponent = 0;
    while x >= 2.0 {
        x /= 2.0;
        exponent += 1;
    }
    while x < 1.0 {
        x *= 2.0;
        exponent -= 1;
    }
    (exponent, x)
}

/// `2^(j / 2^schema)` by square roots: within a few units in the last place.
fn bound(j: i32, schema: i8) -> f64 {
    let (mut bound, mut root) = (1.0, 2.0_f64);
    for bit in (0..schema).rev() {
        root = root.sqrt();
        if j & (1 << bit) != 0 {
            bound *= root;
        }
    }
    bound
}

/// The buckets that a number may be in: one, or two where it lies as near to a bound as the bound is known.
fn reference(x: f64, schema: i8) -> RangeInclusive<i32> {
    let (exponent, fraction) = split(x);
    if fraction == 1.0 || schema <= 0 {
        // Exact: x lies above 2^(exponent - 1), or at 2^exponent.
        let ceiling = if fraction == 1.0 { exponent } else { exponent + 1 };
        let index = match schema {
            0.. => ceiling << schema,
            _ => (f64::from(ceiling) / f64::from(1 << -schema)).ceil() as i32,
        };
        return index..=index;
    }
    let first = (1..=1 << schema).find(|j| fraction <= bound(*j, schema) * (1.0 + 1e-14)).unwrap_or(1 << schema);
    let near = (fraction / bound(first, schema) - 1.0).abs() < 1e-14 && first < 1 << schema;
    let index = (exponent << schema) + first;
    index..=index + i32::from(near)
}

/// Numbers above zero of every size: all exponents alike, subnormals too.
fn above_zero() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0..0x7FF0_0000_0000_0000_u64).prop_map(f64::from_bits),
        1 => (0..1_u64 << 52).prop_map(f64::from_bits),
        1 => (-1074..1024_i32).prop_map(|exponent| 2.0_f64.powf(f64::from(exponent))),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN_POSITIVE),
        1 => Just(f64::from_bits(1)),
    ]
    .prop_filter("above zero", |x| *x > 0.0)
}

const fn scaled(many: u32, few: u32) -> u32 {
    if cfg!(debug_assertions) { few } else { many }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(50_000, 4_000), ..ProptestConfig::default() })]

    /// Every number is in the bucket whose bounds enclose it, at every schema.
    #[test]
    fn a_number_is_in_the_bucket_of_the_reference(x in above_zero(), schema in COARSEST..=FINEST) {
        let index = index_of(x, schema);
        prop_assert!(reference(x, schema).contains(&index), "{x:e} at schema {schema}: {index}");
    }

    /// The same for numbers that lie next to a bound.
    #[test]
    fn a_number_next_to_a_bound_is_in_the_bucket_of_the_reference(
        exponent in -1021..1023_i32, within in 0..256_i32, schema in COARSEST..=FINEST, steps in -2..=2_i64
    ) {
        let index = if schema > 0 { (exponent << schema) + (within >> (FINEST - schema)) } else { exponent >> -schema };
        let bound = upper_bound(index, schema);
        prop_assume!(bound.is_normal());
        let x = f64::from_bits((bound.to_bits() as i64 + steps) as u64);
        prop_assume!(x.is_normal());
        prop_assert_eq!(index_of(x, schema), if steps <= 0 { index } else { index + 1 });
        prop_assert!(reference(x, schema).contains(&index_of(x, schema)), "{:e} at schema {}", x, schema);
    }
}

/// What a series holds, by the reference.
#[derive(Default)]
struct Counted {
    zeroes: u64,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
}

impl Counted {
    fn new(values: &[f64], schema: i8) -> Self {
        let mut counted = Self::default();
        for x in values {
            if x.abs() <= ZERO_THRESHOLD {
                counted.zeroes += 1;
                continue;
            }
            let side = if *x < 0.0 { &mut counted.negative } else { &mut counted.positive };
            *side.entry(*reference(x.abs(), schema).start()).or_default() += 1;
        }
        counted
    }
}

fn assert_counted_as_by_the_reference(settings: Exponential, values: &[f64]) {
    let registry = Registry::new();
    let metric = distribution("values").exponential(settings).buckets(Buckets::latency());
    let histogram = registry.register::<Histogram>(metric).unwrap().single().unwrap();
    values.iter().for_each(|x| histogram.record(*x));
    let Some(ValueSnapshot::Histogram { counts, exponential, .. }) = registry.snapshot().sample("values", &[]).cloned()
    else {
        panic!("no histogram");
    };
    let read = exponential.unwrap();
    assert!(read.schema <= settings.schema());
    let expected = Counted::new(values, read.schema);
    assert_eq!(read.zero_count, expected.zeroes);
    assert_eq!(read.positive, expected.positive.into_iter().collect::<Vec<_>>(), "at schema {}", read.schema);
    assert_eq!(read.negative, expected.negative.into_iter().collect::<Vec<_>>(), "at schema {}", read.schema);
    assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
}

/// Numbers that are not next to a bound, so that the reference is sure of the bucket.
fn sure(x: &f64) -> bool {
    x.abs() <= ZERO_THRESHOLD
        || (COARSEST..=FINEST).all(|schema| {
            let buckets = reference(x.abs(), schema);
            buckets.start() == buckets.end()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(200, 24), ..ProptestConfig::default() })]

    /// Values that come in any order, over a range that is wider than the first resolution can hold: what was counted
    /// at finer resolutions is merged into what the coarsest would have counted by itself.
    #[test]
    fn merged_levels_count_what_the_last_one_would_have_counted(
        schema in COARSEST..=FINEST,
        exponents in 1..300_i32,
        seeds in prop::collection::vec((any::<f64>(), any::<bool>(), 0.5..1.0_f64), 1..400),
    ) {
        let value = |(x, negative, fraction): (f64, bool, f64)| {
            let exponent = (x.to_bits() >> 17) as i32 % exponents;
            let x = (fraction * 2.0_f64.powi(exponent.abs() - 40)).min(f64::MAX);
            if negative { -x } else { x }
        };
        let values: Vec<f64> = seeds.into_iter().map(value).filter(sure).collect();
        assert_counted_as_by_the_reference(Exponential::new(schema).unwrap(), &values);
    }
}

/// A hundred thousand values of every size and sign, at every schema that one can begin with.
#[test]
fn a_hundred_thousand_values_are_counted_as_by_the_reference() {
    let number = scaled(100_000, 2_000) as usize;
    for schema in [COARSEST, -1, 0, 3, FINEST] {
        let mut state = u64::from(schema.unsigned_abs()) + 1;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state ^ state >> 29)
        };
        let values: Vec<f64> =
            std::iter::from_fn(|| Some(draw())).filter(|x| x.is_finite() && sure(x)).take(number).collect();
        assert_counted_as_by_the_reference(Exponential::new(schema).unwrap(), &values);
    }
}
