//! Whole expositions, byte for byte.
//!
//! With `TELEMETRY_UPDATE_GOLDEN=1` the files are written anew, to be read before they are committed.

mod encode_fixture;

use std::path::Path;

use encode_fixture::{encoded, show_everything};
use telemetry_exporter::encode::Options;
use telemetry_exporter::negotiate::Format;

fn assert_golden(name: &str, body: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("TELEMETRY_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, body).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (number, (line, expected)) in body.split('\n').zip(golden.split('\n')).enumerate() {
        assert_eq!(line, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(body.len(), golden.len(), "{name}: one goes on where the other ends");
}

/// V2, V3, V5: the text format 0.0.4.
#[test]
fn the_text_format_is_as_recorded() {
    assert_golden("text.txt", &encoded(Format::Text, Options::default(), show_everything));
}

/// V2, V3, V5: OpenMetrics 1.0.
#[test]
fn openmetrics_is_as_recorded() {
    assert_golden("openmetrics.txt", &encoded(Format::OpenMetrics, Options::default(), show_everything));
}

/// V8: OpenMetrics 1.0 with created times.
#[test]
fn openmetrics_with_created_times_is_as_recorded() {
    let options = Options::default().created(true);
    assert_golden("openmetrics_created.txt", &encoded(Format::OpenMetrics, options, show_everything));
}

/// V3, V5: JSON, which also has to be JSON.
#[test]
fn json_is_as_recorded() {
    let body = encoded(Format::Json, Options::default(), show_everything);
    serde_json::from_str::<serde_json::Value>(&body).unwrap();
    assert_golden("json.txt", &body);
}
