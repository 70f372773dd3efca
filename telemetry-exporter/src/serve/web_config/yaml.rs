//! YAML as a tree that knows its lines, and the fields of a mapping, none of which may be left over.

use std::collections::HashMap;

use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// The most that nodes are within one another.
const DEEPEST: usize = 32;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: usize,
    /// The key with those it is below; empty for the document.
    pub(super) key: String,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn of_file(text: &str) -> Self {
        Self { line: 1, key: String::new(), text: text.to_owned() }
    }
}

/// A part of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    line: usize,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    /// Nothing, or a plain `null`.
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The text of a scalar; `path` is how it is called.
    pub(super) fn text(&self, path: &str) -> Result<&str, Problem> {
        match &self.value {
            Value::Null => Ok(""),
            Value::Text(text) => Ok(text),
            Value::List(_) | Value::Map(_) => Err(self.is_no("a text", path)),
        }
    }

    fn is_no(&self, expected: &str, path: &str) -> Problem {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "keys below it",
        };
        Problem { line: self.line, key: path.to_owned(), text: format!("it has to be {expected}, and is {found}") }
    }
}

/// The fields of a mapping, each of which is to be taken.
pub(super) struct Fields<'a> {
    path: String,
    line: usize,
    /// Names, with whether they were taken.
    fields: Vec<(&'a str, usize, &'a Node, bool)>,
    /// The names that were asked for.
    known: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The fields of a node; nothing has none.
    pub(super) fn of(node: &'a Node, path: &str) -> Result<Self, Problem> {
        let pairs = match &node.value {
            Value::Null => &[][..],
            Value::Map(pairs) => pairs,
            Value::Text(_) | Value::List(_) => return Err(node.is_no("a mapping of keys to values", path)),
        };
        let mut fields: Vec<(&str, usize, &Node, bool)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let name = key.text(path)?;
            if let Some((_, line, ..)) = fields.iter().find(|(before, ..)| *before == name) {
                let text = format!("it is there twice, first in line {line}; remove one");
                return Err(Problem { line: key.line, key: below(path, name), text });
            }
            fields.push((name, key.line, value, false));
        }
        Ok(Self { path: path.to_owned(), line: node.line, fields, known: Vec::new() })
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn line_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().find(|(field, ..)| *field == name).map(|(_, line, ..)| *line)
    }

    /// How a field is called, with what it is below.
    pub(super) fn path(&self, name: &str) -> String {
        below(&self.path, name)
    }

    /// Takes a field, unless it is not there or nothing.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Node> {
        self.known.push(name.to_owned());
        let (_, _, node, is_taken) = self.fields.iter_mut().find(|(field, ..)| *field == name)?;
        *is_taken = true;
        let node: &'a Node = node;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Takes a text that is not empty.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let path = self.path(name);
        let text = self.take(name).map(|node| node.text(&path)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// Takes a list of texts.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let path = self.path(name);
        match self.take(name) {
            None => Ok(None),
            Some(Node { value: Value::List(nodes), .. }) => {
                nodes.iter().map(|node| node.text(&path).map(str::to_owned)).collect::<Result<_, _>>().map(Some)
            }
            Some(node) => Err(node.is_no("a list", &path)),
        }
    }

    /// Takes a boolean, in any spelling of YAML 1.1, which the reference reads.
    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        let path = self.path(name);
        let Some(node) = self.take(name) else { return Ok(None) };
        match &*node.text(&path)?.to_ascii_lowercase() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => Err(node.is_no("true or false", &path)),
        }
    }

    /// Takes all that are left, with the texts they have.
    pub(super) fn texts(self) -> Result<Vec<(String, String)>, Problem> {
        let text = |&(name, _, node, _): &(&str, usize, &Node, bool)| {
            node.text(&below(&self.path, name)).map(|text| (name.to_owned(), text.to_owned()))
        };
        self.fields.iter().map(text).collect()
    }

    /// Nothing else may be there.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.fields.iter().find(|(_, _, _, is_taken)| !is_taken) {
            None => Ok(()),
            Some((name, line, ..)) => {
                let text = format!("there is no such key; those that can be here are {}", self.known.join(", "));
                Err(Problem { line: *line, key: self.path(name), text })
            }
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The first document of a text; nothing if there is none.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut tree = Tree::default();
    let parsed = Parser::new_from_str(text).load(&mut tree, false);
    if let Some(problem) = tree.problem {
        return Err(problem);
    }
    parsed.map_err(|error| Problem {
        line: error.marker().line(),
        key: String::new(),
        text: format!("it is not YAML: {}", error.info()),
    })?;
    Ok(tree.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

/// Builds nodes from events.
#[derive(Default)]
struct Tree {
    /// The nodes that are not closed yet, each with its anchor, and with the key that waits for its value.
    open: Vec<(Node, usize, Option<Node>)>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    problem: Option<Problem>,
}

impl Tree {
    fn open(&mut self, line: usize, value: Value, anchor: usize) {
        if self.open.len() >= DEEPEST {
            self.refuse(line, "it is nested too deeply");
        }
        self.open.push((Node { line, value }, anchor, None));
    }

    fn close(&mut self) {
        if let Some((node, anchor, _)) = self.open.pop() {
            self.add(node, anchor);
        }
    }

    fn add(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = self.root.take().or(Some(node)),
            Some((Node { value: Value::Map(pairs), .. }, _, key)) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(node),
            },
            Some((Node { value: Value::List(nodes), .. }, ..)) => nodes.push(node),
            // Only maps and lists are opened.
            Some(_) => {}
        }
    }

    fn refuse(&mut self, line: usize, text: &str) {
        let problem = Problem { line, key: String::new(), text: text.to_owned() };
        self.problem.get_or_insert(problem);
    }
}

impl MarkedEventReceiver for Tree {
    fn on_event(&mut self, event: Event, mark: Marker) {
        let line = mark.line();
        // What comes after a problem is not looked at; nesting and copies of it would go on.
        if self.problem.is_some() {
            return;
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == TScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                self.add(Node { line, value: if is_null { Value::Null } else { Value::Text(text) } }, anchor);
            }
            Event::SequenceStart(anchor, _) => self.open(line, Value::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.open(line, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                // Copies of copies would grow without end.
                Some(Node { value: Value::Null | Value::Text(_), .. }) => {
                    let node = self.anchors[&anchor].clone();
                    self.add(Node { line, ..node }, 0);
                }
                _ => self.refuse(line, "an alias can stand for a text only; write it out"),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str, check: impl FnOnce(&mut Fields<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
        let node = parse(text)?;
        let mut fields = Fields::of(&node, "")?;
        check(&mut fields)?;
        fields.end()
    }

    #[test]
    fn fields_are_taken_with_the_types_they_have() {
        let text = "a: text # comment\nb: [x, 'y']\nc: Yes\nd: null\ne: |\n  one\n  two\nf: &g 5\nh: *g\n";
        let taken = fields(text, |fields| {
            assert_eq!(fields.text("a")?.as_deref(), Some("text"));
            assert_eq!(fields.list("b")?, Some(vec!["x".to_owned(), "y".to_owned()]));
            assert_eq!(fields.boolean("c")?, Some(true));
            assert_eq!(fields.text("d")?, None);
            assert_eq!(fields.text("e")?.as_deref(), Some("one\ntwo\n"));
            assert_eq!((fields.text("f")?.as_deref(), fields.text("h")?.as_deref()), (Some("5"), Some("5")));
            assert_eq!(fields.text("missing")?, None);
            Ok(())
        });
        assert_eq!(taken, Ok(()));
    }

    #[test]
    fn a_key_that_nobody_takes_is_told_with_its_line() {
        let problem = fields("a: 1\nb: 2\n", |fields| fields.text("a").map(drop)).unwrap_err();
        assert_eq!((problem.line, &*problem.key), (2, "b"));
        assert!(problem.text.contains("those that can be here are a"), "{}", problem.text);
    }

    #[test]
    fn a_key_that_is_there_twice_is_told() {
        let problem = fields("a: 1\nb: 2\na: 3\n", |_| Ok(())).unwrap_err();
        assert_eq!((problem.line, &*problem.key), (3, "a"));
        assert!(problem.text.contains("first in line 1"), "{}", problem.text);
    }

    #[test]
    fn a_value_of_another_form_is_told() {
        for (text, expected) in [
            ("- a\n", "it has to be a mapping of keys to values, and is a list"),
            ("text\n", "it has to be a mapping of keys to values, and is a text"),
        ] {
            assert_eq!(fields(text, |_| Ok(())).unwrap_err().text, expected);
        }
        let problem = fields("a:\n  b: 1\n", |fields| fields.text("a").map(drop)).unwrap_err();
        assert_eq!(problem.text, "it has to be a text, and is keys below it");
        let problem = fields("a: b\n", |fields| fields.list("a").map(drop)).unwrap_err();
        assert_eq!(problem.text, "it has to be a list, and is a text");
        let problem = fields("a: b\n", |fields| fields.boolean("a").map(drop)).unwrap_err();
        assert_eq!(problem.text, "it has to be true or false, and is a text");
    }

    #[test]
    fn hostile_documents_are_refused() {
        for text in [
            "a: [".repeat(1000),
            format!("a: {}x{}", "[".repeat(1000), "]".repeat(1000)),
            "a: &a [x]\nb: *a\n".to_owned(),
            "a: *unknown\n".to_owned(),
            "a: b: c\n".to_owned(),
            "\"".to_owned(),
            "? [a]\n: b\n".to_owned(),
        ] {
            assert!(fields(&text, |fields| fields.text("a").map(drop)).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn nothing_is_a_document_without_keys() {
        for text in ["", "# comment\n", "---\n", "{}\n", "---\n...\n"] {
            assert_eq!(fields(text, |_| Ok(())), Ok(()), "{text:?}");
        }
    }
}
