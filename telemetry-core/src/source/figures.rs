//! What one reading gave.

use std::collections::HashSet;

use crate::family::Kind;
use crate::instrument::Quantity;
use crate::scrape::{Sample, Total, Visit, show};
use crate::value::{Measurement, Number};

use super::probe::Shape;

/// Takes the series of a source while it is read.
#[derive(Debug)]
pub struct Figures<'a> {
    shape: &'a Shape,
    rows: Vec<Row>,
    seen: HashSet<Box<[String]>>,
    refused: Refused,
}

/// A series that was read.
#[derive(Clone, Debug)]
struct Row {
    labels: Box<[String]>,
    sample: Sample<'static>,
}

/// Series that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// Values that a series of this kind can't have, and labels that it can't have.
    pub(super) invalid: u64,
    /// Series beyond the limit.
    pub(super) overflow: u64,
}

impl<'a> Figures<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        Self { shape, rows: Vec::new(), seen: HashSet::new(), refused: Refused::default() }
    }

    /// The value of the series with these label values, in the order of the tags of the definition.
    ///
    /// `None` of an `Option` is no series. What can't be shown is left out and counted: see the head of the module.
    pub fn set<L: AsRef<str>>(&mut self, labels: impl IntoIterator<Item = L>, value: impl Measurement) {
        let Some(number) = value.number() else { return };
        let labels: Box<[String]> = labels.into_iter().map(|label| label.as_ref().to_owned()).collect();
        let Some(sample) = self.shape.sample(number) else {
            self.refused.invalid += 1;
            return;
        };
        if labels.len() != self.shape.labels() || self.seen.contains(&labels) {
            self.refused.invalid += 1;
        } else if self.rows.len() >= self.shape.limit() {
            self.refused.overflow += 1;
        } else {
            self.seen.insert(labels.clone());
            self.rows.push(Row { labels, sample });
        }
    }

    pub(super) fn finish(self) -> Answer {
        Answer { rows: self.rows, refused: self.refused }
    }
}

/// What one reading gave, to be shown by whoever asked.
#[derive(Debug, Default)]
pub(super) struct Answer {
    rows: Vec<Row>,
    pub(super) refused: Refused,
}

impl Answer {
    pub(super) fn show(&self, shape: &Shape, visitor: &mut (impl Visit + ?Sized)) {
        let mut pairs = Vec::new();
        for row in &self.rows {
            pairs.clear();
            pairs.extend(
                shape.family().label_names().iter().map(|name| &**name).zip(row.labels.iter().map(String::as_str)),
            );
            show(visitor, &pairs, row.sample);
        }
    }
}

impl Shape {
    /// What the number is as a value of this family; `None` if it can't be one.
    fn sample(&self, number: Number) -> Option<Sample<'static>> {
        let is_total = self.family().kind() != Kind::LastValue;
        if is_total && self.family().values_unit().is_none() {
            // Whole, however large.
            if let Number::U64(n) = number {
                return Some(Sample::Total(Total::U64(n)));
            }
        }
        let quantity = self.scale().apply(number)?;
        let whole = match quantity {
            Quantity::Whole(n) if self.unit().is_whole() => u64::try_from(n).ok(),
            _ => None,
        };
        match (is_total, whole, quantity.to_f64(self.unit())) {
            (false, _, value) => Some(Sample::Gauge(value)),
            (true, Some(n), _) => Some(Sample::Total(Total::U64(n))),
            (true, None, value) => (value >= 0.0).then_some(Sample::Total(Total::F64(value))),
        }
    }
}
