//! The labels of a series as messages: what stands around the values is made once a family.

use std::borrow::Cow;

use telemetry_core::family::Family;
use telemetry_core::scrape::Labels;

use super::super::copy::Piece;
use super::wire::{push_message, push_text};
use crate::name::Naming;

/// The field of a metric that holds a label, and those of the label.
const LABEL: u32 = 1;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// How many values of a row are at hand at once, to be written in another order; a family with more labels is slower.
const AT_HAND: usize = 16;

/// The names of a family's labels, by name: that is the order of labels in this format.
#[derive(Debug)]
pub(super) struct Pairs {
    given: Vec<Box<str>>,
    /// Where the value of each stands in a row.
    sorted: Vec<(usize, Pair)>,
    /// The label that no series has of its own: `le` and `quantile`, which the reader adds, or that of a state.
    reserved: Option<Box<str>>,
    naming: Naming,
}

impl Pairs {
    /// The names of `family`; `None` when two of them become one, or one is `reserved`.
    pub(super) fn new(family: &Family, reserved: Option<&str>, naming: Naming) -> Option<Self> {
        let given: Vec<Box<str>> = family.label_names().iter().map(|name| (**name).into()).collect();
        let mut sorted: Vec<_> =
            given.iter().enumerate().map(|(at, name)| (at, Pair::new(&naming.label(name)))).collect();
        sorted.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        let are_apart = sorted.is_sorted_by(|(_, one), (_, next)| one.name != next.name);
        let is_free = !sorted.iter().any(|(_, pair)| is_refused(&pair.name, reserved));
        (are_apart && is_free).then(|| Self { given, sorted, reserved: reserved.map(Into::into), naming })
    }

    /// Appends the labels of a series; false when two have one name, or one has the reserved one.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>, labels: &Labels<'_>) -> bool {
        if self.sorted.len() > AT_HAND || !self.are_those_of(labels) {
            return self.push_uncommon(out, labels);
        }
        let mut values = [""; AT_HAND];
        values.iter_mut().zip(labels.values()).for_each(|(place, value)| *place = value);
        for (at, pair) in &self.sorted {
            pair.push(out, values[*at]);
        }
        true
    }

    fn are_those_of(&self, labels: &Labels<'_>) -> bool {
        labels.is_row() || labels.iter().map(|(name, _)| name).eq(self.given.iter().map(|name| &**name))
    }

    #[cold]
    fn push_uncommon(&self, out: &mut Vec<u8>, labels: &Labels<'_>) -> bool {
        let mut pairs: Vec<_> = labels.iter().map(|(name, value)| (self.naming.label(name), value)).collect();
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, value) in &pairs {
            push_pair(out, name, value);
        }
        pairs.is_sorted_by(|(one, _), (next, _)| one != next)
            && !pairs.iter().any(|(name, _)| is_refused(name, self.reserved.as_deref()))
    }

    /// The same, and the reserved label with a value.
    pub(super) fn push_with(&self, out: &mut Vec<u8>, labels: &Labels<'_>, value: &str) -> bool {
        let Some(reserved) = &self.reserved else { return false };
        let mut pairs: Vec<_> = labels.iter().map(|(name, value)| (self.naming.label(name), value)).collect();
        pairs.push((Cow::Borrowed(reserved), value));
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, value) in &pairs {
            push_pair(out, name, value);
        }
        pairs.is_sorted_by(|(one, _), (next, _)| one != next) && !pairs.iter().any(|(name, _)| name.starts_with("__"))
    }
}

/// Whether no series may have a label of this name: those that begin so are the server's.
fn is_refused(name: &str, reserved: Option<&str>) -> bool {
    Some(name) == reserved || name.starts_with("__")
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
            self.before.push_with(out, value);
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
