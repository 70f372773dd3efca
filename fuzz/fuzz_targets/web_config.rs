//! Any text as a web configuration: taken, or refused with a line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry_exporter::fuzzing::web_config;

fuzz_target!(|text: &str| {
    if let Err((line, problem)) = web_config(text) {
        assert!(!problem.is_empty());
        // Each of these ends a line in YAML.
        let lines = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
        assert!((1..=lines + 1).contains(&line), "line {line} of {lines}: {problem}");
    }
});
