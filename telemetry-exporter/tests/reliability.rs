//! The page of faults names, for each, tests and scripts that are there.

use std::fs;
use std::path::{Path, PathBuf};

/// How the files of our tests begin; the others are of the crate below.
const OURS: [&str; 5] = ["serve_", "exporter_", "encode_", "render_", "prometheus"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file that a name on the page stands for.
fn file(name: &str) -> PathBuf {
    let crates = ["telemetry-core", "telemetry-exporter"].map(|name| root().join(name));
    if name.contains('/') {
        let places = crates.map(|place| place.join(name)).into_iter().chain([root().join(name)]);
        let found: Vec<PathBuf> = places.filter(|path| path.exists()).collect();
        assert_eq!(found.len(), 1, "{name} is {found:?}");
        return found.into_iter().next().expect("one");
    }
    let [core, exporter] = crates;
    let own = if OURS.iter().any(|prefix| name.starts_with(prefix)) { exporter } else { core };
    own.join("tests").join(name)
}

#[test]
fn every_fault_names_tests_that_are_there() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let (tables, _) = page.split_once("## What is not promised").expect("the part behind the tables");
    let (mut rows, mut tests) = (0, 0);
    for row in tables.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [_, _, shown] = cells[..] else { panic!("a row has three cells: {row}") };
        if shown.trim() == "shown by" {
            continue;
        }
        // What the fuzzer does is told behind the tests.
        let (shown, fuzzed) = shown.split_once("the fuzz target").unwrap_or((shown, ""));
        let (mut code, before) = (None, tests);
        for piece in shown.split('`').skip(1).step_by(2) {
            if let Some(script) = piece.strip_prefix("ci/") {
                let script = script.split(' ').next().expect("a word");
                assert!(root().join("ci").join(script).exists(), "there is no ci/{script}");
            } else if piece.ends_with(".rs") {
                let path = file(piece);
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                code = Some((piece, text));
            } else if let Some((file, text)) = &code {
                assert!(text.contains(&format!("fn {piece}(")), "{piece} is not in {file}");
                tests += 1;
            } else {
                panic!("{piece} has no file before it: {row}");
            }
        }
        for target in fuzzed.split('`').skip(1).step_by(2) {
            assert!(root().join(format!("fuzz/fuzz_targets/{target}.rs")).exists(), "there is no fuzz target {target}");
        }
        assert!(tests > before, "no test is named: {row}");
        rows += 1;
    }
    assert!(rows >= 35 && tests >= 70, "the page is read: {rows} rows, {tests} tests");
}
