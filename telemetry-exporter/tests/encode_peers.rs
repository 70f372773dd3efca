//! Readers that others wrote take what the encoders write.
//!
//! `TELEMETRY_PYTHON` names an interpreter that has the package `prometheus_client`, else `python3` is tried; `promtool` is
//! looked for on the path. What is missing is skipped with a loud word, unless `TELEMETRY_REQUIRE_PEERS=1`.

#![allow(clippy::print_stderr, reason = "a test that was skipped has to say so")]

mod encode_fixture;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use encode_fixture::{HOSTILE, encoded, show_everything};
use telemetry_exporter::encode::Options;
use telemetry_exporter::negotiate::Format;

/// Prints each sample as `[name, labels, value]`, as JSON.
const READ_OPENMETRICS: &str = "\
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
body = sys.stdin.buffer.read().decode()
print(json.dumps([[s.name, s.labels, repr(s.value)] for f in families(body) for s in f.samples]))
";

const READ_TEXT: &str = "\
import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
body = sys.stdin.buffer.read().decode()
print(json.dumps([[s.name, s.labels, repr(s.value)] for f in families(body) for s in f.samples]))
";

/// What a program answers to `input`; `None` if there is no such program.
fn answer(command: &mut Command, input: &str) -> Option<Output> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().ok()?;
    // A program that ends early closes the pipe; its answer says why.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Some(child.wait_with_output().unwrap())
}

fn skip(what: &str) {
    let is_required = std::env::var_os("TELEMETRY_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!is_required, "{what} is missing, and TELEMETRY_REQUIRE_PEERS=1");
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what} is missing, so nobody else has read the exposition\n");
}

fn python() -> Option<Command> {
    let interpreter = std::env::var_os("TELEMETRY_PYTHON").unwrap_or_else(|| "python3".into());
    let has_package = answer(Command::new(&interpreter).args(["-c", "import prometheus_client"]), "");
    if has_package.is_some_and(|output| output.status.success()) {
        return Some(Command::new(interpreter));
    }
    skip("python3 with the package prometheus_client (TELEMETRY_PYTHON names the interpreter)");
    None
}

/// The samples that the script reads from `body`.
fn samples(script: &str, body: &str) -> Option<Vec<(String, serde_json::Value, String)>> {
    let output = answer(python()?.args(["-c", script]), body).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples: Vec<serde_json::Value> =
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap().as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    Some(samples.iter().map(|sample| (text(&sample[0]), sample[1].clone(), text(&sample[2]))).collect())
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
        let Some(samples) = samples(READ_OPENMETRICS, &body) else { return };
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
    if let Some(samples) = samples(READ_OPENMETRICS, &body) {
        assert_eq!(samples, []);
    }
}

/// V2, V3, V5: the reader of the text format takes every line, and reads the texts that went in.
#[test]
fn prometheus_client_reads_the_text_format() {
    let body = encoded(Format::Text, Options::default(), show_everything);
    if let Some(samples) = samples(READ_TEXT, &body) {
        assert_eq!(samples.len(), sample_lines(&body));
        assert_hostile_texts(&samples);
    }
}

/// V2, V3, V5: the reference's own check finds neither fault nor bad name.
#[test]
fn promtool_accepts_the_text_format() {
    let body = encoded(Format::Text, Options::default(), show_everything);
    let Some(output) = answer(Command::new("promtool").args(["check", "metrics"]), &body) else {
        return skip("promtool");
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}
