//! Any `Accept` headers, one a line: there is an answer, and what nobody offers changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry_exporter::negotiate::{Format, negotiate};

fuzz_target!(|bytes: &[u8]| {
    let headers: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let negotiated = negotiate(headers.iter().copied());
    let format = negotiated.format();
    assert_ne!(format, Format::Json, "no header asks for JSON");

    let stranger: &[u8] = b"image/png;q=1";
    assert_eq!(negotiate(headers.iter().copied().chain([stranger])), negotiated);
    assert_eq!(negotiate([stranger].into_iter().chain(headers.iter().copied())), negotiated);

    // Of the three, only these hold letters that ask for it.
    let lower = bytes.to_ascii_lowercase();
    let has = |text: &[u8]| lower.windows(text.len()).any(|window| window == text);
    if format != Format::Text {
        assert!(has(b"/"), "{:?} was asked for by nothing", format);
    }
    if format == Format::OpenMetricsDraft {
        assert!(has(b"openmetrics-text") || has(b"*"), "the draft was asked for by nothing");
    }
});
