//! The label text of a series: pieces made once a family, and the values between them.

use telemetry_core::family::Family;
use telemetry_core::scrape::Labels;

use super::copy::Piece;
use super::sample_name::{self, SampleName};
use crate::name::Naming;

/// The names of a family's labels, and how the labels of its series become text.
#[derive(Debug)]
pub(super) struct LabelNames {
    // As the family has them, and as they are written.
    given: Vec<Box<str>>,
    exposed: Vec<Box<str>>,
    // The label that the encoder writes itself: `le`, `quantile`, or the one that names the state.
    reserved: Option<String>,
    naming: Naming,
    // What stands around the values between the braces.
    inner: Pieces,
}

impl LabelNames {
    /// The names of `family`; `None` when two of them become one, or one is `reserved`, by us or by Prometheus.
    pub(super) fn new(family: &Family, reserved: Option<String>, naming: Naming) -> Option<Self> {
        if reserved.as_deref().is_some_and(is_reserved) {
            return None;
        }
        let given: Vec<Box<str>> = family.label_names().iter().map(|name| (**name).into()).collect();
        let exposed: Vec<Box<str>> = given.iter().map(|name| written(naming, name)).collect();
        let names = Self { inner: Pieces::new("", &exposed, ""), given, exposed, reserved, naming };
        (0..names.exposed.len())
            .all(|at| names.may_follow(&names.exposed[at], names.exposed[..at].iter()))
            .then_some(names)
    }

    /// The pieces of a whole line before its value.
    pub(super) fn line(&self, sample: &SampleName) -> Pieces {
        if self.exposed.is_empty() {
            return Pieces::new(sample.bare(), &[], "");
        }
        Pieces::new(sample.open(), &self.exposed, "} ")
    }

    /// Appends `line` with the values in it, if each name of the family has one; else nothing, and gives false.
    #[inline]
    pub(super) fn push_line(&self, out: &mut Vec<u8>, line: &Pieces, labels: &Labels<'_>) -> bool {
        if labels.is_clean() {
            return line.push_clean(out, labels.values());
        }
        if labels.is_row() || labels.iter().map(|(name, _)| name).eq(self.given.iter().map(|name| &**name)) {
            return line.push_escaped(out, labels.values());
        }
        false
    }

    /// Appends what stands between the braces; false when two labels have one name, or one has the reserved one.
    pub(super) fn push_inner(&self, out: &mut Vec<u8>, labels: &Labels<'_>) -> bool {
        if self.push_line(out, &self.inner, labels) {
            return true;
        }
        let mut separator: &[u8] = b"";
        let mut push = |name: &str, value: &str| {
            out.extend_from_slice(separator);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            push_escaped(out, value, Quotes::Escaped);
            out.push(b'"');
            separator = b",";
        };
        if labels.is_row() {
            let labels = self.exposed.iter().zip(labels.values());
            labels.filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| push(name, value));
            return true;
        }
        for (at, (given, value)) in labels.iter().enumerate() {
            let exposed = written(self.naming, given);
            if !self.may_follow(&exposed, labels.iter().take(at).map(|(given, _)| written(self.naming, given))) {
                return false;
            }
            push(&exposed, value);
        }
        true
    }

    fn may_follow(&self, name: &str, mut before: impl Iterator<Item = impl AsRef<str>>) -> bool {
        Some(name) != self.reserved.as_deref() && !is_reserved(name) && before.all(|other| other.as_ref() != name)
    }
}

/// What the labels begin with that Prometheus keeps for itself: `__name__`, and others that it takes off unasked.
const RESERVED: &str = "__";

/// Whether a name, as it is written, is Prometheus' own.
fn is_reserved(name: &str) -> bool {
    name.strip_prefix('"').unwrap_or(name).starts_with(RESERVED)
}

/// A label's name as it stands before the value.
fn written(naming: Naming, name: &str) -> Box<str> {
    sample_name::label(&naming.label(name)).into()
}

/// The text around the values of a row: one piece before each value, and one behind the last.
#[derive(Debug)]
pub(super) struct Pieces {
    before: Vec<Piece>,
    last: Piece,
}

impl Pieces {
    fn new(open: &str, names: &[Box<str>], close: &str) -> Self {
        let before = names.iter().enumerate().map(|(at, name)| {
            let separator = if at == 0 { open } else { "\"," };
            Piece::new(&format!("{separator}{name}=\""))
        });
        let last = if names.is_empty() { format!("{open}{close}") } else { format!("\"{close}") };
        Self { before: before.collect(), last: Piece::new(&last) }
    }

    /// Appends the pieces and the values as they are; nothing, and false, if a value is empty.
    #[inline]
    fn push_clean<'v>(&self, out: &mut Vec<u8>, values: impl Iterator<Item = &'v str>) -> bool {
        let start = out.len();
        for (piece, value) in self.before.iter().zip(values) {
            if value.is_empty() {
                out.truncate(start);
                return false;
            }
            piece.push_with(out, value);
        }
        self.last.push_with(out, "");
        true
    }

    /// Appends the pieces and the values, escaped; nothing, and false, if a value is empty.
    fn push_escaped<'v>(&self, out: &mut Vec<u8>, values: impl Iterator<Item = &'v str>) -> bool {
        let start = out.len();
        for (piece, value) in self.before.iter().zip(values) {
            if value.is_empty() {
                out.truncate(start);
                return false;
            }
            out.extend_from_slice(piece.text());
            push_escaped(out, value, Quotes::Escaped);
        }
        out.extend_from_slice(self.last.text());
        true
    }
}

/// What becomes of the quotes in an escaped text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    Escaped,
    Raw,
}

/// Appends `text` with `\\` for each backslash, `\n` for each line feed, and `\"` for each quote if so wanted.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str, quotes: Quotes) {
    let mut rest = text.as_bytes();
    let is_special = |byte: &u8| matches!(byte, b'\\' | b'\n') || (*byte == b'"' && quotes == Quotes::Escaped);
    while let Some(at) = rest.iter().position(is_special) {
        let (raw, special) = rest.split_at(at);
        out.extend_from_slice(raw);
        out.extend_from_slice(&[b'\\', if special[0] == b'\n' { b'n' } else { special[0] }]);
        rest = &special[1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces() -> Pieces {
        let names: Vec<Box<str>> = ["a", "a_label_with_a_name_beyond_a_fixed_copy", "c"].map(Into::into).into();
        Pieces::new("x{", &names, "} ")
    }

    /// V5: an empty value is no label, wherever it stands, and then nothing is written.
    #[test]
    fn a_row_with_an_empty_value_is_not_written_by_pieces() {
        for values in [["", "b", "c"], ["a", "", "c"], ["a", "b", ""]] {
            let mut out = b"before".to_vec();
            assert!(!pieces().push_clean(&mut out, values.into_iter()));
            assert!(!pieces().push_escaped(&mut out, values.into_iter()));
            assert_eq!(out, b"before");
        }
    }

    proptest! {
        /// V5: a row that needs no escaping is the same text on both ways.
        #[test]
        fn pieces_and_values_alternate(values in prop::array::uniform3("[a-zé/{}=, ]{1,80}"), start in 0_usize..70_000) {
            let [a, b, c] = &values;
            let expected = format!("x{{a=\"{a}\",a_label_with_a_name_beyond_a_fixed_copy=\"{b}\",c=\"{c}\"}} ");
            let mut out = vec![b'.'; start];
            prop_assert!(pieces().push_clean(&mut out, values.iter().map(String::as_str)));
            prop_assert_eq!(&out[start..], expected.as_bytes());
            out.truncate(start);
            prop_assert!(pieces().push_escaped(&mut out, values.iter().map(String::as_str)));
            prop_assert_eq!(&out[start..], expected.as_bytes());
        }
    }
}
