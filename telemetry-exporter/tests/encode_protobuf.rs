//! Protobuf, read back by `prost`.

mod encode_fixture;
mod protobuf_messages;

use std::collections::BTreeMap;
use std::time::Duration;

use encode_fixture::{CREATED, HOSTILE, series, show_everything};
use proptest::prelude::*;
use protobuf_messages::{Histogram, Metric, MetricFamily, MetricType, Timestamp, families, messages};
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{ExponentialSample, HistogramSample, Labels, Sample, Series, Total, Visit};
use telemetry_exporter::encode::{CHUNK, Encoder, MESSAGE, Options, Protobuf};
use telemetry_exporter::negotiate::Format;

/// All that `visit` is shown.
fn encoded(visit: impl FnOnce(&mut dyn Visit)) -> Vec<u8> {
    let mut encoder = Format::Protobuf.encoder(Options::default());
    visit(&mut encoder.as_mut());
    encoder.finish();
    encoder.take()
}

fn family<'a>(families: &'a [MetricFamily], name: &str) -> &'a MetricFamily {
    families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("{name} is not there"))
}

fn metric<'a>(families: &'a [MetricFamily], name: &str, labels: &[(&str, &str)]) -> &'a Metric {
    let wanted: BTreeMap<_, _> = labels.iter().copied().collect();
    let mut metrics = family(families, name).metric.iter();
    metrics.find(|metric| metric.labels() == wanted).unwrap_or_else(|| panic!("{name}{wanted:?} is not there"))
}

/// The only histogram of a family that is shown `sample`.
fn histogram(sample: HistogramSample<'_>) -> Histogram {
    let body = encoded(|visitor| {
        visitor.family(&Family::new("h", Kind::Distribution));
        visitor.series(&series(&[], Sample::Histogram(sample)));
    });
    families(&body)[0].metric[0].histogram.clone().unwrap()
}

const CREATED_ON_WIRE: Timestamp = Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 };

/// Every kind, with help, unit, labels, values and the time of creation.
#[test]
fn every_kind_is_read_back() {
    let body = encoded(show_everything);
    let families = families(&body);
    let of = |name| {
        let family = family(&families, name);
        (family.r#type(), family.help(), family.unit.as_deref())
    };
    assert_eq!(of("http_server_request_stop_total"), (MetricType::Counter, "Requests that were answered.", None));
    assert_eq!(of("process_cpu_seconds_total"), (MetricType::Counter, "Time on a processor.", Some("seconds")));
    assert_eq!(of("queue_fill_ratio"), (MetricType::Gauge, "How full the queue is.", Some("ratio")));
    assert_eq!(of("payment_wait_seconds").0, MetricType::Summary);
    assert_eq!(of("boiler_temperature_celsius").0, MetricType::Histogram);
    assert_eq!(of("hostile").1, "Help with a \"quote\", a \\ and\na second line.");
    assert!(!families.iter().any(|family| family.metric.is_empty()), "a family without series is not there");

    let counter = metric(&families, "http_server_request_stop_total", &[("route", "/"), ("status", "500")]);
    let counter = counter.counter.as_ref().unwrap();
    assert_eq!((counter.value, counter.created_timestamp), (Some(3.0), Some(CREATED_ON_WIRE)));
    let overflow = metric(&families, "http_server_request_stop_total", &[("otel_metric_overflow", "true")]);
    assert_eq!(overflow.counter.as_ref().unwrap().value, Some(7.0));
    // An empty value is no label.
    let unrouted = metric(&families, "http_server_request_stop_total", &[("status", "404")]);
    assert_eq!(unrouted.counter.as_ref().unwrap().value, Some(1e6));

    for (queue, value) in [("a", 0.25), ("b", -0.0), ("e", f64::INFINITY), ("f", -5e-324)] {
        let read = metric(&families, "queue_fill_ratio", &[("queue", queue)]).gauge.unwrap().value();
        assert_eq!(read.to_bits(), value.to_bits(), "{queue}");
    }

    let summary = metric(&families, "payment_wait_seconds", &[("bank", "acme")]).summary.clone().unwrap();
    assert_eq!((summary.sample_count(), summary.sample_sum()), (9, 4.5));
    let quantiles: Vec<_> = summary.quantile.iter().map(|at| (at.quantile(), at.value())).collect();
    assert_eq!(quantiles, [(0.5, 0.25), (0.99, 2.0), (1.0, 1e-5)]);
    assert_eq!(summary.created_timestamp, Some(CREATED_ON_WIRE));

    let classic = metric(&families, "http_server_request_stop_duration_seconds", &[("route", "/")]);
    let classic = classic.histogram.clone().unwrap();
    assert_eq!((classic.sample_count(), classic.sample_sum()), (4, 1.2));
    let buckets: Vec<_> = classic.bucket.iter().map(|b| (b.upper_bound(), b.cumulative_count())).collect();
    assert_eq!(buckets, [(0.005, 1), (0.1, 1), (1.0, 3), (1e6, 3)]);
    assert!(!classic.is_native());
    assert_eq!(classic.created_timestamp, Some(CREATED_ON_WIRE));

    let native = metric(&families, "message_size", &[]).histogram.clone().unwrap();
    assert_eq!((native.sample_count(), native.sample_sum(), native.zero_count()), (5, 7.5, 1));
    assert_eq!((native.schema(), native.zero_threshold()), (3, 2.938_735_877_055_719e-39));
    assert_eq!(native.native(), [vec![(-2, 1), (5, 3)], vec![]]);
    assert!(native.is_native() && native.bucket.is_empty());

    let (count, window) = ("shop_cart_checkout_items_total", "shop_cart_checkout_items_window60s");
    assert_eq!(metric(&families, count, &[("country", "de")]).counter.as_ref().unwrap().value(), 12.0);
    assert_eq!(metric(&families, window, &[("country", "de")]).gauge.unwrap().value(), 2.0);
    assert_eq!(of(window).0, MetricType::Gauge);

    let texts: Vec<_> = family(&families, "hostile").metric.iter().map(|metric| metric.labels()["text"]).collect();
    assert_eq!(texts, HOSTILE);
}

/// A NaN that came from elsewhere is never Prometheus' mark for a series that has ended.
#[test]
fn every_nan_is_the_same() {
    for bits in [0x7ff0_0000_0000_0002, 0x7ff8_0000_0000_0000, 0xffff_ffff_ffff_ffff] {
        let body = encoded(|visitor| {
            visitor.family(&Family::new("g", Kind::LastValue));
            visitor.series(&series(&[], Sample::Gauge(f64::from_bits(bits))));
        });
        let read = families(&body)[0].metric[0].gauge.unwrap().value();
        assert_eq!(read.to_bits(), 0x7ff8_0000_0000_0001);
    }
}

/// An empty histogram with exponential buckets is not taken for one without.
#[test]
fn an_empty_native_histogram_is_told_from_a_classic_one() {
    let exponential = ExponentialSample { schema: 3, zero_threshold: 0.0, zero_count: 0, positive: &[], negative: &[] };
    let sample = HistogramSample { bounds: &[], counts: &[0], sum: 0.0, exponential: Some(exponential) };
    let read = histogram(sample);
    assert!(read.is_native());
    assert_eq!(read.positive_span.iter().map(|span| (span.offset(), span.length())).collect::<Vec<_>>(), [(0, 0)]);
    assert_eq!(read.native(), [vec![], vec![]]);
    // Any of these says so already.
    for exponential in [
        ExponentialSample { zero_threshold: 1e-9, ..exponential },
        ExponentialSample { zero_count: 1, ..exponential },
        ExponentialSample { negative: &[(0, 1)], ..exponential },
    ] {
        let read = histogram(HistogramSample { exponential: Some(exponential), ..sample });
        assert!(read.is_native() && read.positive_span.is_empty());
    }
}

/// A gap of one bucket is an empty bucket, a longer one begins a span.
#[test]
fn spans_are_as_few_as_is_short() {
    let positive = [(-3, 5), (-2, 5), (0, 1), (3, 2), (1_000, 7), (1_001, u64::MAX >> 2)];
    let exponential =
        ExponentialSample { schema: -4, zero_threshold: 0.0, zero_count: 0, positive: &positive, negative: &[(7, 1)] };
    let count = exponential.count();
    let read = histogram(HistogramSample { bounds: &[], counts: &[count], sum: 0.0, exponential: Some(exponential) });
    let spans: Vec<_> = read.positive_span.iter().map(|span| (span.offset(), span.length())).collect();
    assert_eq!(spans, [(-3, 4), (2, 1), (996, 2)]);
    assert_eq!(read.positive_delta[..5], [5, 0, -5, 1, 1]);
    assert_eq!(read.native(), [positive.to_vec(), vec![(7, 1)]]);
    assert_eq!((read.schema(), read.sample_count()), (-4, count));
}

/// Both kinds of buckets stand side by side, and the count is what the exponential ones add up to.
#[test]
fn a_histogram_may_have_both_kinds_of_buckets() {
    let exponential =
        ExponentialSample { schema: 0, zero_threshold: 1e-9, zero_count: 1, positive: &[(1, 4)], negative: &[] };
    let sample = HistogramSample { bounds: &[1.0, 2.0], counts: &[1, 3, 0], sum: 8.0, exponential: Some(exponential) };
    let read = histogram(sample);
    let buckets: Vec<_> = read.bucket.iter().map(|b| (b.upper_bound(), b.cumulative_count())).collect();
    assert_eq!((read.sample_count(), buckets), (5, vec![(1.0, 1), (2.0, 4)]));
    // Explicit buckets are never ahead of the count.
    let ahead = histogram(HistogramSample { counts: &[1, 9, 0], ..sample });
    assert_eq!((ahead.sample_count(), ahead.bucket[1].cumulative_count()), (5, 5));
}

/// What a reader would not take is left out, and counted; what stands beside it is not touched.
#[test]
fn a_series_that_is_none_costs_no_other() {
    let good = ExponentialSample { schema: 3, zero_threshold: 0.0, zero_count: 1, positive: &[], negative: &[] };
    let bad = [
        ExponentialSample { schema: 9, ..good },
        ExponentialSample { schema: -5, ..good },
        ExponentialSample { zero_threshold: f64::NAN, ..good },
        ExponentialSample { zero_threshold: -1.0, ..good },
        ExponentialSample { positive: &[(1, 1), (1, 1)], ..good },
        ExponentialSample { negative: &[(2, 1), (1, 1)], ..good },
        ExponentialSample { positive: &[(i32::MIN, 1), (i32::MAX, 1)], ..good },
    ];
    let sample = |exponential| {
        Sample::Histogram(HistogramSample { bounds: &[], counts: &[1], sum: 0.0, exponential: Some(exponential) })
    };
    let mut encoder = Protobuf::new();
    encoder.series(&series(&[], Sample::Gauge(1.0)));
    encoder.family(&Family::new("h", Kind::Distribution).labels(["le"]));
    encoder.series(&series(&[], sample(good)));
    encoder.family(&Family::new("h", Kind::Distribution));
    for exponential in bad {
        encoder.series(&series(&[], sample(exponential)));
    }
    encoder.series(&series(&[("le", "1")], sample(good)));
    encoder.series(&series(&[("a.b", "1"), ("a_b", "2")], sample(good)));
    encoder.series(&series(&[("a", "1")], Sample::Gauge(1.0)));
    for (bounds, counts) in [([2.0, 1.0], [0, 0, 0]), ([1.0, f64::INFINITY], [0, 0, 0])] {
        let sample = HistogramSample { bounds: &bounds, counts: &counts, sum: 0.0, exponential: None };
        encoder.series(&series(&[("a", "2")], Sample::Histogram(sample)));
    }
    encoder.series(&series(&[("a", "3")], sample(good)));
    encoder.family(&Family::new("h", Kind::LastValue));
    encoder.series(&series(&[], Sample::Gauge(1.0)));
    encoder.finish();
    encoder.family(&Family::new("late", Kind::LastValue));
    encoder.series(&series(&[], Sample::Gauge(1.0)));
    encoder.finish();
    assert_eq!(encoder.skipped(), 2 + 7 + 5 + 2);
    let families = families(&encoder.take());
    assert_eq!(families.len(), 1);
    assert_eq!(families[0].metric.iter().map(Metric::labels).collect::<Vec<_>>(), [[("a", "3")].into()]);
}

/// A family that is longer than a message is several, each with the name, and the buffer stays short.
#[test]
fn a_large_family_is_several_messages() {
    let mut encoder = Protobuf::new();
    encoder.family(&Family::new("many", Kind::Spiral).description("Many.").labels(["n"]));
    let (mut body, count) = (Vec::new(), 40_000_u32);
    for n in 0..count {
        let text = n.to_string();
        let sample = telemetry_core::scrape::SpiralSample { count: n.into(), one: 1 };
        encoder.series(&series(&[("n", &text)], Sample::Spiral(sample)));
        if encoder.buffer_mut().len() >= CHUNK {
            assert!(encoder.buffer_mut().len() <= 2 * (MESSAGE + CHUNK));
            body.append(encoder.buffer_mut());
        }
    }
    encoder.finish();
    body.append(encoder.buffer_mut());
    assert!(messages(&body).len() > 4);
    for (name, wanted) in [("many_total", MetricType::Counter), ("many_window", MetricType::Gauge)] {
        let families = families(&body);
        let family = family(&families, name);
        assert_eq!((family.metric.len(), family.r#type()), (count as usize, wanted));
        let labels: Vec<_> = family.metric.iter().map(|metric| metric.labels()["n"].to_owned()).collect();
        assert!(labels.into_iter().eq((0..count).map(|n| n.to_string())));
    }
    // With the default limit, a family of counters is one.
    let few = encoded(|visitor| {
        visitor.family(&Family::new("few", Kind::Counter).labels(["path", "method", "status"]));
        for n in 0..2_000 {
            let path = format!("/carts/{n}/items");
            let labels = [("path", path.as_str()), ("method", "GET"), ("status", "200")];
            visitor.series(&series(&labels, Sample::Total(Total::U64(n))));
        }
    });
    assert_eq!(messages(&few).len(), 1);
}

/// Lengths around each number of bytes that a length can take.
#[test]
fn texts_of_every_length_are_read_back() {
    for length in (0..400).chain([16_000, 16_383, 16_384, 70_000, 2_100_000]) {
        let (name, value) = ("n".repeat(length.clamp(1, 300)), "é".repeat(length));
        let body = encoded(|visitor| {
            visitor.family(&Family::new("g", Kind::LastValue).labels([name.as_str(), "a"]));
            visitor.series(&series(&[(&name, &value), ("a", "b")], Sample::Gauge(1.0)));
        });
        let families = families(&body);
        let labels = families[0].metric[0].labels();
        assert_eq!((labels.get(name.as_str()).copied().unwrap_or_default(), labels["a"]), (value.as_str(), "b"));
    }
}

fn any_buckets() -> impl Strategy<Value = Vec<(i32, u64)>> {
    let bucket = (-280_000..280_000_i32, prop_oneof![1..10_u64, 1..u64::MAX >> 8]);
    let near = (-20..20_i32, 1..100_u64);
    prop_oneof![prop::collection::vec(bucket, 0..50), prop::collection::vec(near, 0..50)]
        .prop_map(|buckets| buckets.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

proptest! {
    /// V5: whatever the names and values, what is read back is what was shown.
    #[test]
    fn random_families_are_read_back(
        help in any::<String>(),
        labels in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,140}", any::<String>(), 0..20),
        value in any::<f64>(),
        count in any::<u64>(),
        created in prop::option::of((0..1_u64 << 40, 0..1_000_000_000_u32)),
    ) {
        let pairs: Vec<(&str, &str)> = labels.iter().rev().map(|(name, value)| (&**name, &**value)).collect();
        let created = created.map(|(seconds, nanos)| Duration::new(seconds, nanos));
        let body = encoded(|visitor| {
            for kind in [Kind::LastValue, Kind::Counter] {
                visitor.family(&Family::new(kind.name(), kind).description(&help).labels(pairs.iter().map(|pair| pair.0)));
                let sample = match kind {
                    Kind::LastValue => Sample::Gauge(value),
                    _ => Sample::Total(Total::U64(count)),
                };
                // In the order of the family, in another, and without the family's names.
                visitor.series(&Series { labels: Labels::from_pairs(&pairs), created, sample, exemplars: telemetry_core::scrape::Exemplars::default() });
            }
        });
        let families = families(&body);
        let wanted: BTreeMap<&str, &str> = pairs.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
        prop_assert_eq!(families.len(), 2);
        for family in &families {
            prop_assert_eq!(family.help(), &help);
            prop_assert_eq!(family.metric[0].labels(), wanted.clone());
        }
        let read = families[0].metric[0].gauge.unwrap().value();
        prop_assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan());
        let counter = families[1].metric[0].counter.as_ref().unwrap();
        #[allow(clippy::cast_precision_loss)] // Floats are what the format has.
        let count = count as f64;
        prop_assert_eq!(counter.value(), count);
        let read = counter.created_timestamp.map(|at| Duration::new(at.seconds.cast_unsigned(), at.nanos.cast_unsigned()));
        prop_assert_eq!(read, created);
    }

    /// Whatever the buckets, spans and differences are those of the same buckets.
    #[test]
    fn random_native_histograms_are_read_back(
        schema in -4..=8_i8,
        zero_threshold in 0.0..1.0,
        zero_count in 0..u64::MAX >> 8,
        positive in any_buckets(),
        negative in any_buckets(),
        sum in any::<f64>(),
    ) {
        let exponential =
            ExponentialSample { schema, zero_threshold, zero_count, positive: &positive, negative: &negative };
        let count = exponential.count();
        let read = histogram(HistogramSample { bounds: &[], counts: &[count], sum, exponential: Some(exponential) });
        prop_assert_eq!(read.native(), [positive, negative]);
        prop_assert_eq!((read.schema(), read.zero_threshold()), (schema.into(), zero_threshold));
        prop_assert_eq!((read.zero_count(), read.sample_count()), (zero_count, count));
        prop_assert!(read.sample_sum() == sum || sum.is_nan());
        prop_assert_eq!(read.created_timestamp, Some(CREATED_ON_WIRE));
        prop_assert_eq!(CREATED.as_secs().cast_signed(), CREATED_ON_WIRE.seconds);
    }
}
