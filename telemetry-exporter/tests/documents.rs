//! What the documents name is there: files, headings, features, examples; and programs of others take what is for them.
//!
//! The code in them is compiled and run where the crates include them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use telemetry_testkit::peer;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Each document with its path from the root.
fn documents() -> BTreeMap<String, String> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "CHANGELOG.md".to_owned()];
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // Beside them there are drawings.
    paths.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

/// The blocks of a document in this language, and whatever stands behind the language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if info.split(',').next() == Some(language) {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_')).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let mut count = 0;
    for (path, text) in &documents {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("http")) {
            count += 1;
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let folder = Path::new(path).parent().unwrap();
            let target = if file.is_empty() { path.into() } else { folder.join(file) };
            assert!(root().join(&target).exists(), "{path} links to {link}, which is not there");
            let Some(heading) = heading else { continue };
            let text = &documents[target.to_str().unwrap()];
            let mut headings =
                text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
            assert!(headings.any(|found| anchor(found) == heading), "{path} links to {link}: no such heading");
        }
    }
    assert!(count >= 40, "the links are found: {count}");
}

/// The features that a crate has.
fn features(name: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let section = manifest.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
    section.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

/// Who types the code of a page knows what to put into `Cargo.toml`.
#[test]
fn every_page_with_code_says_what_it_depends_on() {
    // Their code is part of this repository.
    let of_this_repository = ["docs/performance.md", "docs/architecture.md"];
    for (path, text) in documents() {
        if !of_this_repository.contains(&path.as_str()) && !blocks(&text, "rust").is_empty() {
            let names_it = ["telemetry-core = ", "telemetry-exporter = "].iter().any(|line| text.contains(line));
            assert!(names_it, "{path} does not say which dependencies its code needs");
        }
        for line in blocks(&text, "toml").iter().flat_map(|block| block.lines()) {
            let Some((name, rest)) = line.split_once(" = ") else { continue };
            let list = rest.split_once("features = [").and_then(|(_, rest)| rest.split_once(']'));
            let (Some((list, _)), true) = (list, name.starts_with("telemetry-")) else { continue };
            for feature in list.split(", ").map(|feature| feature.trim_matches('"')) {
                assert!(features(name).iter().any(|own| own == feature), "{path}: {name} has no feature {feature}");
            }
        }
    }
}

#[test]
fn every_page_with_code_is_compiled() {
    let sources = ["telemetry-core", "telemetry-exporter"].map(|name| {
        let path = root().join(name).join("src/lib.rs");
        fs::read_to_string(path).unwrap()
    });
    for (path, text) in documents() {
        // Its code is pieces of the benches.
        if path != "docs/performance.md" && !blocks(&text, "rust").is_empty() {
            let line = format!("include_str!(\"../../{path}\")");
            assert!(
                sources.iter().any(|source| source.contains(&line)),
                "{path} is not among the documents of a crate"
            );
        }
    }
}

#[test]
fn every_example_and_script_that_is_named_is_there() {
    let manifest = fs::read_to_string(root().join("examples/Cargo.toml")).unwrap();
    let is_end = |char: char| !char.is_alphanumeric() && char != '_';
    let mut count = 0;
    for (path, text) in documents() {
        for rest in text.split("--example ").skip(1) {
            let name = rest.split(is_end).next().unwrap();
            assert!(manifest.contains(&format!("[[example]]\nname = \"{name}\"\n")), "{path}: no example {name}");
            count += 1;
        }
        for rest in text.split("`ci/").skip(1) {
            let name = rest.split(is_end).next().unwrap();
            assert!(root().join("ci").join(name).exists(), "{path}: there is no ci/{name}");
        }
    }
    assert!(count >= 2, "the examples are found: {count}");
}

#[test]
fn promtool_takes_the_configurations_of_prometheus() {
    let folder = std::env::temp_dir().join(format!("telemetry-documents-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    // Files that configurations name; what is in them is not looked at here.
    for name in ["password", "server.crt", "scrapers.crt", "scrapers.key"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let mut count = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "yaml").iter().filter(|block| block.contains("scrape_configs:")) {
            count += 1;
            let file = folder.join("prometheus.yml");
            fs::write(&file, block).unwrap();
            let Some(mut promtool) = peer::promtool() else { return };
            let output = promtool.args(["check", "config"]).arg(&file).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{path}: {told}\n{block}");
        }
    }
    assert!(count >= 2, "the configurations are found: {count}");
    fs::remove_dir_all(folder).unwrap();
}
