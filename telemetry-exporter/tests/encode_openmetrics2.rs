//! OpenMetrics 2.0, byte for byte, and read back by the grammar of its specification: nobody else's reader is at hand.

#![cfg(feature = "openmetrics2")]

mod encode_fixture;
mod openmetrics2_reader;

use std::time::Duration;

use encode_fixture::{encoded, series, show_everything};
use proptest::prelude::*;
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    Exemplar, Exemplars, ExponentialSample, HistogramSample, Labels, Sample, Series, SpiralSample, States,
    SummarySample, Total,
};
use telemetry_exporter::encode::Options;
use telemetry_exporter::{Escaping, Format};

/// V2, V3, V8: every kind: the metadata have the name of the sample, values are composite, and the start time is inline.
#[test]
fn openmetrics_2_is_written_as_it_is_specified() {
    let second = Some(Unit::Second);
    let body = encoded(Format::OpenMetrics2, Options::default(), |visitor| {
        visitor.family(&Family::new("jobs.done.count", Kind::Counter).description("A \"job\".").labels(["queue"]));
        visitor.series(&series(&[("queue", "mail")], Sample::Total(Total::U64(3))));
        let unknown = series(&[("queue", "print")], Sample::Total(Total::U64(4)));
        visitor.series(&Series { created: None, ..unknown });
        visitor.family(&Family::new("cpu", Kind::Sum).unit(second));
        visitor.series(&series(&[], Sample::Total(Total::F64(1.0))));
        visitor.family(&Family::new("fill", Kind::LastValue));
        visitor.series(&series(&[], Sample::Gauge(1.0)));

        visitor.family(&Family::new("wait", Kind::Distribution).unit(second).labels(["queue"]));
        let explicit = HistogramSample { bounds: &[0.01, 1.0], counts: &[0, 2, 15], sum: 3.5, exponential: None };
        visitor.series(&series(&[("queue", "mail")], Sample::Histogram(explicit)));
        let exponential = ExponentialSample {
            schema: 3,
            zero_threshold: 1e-4,
            zero_count: 1,
            positive: &[(0, 5), (1, 12), (5, 1)],
            negative: &[(-3, 2)],
        };
        let both = HistogramSample { bounds: &[1.0], counts: &[20, 1], sum: -3.5, exponential: Some(exponential) };
        visitor.series(&series(&[("queue", "print")], Sample::Histogram(both)));
        let native = HistogramSample { bounds: &[], counts: &[21], ..both };
        visitor.series(&series(&[], Sample::Histogram(native)));
        let empty = ExponentialSample { zero_count: 0, positive: &[], negative: &[], ..exponential };
        let none = HistogramSample { counts: &[0], sum: 0.0, exponential: Some(empty), ..native };
        visitor.series(&series(&[("queue", "none")], Sample::Histogram(none)));

        visitor.family(&Family::new("bank", Kind::Summary));
        let quantiles = [(0.5, f64::NAN), (0.95, 2.0)];
        visitor.series(&series(&[], Sample::Summary(SummarySample { count: 17, sum: 3.5, quantiles: &quantiles })));
        visitor.family(&Family::new("sold", Kind::Spiral).window(Duration::from_secs(60)));
        visitor.series(&series(&[], Sample::Spiral(SpiralSample { count: 9, one: 2 })));
        visitor.family(&Family::new("target", Kind::Info).labels(["job"]));
        visitor.series(&series(&[("job", "shop")], Sample::Info));
        visitor.family(&Family::new("pool", Kind::StateSet));
        visitor.series(&series(&[], Sample::States(States::from_pairs(&[("up", true), ("down", false)]))));
    });
    let expected = "\
# TYPE jobs_done_total counter
# HELP jobs_done_total A \\\"job\\\".
jobs_done_total{queue=\"mail\"} 3 st@1700000000.25
jobs_done_total{queue=\"print\"} 4
# TYPE cpu_seconds_total counter
# UNIT cpu_seconds_total seconds
cpu_seconds_total 1.0 st@1700000000.25
# TYPE fill gauge
fill 1.0
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds{queue=\"mail\"} {count:17,sum:3.5,bucket:[0.01:0,1.0:2,+Inf:17]} st@1700000000.25
wait_seconds{queue=\"print\"} {count:21,sum:-3.5,schema:3,zero_threshold:0.0001,zero_count:1,negative_spans:[-3:1],negative_buckets:[2],positive_spans:[0:2,3:1],positive_buckets:[5,12,1],bucket:[1.0:20,+Inf:21]} st@1700000000.25
wait_seconds {count:21,sum:-3.5,schema:3,zero_threshold:0.0001,zero_count:1,negative_spans:[-3:1],negative_buckets:[2],positive_spans:[0:2,3:1],positive_buckets:[5,12,1]} st@1700000000.25
wait_seconds{queue=\"none\"} {count:0,sum:0.0,schema:3,zero_threshold:0.0001,zero_count:0} st@1700000000.25
# TYPE bank summary
bank {count:17,sum:3.5,quantile:[0.5:NaN,0.95:2.0]} st@1700000000.25
# TYPE sold_total counter
sold_total 9 st@1700000000.25
# TYPE sold_window60s gauge
sold_window60s 2
# TYPE target_info info
target_info{job=\"shop\"} 1
# TYPE pool stateset
pool{pool=\"up\"} 1
pool{pool=\"down\"} 0
# EOF
";
    for (line, expected) in body.lines().zip(expected.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(body, expected);
}

/// V4: names that are not plain are in quotes here too, if the scraper can read them.
#[test]
fn openmetrics_2_has_utf8_names_in_quotes() {
    let options = Options::default().utf8_names(true).escaping(Escaping::AllowUtf8);
    let body = encoded(Format::OpenMetrics2, options, |visitor| {
        visitor.family(&Family::new("my.h", Kind::Distribution).labels(["l.c"]));
        let histogram = HistogramSample { bounds: &[], counts: &[2], sum: 1.5, exponential: None };
        visitor.series(&Series { created: None, ..series(&[("l.c", "v")], Sample::Histogram(histogram)) });
        visitor.family(&Family::new("my.c", Kind::Counter));
        visitor.series(&Series { created: None, ..series(&[], Sample::Total(Total::U64(1))) });
    });
    assert_eq!(
        body,
        "# TYPE \"my.h\" histogram\n{\"my.h\",\"l.c\"=\"v\"} {count:2,sum:1.5,bucket:[+Inf:2]}\n\
         # TYPE \"my.c_total\" counter\n{\"my.c_total\"} 1\n# EOF\n"
    );
}

const TIME: Duration = Duration::from_millis(1_700_000_003_500);

const fn exemplar<'a>(labels: &'a [(&'a str, &'a str)], value: f64) -> Exemplar<'a> {
    Exemplar { labels: Labels::from_pairs(labels), value, timestamp: TIME }
}

/// V6: exemplars stand behind the start time, with their own, on totals and histograms alone; a histogram has all of them.
#[test]
fn openmetrics_2_has_exemplars_behind_the_start_time() {
    let trace = [("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("text", "\"a\" b\\c\nd")];
    let exemplars = [exemplar(&trace, 0.75), exemplar(&[], 5.0), exemplar(&[("job", "7")], -1.0)];
    let with = |sample| Series { exemplars: Exemplars::from_slice(&exemplars), ..series(&[], sample) };
    let body = encoded(Format::OpenMetrics2, Options::default(), |visitor| {
        visitor.family(&Family::new("done", Kind::Counter));
        visitor.series(&Series {
            exemplars: Exemplars::from_slice(&exemplars[..1]),
            ..with(Sample::Total(Total::U64(3)))
        });
        visitor.family(&Family::new("sent", Kind::Sum));
        let sent = with(Sample::Total(Total::F64(5.0)));
        visitor.series(&Series { exemplars: Exemplars::from_slice(&exemplars[1..2]), created: None, ..sent });
        visitor.family(&Family::new("wait", Kind::Distribution).labels(["queue"]));
        let explicit = HistogramSample { bounds: &[1.0], counts: &[2, 1], sum: 4.75, exponential: None };
        visitor.series(&with(Sample::Histogram(explicit)));
        let exponential = ExponentialSample {
            schema: 0,
            zero_threshold: 0.0,
            zero_count: 0,
            positive: &[(0, 1), (3, 1)],
            negative: &[(0, 1)],
        };
        let native = HistogramSample { bounds: &[], counts: &[3], sum: 4.75, exponential: Some(exponential) };
        visitor.series(&Series { created: None, ..with(Sample::Histogram(native)) });
        for (name, kind, sample) in [
            ("fill", Kind::LastValue, Sample::Gauge(1.0)),
            ("bank", Kind::Summary, Sample::Summary(SummarySample { count: 1, sum: 1.0, quantiles: &[] })),
            ("sold", Kind::Spiral, Sample::Spiral(SpiralSample { count: 1, one: 1 })),
        ] {
            visitor.family(&Family::new(name, kind));
            visitor.series(&Series { created: None, ..with(sample) });
        }
    });
    let first = "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",text=\"\\\"a\\\" b\\\\c\\nd\"} 0.75 1700000003.5";
    let all = format!("{first} # {{}} 5.0 1700000003.5 # {{job=\"7\"}} -1.0 1700000003.5");
    assert_eq!(
        body,
        format!(
            "# TYPE done_total counter\ndone_total 3 st@1700000000.25 {first}\n\
             # TYPE sent_total counter\nsent_total 5.0 # {{}} 5.0 1700000003.5\n\
             # TYPE wait histogram\n\
             wait {{count:3,sum:4.75,bucket:[1.0:2,+Inf:3]}} st@1700000000.25 {all}\n\
             wait {{count:3,sum:4.75,schema:0,zero_threshold:0.0,zero_count:0,negative_spans:[0:1],negative_buckets:[1],\
             positive_spans:[0:1,2:1],positive_buckets:[1,1]}} {all}\n\
             # TYPE fill gauge\nfill 1.0\n\
             # TYPE bank summary\nbank {{count:1,sum:1.0,quantile:[]}}\n\
             # TYPE sold_total counter\nsold_total 1\n\
             # TYPE sold_window gauge\nsold_window 1\n\
             # EOF\n"
        )
    );
}

/// V6: an exemplar that breaks a rule is left out, and the others and the series stay.
#[test]
fn openmetrics_2_leaves_out_exemplars_that_break_a_rule() {
    let exemplars = [
        exemplar(&[("a-b", "bad")], 0.5),
        exemplar(&[("a", "b")], f64::NAN),
        exemplar(&[("a", "b"), ("a", "c")], 0.5),
        exemplar(&[("\n# EOF\n", "x")], 0.5),
        exemplar(&[("a", "b")], 0.5),
    ];
    let body = encoded(Format::OpenMetrics2, Options::default(), |visitor| {
        visitor.family(&Family::new("wait", Kind::Distribution));
        let histogram = HistogramSample { bounds: &[], counts: &[1], sum: 0.5, exponential: None };
        let sample = series(&[], Sample::Histogram(histogram));
        visitor.series(&Series { exemplars: Exemplars::from_slice(&exemplars), created: None, ..sample });
    });
    assert_eq!(
        body,
        "# TYPE wait histogram\nwait {count:1,sum:0.5,bucket:[+Inf:1]} # {a=\"b\"} 0.5 1700000003.5\n# EOF\n"
    );
}

/// A quantile below zero is left out; a summary whose sum is below zero, or no number, is, since the line must have one.
#[test]
fn openmetrics_2_has_no_summary_below_zero() {
    let body = encoded(Format::OpenMetrics2, Options::default(), |visitor| {
        visitor.family(&Family::new("bank", Kind::Summary).labels(["sum"]));
        let quantiles = [(0.25, -1.0), (0.5, f64::NAN), (0.75, 2.0), (1.5, 3.0)];
        for (label, sum) in [("good", 3.5), ("negative", -3.5), ("none", f64::NAN)] {
            let summary = Sample::Summary(SummarySample { count: 3, sum, quantiles: &quantiles });
            visitor.series(&Series { created: None, ..series(&[("sum", label)], summary) });
        }
    });
    assert_eq!(body, "# TYPE bank summary\nbank{sum=\"good\"} {count:3,sum:3.5,quantile:[0.5:NaN,0.75:2.0]}\n# EOF\n");
}

/// V3: exponential buckets that no reader would take cost their series, and no other.
#[test]
fn openmetrics_2_skips_exponential_buckets_that_are_none() {
    let good = ExponentialSample { schema: 0, zero_threshold: 0.0, zero_count: 1, positive: &[(0, 1)], negative: &[] };
    let bad = [
        ExponentialSample { schema: 9, ..good },
        ExponentialSample { schema: -5, ..good },
        ExponentialSample { zero_threshold: f64::NAN, ..good },
        ExponentialSample { zero_threshold: -1.0, ..good },
        ExponentialSample { zero_threshold: f64::INFINITY, ..good },
        ExponentialSample { positive: &[(1, 1), (0, 1)], ..good },
        ExponentialSample { negative: &[(1, 1), (1, 1)], ..good },
    ];
    let mut encoder = Format::OpenMetrics2.encoder(Options::default());
    encoder.family(&Family::new("wait", Kind::Distribution));
    for exponential in bad.into_iter().chain([good]) {
        // The explicit buckets were read while another value came, so they are one ahead.
        let histogram = HistogramSample { bounds: &[1.0], counts: &[2, 1], sum: 2.0, exponential: Some(exponential) };
        encoder.series(&Series { created: None, ..series(&[], Sample::Histogram(histogram)) });
    }
    encoder.finish();
    assert_eq!(encoder.skipped(), bad.len() as u64);
    assert_eq!(
        String::from_utf8(encoder.take()).unwrap(),
        "# TYPE wait histogram\nwait {count:2,sum:2.0,schema:0,zero_threshold:0.0,zero_count:1,\
         positive_spans:[0:1],positive_buckets:[1],bucket:[1.0:2,+Inf:2]}\n# EOF\n"
    );
}

/// V2, V3, V5: the walk with something of everything is read, under each escaping, with times of creation where there are
/// some, and nowhere else.
#[test]
fn openmetrics_2_of_everything_is_read_by_its_grammar() {
    for utf8 in [false, true] {
        for escaping in Escaping::ALL {
            let options = Options::default().utf8_names(utf8).escaping(escaping);
            let body = openmetrics2_reader::read(&encoded(Format::OpenMetrics2, options, show_everything));
            assert!(body.families.len() > 8, "{body:?}");
            for family in &body.families {
                let counts = matches!(&*family.kind, "counter" | "histogram" | "summary");
                assert!(family.samples.iter().all(|sample| sample.start.is_some() == counts), "{family:?}");
            }
        }
    }
}

proptest! {
    /// V2, V3, V5: exponential buckets, explicit ones and exemplars with any texts are read back as they went in.
    #[test]
    fn random_histograms_are_read_back(
        schema in -4_i8..=8,
        threshold in prop_oneof![Just(0.0), 1e-300..1e3],
        zero in 0_u64..1_000,
        sides in prop::array::uniform2(prop::collection::btree_map(-300_i32..300, 1_u64..1_000, 0..30)),
        at_most_one in prop::option::of(0_u64..1_000),
        label in any::<String>(),
        texts in prop::collection::vec((any::<String>(), any::<f64>(), 0_u64..1 << 40), 0..5),
    ) {
        let [positive, negative] = sides.map(|side| side.into_iter().collect::<Vec<_>>());
        let exponential =
            ExponentialSample { schema, zero_threshold: threshold, zero_count: zero, positive: &positive, negative: &negative };
        let count = exponential.count();
        // Beside them explicit buckets, or none.
        let below = at_most_one.map(|below| below.min(count));
        let (bounds, counts) = below.map_or((vec![], vec![count]), |below| (vec![1.0], vec![below, count - below]));
        let histogram = HistogramSample { bounds: &bounds, counts: &counts, sum: 0.5, exponential: Some(exponential) };
        let pairs: Vec<[(&str, &str); 1]> = texts.iter().map(|(text, ..)| [("text", text.as_str())]).collect();
        let exemplars: Vec<Exemplar<'_>> = texts.iter().zip(&pairs).map(|((_, value, millis), pairs)| Exemplar {
            labels: Labels::from_pairs(pairs),
            value: *value,
            timestamp: Duration::from_millis(*millis),
        }).collect();
        let body = encoded(Format::OpenMetrics2, Options::default(), |visitor| {
            visitor.family(&Family::new("wait", Kind::Distribution).labels(["label"]));
            let labels = [("label", label.as_str())];
            let sample = series(&labels, Sample::Histogram(histogram));
            visitor.series(&Series { exemplars: Exemplars::from_slice(&exemplars), ..sample });
        });
        let body = openmetrics2_reader::read(&body);
        let sample = &body.families[0].samples[0];
        prop_assert_eq!(sample.labels.get("label"), (!label.is_empty()).then_some(&label));
        prop_assert_eq!(sample.native("positive"), positive);
        prop_assert_eq!(sample.native("negative"), negative);
        prop_assert_eq!(sample.number("schema"), f64::from(schema));
        prop_assert_eq!(sample.number("zero_threshold"), threshold);
        prop_assert_eq!(sample.start.as_deref(), Some("1700000000.25"));
        let buckets = below.map(|below| vec![(1.0, Some(below as f64)), (f64::INFINITY, Some(count as f64))]);
        prop_assert_eq!(sample.list("bucket"), buckets.unwrap_or_default());
        let legal: Vec<_> = texts.iter().filter(|(text, value, _)| value.is_finite() && text.chars().count() <= 124).collect();
        prop_assert_eq!(sample.exemplars.len(), legal.len());
        for (read, (text, value, millis)) in sample.exemplars.iter().zip(legal) {
            prop_assert_eq!(read.labels.get("text").map_or("", String::as_str), text);
            prop_assert_eq!(read.value.to_bits(), value.to_bits());
            prop_assert_eq!(read.timestamp.parse::<f64>().unwrap(), *millis as f64 / 1e3);
        }
    }
}
