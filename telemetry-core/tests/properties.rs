//! Random events against a naive model of what metrics make of them.

mod declare;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use telemetry_core::instrument::{Buckets, Histogram, Spiral, Summary, Window};
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::scrape::{SpiralSample, Total};
use telemetry_core::snapshot::{Snapshot, ValueSnapshot};
use telemetry_core::{Clock, Dispatch, Number, Registry, Unit, Value};

const fn scaled(many: u32, few: u32) -> u32 {
    if cfg!(debug_assertions) { few } else { many }
}

callsite!(SITE: "model.event", ["x"], ["a", "b"]);

/// A tag's value, of which only the text matters.
#[derive(Clone, Debug)]
enum Tag {
    Absent,
    Text(String),
    Whole(i64),
    Bool(bool),
}

impl Tag {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Absent => Value::Absent,
            Self::Text(text) => Value::Str(text),
            Self::Whole(n) => Value::I64(*n),
            Self::Bool(b) => Value::Bool(*b),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Text(text) => text.clone(),
            Self::Whole(n) => n.to_string(),
            Self::Bool(b) => b.to_string(),
        }
    }
}

/// V5: few enough to meet again, and hostile: the same text from different types, texts that meet when they are put one
/// behind the other, lengths about those that a key holds in one byte, on the stack, and in a row's head.
fn tag() -> impl Strategy<Value = Tag> {
    let text = prop_oneof![
        Just(""),
        Just("a"),
        Just("ab"),
        Just("b"),
        Just("1"),
        Just("true"),
        Just("\""),
        Just("\\"),
        Just("\n"),
        Just("\0"),
        Just("\u{1}a"),
        Just("é"),
        Just("𝄞\u{FFFD}")
    ];
    let long = prop_oneof![Just(253), Just(254), Just(255), Just(256), Just(4090), Just(4095), Just(10_000)];
    prop_oneof![
        6 => text.prop_map(|text| Tag::Text(text.to_owned())),
        1 => long.prop_map(|length| Tag::Text("\u{FF}x".repeat(length / 3) + &"y".repeat(length % 3))),
        1 => any::<String>().prop_map(Tag::Text),
        1 => (-1..2_i64).prop_map(Tag::Whole),
        1 => any::<bool>().prop_map(Tag::Bool),
        1 => Just(Tag::Absent),
    ]
}

/// V3: small numbers, and all that could do harm.
fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        4 => (0..20_u64).prop_map(Number::U64),
        2 => (-20..20_i64).prop_map(Number::I64),
        4 => (-200..200_i32).prop_map(|n| Number::F64(f64::from(n) / 10.0)),
        1 => any::<f64>().prop_map(Number::F64),
        1 => any::<u64>().prop_map(Number::U64),
        1 => any::<i64>().prop_map(Number::I64),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(1 << 53)].prop_map(Number::I64),
        2 => (0..20_000_000_000_u64).prop_map(|nanos| Number::Duration(Duration::from_nanos(nanos))),
    ]
}

/// A number that a metric without a unit takes: whole, or a float.
#[derive(Clone, Copy)]
enum Taken {
    Whole(i64),
    Float(f64),
}

fn taken(number: Number) -> Option<Taken> {
    match number {
        Number::U64(n) => Some(i64::try_from(n).map_or(Taken::Float(n as f64), Taken::Whole)),
        Number::I64(n) if n == i64::MIN => Some(Taken::Float(n as f64)),
        Number::I64(n) => Some(Taken::Whole(n)),
        Number::F64(x) => x.is_finite().then_some(Taken::Float(x)),
        Number::Duration(duration) => Some(Taken::Float(duration.as_secs_f64())),
    }
}

const BOUNDS: [f64; 9] = [-1e300, -9_223_372_036_854_775_808.0, -2.5, 0.0, 0.1, 5.0, 9007199254740992.0, 1e18, 1e300];

/// Whether a number is at most a bound, without rounding either.
fn is_within(taken: Taken, bound: f64) -> bool {
    match taken {
        Taken::Float(x) => x <= bound,
        Taken::Whole(n) if bound.abs() < 1e30 => i128::from(n) <= bound.floor() as i128,
        Taken::Whole(_) => bound > 0.0,
    }
}

/// One series of each kind, in the plainest way.
#[derive(Clone, Debug, Default)]
struct Plain {
    events: u64,
    carrying: u64,
    sum: (u64, f64),
    last: Option<f64>,
    buckets: [u64; BOUNDS.len() + 1],
    histogram_sum: (u64, f64),
    marks: u64,
}

/// How many events each metric could not take.
#[derive(Clone, Debug, Default, PartialEq)]
struct Skipped {
    missing: u64,
    invalid: u64,
}

impl Plain {
    /// Adds up; gives what the sum, the others, and the spiral skip.
    fn take(&mut self, number: Option<Number>, skipped: &mut [Skipped; 3]) {
        self.events += 1;
        let Some(number) = number else {
            return skipped.iter_mut().for_each(|skipped| skipped.missing += 1);
        };
        self.carrying += 1;
        let Some(taken) = taken(number) else {
            return skipped.iter_mut().for_each(|skipped| skipped.invalid += 1);
        };
        let bucket = BOUNDS.iter().position(|bound| is_within(taken, *bound)).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        let (x, is_negative) = match taken {
            Taken::Whole(n) => {
                self.histogram_sum.0 = self.histogram_sum.0.wrapping_add(n as u64);
                (n as f64, n < 0)
            }
            Taken::Float(x) => {
                self.histogram_sum.1 += x;
                (x, x < 0.0)
            }
        };
        self.last = Some(x);
        match taken {
            _ if is_negative => skipped[0].invalid += 1,
            Taken::Whole(n) => self.sum.0 = self.sum.0.wrapping_add(n as u64),
            Taken::Float(x) => self.sum.1 += x,
        }
        match taken {
            Taken::Whole(n) if n >= 0 => self.marks = self.marks.wrapping_add(n as u64),
            Taken::Float(x) if x >= 0.0 && x < u64::MAX as f64 && x.fract() == 0.0 => {
                self.marks = self.marks.wrapping_add(x as u64);
            }
            _ => skipped[2].invalid += 1,
        }
    }

    fn total(&self) -> Total {
        match self.sum {
            (whole, 0.0) => Total::U64(whole),
            (whole, float) => Total::F64(whole as f64 + float),
        }
    }

    fn histogram_sum(&self) -> f64 {
        self.histogram_sum.0 as i64 as f64 + self.histogram_sum.1
    }
}

fn check(snapshot: &Snapshot, suffix: &str, labels: &[(&str, &str)], plain: &Plain) {
    let sample = |name: &str| snapshot.sample(&format!("{name}.{suffix}"), labels);
    let count = |n| ValueSnapshot::Total(Total::U64(n));
    assert_eq!(sample("events"), Some(&count(plain.events)), "{labels:?}");
    assert_eq!(sample("carrying"), Some(&count(plain.carrying)), "{labels:?}");
    assert_eq!(sample("sum"), Some(&ValueSnapshot::Total(plain.total())), "{labels:?}");
    assert_eq!(sample("last"), plain.last.map(ValueSnapshot::Gauge).as_ref(), "{labels:?}");
    let Some(ValueSnapshot::Histogram { bounds, counts, sum, .. }) = sample("buckets") else { panic!("{labels:?}") };
    assert_eq!((bounds.as_slice(), counts.as_slice()), (&BOUNDS[..], &plain.buckets[..]), "{labels:?}");
    assert_eq!(sum.to_bits(), plain.histogram_sum().to_bits(), "{sum} {labels:?}");
    let Some(ValueSnapshot::Summary { count, sum, .. }) = sample("summary") else { panic!("{labels:?}") };
    assert_eq!(*count, plain.buckets.iter().sum::<u64>(), "{labels:?}");
    assert_eq!(sum.to_bits(), plain.histogram_sum().to_bits(), "{sum} {labels:?}");
    let Some(ValueSnapshot::Spiral(SpiralSample { count, .. })) = sample("spiral") else { panic!("{labels:?}") };
    assert_eq!(*count, plain.marks, "{labels:?}");
}

/// Metrics of every kind, named by their kind and a suffix.
fn metrics(suffix: &str, tags: &[&str]) -> Vec<Metric> {
    let over = |make: fn(String) -> Metric, kind: &str, measurement: &str| {
        make(format!("{kind}.{suffix}")).event("model.event").measurement(measurement).tags(tags).limit(100_000)
    };
    vec![
        over(counter, "events", "count"),
        over(counter, "carrying", "x"),
        over(sum, "sum", "x"),
        over(last_value, "last", "x"),
        over(distribution, "buckets", "x").buckets(Buckets::new(BOUNDS).unwrap()),
        over(summary, "summary", "x"),
        over(spiral, "spiral", "x"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(300, 32), ..ProptestConfig::default() })]

    /// V1, V2, V3, V5, M34: whatever is emitted, every series of every kind holds what the plainest code would, and what
    /// is skipped is counted.
    #[test]
    fn metrics_hold_what_a_naive_model_holds(
        events in prop::collection::vec((prop::option::weighted(0.9, number()), tag(), tag()), 1..150)
    ) {
        let registry = Registry::new();
        let all = metrics("ab", &["a", "b"]).into_iter().chain(metrics("b", &["b"])).chain(metrics("none", &[]));
        let dispatch = Dispatch::new();
        registry.aggregator(all).unwrap().attach_to(&dispatch, "metrics").unwrap();
        let (mut ab, mut b, mut none) = (HashMap::<_, Plain>::new(), HashMap::<_, Plain>::new(), Plain::default());
        let mut skipped = <[Skipped; 3]>::default();
        dispatch.run(|| {
            for (x, first, second) in &events {
                SITE.emit(&[*x], &[first.value(), second.value()]);
                let mut unused = <[Skipped; 3]>::default();
                ab.entry((first.text(), second.text())).or_default().take(*x, &mut skipped);
                b.entry(second.text()).or_default().take(*x, &mut unused);
                none.take(*x, &mut unused);
            }
        });
        let snapshot = registry.snapshot();
        for ((first, second), plain) in &ab {
            check(&snapshot, "ab", &[("a", first), ("b", second)], plain);
        }
        for (second, plain) in &b {
            check(&snapshot, "b", &[("b", second)], plain);
        }
        check(&snapshot, "none", &[], &none);
        prop_assert_eq!(snapshot.family("events.ab").unwrap().series.len(), ab.len());
        prop_assert_eq!(snapshot.family("events.b").unwrap().series.len(), b.len());
        for (name, skipped) in [("sum.ab", &skipped[0]), ("buckets.ab", &skipped[1]), ("spiral.ab", &skipped[2])] {
            let of = |reason| snapshot.total("telemetry.metric.skipped", &[("metric", name), ("reason", reason)]).unwrap() as u64;
            prop_assert_eq!(&Skipped { missing: of("missing"), invalid: of("invalid") }, skipped, "{}", name);
        }
    }

    /// V2: integers, floats and durations fall into the bucket whose bound is the first that is not below them, however
    /// many bounds there are.
    #[test]
    fn a_value_is_in_the_first_bucket_that_holds_it(
        bounds in prop::collection::btree_set(-1_000_000..1_000_000_000_i64, 1..60),
        values in prop::collection::vec((0..9_i64, -2..=2_i64, any::<prop::sample::Index>()), 1..100),
    ) {
        // Bounds in milliseconds, as floats of seconds; values next to them, in nanoseconds.
        let millis: Vec<i64> = bounds.into_iter().collect();
        let seconds: Vec<f64> = millis.iter().map(|ms| *ms as f64 / 1e3).collect();
        let registry = Registry::new();
        let metric = |name| distribution(name).unit(Unit::Second).buckets(Buckets::new(seconds.iter().copied()).unwrap());
        let whole = registry.register::<Histogram>(metric("whole")).unwrap().single().unwrap();
        let float = registry.register::<Histogram>(metric("float")).unwrap().single().unwrap();
        let number = registry.register::<Histogram>(metric("number")).unwrap().single().unwrap();
        let mut expected = [(); 3].map(|()| vec![0_u64; seconds.len() + 1]);
        for (scale, step, near) in values {
            // A bound is the float that is nearest to so many nanoseconds, so those compare exactly with it.
            let nanos = millis[near.index(millis.len())] * 1_000_000 + step * 10_i64.pow(scale as u32);
            if let Ok(nanos) = u64::try_from(nanos) {
                whole.record(Duration::from_nanos(nanos));
                expected[0][millis.iter().position(|ms| nanos as i64 <= ms * 1_000_000).unwrap_or(millis.len())] += 1;
            }
            let x = nanos as f64 / 1e9;
            float.record(x);
            expected[1][seconds.iter().position(|bound| x <= *bound).unwrap_or(seconds.len())] += 1;
            let n = nanos / 1_000_000_000;
            number.record(n);
            expected[2][millis.iter().position(|ms| n * 1_000 <= *ms).unwrap_or(millis.len())] += 1;
        }
        let snapshot = registry.snapshot();
        for (name, expected) in ["whole", "float", "number"].into_iter().zip(expected) {
            let Some(ValueSnapshot::Histogram { counts, .. }) = snapshot.sample(name, &[]) else { panic!("no histogram") };
            prop_assert_eq!(counts, &expected, "{}", name);
        }
    }

    /// A summary's quantiles lie within the stated error of the exact ones, and so do those of an independent histogram.
    #[test]
    fn quantiles_are_within_the_stated_error(
        values in prop::collection::vec((-17..17_i32, 1.0..2.0_f64, any::<bool>(), 0..20_u8), 1..600),
        quantiles in prop::collection::btree_set(0..=1_000_u32, 1..8),
    ) {
        // One value in twenty is zero. Within 35 doublings of each sign: beyond forty in all, the resolution halves.
        let negative = values.len() % 2 == 0;
        let value = |&(exponent, fraction, is_negative, zero): &(i32, f64, bool, u8)| match zero {
            0 => 0.0,
            _ if negative && is_negative => -fraction * 2.0_f64.powi(exponent.abs() / 8),
            _ if negative => fraction * 2.0_f64.powi(exponent.abs()),
            _ => fraction * 2.0_f64.powi(exponent),
        };
        let mut values: Vec<f64> = values.iter().map(value).collect();
        let quantiles: Vec<f64> = quantiles.into_iter().map(|q| f64::from(q) / 1e3).collect();
        let registry = Registry::new();
        let metric = summary("latency").quantiles(quantiles.iter().copied());
        let handle = registry.register::<Summary>(metric).unwrap().single().unwrap();
        // Microunits, three digits.
        let mut other = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        for x in &values {
            handle.record(*x);
            if !negative {
                other.record((x * 1e6).round() as u64).unwrap();
            }
        }
        let Some(ValueSnapshot::Summary { quantiles: read, .. }) = registry.snapshot().sample("latency", &[]).cloned() else {
            panic!("no summary");
        };
        prop_assert_eq!(read.iter().map(|(q, _)| *q).collect::<Vec<_>>(), quantiles);
        values.sort_by(f64::total_cmp);
        for (q, x) in read {
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            prop_assert!((x - exact).abs() <= 0.011 * exact.abs(), "{} is {}, exactly {}", q, x, exact);
            if !negative {
                let theirs = other.value_at_quantile(q) as f64 / 1e6;
                prop_assert!((x - theirs).abs() <= 0.0125 * theirs + 1e-6, "{} is {}, theirs {}", q, x, theirs);
            }
        }
    }

    /// A spiral's window holds what came in its slots, whatever the time between events, and everything since creation.
    #[test]
    fn a_window_holds_what_a_list_of_events_holds(
        slots in 1..70_u32,
        slot_millis in 1..5_000_u64,
        steps in prop::collection::vec((0..20_000_u64, prop::option::of(0..1_000_u64)), 1..200),
    ) {
        let (clock, hands) = Clock::manual();
        let registry = Registry::with_clock(clock);
        let window = Window::new(Duration::from_millis(slot_millis * u64::from(slots)), slots).unwrap();
        let marks = registry.register::<Spiral>(spiral("marks").window(window)).unwrap().single().unwrap();
        let (mut now, mut list) = (0, BTreeMap::<u64, u64>::new());
        for (millis, n) in steps {
            hands.advance(Duration::from_millis(millis));
            now += millis;
            if let Some(n) = n {
                marks.mark(n);
                *list.entry(now / slot_millis).or_default() += n;
            }
            let oldest = (now / slot_millis + 1).saturating_sub(u64::from(slots));
            let expected = SpiralSample { count: list.values().sum(), one: list.range(oldest..).map(|(_, n)| n).sum() };
            let read = registry.snapshot().sample("marks", &[]).cloned();
            prop_assert_eq!(read, Some(ValueSnapshot::Spiral(expected)));
        }
    }
}
