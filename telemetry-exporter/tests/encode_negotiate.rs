//! Which format a scraper gets.

use proptest::prelude::*;
use telemetry_exporter::Escaping;
use telemetry_exporter::negotiate::Format::{self, OpenMetrics, OpenMetricsDraft, Protobuf, Text, Text1};
use telemetry_exporter::negotiate::negotiate;

fn answer(accept: &str) -> Format {
    negotiate([accept.as_bytes()]).format()
}

/// The headers of scrapers, as they send them.
#[test]
fn scrapers_get_the_format_that_they_like_best() {
    for (scraper, accept, expected) in [
        (
            "Prometheus 2.42",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OpenMetrics,
        ),
        (
            "Prometheus 2.42 with native histograms",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Protobuf,
        ),
        (
            "Prometheus 2.53",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OpenMetrics,
        ),
        (
            "Prometheus 3.5",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OpenMetrics,
        ),
        (
            "Prometheus 3.5 with native histograms",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Protobuf,
        ),
        ("VictoriaMetrics", "text/plain;version=0.0.4;q=1,*/*;q=0.1", Text),
        ("curl", "*/*", Text),
        ("a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Text),
    ] {
        assert_eq!(answer(accept), expected, "{scraper}");
    }
}

/// What stands behind `Accept` for protobuf.
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn content_type(accept: &str) -> &'static str {
    negotiate([accept.as_bytes()]).content_type()
}

/// The headers of scrapers, as they send them, and the header of the answer, byte for byte.
#[test]
fn scrapers_are_answered_byte_for_byte() {
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let openmetrics_utf8 = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    for (accept, expected) in [
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            openmetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            openmetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            openmetrics_utf8,
        ),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", text),
    ] {
        assert_eq!(content_type(accept), expected, "{accept}");
    }

    // Those that ask for protobuf too get it as soon as it is offered, with the same names.
    for (rest, without) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            openmetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            openmetrics_utf8,
        ),
    ] {
        let (with, without_it) = (negotiate([format!("{PROTOBUF},{rest}").as_bytes()]), negotiate([rest.as_bytes()]));
        assert_eq!(with.escaping(), without_it.escaping(), "the names depend on the format: {rest}");
        assert_eq!(without_it.content_type(), without);
        assert!(with.content_type() == without || with.content_type().starts_with("application/vnd.google.protobuf; "));
    }
}

/// What the reference client answers, byte for byte; where we answer otherwise, the reason stands beside it.
#[test]
fn the_table_of_the_reference_is_answered() {
    let text = "text/plain; version=0.0.4; charset=utf-8";
    for accept in ["", "*/*", "text/*", "text/html", "application/json", "garbage"] {
        assert_eq!(content_type(accept), text, "{accept:?}");
    }
    assert_eq!(negotiate([]).content_type(), text);
    for (accept, expected) in [
        // The specification's version for who names none, not the draft's.
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        // The version that was asked for, not 0.0.4.
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("text/plain;version=0.0.4;escaping=dots", "text/plain; version=0.0.4; charset=utf-8; escaping=dots"),
        ("text/plain;version=0.0.4;escaping=underscores", text),
        ("text/plain;version=0.0.4;escaping=bogus", text),
        // Both parameters of protobuf must be there.
        ("application/vnd.google.protobuf", text),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", text),
        ("application/vnd.google.protobuf;encoding=delimited", text),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited", text),
        ("application/openmetrics-text;q=0, text/plain", text),
        (
            "application/openmetrics-text;version=1.0.0;escaping=bogus",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=underscores",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "application/openmetrics-text;version=0.0.1;escaping=values",
            "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=values",
        ),
    ] {
        assert_eq!(content_type(accept), expected, "{accept:?}");
    }
}

/// OpenMetrics 2.0 is for who names that version, and for nobody else.
#[test]
fn openmetrics_2_is_answered_only_when_it_is_asked_for() {
    let version = "application/openmetrics-text;version=2.0.0";
    let expected = if cfg!(feature = "openmetrics2") {
        "application/openmetrics-text; version=2.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    assert_eq!(content_type(version), expected);
    for accept in [
        "application/openmetrics-text",
        "application/*",
        "*/*",
        "text/plain;q=0",
        "application/openmetrics-text,application/openmetrics-text;version=1.0.0;q=0,application/openmetrics-text;version=0.0.1;q=0",
        "application/openmetrics-text;version=1.0.0",
    ] {
        assert!(!content_type(accept).contains("version=2"), "{accept}");
    }
}

/// Text 1.0.0 is for who names that version: others might not know it.
#[test]
fn text_1_is_answered_only_when_it_is_asked_for() {
    for accept in ["text/plain", "text/*", "*/*", "", "text/plain;escaping=allow-utf-8"] {
        assert_eq!(answer(accept), Text, "{accept}");
    }
    assert_eq!(answer("application/openmetrics-text;q=0,text/plain;version=0.0.4;q=0"), Text);
    assert_ne!(answer("text/plain,text/plain;version=0.0.4;q=0"), Text1);
}

/// The escaping is read from the whole header, so that a series has one name whichever format wins.
#[test]
fn the_escaping_does_not_depend_on_the_format_that_wins() {
    use Escaping::{AllowUtf8, Dots, Underscores, Values};
    for (accept, expected) in [
        ("", Underscores),
        ("*/*", Underscores),
        ("text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5", AllowUtf8),
        ("text/html;escaping=values,text/plain;version=0.0.4;q=0.5", Values),
        // The clause that wins knows best, then the one that is liked best, then the first.
        ("text/plain;escaping=dots,application/openmetrics-text;escaping=values;q=0.5", Dots),
        ("text/plain;escaping=dots;q=0.5,application/openmetrics-text;escaping=values", Values),
        ("text/plain,text/html;escaping=dots;q=0.4,text/xml;escaping=values;q=0.5", Values),
        ("text/plain,text/html;escaping=dots;q=0.5,text/xml;escaping=values;q=0.5", Dots),
        ("text/plain;escaping=bogus,text/html;escaping=dots;q=0.5", Dots),
        // What is never to be sent says nothing.
        ("text/plain,application/openmetrics-text;escaping=allow-utf-8;q=0", Underscores),
        ("text/plain;Escaping=\"Allow-UTF-8\"", AllowUtf8),
    ] {
        assert_eq!(negotiate([accept.as_bytes()]).escaping(), expected, "{accept:?}");
    }
}

/// Who asks for nothing, or for nothing that there is, gets the text format.
#[test]
fn the_text_format_is_the_last_resort() {
    assert_eq!(negotiate([]).format(), Text);
    for accept in [
        "",
        "*/*",
        "text/*",
        "text/html",
        "application/json",
        "garbage",
        "/",
        ";;;,,,=",
        "application/vnd.google.protobuf",
        "application/openmetrics-text;q=bogus",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=-1",
        "application/openmetrics-text;q=NaN",
        "application/openmetrics-text;q=",
        "*/*;q=0",
        "text/plain;q=0, application/openmetrics-text;q=0",
    ] {
        assert_eq!(answer(accept), Text, "{accept:?}");
    }
}

/// A version is honoured; without one, OpenMetrics is 1.0.0.
#[test]
fn versions_are_honoured() {
    for (accept, expected) in [
        ("application/openmetrics-text", OpenMetrics),
        ("application/openmetrics-text;version=1.0.0", OpenMetrics),
        ("application/openmetrics-text; version=\"1.0.0\" ; charset=utf-8", OpenMetrics),
        ("Application/OpenMetrics-Text;Version=1.0.0", OpenMetrics),
        ("application/openmetrics-text;version=0.0.1", OpenMetricsDraft),
        (
            "application/openmetrics-text;version=0.0.1;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
            OpenMetricsDraft,
        ),
        ("application/openmetrics-text;version=3.0.0,application/openmetrics-text;version=1.0.0;q=0.1", OpenMetrics),
        ("text/plain;version=1.1.0,application/openmetrics-text;version=1.0.0;q=0.1", OpenMetrics),
        ("text/plain;version=1.0.0,application/openmetrics-text;version=1.0.0;q=0.1", Text1),
        ("application/openmetrics-text;version=1.0.0;escaping=bogus", OpenMetrics),
        ("application/*", OpenMetrics),
    ] {
        assert_eq!(answer(accept), expected, "{accept:?}");
    }
}

/// The highest `q` wins, the first of equals, and none with `q=0`.
#[test]
fn quality_decides_and_then_the_order() {
    for (accept, expected) in [
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", Text),
        ("application/openmetrics-text;q=0.5,text/plain;q=0.4", OpenMetrics),
        ("application/openmetrics-text;q=0.501,text/plain;q=0.5", OpenMetrics),
        ("application/openmetrics-text,text/plain", OpenMetrics),
        ("text/plain,application/openmetrics-text", Text),
        ("application/openmetrics-text;q=0,text/plain", Text),
        ("application/openmetrics-text;q=0.000,text/plain;q=0.001", Text),
        ("text/plain;q=0,application/openmetrics-text;q=0.1", OpenMetrics),
        ("text/plain;q=0,*/*", OpenMetrics),
        ("text/plain;q=0", OpenMetrics),
        ("application/openmetrics-text;q=0,*/*", Text),
        ("*/*,application/openmetrics-text;q=0.5", Text),
        ("*/*;q=0.1,application/openmetrics-text;q=0.5", OpenMetrics),
        ("*/*;q=0,application/openmetrics-text;q=0.5", OpenMetrics),
        // The clause with the version is the more specific one.
        (
            "application/openmetrics-text;q=1,application/openmetrics-text;version=1.0.0;q=0,text/plain;q=0.5",
            OpenMetricsDraft,
        ),
        // A separator in quotes separates nothing.
        ("text/html;a=\",application/openmetrics-text,\",text/plain", Text),
        ("text/html;a=\"\\\",application/openmetrics-text,\"", Text),
        // Of two clauses that say the same, the first counts.
        ("text/plain;q=0.1,text/plain;q=0.9,application/openmetrics-text;q=0.5", OpenMetrics),
    ] {
        assert_eq!(answer(accept), expected, "{accept:?}");
    }
}

/// Protobuf goes to who names its message and its encoding: a scraper that takes anything may fail on it.
#[test]
fn protobuf_is_only_for_who_asks_for_it() {
    let full = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, expected) in [
        (full.to_owned(), Protobuf),
        (full.replace(';', " ; "), Protobuf),
        (full.replace("application/vnd", "Application/VND"), Protobuf),
        (full.replace("delimited", "\"delimited\""), Protobuf),
        (format!("{full};q=0.1"), Protobuf),
        (format!("{full};q=0.6,application/openmetrics-text;q=0.5"), Protobuf),
        (format!("{full};q=0.5,application/openmetrics-text;q=0.6"), OpenMetrics),
        (format!("text/plain,{full}"), Text),
        (format!("{full};q=0"), Text),
        (format!("{full};q=0,*/*"), Text),
        (format!("text/plain;q=0,application/openmetrics-text;q=0,{full}"), Protobuf),
        (full.replace(";encoding=delimited", ""), Text),
        (full.replace("delimited", "text"), Text),
        (full.replace("delimited", "compact-text"), Text),
        (full.replace(";proto=io.prometheus.client.MetricFamily", ""), Text),
        (full.replace("MetricFamily", "Metric"), Text),
        ("application/*".to_owned(), OpenMetrics),
        ("text/plain;q=0,application/openmetrics-text;q=0,*/*".to_owned(), Text),
    ] {
        assert_eq!(answer(&accept), expected, "{accept:?}");
    }
}

/// Several headers are one list.
#[test]
fn headers_are_read_as_one_list() {
    let headers: [&[u8]; 2] = [b"text/plain;q=0.5", b"application/openmetrics-text"];
    assert_eq!(negotiate(headers).format(), OpenMetrics);
}

/// The answer's own header, byte for byte.
#[test]
fn content_types_are_those_of_the_formats() {
    assert_eq!(Text.content_type(), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(OpenMetrics.content_type(), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(OpenMetricsDraft.content_type(), "application/openmetrics-text; version=0.0.1; charset=utf-8");
    assert_eq!(
        Protobuf.content_type(),
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    );
    assert_eq!(Format::Json.content_type(), "application/json");
}

proptest! {
    /// V5: whatever the header, there is an answer, and it is one that a scraper can read.
    #[test]
    fn any_header_has_an_answer(headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let format = negotiate(headers.iter().map(Vec::as_slice)).format();
        prop_assert!(format != Format::Json);
    }

    /// The same for headers that look like some.
    #[test]
    fn any_likely_header_has_an_answer(header in "((text|application|\\*)?/?(plain|openmetrics-text|\\*)?;?(q|version)?=?\"?(0|1)?\\.?(0\\.[014])?\\\\?\"?,?){0,6}") {
        prop_assert!(answer(&header) != Format::Json);
    }
}
