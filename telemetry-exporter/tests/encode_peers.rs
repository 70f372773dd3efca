//! Readers that others wrote take what the encoders write.
//!
//! Those that are missing are skipped with a word, unless `TELEMETRY_REQUIRE_PEERS=1`: see `telemetry_testkit::peer`.

mod encode_fixture;

use encode_fixture::{HOSTILE, encoded, show_everything};
use telemetry_exporter::encode::Options;
use telemetry_exporter::negotiate::Format;
use telemetry_testkit::peer::{self, Parser};

/// Name, labels and value of each sample that the parser reads from `body`.
fn samples(parser: Parser, body: &str) -> Option<Vec<(String, serde_json::Value, String)>> {
    Some(serde_json::from_str(&peer::samples_as_json(parser, body)?).unwrap())
}

fn sample_lines(body: &str) -> usize {
    body.lines().filter(|line| !line.starts_with('#')).count()
}

fn assert_hostile_texts(samples: &[(String, serde_json::Value, String)]) {
    let read =
        samples.iter().filter(|(name, ..)| name == "hostile").map(|(_, labels, _)| labels["text"].as_str().unwrap());
    assert_eq!(read.collect::<Vec<_>>(), HOSTILE);
}

/// V2, V3, V5: the strict reader of OpenMetrics takes every line, and reads the texts that went in.
#[test]
fn prometheus_client_reads_openmetrics() {
    for options in [Options::default(), Options::default().created(true)] {
        let body = encoded(Format::OpenMetrics, options, show_everything);
        let Some(samples) = samples(Parser::OpenMetrics, &body) else { return };
        assert_eq!(samples.len(), sample_lines(&body));
        assert_hostile_texts(&samples);
        let exact = samples
            .iter()
            .any(|(name, _, value)| name == "http_server_request_stop_total" && value.contains("9007199254740993"));
        assert!(exact, "2^53 + 1 was rounded: {samples:?}");
    }
}

/// An exposition of nothing is valid.
#[test]
fn prometheus_client_reads_an_empty_exposition() {
    let body = encoded(Format::OpenMetrics, Options::default(), |_| ());
    if let Some(samples) = samples(Parser::OpenMetrics, &body) {
        assert_eq!(samples, []);
    }
}

/// V2, V3, V5: the reader of the text format takes every line, and reads the texts that went in.
#[test]
fn prometheus_client_reads_the_text_format() {
    let body = encoded(Format::Text, Options::default(), show_everything);
    if let Some(samples) = samples(Parser::Text, &body) {
        assert_eq!(samples.len(), sample_lines(&body));
        assert_hostile_texts(&samples);
    }
}

/// V2, V3, V5: the reference's own check finds neither fault nor bad name.
#[test]
fn promtool_accepts_the_text_format() {
    peer::check_metrics(&encoded(Format::Text, Options::default(), show_everything));
}
