//! A strict reader of OpenMetrics 2.0. No other is at hand; it shares no code with the encoder, and follows the grammar of
//! the specification rule by rule.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) families: Vec<Family>,
}

#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
    pub(crate) start: Option<String>,
    pub(crate) exemplars: Vec<Exemplar>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    // The fields in their order: of each one number, or a list of numbers, of which each may have a second behind it.
    Composite(Vec<(String, Field)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Number(f64),
    List(Vec<(f64, Option<f64>)>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    pub(crate) timestamp: String,
}

impl Sample {
    pub(crate) fn number(&self, field: &str) -> f64 {
        match self.field(field) {
            Some(Field::Number(number)) => *number,
            other => panic!("{field} is {other:?}"),
        }
    }

    /// Empty where there is no such field.
    pub(crate) fn list(&self, field: &str) -> &[(f64, Option<f64>)] {
        match self.field(field) {
            None => &[],
            Some(Field::List(list)) => list,
            other => panic!("{field} is {other:?}"),
        }
    }

    pub(crate) fn field(&self, field: &str) -> Option<&Field> {
        let Value::Composite(fields) = &self.value else { panic!("{self:?} has no fields") };
        fields.iter().find(|(name, _)| name == field).map(|(_, field)| field)
    }

    /// The absolute counts of the exponential buckets of one sign, by their index.
    pub(crate) fn native(&self, sign: &str) -> Vec<(i32, u64)> {
        let (mut index, mut buckets) = (0.0, Vec::new());
        let mut counts = self.list(&format!("{sign}_buckets")).iter();
        for (at, (offset, length)) in self.list(&format!("{sign}_spans")).iter().enumerate() {
            assert!(at == 0 || *offset >= 0.0, "a span may not go back");
            index += offset;
            for _ in 0..length.expect("a length") as u64 {
                let (count, None) = counts.next().expect("a count for each bucket") else { panic!("{self:?}") };
                buckets.push((index as i32, *count as u64));
                index += 1.0;
            }
        }
        assert!(counts.next().is_none(), "a bucket for each count");
        buckets
    }
}

/// Reads a body; panics where it has not the form of one.
pub(crate) fn read(body: &str) -> Body {
    let mut read = Body::default();
    let body = body.strip_suffix("# EOF\n").expect("the end");
    assert!(body.is_empty() || body.ends_with('\n'), "the end is a line");
    for line in body.split_terminator('\n') {
        let mut rest = Rest { line, rest: line };
        if let Some(keyword) = ["# TYPE ", "# UNIT ", "# HELP "].into_iter().find(|keyword| rest.is_taken(keyword)) {
            let name = rest.name().unwrap_or_else(|| rest.string());
            rest.take(" ");
            rest.metadata(keyword, name, &mut read.families);
        } else {
            let (name, sample) = rest.sample();
            let family = read.families.last_mut().expect("metadata above the samples");
            assert_eq!(name, family.name, "{line:?} stands below another name");
            let is_again = family.samples.iter().any(|other| other.labels == sample.labels);
            assert!(!is_again, "{line:?} is there twice");
            let fields: Option<Vec<&str>> = match &sample.value {
                Value::Number(_) => None,
                Value::Composite(fields) => Some(fields.iter().map(|(name, _)| name.as_str()).collect()),
            };
            match (family.kind.as_str(), fields) {
                ("histogram", Some(fields)) => check_histogram(&sample, &fields),
                ("summary", Some(fields)) => assert_eq!(fields, ["count", "sum", "quantile"], "{line:?}"),
                ("counter" | "gauge" | "info" | "stateset", None) => {}
                other => panic!("{other:?} in {line:?}"),
            }
            assert!(sample.exemplars.is_empty() || ["histogram", "counter"].contains(&&*family.kind), "{line:?}");
            family.samples.push(sample);
        }
    }
    read
}

fn check_histogram(sample: &Sample, fields: &[&str]) {
    let all = [
        "count",
        "sum",
        "schema",
        "zero_threshold",
        "zero_count",
        "negative_spans",
        "negative_buckets",
        "positive_spans",
        "positive_buckets",
        "bucket",
    ];
    let mut order = all.iter();
    assert!(fields.iter().all(|field| order.any(|other| other == field)), "{fields:?} are not in their order");
    let has = |field| fields.contains(&field);
    assert!(has("count") && has("sum") && (has("schema") || has("bucket")), "{fields:?}");
    assert!(has("schema") == has("zero_threshold") && has("schema") == has("zero_count"), "{fields:?}");
    let count = sample.number("count");
    if has("schema") {
        assert!((-4.0..=8.0).contains(&sample.number("schema")), "{sample:?}");
        let buckets = ["negative", "positive"].map(|sign| sample.native(sign)).concat();
        let sum: u64 = buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(sample.number("zero_count") + sum as f64, count, "{sample:?}");
    }
    if has("bucket") {
        let buckets = sample.list("bucket");
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{sample:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, Some(count))), "{sample:?}");
    }
}

/// What is left of a line.
struct Rest<'a> {
    line: &'a str,
    rest: &'a str,
}

impl<'a> Rest<'a> {
    fn is_taken(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }

    fn take(&mut self, text: &str) {
        assert!(self.is_taken(text), "{text:?} is missing before {:?} in {:?}", self.rest, self.line);
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.rest.split_at(self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A name that needs no quotes, of a metric; `None` where quotes begin.
    fn name(&mut self) -> Option<String> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        assert!(!name.starts_with(|c: char| c.is_ascii_digit()), "{:?}", self.line);
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// A text in quotes, unescaped.
    fn string(&mut self) -> String {
        self.take("\"");
        let (mut text, mut chars) = (String::new(), self.rest.char_indices());
        loop {
            match chars.next().unwrap_or_else(|| panic!("no end of a text in {:?}", self.line)) {
                (at, '"') => {
                    self.rest = &self.rest[at + 1..];
                    return text;
                }
                (_, '\\') => text.push(unescaped(chars.next().map(|(_, c)| c))),
                (_, c) => text.push(c),
            }
        }
    }

    /// Labels in their braces; a name of the metric may be the first.
    fn labels(&mut self, may_name: bool) -> (Option<String>, Labels) {
        let (mut metric, mut labels, mut is_first) = (None, Labels::new(), true);
        self.take("{");
        while !self.is_taken("}") {
            if !is_first {
                self.take(",");
            }
            let is_quoted = self.rest.starts_with('"');
            let name = if is_quoted { self.string() } else { self.name().expect("a name") };
            if is_quoted && is_first && may_name && !self.rest.starts_with('=') {
                metric = Some(name);
            } else {
                assert!(is_quoted || !name.contains(':'), "{:?}", self.line);
                self.take("=");
                let value = self.string();
                assert!(labels.insert(name, value).is_none(), "a label is there twice in {:?}", self.line);
            }
            is_first = false;
        }
        (metric, labels)
    }

    fn number(&mut self) -> f64 {
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let digits = text.trim_start_matches(['+', '-']);
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || "e+-.".contains(c));
        assert!(is_number || text == "NaN" || digits == "Inf", "{text:?} is no number in {:?}", self.line);
        text.parse().unwrap_or_else(|_| panic!("{text:?} is no number in {:?}", self.line))
    }

    fn timestamp(&mut self) -> String {
        let text = self.take_while(|c| c.is_ascii_digit() || c == '.');
        assert!(text.parse::<f64>().is_ok(), "{text:?} is no time in {:?}", self.line);
        text.to_owned()
    }

    fn value(&mut self) -> Value {
        if !self.is_taken("{") {
            return Value::Number(self.number());
        }
        let mut fields = Vec::new();
        loop {
            let name = self.take_while(|c| c.is_ascii_lowercase() || c == '_').to_owned();
            self.take(":");
            let field = if self.is_taken("[") { Field::List(self.list()) } else { Field::Number(self.number()) };
            fields.push((name, field));
            if self.is_taken("}") {
                return Value::Composite(fields);
            }
            self.take(",");
        }
    }

    fn list(&mut self) -> Vec<(f64, Option<f64>)> {
        let mut list = Vec::new();
        while !self.is_taken("]") {
            if !list.is_empty() {
                self.take(",");
            }
            let first = self.number();
            let second = self.is_taken(":").then(|| self.number());
            list.push((first, second));
        }
        list
    }

    fn sample(mut self) -> (String, Sample) {
        let outside = self.name();
        let has_labels = self.rest.starts_with('{');
        let (inside, labels) = if has_labels { self.labels(outside.is_none()) } else { (None, Labels::new()) };
        let name = outside.or(inside).unwrap_or_else(|| panic!("no name in {:?}", self.line));
        self.take(" ");
        let value = self.value();
        let start = self.is_taken(" st@").then(|| self.timestamp());
        let mut exemplars = Vec::new();
        while !self.rest.is_empty() {
            self.take(" # ");
            let (_, labels) = self.labels(false);
            self.take(" ");
            let value = self.number();
            self.take(" ");
            exemplars.push(Exemplar { labels, value, timestamp: self.timestamp() });
        }
        (name, Sample { labels, value, start, exemplars })
    }

    /// What a line above the samples says; `TYPE` comes first.
    fn metadata(self, keyword: &str, name: String, families: &mut Vec<Family>) {
        if keyword == "# TYPE " {
            assert!(families.iter().all(|family| family.name != name), "{name:?} is there twice");
            families.push(Family {
                name,
                kind: self.rest.to_owned(),
                unit: None,
                help: String::new(),
                samples: vec![],
            });
            return;
        }
        let family = families.last_mut().expect("a type above");
        assert_eq!(family.name, name, "{:?}", self.line);
        assert!(family.samples.is_empty() && family.help.is_empty(), "{:?}", self.line);
        let mut chars = self.rest.chars();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            assert_ne!(c, '"', "a quote is escaped: {:?}", self.line);
            text.push(if c == '\\' { unescaped(chars.next()) } else { c });
        }
        if keyword == "# HELP " {
            family.help = text;
        } else {
            assert!(family.unit.is_none(), "{:?}", self.line);
            family.unit = Some(text);
        }
    }
}

fn unescaped(escaped: Option<char>) -> char {
    match escaped {
        Some('n') => '\n',
        Some(c @ ('\\' | '"')) => c,
        other => panic!("{other:?} is escaped"),
    }
}
