//! The texts of `le` and `quantile`, made once for all series that share their thresholds.

use crate::number;

/// The ends of the lines that bear a threshold: each from the number to the value.
///
/// Bounds come with each sample, since a family doesn't say them; nearly always they are those of the sample before, and
/// comparing them costs less than writing one.
#[derive(Debug, Default)]
pub(super) struct Thresholds {
    values: Vec<f64>,
    // `0.5"} ` and the like, one after the other; `ends` says where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Thresholds {
    /// Makes the texts of `values`, unless they are there.
    pub(super) fn refresh(&mut self, values: impl Iterator<Item = f64> + Clone) {
        // By their bits, since the texts of 0 and -0 differ.
        if !self.ends.is_empty() && values.clone().map(f64::to_bits).eq(self.values.iter().map(|value| value.to_bits()))
        {
            return;
        }
        self.values.clear();
        self.text.clear();
        self.ends.clear();
        for value in values {
            self.values.push(value);
            self.push(value);
        }
        // The last bucket's, which no bound stands for.
        self.push(f64::INFINITY);
    }

    fn push(&mut self, value: f64) {
        number::push_canonical(&mut self.text, value);
        self.text.extend_from_slice(b"\"} ");
        self.ends.push(self.text.len());
    }

    /// The texts, in the order of the values; the last is that of infinity.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    /// Whether the values can be the bounds of buckets: finite, and each above the one before.
    pub(super) fn are_bounds(&self) -> bool {
        self.values.iter().all(|value| value.is_finite()) && self.values.is_sorted_by(|one, next| one < next)
    }

    /// Whether a threshold lies below zero.
    pub(super) fn has_negative(&self) -> bool {
        self.values.iter().any(|value| *value < 0.0)
    }
}
