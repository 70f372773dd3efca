//! The label text of a series: pieces made once a family, and the values between them.

use telemetry_core::scrape::Labels;

use super::copy::{Piece, Room};
use super::label_names::LabelNames;
use super::sample_name::{self, SampleName};

/// How the labels of a family's series become text.
#[derive(Debug)]
pub(super) struct LabelText {
    names: LabelNames,
    // As they stand before the values.
    written: Vec<Box<str>>,
    // What stands around the values between the braces.
    inner: Pieces,
}

impl LabelText {
    pub(super) fn new(names: LabelNames) -> Self {
        let written: Vec<Box<str>> = names.exposed().map(|name| sample_name::label(&name).into()).collect();
        Self { inner: Pieces::new("", &written, ""), names, written }
    }

    /// The pieces of a whole line before its value.
    pub(super) fn line(&self, sample: &SampleName) -> Pieces {
        if self.written.is_empty() {
            return Pieces::new(sample.bare(), &[], "");
        }
        Pieces::new(sample.open(), &self.written, "} ")
    }

    /// Appends `line` with the values in it, if each name of the family has one; else nothing, and gives false.
    #[inline]
    pub(super) fn push_line(&self, out: &mut Vec<u8>, line: &Pieces, labels: &Labels<'_>) -> bool {
        if labels.is_clean() {
            let mut room = Room::behind(out, line.size + labels.size_of_values());
            let is_written = line.push_clean(&mut room, labels.values());
            if is_written {
                room.keep();
            }
            return is_written;
        }
        if self.names.are_those_of(labels) {
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
            push_pair(out, name, value);
            separator = b",";
        };
        if labels.is_row() {
            let labels = self.written.iter().zip(labels.values());
            labels.filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| push(name, value));
            return true;
        }
        for (at, (given, value)) in labels.iter().enumerate() {
            let exposed = self.names.expose(given);
            let mut before = labels.iter().take(at).map(|(given, _)| self.names.expose(given));
            if self.names.is_refused(&exposed) || before.any(|other| other == exposed) {
                return false;
            }
            push(&sample_name::label(&exposed), value);
        }
        true
    }
}

/// The text around the values of a row: one piece before each value, and one behind the last.
#[derive(Debug)]
pub(super) struct Pieces {
    before: Vec<Piece>,
    last: Piece,
    /// How many bytes they have together.
    size: usize,
}

impl Pieces {
    fn new(open: &str, names: &[Box<str>], close: &str) -> Self {
        let before = names.iter().enumerate().map(|(at, name)| {
            let separator = if at == 0 { open } else { "\"," };
            Piece::new(&format!("{separator}{name}=\""))
        });
        let before: Vec<Piece> = before.collect();
        let last = if names.is_empty() { format!("{open}{close}") } else { format!("\"{close}") };
        let last = Piece::new(&last);
        let size = before.iter().chain([&last]).map(|piece| piece.text().len()).sum();
        Self { before, last, size }
    }

    /// Writes the pieces and the values as they are; false if a value is empty.
    #[inline(always)]
    fn push_clean<'v>(&self, room: &mut Room<'_>, values: impl Iterator<Item = &'v str>) -> bool {
        for (piece, value) in self.before.iter().zip(values) {
            if value.is_empty() {
                return false;
            }
            room.push_piece(piece);
            room.push(value.as_bytes());
        }
        room.push_piece(&self.last);
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

/// Appends a label whose name is written as it is: `name="value"`.
pub(super) fn push_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    push_escaped(out, value, Quotes::Escaped);
    out.push(b'"');
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
            assert!(!pieces().push_clean(&mut Room::behind(&mut out, 100), values.into_iter()));
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
            let mut room = Room::behind(&mut out, expected.len());
            prop_assert!(pieces().push_clean(&mut room, values.iter().map(String::as_str)));
            room.keep();
            prop_assert_eq!(&out[start..], expected.as_bytes());
            out.truncate(start);
            prop_assert!(pieces().push_escaped(&mut out, values.iter().map(String::as_str)));
            prop_assert_eq!(&out[start..], expected.as_bytes());
        }
    }
}
