//! OpenMetrics 2.0, byte for byte. No reader of it is at hand to ask: these lines are the specification's.

#![cfg(feature = "openmetrics2")]

mod encode_fixture;

use std::time::Duration;

use encode_fixture::{encoded, series};
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    ExponentialSample, HistogramSample, Sample, Series, SpiralSample, States, SummarySample, Total,
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
