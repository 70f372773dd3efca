//! The labels of a series as messages: what stands around the values is made once a family.

use std::borrow::Cow;

use telemetry_core::scrape::Labels;

use super::super::copy::{Piece, Room};
use super::super::label_names::LabelNames;
use super::wire::{push_message, push_text};

/// The field of a metric that holds a label, and those of the label.
const LABEL: u32 = 1;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// How many values of a row are at hand at once, to be written in another order; a family with more labels is slower.
const AT_HAND: usize = 16;

/// The names of a family's labels, by name: that is the order of labels in this format.
#[derive(Debug)]
pub(super) struct Pairs {
    names: LabelNames,
    /// Where the value of each stands in a row.
    sorted: Vec<(usize, Pair)>,
}

impl Pairs {
    pub(super) fn new(names: LabelNames) -> Self {
        let mut sorted: Vec<_> = names.exposed().map(|name| Pair::new(&name)).enumerate().collect();
        sorted.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        Self { names, sorted }
    }

    /// Appends the labels of a series; false when two have one name, or one is refused.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>, labels: &Labels<'_>) -> bool {
        if self.sorted.len() > AT_HAND || !self.names.are_those_of(labels) {
            return self.push_uncommon(out, labels, None);
        }
        let mut values = [""; AT_HAND];
        values.iter_mut().zip(labels.values()).for_each(|(place, value)| *place = value);
        for (at, pair) in &self.sorted {
            pair.push(out, values[*at]);
        }
        true
    }

    /// The same, and the reserved label with a value.
    pub(super) fn push_with(&self, out: &mut Vec<u8>, labels: &Labels<'_>, value: &str) -> bool {
        self.names.reserved().is_some_and(|reserved| self.push_uncommon(out, labels, Some((reserved, value))))
    }

    #[cold]
    fn push_uncommon(&self, out: &mut Vec<u8>, labels: &Labels<'_>, more: Option<(&str, &str)>) -> bool {
        let mut pairs: Vec<_> = labels.iter().map(|(name, value)| (self.names.expose(name), value)).collect();
        let is_free = !pairs.iter().any(|(name, _)| self.names.is_refused(name));
        pairs.extend(more.map(|(name, value)| (Cow::Borrowed(name), value)));
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, value) in &pairs {
            push_pair(out, name, value);
        }
        is_free && pairs.is_sorted_by(|(one, _), (next, _)| one != next)
    }
}

/// One label with its name, and room for its value.
#[derive(Debug)]
struct Pair {
    name: Box<str>,
    /// Up to the value, with a byte left for each of the two lengths.
    before: Piece,
    /// What the label takes beside its value.
    overhead: usize,
}

/// The bytes before a name: key and length of the label, key and length of the name.
const BEFORE_NAME: usize = 4;

impl Pair {
    fn new(name: &str) -> Self {
        let mut before = Vec::with_capacity(name.len() + 6);
        push_pair(&mut before, name, "");
        // Where a length takes more than one byte this is not used: see `push`.
        let before = String::from_utf8_lossy(&before).into_owned();
        Self { name: name.into(), overhead: before.len().saturating_sub(2), before: Piece::new(&before) }
    }

    #[inline]
    fn push(&self, out: &mut Vec<u8>, value: &str) {
        let length = self.overhead + value.len();
        if value.is_empty() {
            // A label without a value is no label.
        } else if length < 0x80 {
            let start = out.len();
            let mut room = Room::behind(out, self.before.text().len() + value.len());
            room.push_piece(&self.before);
            room.push(value.as_bytes());
            room.keep();
            out[start + 1] = length as u8;
            out[start + BEFORE_NAME + self.name.len() + 1] = value.len() as u8;
        } else {
            push_pair(out, &self.name, value);
        }
    }
}

/// Appends a label as a message.
pub(super) fn push_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    push_message(out, LABEL, |out| {
        push_text(out, NAME, name);
        push_text(out, VALUE, value);
    });
}
