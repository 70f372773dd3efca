//! Any text as the name of an event, a pattern, a family or a label: refused, or made legal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::name::{Pattern, check};
use telemetry_exporter::name::{Names, check_collisions, label};

const KINDS: [Kind; 6] = [Kind::Counter, Kind::Sum, Kind::LastValue, Kind::Distribution, Kind::Summary, Kind::Spiral];

/// The rule, read from its prose.
fn is_event(name: &str) -> bool {
    name.split('.')
        .all(|segment| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

fn is_legal(name: &str, more: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    !name.is_empty() && name.chars().all(is_inside) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fuzz_target!(|text: &str| {
    assert_eq!(check(text).is_ok(), is_event(text), "{text:?}");

    let pattern = Pattern::parse(text);
    let is_below = text == "*" || text.strip_suffix(".*").is_some_and(is_event);
    assert_eq!(pattern.is_ok(), is_event(text) || is_below, "{text:?}");
    if let Ok(pattern) = pattern {
        assert_eq!(pattern.to_string(), text);
        assert!(!is_event(text) || pattern.matches(text), "a name matches itself");
        assert!(pattern.is_below(""));
    }

    assert!(is_legal(&label(text), ""), "{text:?}");
    for kind in KINDS {
        for unit in [None, Some(Unit::Second)] {
            let family = Family::new(text, kind).unit(unit).labels([text]);
            let names = Names::new(&family);
            let occupied = names.occupied();
            assert!(occupied.iter().all(|name| is_legal(name, ":")), "{occupied:?}");
            assert!(occupied.iter().any(|name| *name == names.main()), "{occupied:?}");
            assert!(check_collisions([&family]).is_ok());
            assert!(check_collisions([&family, &family]).is_err());
        }
    }
});
