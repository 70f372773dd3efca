//! The page of what users ask for names tests that are there.

use std::fs;
use std::path::Path;

/// Each test that a line names: a file in backticks, then names in backticks.
fn named(line: &str) -> Vec<(String, String)> {
    let mut file = None;
    let mut tests = Vec::new();
    for piece in line.split('`').skip(1).step_by(2) {
        if piece.contains('/') && piece.ends_with(".rs") {
            file = Some(piece.to_owned());
        } else if let Some(file) = &file {
            tests.push((file.clone(), piece.to_owned()));
        }
    }
    tests
}

#[test]
fn every_test_on_the_page_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/wanted.md")).unwrap();
    let tests: Vec<(String, String)> = page.lines().filter(|line| line.starts_with('|')).flat_map(named).collect();
    assert!(tests.len() >= 30, "the page is read: {}", tests.len());
    for (file, test) in tests {
        let code = fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(code.contains(&format!("fn {test}()")), "docs/wanted.md names {test}, which is not in {file}");
    }
}

/// What is said to be answered is shown; what is not answered says so, and why.
#[test]
fn every_row_has_its_test_or_says_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/wanted.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| wanted") && !line.starts_with("| ---"));
    for row in rows {
        let cells = row.strip_prefix('|').and_then(|row| row.strip_suffix('|')).expect("a row stands between two bars");
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let [.., answer, shown] = cells[..] else { panic!("a row of less than two cells: {row}") };
        let is_answered = !answer.starts_with("not here: ");
        assert!(!answer.is_empty(), "nothing is said about: {row}");
        assert_eq!(shown.is_empty(), !is_answered, "{row}");
        assert_eq!(named(shown).is_empty(), !is_answered, "{row}");
    }
}
