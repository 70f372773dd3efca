//! The modules keep to their halves: events know no metric, metrics know no dispatcher, and a few files see both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use telemetry_testkit::source::files;

/// What both halves speak of.
const WORDS: &[&str] = &["name", "unit", "value", "event", "clock", "sync", "caught", "crew"];
/// What an application can say of its events before it runs, which definitions are checked against.
const DECLARED: &[&str] = &["callsite", "typed"];
/// From `emit!` to a handler.
const EVENTS: &[&str] =
    &["callsite", "dynamic", "macros", "span", "typed", "dispatch", "failure", "handler", "lane", "queue", "scope"];
/// From a definition to a scrape.
const METRICS: &[&str] = &[
    "metric",
    "exemplar",
    "registry",
    "family",
    "scrape",
    "snapshot",
    "source",
    "cells",
    "index",
    "instrument",
    "key",
    "reclaim",
    "row",
    "series",
];
/// What turns events into metrics, and what tells of that.
const BOTH: &[&str] =
    &["aggregate", "catalogue", "explain", "console", "facade", "http", "poller", "test", "tracing", "unlocked"];

/// Which modules a module may name.
fn allowed(module: &str) -> BTreeSet<&'static str> {
    let layers: &[&[&str]] = match module {
        _ if WORDS.contains(&module) => &[WORDS],
        _ if EVENTS.contains(&module) => &[WORDS, EVENTS],
        _ if METRICS.contains(&module) => &[WORDS, DECLARED, METRICS],
        _ if BOTH.contains(&module) => &[WORDS, EVENTS, METRICS, BOTH],
        _ => panic!("the module `{module}` is in no layer; enter it in the one it belongs to, in {}", file!()),
    };
    layers.iter().copied().flatten().copied().collect()
}

/// The words behind each `opening` in the code, comments left out; all words of a group in braces.
fn named_behind(code: &str, opening: &str) -> Vec<String> {
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut named = Vec::new();
    for (at, _) in code.match_indices(opening) {
        let rest = &code[at + opening.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            named.push(rest.split(|c| !is_word(c)).next().unwrap_or_default().to_owned());
            continue;
        };
        // The words that stand at the group's own depth, each at the head of its path.
        let (mut depth, mut head) = (1, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 1 && c != ',' && c != '}' {
                head.push(c);
            } else if depth <= 1 && (c == ',' || depth == 0) {
                named.push(head.trim().split(|c| !is_word(c)).next().unwrap_or_default().to_owned());
                head.clear();
            }
            if depth == 0 {
                break;
            }
        }
    }
    named.retain(|word| !word.is_empty());
    named
}

/// Names at the root that stand for something of a module: `pub use event::Event`.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for module in [WORDS, EVENTS, METRICS, BOTH].into_iter().flatten() {
        for name in named_behind(lib, &format!("pub use {module}::")) {
            exports.insert(name, (*module).to_owned());
        }
    }
    exports
}

#[test]
fn the_event_half_and_the_metric_half_do_not_know_each_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports = exports(&fs::read_to_string(source.join("lib.rs")).unwrap());
    assert_eq!(exports["Callsite"], "callsite", "the root's exports are read");

    let (mut violations, mut uses) = (Vec::new(), 0);
    for file in files(&source) {
        let module = file.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "allocations"].contains(&module) {
            continue;
        }
        let allowed = allowed(module);
        for named in named_behind(&fs::read_to_string(source.join(&file)).unwrap(), "crate::") {
            // `$crate::__private` and macros are the root's own.
            let target = exports.get(&named).unwrap_or(&named);
            let is_module = [WORDS, EVENTS, METRICS, BOTH].iter().any(|layer| layer.contains(&target.as_str()));
            uses += usize::from(is_module);
            if is_module && !allowed.contains(target.as_str()) {
                violations.push(format!("{} names `crate::{named}`", file.display()));
            }
        }
    }
    assert!(uses > 100, "the uses are read: {uses}");
    assert!(violations.is_empty(), "these cross the line between events and metrics:\n{}", violations.join("\n"));
}

#[test]
fn groups_and_paths_are_read() {
    let code =
        "use crate::{cells::{self, Shard}, event::Event,\n    clock}; // crate::lane\nlet x = crate::metric::counter;";
    assert_eq!(named_behind(code, "crate::"), ["cells", "event", "clock", "metric"]);
}
