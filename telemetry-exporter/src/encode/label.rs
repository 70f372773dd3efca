//! The label text of a series: pieces made once a family, and the values between them.

use telemetry_core::family::Family;
use telemetry_core::scrape::Labels;

use crate::name;

/// The names of a family's labels, and how the labels of its series become text.
#[derive(Debug)]
pub(super) struct LabelNames {
    // As the family has them, and as they are written.
    given: Vec<Box<str>>,
    exposed: Vec<Box<str>>,
    // The label that the encoder writes itself: `le` or `quantile`.
    reserved: Option<&'static str>,
    // What stands around the values between the braces.
    inner: Pieces,
}

impl LabelNames {
    /// The names of `family`; `None` when two of them become one, or one is `reserved`.
    pub(super) fn new(family: &Family, reserved: Option<&'static str>) -> Option<Self> {
        let given: Vec<Box<str>> = family.label_names().iter().map(|name| (**name).into()).collect();
        let exposed: Vec<Box<str>> = given.iter().map(|name| name::label(name).into()).collect();
        let names = Self { inner: Pieces::new("", &exposed, ""), given, exposed, reserved };
        (0..names.exposed.len())
            .all(|at| names.may_follow(&names.exposed[at], names.exposed[..at].iter()))
            .then_some(names)
    }

    /// The pieces of a whole line before its value.
    pub(super) fn line(&self, sample: &str) -> Pieces {
        if self.exposed.is_empty() {
            return Pieces::new(&format!("{sample} "), &[], "");
        }
        Pieces::new(&format!("{sample}{{"), &self.exposed, "} ")
    }

    /// Appends `line` with the values in it, if each name of the family has one; else nothing, and gives false.
    #[inline]
    pub(super) fn push_line(&self, out: &mut Vec<u8>, line: &Pieces, labels: &Labels<'_>) -> bool {
        if labels.is_clean() {
            return line.push(out, labels.values(), |out, value| push_short(out, value.as_bytes()));
        }
        if labels.is_row() || labels.iter().map(|(name, _)| name).eq(self.given.iter().map(|name| &**name)) {
            return line.push(out, labels.values(), |out, value| push_escaped(out, value, Quotes::Escaped));
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
            let exposed = name::label(given);
            if !self.may_follow(&exposed, labels.iter().take(at).map(|(given, _)| name::label(given))) {
                return false;
            }
            push(&exposed, value);
        }
        true
    }

    fn may_follow(&self, name: &str, mut before: impl Iterator<Item = impl AsRef<str>>) -> bool {
        Some(name) != self.reserved && before.all(|other| other.as_ref() != name)
    }
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

    /// Appends the pieces and the values; nothing, and false, if a value is empty: that label is to be left out.
    #[inline]
    fn push<'v>(
        &self,
        out: &mut Vec<u8>,
        values: impl Iterator<Item = &'v str>,
        push_value: impl Fn(&mut Vec<u8>, &str),
    ) -> bool {
        let start = out.len();
        for (piece, value) in self.before.iter().zip(values) {
            if value.is_empty() {
                out.truncate(start);
                return false;
            }
            piece.push(out);
            push_value(out, value);
        }
        self.last.push(out);
        true
    }
}

/// A text that is appended very often.
#[derive(Debug)]
struct Piece {
    text: Box<[u8]>,
    // Invariant: starts with `text` if that fits, so that a copy of fixed size may stand for one of any size.
    padded: [u8; PADDED],
}

const PADDED: usize = 32;

impl Piece {
    fn new(text: &str) -> Self {
        let mut padded = [0; PADDED];
        if let Some(head) = padded.get_mut(..text.len()) {
            head.copy_from_slice(text.as_bytes());
        }
        Self { text: text.as_bytes().into(), padded }
    }

    #[inline]
    fn push(&self, out: &mut Vec<u8>) {
        if self.text.len() > PADDED {
            return out.extend_from_slice(&self.text);
        }
        // Two registers are copied where the length is unknown to the compiler: a call of `memcpy` costs more than that.
        let end = out.len() + self.text.len();
        out.extend_from_slice(&self.padded);
        out.truncate(end);
    }
}

/// Appends a text that is likely short: up to 32 bytes are copied as two overlapping halves of fixed size.
#[inline]
pub(super) fn push_short(out: &mut Vec<u8>, text: &[u8]) {
    #[inline]
    fn push_halves<const N: usize>(out: &mut Vec<u8>, text: &[u8]) -> bool {
        let (Some(head), Some(tail)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else { return false };
        let overlap = out.len() + text.len() - N;
        out.extend_from_slice(head);
        out.truncate(overlap);
        out.extend_from_slice(tail);
        true
    }

    match text.len() {
        0 => {}
        1 => out.push(text[0]),
        2..=3 => _ = push_halves::<2>(out, text),
        4..=7 => _ = push_halves::<4>(out, text),
        8..=15 => _ = push_halves::<8>(out, text),
        16..=32 => _ = push_halves::<16>(out, text),
        _ => out.extend_from_slice(text),
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
        push_short(out, raw);
        out.extend_from_slice(&[b'\\', if special[0] == b'\n' { b'n' } else { special[0] }]);
        rest = &special[1..];
    }
    push_short(out, rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(values: &[&str]) -> Option<String> {
        let names: Vec<Box<str>> = ["a", "a_label_with_a_name_beyond_a_fixed_copy", "c"].map(Into::into).into();
        let mut out = b"before ".to_vec();
        let pieces = Pieces::new("x{", &names, "} ");
        let is_whole = pieces.push(&mut out, values.iter().copied(), |out, value| push_short(out, value.as_bytes()));
        let text = String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned();
        if is_whole {
            return Some(text);
        }
        assert_eq!(text, "");
        None
    }

    /// V5: a clean row is copied byte for byte, whatever the lengths.
    #[test]
    fn pieces_and_values_alternate() {
        assert_eq!(
            line(&["1", "two", "three"]).unwrap(),
            "x{a=\"1\",a_label_with_a_name_beyond_a_fixed_copy=\"two\",c=\"three\"} "
        );
    }

    /// V5: an empty value is no label, wherever it stands.
    #[test]
    fn a_row_with_an_empty_value_is_not_written_by_pieces() {
        for values in [["", "b", "c"], ["a", "", "c"], ["a", "b", ""]] {
            assert_eq!(line(&values), None);
        }
    }

    proptest! {
        #[test]
        fn short_copies_are_whole_copies(text in prop::collection::vec(any::<u8>(), 0..80), start in 0_usize..40) {
            let mut out = vec![7; start];
            push_short(&mut out, &text);
            prop_assert_eq!(&out[..start], &vec![7; start]);
            prop_assert_eq!(&out[start..], &text);
        }

        #[test]
        fn pieces_are_copied_whole(text in "[a-z]{0,80}") {
            let mut out = b"start".to_vec();
            Piece::new(&text).push(&mut out);
            prop_assert_eq!(out, format!("start{text}").into_bytes());
        }
    }
}
