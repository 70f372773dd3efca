//! Any query: refused with a text, or a filter that takes what it names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_exporter::fuzzing::query;
use telemetry_exporter::name::Names;

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    vec![
        Family::new("a", Kind::Counter),
        Family::new("http.request.duration", Kind::Distribution).unit(Some(Unit::Second)),
        Family::new("ß", Kind::LastValue),
    ]
});

fuzz_target!(|text: &str| {
    match query(text, &FAMILIES) {
        Ok(None) => {}
        Ok(Some(taken)) => {
            assert!(text.contains("name"), "{text:?} names nothing");
            for (family, is_taken) in FAMILIES.iter().zip(taken) {
                // Written out, one of its names is in the query; escaped ones are not looked for.
                if is_taken && !text.contains(['%', '+']) {
                    let names = Names::new(family);
                    assert!(
                        text.contains(family.name()) || names.occupied().iter().any(|name| text.contains(name)),
                        "{text:?} takes {family:?}"
                    );
                }
            }
            // Asked for as well, each is taken.
            for (at, family) in FAMILIES.iter().enumerate() {
                if let Ok(all) = query(&format!("{text}&name[]={}", family.name()), &FAMILIES) {
                    assert!(all.expect("a name")[at], "{text:?}");
                }
            }
        }
        Err(text) => assert!(!text.is_empty()),
    }
});
