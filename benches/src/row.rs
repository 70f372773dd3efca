//! What was measured: rows of a table, and of a file.

use serde_json::{Value, json};

use crate::implementation::Kind;

/// One figure, over all rounds. Smaller is better, whatever the unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The name of the case.
    pub case: String,
    /// The name of the implementation.
    pub implementation: String,
    /// What it is to be compared as.
    pub kind: Kind,
    /// How many threads did it at once.
    pub threads: usize,
    /// The median.
    pub value: f64,
    /// The least and the most.
    pub range: (f64, f64),
    /// `ns`, `us`, `ms` or `B`.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds for one operation, or to make one series.
    Nanoseconds,
    /// Microseconds: the longest pause.
    Microseconds,
    /// Milliseconds for one scrape.
    Milliseconds,
    /// Bytes of heap for one series.
    Bytes,
}

impl Unit {
    const ALL: [Self; 4] = [Self::Nanoseconds, Self::Microseconds, Self::Milliseconds, Self::Bytes];

    /// Its symbol.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Bytes => "B",
        }
    }
}

impl Row {
    /// The row of some samples, of which there is at least one; else `None`.
    #[must_use]
    pub fn of(
        case: &str,
        implementation: &str,
        kind: Kind,
        threads: usize,
        unit: Unit,
        samples: &[f64],
    ) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let value = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        let (case, implementation) = (case.to_owned(), implementation.to_owned());
        Some(Self { case, implementation, kind, threads, value, range: (first, last), unit })
    }

    /// The row as it stands in a file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "case": self.case,
            "impl": self.implementation,
            "kind": self.kind.name(),
            "threads": self.threads,
            "value": self.value,
            "unit": self.unit.symbol(),
        })
    }

    /// The row with its range, as a process hands it to its parent.
    #[must_use]
    pub fn to_message(&self) -> Value {
        let mut message = self.to_json();
        message["range"] = json!([self.range.0, self.range.1]);
        message
    }

    /// The row of a message.
    #[must_use]
    pub fn from_message(message: &Value) -> Option<Self> {
        let kind = message["kind"].as_str()?;
        let unit = message["unit"].as_str()?;
        Some(Self {
            case: message["case"].as_str()?.to_owned(),
            implementation: message["impl"].as_str()?.to_owned(),
            kind: Kind::ALL.into_iter().find(|known| known.name() == kind)?,
            threads: usize::try_from(message["threads"].as_u64()?).ok()?,
            value: message["value"].as_f64()?,
            range: (message["range"][0].as_f64()?, message["range"][1].as_f64()?),
            unit: Unit::ALL.into_iter().find(|known| known.symbol() == unit)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_median_and_the_range_and_survives_a_message() {
        let row = Row::of("a_case", "ours", Kind::Ours, 2, Unit::Bytes, &[3.0, 1.0, 2.5]).unwrap();
        assert_eq!((row.value, row.range), (2.5, (1.0, 3.0)));
        assert_eq!(Row::from_message(&row.to_message()), Some(row.clone()));
        assert_eq!(row.to_json().as_object().unwrap().len(), 6);
        assert_eq!(Row::of("a_case", "ours", Kind::Ours, 1, Unit::Bytes, &[1.0, 4.0]).unwrap().value, 2.5);
        assert_eq!(Row::of("a_case", "ours", Kind::Ours, 1, Unit::Bytes, &[]), None);
    }
}
