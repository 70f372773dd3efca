//! Exemplars in OpenMetrics, protobuf and JSON: of totals and buckets, valid whatever a source gives, and nowhere else.

mod encode_fixture;
mod protobuf_messages;

use std::time::Duration;

use encode_fixture::{encoded, series};
use protobuf_messages::{Metric, messages};
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    Exemplar, Exemplars, ExponentialSample, HistogramSample, Labels, Sample, Series, SpiralSample, SummarySample,
    Total, Visit,
};
use telemetry_exporter::encode::Options;
use telemetry_exporter::negotiate::Format;
use telemetry_testkit::peer;

const TIME: Duration = Duration::from_millis(1_520_430_000_123);

const fn exemplar<'a>(labels: &'a [(&'a str, &'a str)], value: f64) -> Exemplar<'a> {
    Exemplar { labels: Labels::from_pairs(labels), value, timestamp: TIME }
}

fn with<'a>(exemplars: &'a [Exemplar<'a>], sample: Sample<'a>) -> Series<'a> {
    Series { exemplars: Exemplars::from_slice(exemplars), created: None, ..series(&[], sample) }
}

const HISTOGRAM: HistogramSample<'static> =
    HistogramSample { bounds: &[0.1, 1.0], counts: &[2, 0, 1], sum: 5.2, exponential: None };

/// One exemplar for each bucket, of which the middle one has none, and one that is in no bucket's place.
fn show(visitor: &mut dyn Visit) {
    let trace = [("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("span_id", "00f067aa0ba902b7")];
    let text = [("text", "\"a\" b\\c\nd")];
    let (first, last) = (exemplar(&trace, 0.1), exemplar(&text, 5.0));
    visitor.family(&Family::new("took", Kind::Distribution));
    visitor.series(&with(&[last, first], Sample::Histogram(HISTOGRAM)));
    visitor.family(&Family::new("done", Kind::Counter));
    visitor.series(&with(&[exemplar(&trace, 1.0)], Sample::Total(Total::U64(3))));
    visitor.family(&Family::new("sent", Kind::Sum));
    visitor.series(&with(&[exemplar(&[], 2.5)], Sample::Total(Total::F64(3.5))));
}

#[test]
fn exemplars_stand_behind_totals_and_buckets() {
    assert_eq!(
        encoded(Format::OpenMetrics, Options::default(), show),
        "# TYPE took histogram\n\
         took_bucket{le=\"0.1\"} 2 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\"} \
         0.1 1520430000.123\n\
         took_bucket{le=\"1.0\"} 2\n\
         took_bucket{le=\"+Inf\"} 3 # {text=\"\\\"a\\\" b\\\\c\\nd\"} 5.0 1520430000.123\n\
         took_sum 5.2\n\
         took_count 3\n\
         # TYPE done counter\n\
         done_total 3 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\"} 1.0 1520430000.123\n\
         # TYPE sent counter\n\
         sent_total 3.5 # {} 2.5 1520430000.123\n\
         # EOF\n"
    );
}

/// The labels, value and time of an exemplar that `prost` read.
fn read(exemplar: &protobuf_messages::Exemplar) -> (Vec<(&str, &str)>, f64, Duration) {
    let labels = exemplar.label.iter().map(|label| (label.name(), label.value())).collect();
    let time = exemplar.timestamp.unwrap();
    (labels, exemplar.value(), Duration::new(time.seconds.try_into().unwrap(), time.nanos.try_into().unwrap()))
}

fn decoded(show: impl FnOnce(&mut dyn Visit)) -> Vec<Metric> {
    let mut encoder = Format::Protobuf.encoder(Options::default());
    show(&mut encoder.as_mut());
    encoder.finish();
    messages(&encoder.take()).into_iter().flat_map(|family| family.metric).collect()
}

/// In protobuf a total and a bucket have theirs, and a bucket is written for the one beyond all bounds.
#[test]
fn exemplars_are_parts_of_totals_and_buckets_in_protobuf() {
    let metrics = decoded(show);
    let trace = vec![("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("span_id", "00f067aa0ba902b7")];
    let histogram = metrics[0].histogram.as_ref().unwrap();
    let buckets: Vec<_> =
        histogram.bucket.iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
    assert_eq!(buckets, [(0.1, 2), (1.0, 2), (f64::INFINITY, 3)]);
    let exemplars: Vec<_> = histogram.bucket.iter().map(|bucket| bucket.exemplar.as_ref().map(read)).collect();
    let last = (vec![("text", "\"a\" b\\c\nd")], 5.0, TIME);
    assert_eq!(exemplars, [Some((trace.clone(), 0.1, TIME)), None, Some(last)]);
    assert!(histogram.exemplars.is_empty(), "there are no exponential buckets");
    let of_total =
        |metric: &Metric| metric.counter.as_ref().unwrap().exemplar.as_ref().map(|read_from| read(read_from).1);
    assert_eq!(metrics[1..].iter().map(of_total).collect::<Vec<_>>(), [Some(1.0), Some(2.5)]);
    let of_done = metrics[1].counter.as_ref().unwrap().exemplar.as_ref().unwrap();
    assert_eq!(read(of_done), (trace, 1.0, TIME));
}

/// Exponential buckets have all exemplars beside them, whether there are explicit ones too or not.
#[test]
fn exemplars_of_exponential_buckets_stand_beside_them() {
    let exponential = ExponentialSample {
        schema: 0,
        zero_threshold: 0.0,
        zero_count: 0,
        positive: &[(-3, 2), (3, 1)],
        negative: &[],
    };
    let both = HistogramSample { exponential: Some(exponential), ..HISTOGRAM };
    let native = HistogramSample { bounds: &[], counts: &[3], ..both };
    let exemplars = [exemplar(&[("a", "b")], 5.0), exemplar(&[("a-b", "bad")], 0.2), exemplar(&[], 0.1)];
    let metrics = decoded(|visitor| {
        visitor.family(&Family::new("took", Kind::Distribution));
        visitor.series(&with(&exemplars, Sample::Histogram(both)));
        visitor.series(&with(&exemplars, Sample::Histogram(native)));
    });
    for (metric, buckets) in metrics.iter().zip([3, 0]) {
        let histogram = metric.histogram.as_ref().unwrap();
        assert_eq!(histogram.bucket.len(), buckets);
        let values: Vec<_> = histogram.exemplars.iter().map(|exemplar| read(exemplar).1).collect();
        assert_eq!(values, [5.0, 0.1], "the one with a bad name is left out");
    }
}

#[test]
fn a_series_in_json_lists_its_exemplars() {
    let body = encoded(Format::Json, Options::default(), show);
    let read: serde_json::Value = serde_json::from_str(&body).unwrap();
    let exemplars = |family: usize| &read["families"][family]["series"][0]["exemplars"];
    assert_eq!(exemplars(2), &serde_json::json!([{"labels": {}, "value": 2.5, "timestamp": 1_520_430_000.123}]));
    assert_eq!(exemplars(0)[0]["labels"]["text"], "\"a\" b\\c\nd");
}

/// The text format has none: one would cost the scrape.
#[test]
fn the_text_format_has_no_exemplars() {
    let body = encoded(Format::Text, Options::default(), show);
    assert!(!body.contains(" # "), "{body}");
    peer::check_metrics(&encoded(Format::Text, Options::default(), |visitor| {
        visitor.family(&Family::new("took", Kind::Distribution).description("x"));
        visitor.series(&with(&[exemplar(&[("a", "b")], 0.1)], Sample::Histogram(HISTOGRAM)));
    }));
}

/// A source may give anything, anywhere: what breaks a rule is left out, and its series stays.
#[test]
fn an_exemplar_that_breaks_a_rule_is_left_out() {
    let long = "x".repeat(128);
    let bad: [&[(&str, &str)]; 6] = [
        &[("a-b", "x")],
        &[("", "x")],
        &[("1", "x")],
        &[("a", "x"), ("a", "y")],
        &[("a", &long)],
        &[("\n# EOF\n", "x")],
    ];
    for labels in bad {
        let body = encoded(Format::OpenMetrics, Options::default(), |visitor| {
            visitor.family(&Family::new("x", Kind::Counter));
            visitor.series(&with(&[exemplar(labels, 1.0)], Sample::Total(Total::U64(1))));
        });
        assert_eq!(body, "# TYPE x counter\nx_total 1\n# EOF\n");
    }
    let anywhere = |visitor: &mut dyn Visit| {
        let exemplars = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0].map(|value| exemplar(&[("a", "b")], value));
        let spiral = Sample::Spiral(SpiralSample { count: 1, one: 1 });
        let summary = Sample::Summary(SummarySample { count: 1, sum: 1.0, quantiles: &[(0.5, 1.0)] });
        for (name, kind, sample) in [
            ("gauge", Kind::LastValue, Sample::Gauge(1.0)),
            ("spiral", Kind::Spiral, spiral),
            ("summary", Kind::Summary, summary),
        ] {
            visitor.family(&Family::new(name, kind));
            visitor.series(&with(&exemplars, sample));
        }
    };
    assert!(!encoded(Format::OpenMetrics, Options::default(), anywhere).contains(" # {"));
    // The longest that is allowed is written.
    let body = encoded(Format::OpenMetrics, Options::default(), |visitor| {
        visitor.family(&Family::new("x", Kind::Counter));
        let labels = [("a", "é".repeat(127))];
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        visitor.series(&with(&[exemplar(&labels, 1.0)], Sample::Total(Total::U64(1))));
    });
    assert!(body.contains(" # {a=\"éé"), "{body}");
}

/// The strict reader takes every line, and reads the exemplars that went in. (It takes an escaped quote in the labels of an
/// exemplar for the end of the value, so here they come in pairs.)
#[test]
fn prometheus_client_reads_exemplars() {
    let body = encoded(Format::OpenMetrics, Options::default(), show);
    let script = "import json, sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as families\n\
        samples = [s for f in families(sys.stdin.buffer.read().decode()) for s in f.samples if s.exemplar]\n\
        print(json.dumps([[s.name, s.exemplar.labels, s.exemplar.value, str(s.exemplar.timestamp)] for s in samples]))\n";
    let Some(mut python) = peer::python() else { return };
    let output = peer::answer(python.args(["-c", script]), &body);
    assert!(output.status.success(), "{}\nof:\n{body}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let trace = serde_json::json!({"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"});
    let expected = serde_json::json!([
        ["took_bucket", trace, 0.1, "1520430000.123000000"],
        ["took_bucket", {"text": "\"a\" b\\c\nd"}, 5.0, "1520430000.123000000"],
        ["done_total", trace, 1.0, "1520430000.123000000"],
        ["sent_total", {}, 2.5, "1520430000.123000000"],
    ]);
    let times = |value: &serde_json::Value| value.to_string().replace("123000000", "123");
    assert_eq!(times(&read), times(&expected));
}
