//! Exemplars in OpenMetrics: behind totals and buckets, valid whatever a source gives, and nowhere else.

mod encode_fixture;

use std::time::Duration;

use encode_fixture::{encoded, series};
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    Exemplar, Exemplars, HistogramSample, Labels, Sample, Series, SpiralSample, SummarySample, Total, Visit,
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
