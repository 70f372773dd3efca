//! The program `versus`, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn versus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_versus")).args(arguments).output().unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every implementation of a case is measured, its counts are right, and its row has the six fields.
#[test]
fn a_case_is_measured_checked_written_and_drawn() {
    let (json, svg) = (file("rows.json"), file("rows.svg"));
    let case = "counter_and_histogram_two_tags";
    // Those that never miscount: `metrics` with its exporter loses a sample now and then when two threads record.
    let exact = ["ours", "prometheus", "prometheus-client", "opentelemetry", "measured", "fastmetrics"];
    let mut arguments =
        vec!["--quick", "--case", case, "--json", json.to_str().unwrap(), "--svg", svg.to_str().unwrap()];
    exact.iter().for_each(|name| arguments.extend(["--impl", name]));
    let output = versus(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("| prometheus-client | peer | 2 |"), "{}", text(&output.stdout));

    let rows: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows = rows.as_array().unwrap();
    for name in exact {
        for threads in [1, 2] {
            let row = rows.iter().find(|row| row["impl"] == name && row["threads"] == threads).unwrap();
            assert!(row["value"].as_f64().unwrap() > 0.0 && row["case"] == case && row["unit"] == "ns", "{row}");
            assert_eq!(row["kind"], if name == "ours" { "ours" } else { "peer" });
        }
    }
    assert!(std::fs::read_to_string(&svg).unwrap().contains("prometheus-client"));
}

#[test]
fn only_what_is_asked_for_is_measured() {
    let output = versus(&["--quick", "--case", "counter_held", "--impl", "loop", "--impl", "ours"]);
    let table = text(&output.stdout);
    assert!(output.status.success() && table.contains("| loop | limit |") && !table.contains("prometheus"), "{table}");
}

#[test]
fn a_wrong_argument_is_told_and_exits_with_2() {
    for (arguments, word) in [(&["--case", "nonsense"][..], "nonsense"), (&["--slow"], "--slow"), (&["--json"], "file")]
    {
        let output = versus(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(word) && output.stdout.is_empty(), "{}", text(&output.stderr));
    }
}

#[test]
fn the_list_says_what_is_left_out_and_why() {
    let output = versus(&["--list"]);
    let list = text(&output.stdout);
    assert!(output.status.success());
    for word in ["render_1m_counters", "opentelemetry-bound", "metrique", "measured 0.1"] {
        assert!(list.contains(word), "{list}");
    }
}

#[test]
fn a_file_that_can_not_be_written_is_an_error() {
    let output = versus(&["--quick", "--case", "spiral_mark", "--impl", "loop", "--json", "/does/not/exist.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/does/not/exist.json"), "{}", text(&output.stderr));
}
