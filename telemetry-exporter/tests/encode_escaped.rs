//! Names as each escaping writes them, infos and state sets, in each text format, byte for byte.

mod encode_fixture;

use std::time::Duration;

use encode_fixture::{encoded, series};
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Sample, SpiralSample, States, SummarySample, Total, Visit};
use telemetry_exporter::encode::Options;
use telemetry_exporter::{Escaping, Format};

/// Each kind, under names that need quotes, with and without labels that do.
fn show(visitor: &mut dyn Visit) {
    let labels = [("l.c", "v\""), ("plain", "w")];
    let names = labels.map(|(name, _)| name);
    visitor.family(&Family::new("my.c", Kind::Counter).description("With \"quotes\".").labels(names));
    visitor.series(&series(&labels, Sample::Total(Total::U64(1))));
    visitor.series(&series(&[("l.c", ""), ("plain", "w")], Sample::Total(Total::U64(2))));
    visitor.series(&series(&[], Sample::Total(Total::U64(3))));

    visitor.family(&Family::new("my.g", Kind::LastValue).unit(Some(Unit::Byte)));
    visitor.series(&series(&[], Sample::Gauge(1.0)));
    visitor.family(&Family::new("plain_g", Kind::LastValue).labels(["l.c"]));
    visitor.series(&series(&[("l.c", "v")], Sample::Gauge(1.0)));

    visitor.family(&Family::new("my.h", Kind::Distribution).labels(["l.c"]));
    let histogram = HistogramSample { bounds: &[0.5], counts: &[2, 1], sum: 1.5, exponential: None };
    visitor.series(&series(&[("l.c", "v")], Sample::Histogram(histogram)));
    visitor.series(&series(&[], Sample::Histogram(histogram)));

    visitor.family(&Family::new("my.s", Kind::Summary));
    visitor.series(&series(&[], Sample::Summary(SummarySample { count: 2, sum: 1.5, quantiles: &[(0.5, 1.0)] })));

    visitor.family(&Family::new("my.w", Kind::Spiral).window(Duration::from_secs(60)));
    visitor.series(&series(&[], Sample::Spiral(SpiralSample { count: 2, one: 1 })));

    visitor.family(&Family::new("my.build", Kind::Info).labels(["v.n"]));
    visitor.series(&series(&[("v.n", "1.2")], Sample::Info));
    visitor.series(&series(&[], Sample::Info));

    visitor.family(&Family::new("my.state", Kind::StateSet).labels(["pool"]));
    let states = States::from_pairs(&[("open", true), ("half \"open\"", false)]);
    visitor.series(&series(&[("pool", "a")], Sample::States(states)));
    visitor.series(&series(&[], Sample::States(states)));
}

fn written(format: Format, escaping: Escaping) -> String {
    encoded(format, Options::default().utf8_names(true).escaping(escaping), show)
}

#[track_caller]
fn assert_lines(body: &str, expected: &str) {
    let lines = expected.lines().map(str::trim_start).filter(|line| !line.is_empty());
    for (line, expected) in body.lines().zip(lines.clone()) {
        assert_eq!(line, expected);
    }
    assert_eq!(body.lines().count(), lines.count(), "{body}");
}

/// V4, V5: a name is in quotes, within the braces, if and only if it is not plain; in the metadata, too.
#[test]
fn text_1_has_utf8_names_in_quotes() {
    assert_lines(
        &written(Format::Text1, Escaping::AllowUtf8),
        r#"
        # HELP "my.c_total" With "quotes".
        # TYPE "my.c_total" counter
        {"my.c_total","l.c"="v\"",plain="w"} 1
        {"my.c_total",plain="w"} 2
        {"my.c_total"} 3
        # TYPE "my.g_bytes" gauge
        {"my.g_bytes"} 1
        # TYPE plain_g gauge
        plain_g{"l.c"="v"} 1
        # TYPE "my.h" histogram
        {"my.h_bucket","l.c"="v",le="0.5"} 2
        {"my.h_bucket","l.c"="v",le="+Inf"} 3
        {"my.h_sum","l.c"="v"} 1.5
        {"my.h_count","l.c"="v"} 3
        {"my.h_bucket",le="0.5"} 2
        {"my.h_bucket",le="+Inf"} 3
        {"my.h_sum"} 1.5
        {"my.h_count"} 3
        # TYPE "my.s" summary
        {"my.s",quantile="0.5"} 1
        {"my.s_sum"} 1.5
        {"my.s_count"} 2
        # TYPE "my.w_total" counter
        {"my.w_total"} 2
        # TYPE "my.w_window60s" gauge
        {"my.w_window60s"} 1
        # TYPE "my.build_info" gauge
        {"my.build_info","v.n"="1.2"} 1
        {"my.build_info"} 1
        # TYPE "my.state" gauge
        {"my.state",pool="a","my.state"="open"} 1
        {"my.state",pool="a","my.state"="half \"open\""} 0
        {"my.state","my.state"="open"} 1
        {"my.state","my.state"="half \"open\""} 0
        "#,
    );
}

/// V4, V5: the same in OpenMetrics, which has types for infos and state sets.
#[test]
fn openmetrics_has_utf8_names_in_quotes() {
    assert_lines(
        &written(Format::OpenMetrics, Escaping::AllowUtf8),
        r#"
        # TYPE "my.c" counter
        # HELP "my.c" With \"quotes\".
        {"my.c_total","l.c"="v\"",plain="w"} 1
        {"my.c_total",plain="w"} 2
        {"my.c_total"} 3
        # TYPE "my.g_bytes" gauge
        # UNIT "my.g_bytes" bytes
        {"my.g_bytes"} 1.0
        # TYPE plain_g gauge
        plain_g{"l.c"="v"} 1.0
        # TYPE "my.h" histogram
        {"my.h_bucket","l.c"="v",le="0.5"} 2
        {"my.h_bucket","l.c"="v",le="+Inf"} 3
        {"my.h_sum","l.c"="v"} 1.5
        {"my.h_count","l.c"="v"} 3
        {"my.h_bucket",le="0.5"} 2
        {"my.h_bucket",le="+Inf"} 3
        {"my.h_sum"} 1.5
        {"my.h_count"} 3
        # TYPE "my.s" summary
        {"my.s",quantile="0.5"} 1.0
        {"my.s_sum"} 1.5
        {"my.s_count"} 2
        # TYPE "my.w" counter
        {"my.w_total"} 2
        # TYPE "my.w_window60s" gauge
        {"my.w_window60s"} 1
        # TYPE "my.build" info
        {"my.build_info","v.n"="1.2"} 1
        {"my.build_info"} 1
        # TYPE "my.state" stateset
        {"my.state",pool="a","my.state"="open"} 1
        {"my.state",pool="a","my.state"="half \"open\""} 0
        {"my.state","my.state"="open"} 1
        {"my.state","my.state"="half \"open\""} 0
        # EOF
        "#,
    );
}

/// V4: escaped names need no quotes, and the sample of a series has one name in both formats.
#[test]
fn escaped_names_are_plain() {
    let samples = |body: &str| {
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    for (escaping, expected) in [
        (
            Escaping::Underscores,
            [
                r#"my_c_total{l_c="v\"",plain="w"} 1"#,
                r#"my_h_bucket{l_c="v",le="0.5"} 2"#,
                r#"my_build_info{v_n="1.2"} 1"#,
                r#"my_state{pool="a",my_state="open"} 1"#,
                "my_w_window60s 1",
            ],
        ),
        (
            Escaping::Dots,
            [
                r#"my_dot_c__total{l_dot_c="v\"",plain="w"} 1"#,
                r#"my_dot_h_bucket{l_dot_c="v",le="0.5"} 2"#,
                r#"my_dot_build__info{v_dot_n="1.2"} 1"#,
                r#"my_dot_state{pool="a",my_dot_state="open"} 1"#,
                "my_dot_w__window60s 1",
            ],
        ),
        (
            Escaping::Values,
            [
                r#"U__my_2e_c__total{U__l_2e_c="v\"",plain="w"} 1"#,
                r#"U__my_2e_h_bucket{U__l_2e_c="v",le="0.5"} 2"#,
                r#"U__my_2e_build__info{U__v_2e_n="1.2"} 1"#,
                r#"U__my_2e_state{pool="a",U__my_2e_state="open"} 1"#,
                "U__my_2e_w__window60s 1",
            ],
        ),
    ] {
        let bodies = [Format::Text, Format::OpenMetrics].map(|format| written(format, escaping));
        for body in &bodies {
            assert!(expected.iter().all(|line| body.lines().any(|own| own == *line)), "{escaping:?}: {body}");
            assert!(!body.contains("{\""), "{body}");
        }
        assert_eq!(samples(&bodies[0]), samples(&bodies[1]), "{escaping:?}");
    }
}

/// V4: an application that does not ask for UTF-8 names has none, whatever a scraper can read.
#[test]
fn names_are_plain_unless_the_application_wants_others() {
    for format in [Format::Text, Format::Text1, Format::OpenMetrics] {
        let plain = encoded(format, Options::default(), show);
        for escaping in [Escaping::AllowUtf8, Escaping::Values] {
            assert_eq!(encoded(format, Options::default().escaping(escaping), show), plain);
        }
        let utf8 = Options::default().utf8_names(true);
        assert_eq!(encoded(format, utf8, show), plain, "who asks for underscores gets the same");
    }
}

/// V4, V5: a quote, a backslash and a line feed in a name are escaped as in a value; the rest stands as it is.
#[test]
fn hostile_names_are_escaped_within_their_quotes() {
    let body = encoded(Format::Text1, Options::default().utf8_names(true).escaping(Escaping::AllowUtf8), |visitor| {
        visitor.family(&Family::new("a\"b\\c\nd} 1", Kind::LastValue).labels(["e\"\n\\", "0", "a:b", ""]));
        visitor.series(&series(&[("e\"\n\\", "1"), ("0", "2"), ("a:b", "3"), ("", "4")], Sample::Gauge(0.5)));
    });
    assert_eq!(
        body,
        "# TYPE \"a\\\"b\\\\c\\nd} 1\" gauge\n\
         {\"a\\\"b\\\\c\\nd} 1\",\"e\\\"\\n\\\\\"=\"1\",\"0\"=\"2\",\"a:b\"=\"3\",_=\"4\"} 0.5\n"
    );
}

/// V5: a label that is reserved, such as the one that holds the metric's name, or that names the state, costs its series and no other.
#[test]
fn labels_that_are_taken_cost_their_series() {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut encoder = format.encoder(Options::default());
        encoder.family(&Family::new("x", Kind::LastValue));
        encoder.series(&series(&[("__name__", "y")], Sample::Gauge(1.0)));
        encoder.series(&series(&[(".é", "y")], Sample::Gauge(1.0)));
        encoder.family(&Family::new("s.t", Kind::StateSet));
        let states = States::from_pairs(&[("a", true)]);
        encoder.series(&series(&[("s_t", "y")], Sample::States(states)));
        encoder.series(&series(&[], Sample::States(States::from_pairs(&[("a", true), ("a", false)]))));
        encoder.series(&series(&[("ok", "")], Sample::States(states)));
        encoder.family(&Family::new(".éx", Kind::StateSet));
        encoder.series(&series(&[], Sample::States(states)));
        encoder.finish();
        let body = String::from_utf8(encoder.take()).unwrap();
        let lines: Vec<&str> = body.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!((lines, encoder.skipped()), (vec!["s_t{s_t=\"a\"} 1"], 5));
    }
    // In quotes, too.
    let body = encoded(Format::Text1, Options::default().utf8_names(true).escaping(Escaping::AllowUtf8), |visitor| {
        visitor.family(&Family::new("x", Kind::LastValue).labels(["__é"]));
        visitor.series(&series(&[("__é", "y")], Sample::Gauge(1.0)));
    });
    assert_eq!(body, "");
}

/// JSON has names as they are defined, and states by name.
#[test]
fn json_has_infos_and_states() {
    let body = encoded(Format::Json, Options::default(), show);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let family =
        |name: &str| json["families"].as_array().unwrap().iter().find(|family| family["name"] == name).unwrap().clone();
    assert_eq!(family("my.build")["kind"], "info");
    assert_eq!(family("my.build")["series"][0]["value"], 1);
    assert_eq!(family("my.state")["kind"], "state_set");
    assert_eq!(family("my.state")["series"][0]["states"], serde_json::json!({"open": true, "half \"open\"": false}));
}
