//! A strict reader of the text formats. It shares no code with the encoders: it follows the grammar of the formats.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: String,
}

#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) help: BTreeMap<String, String>,
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) lines: Vec<Line>,
    pub(crate) has_end: bool,
}

/// Reads a body; panics where it has not the form of one.
pub(crate) fn read(body: &str) -> Body {
    let mut read = Body::default();
    assert!(body.is_empty() || body.ends_with('\n'), "the last line has no end");
    for line in body.split_terminator('\n') {
        assert!(!read.has_end, "{line:?} stands behind the end");
        if line == "# EOF" {
            read.has_end = true;
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(read.help.insert(name.to_owned(), unescape(text)).is_none(), "{name} has two HELP");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(read.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two TYPE");
        } else if !line.starts_with("# UNIT ") {
            read.lines.push(sample(line));
        }
    }
    read
}

fn sample(line: &str) -> Line {
    let name_end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap();
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap();
            assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{label:?} is no name in {line:?}");
            let mut is_escaped = false;
            let end = behind.find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            let (value, behind) = behind.split_at(end.unwrap_or_else(|| panic!("no end of a value in {line:?}")));
            assert!(labels.insert(label.to_owned(), unescape(value)).is_none(), "{label:?} stands twice in {line:?}");
            match behind.as_bytes()[1] {
                b',' => rest = &behind[2..],
                b'}' => {
                    rest = &behind[2..];
                    break;
                }
                _ => panic!("{behind:?} in {line:?}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no space before the value in {line:?}"));
    assert!(!value.contains(' '), "more than a value in {line:?}");
    Line { name: name.to_owned(), labels, value: value.to_owned() }
}

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('\\' | '"')) => out.push(c),
                other => panic!("{other:?} is escaped in {text:?}"),
            },
            c => out.push(c),
        }
    }
    out
}
