//! `docs/architecture.md` says of every file of the libraries what it holds, and speaks of none that there is not.

use std::fs;
use std::path::{Path, PathBuf};

use telemetry_testkit::source::files;

const CRATES: [&str; 3] = ["telemetry-core", "telemetry-exporter", "telemetry-macros"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What the document names of one crate: files, and folders with a slash at the end.
fn named(of: &str) -> Vec<String> {
    let document = fs::read_to_string(repository().join("docs/architecture.md")).unwrap();
    let section = document.split("\n## ").find(|section| section.starts_with("Which file holds what")).unwrap();
    let begins = |from: &str| section.find(&format!("\n`{from}/src`")).unwrap();
    let start = begins(of);
    let end = CRATES.map(begins).into_iter().filter(|at| *at > start).min().unwrap_or(section.len());
    // Every other piece stands between backticks.
    let quoted = section[start..end].split('`').skip(1).step_by(2);
    quoted.filter(|text| text.ends_with(".rs") || text.ends_with('/')).map(str::to_owned).collect()
}

#[test]
fn every_file_is_told_of_and_no_other() {
    for of in CRATES {
        let (named, files) = (named(of), files(&repository().join(of).join("src")));
        let files: Vec<String> = files.iter().map(|path| path.to_str().unwrap().replace('\\', "/")).collect();
        assert!(files.len() > 5, "{of}: {files:?}");
        // Models stand below what they check.
        for file in files.iter().filter(|file| *file != "lib.rs" && !file.ends_with("/loom_tests.rs")) {
            let is_told =
                named.iter().any(|name| file == name || name.ends_with('/') && file.starts_with(name.as_str()));
            assert!(is_told, "docs/architecture.md does not say what {of}/src/{file} holds");
        }
        for name in named {
            // A file in a folder that was named before stands without it.
            let is_there = |file: &String| {
                let path = format!("/{file}");
                if name.ends_with('/') {
                    path.contains(&format!("/{name}"))
                } else {
                    path.ends_with(&format!("/{name}"))
                }
            };
            assert!(files.iter().any(is_there), "docs/architecture.md tells of {name}, which is not in {of}/src");
        }
    }
}
