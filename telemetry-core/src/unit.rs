//! Units of measurements, and exact conversion between them.

use std::fmt;

/// What a measurement is counted in.
///
/// Two units convert into each other when they share a [`Dimension`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// 10⁻⁹ of a second.
    Nanosecond,
    /// 10⁻⁶ of a second.
    Microsecond,
    /// 10⁻³ of a second.
    Millisecond,
    /// The base unit of time.
    Second,
    /// 60 seconds.
    Minute,
    /// The base unit of information.
    Byte,
    /// 1000 bytes.
    Kilobyte,
    /// 1000² bytes.
    Megabyte,
    /// 1024 bytes.
    Kibibyte,
    /// 1024² bytes.
    Mebibyte,
    /// The base unit of proportions: 1.0 is the whole.
    Ratio,
    /// A hundredth of the whole.
    Percent,
    /// Anything else, by its plural noun in lower case (`"items"`): it converts into itself only.
    Other(&'static str),
}

/// What a [`Unit`] measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Time, in seconds.
    Time,
    /// Information, in bytes.
    Information,
    /// A proportion, as a ratio.
    Proportion,
    /// The unit named, and no other.
    Other(&'static str),
}

/// A conversion: `value * numerator / denominator`, one of the two being 1 whenever the target allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// What the value is multiplied by.
    pub numerator: u64,
    /// What the product is divided by.
    pub denominator: u64,
}

impl Conversion {
    /// The conversion that changes nothing.
    pub const IDENTITY: Self = Self { numerator: 1, denominator: 1 };

    /// Converts a float; the result is the nearest `f64` whenever the numerator or the denominator is 1.
    #[inline]
    #[must_use]
    pub fn apply(self, value: f64) -> f64 {
        // A measurement that needs no conversion is spared the division.
        if self == Self::IDENTITY {
            return value;
        }
        // Division by an exact power of ten rounds once; multiplication by its inverse would round twice.
        #[allow(clippy::cast_precision_loss)] // Factors are below 2^53.
        {
            value * self.numerator as f64 / self.denominator as f64
        }
    }
}

impl Unit {
    /// The base unit that Prometheus asks for: seconds, bytes, ratio.
    #[must_use]
    pub const fn base(self) -> Self {
        match self.dimension() {
            Dimension::Time => Self::Second,
            Dimension::Information => Self::Byte,
            Dimension::Proportion => Self::Ratio,
            Dimension::Other(name) => Self::Other(name),
        }
    }

    /// What this unit measures.
    #[must_use]
    pub const fn dimension(self) -> Dimension {
        match self {
            Self::Nanosecond | Self::Microsecond | Self::Millisecond | Self::Second | Self::Minute => Dimension::Time,
            Self::Byte | Self::Kilobyte | Self::Megabyte | Self::Kibibyte | Self::Mebibyte => Dimension::Information,
            Self::Ratio | Self::Percent => Dimension::Proportion,
            Self::Other(name) => Dimension::Other(name),
        }
    }

    /// How many of the smallest unit of the dimension (nanosecond, byte, percent) make one of this.
    const fn atoms(self) -> u64 {
        match self {
            Self::Nanosecond | Self::Byte | Self::Percent | Self::Other(_) => 1,
            Self::Microsecond | Self::Kilobyte => 1_000,
            Self::Millisecond | Self::Megabyte => 1_000_000,
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Kibibyte => 1_024,
            Self::Mebibyte => 1_048_576,
            Self::Ratio => 100,
        }
    }

    /// The conversion from this unit into `target`; `None` when they measure different things.
    ///
    /// ```
    /// use telemetry_core::Unit;
    ///
    /// let seconds = Unit::Millisecond.conversion(Unit::Second).unwrap();
    /// assert_eq!(seconds.apply(5.0), 0.005);
    /// assert!(Unit::Byte.conversion(Unit::Second).is_none());
    /// ```
    #[must_use]
    pub fn conversion(self, target: Self) -> Option<Conversion> {
        if self.dimension() != target.dimension() {
            return None;
        }
        let (from, into) = (self.atoms(), target.atoms());
        let shared = greatest_common_divisor(from, into);
        Some(Conversion { numerator: from / shared, denominator: into / shared })
    }

    /// The plural noun, as Prometheus writes it at the end of a metric's name: `"seconds"`, `"bytes"`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Nanosecond => "nanoseconds",
            Self::Microsecond => "microseconds",
            Self::Millisecond => "milliseconds",
            Self::Second => "seconds",
            Self::Minute => "minutes",
            Self::Byte => "bytes",
            Self::Kilobyte => "kilobytes",
            Self::Megabyte => "megabytes",
            Self::Kibibyte => "kibibytes",
            Self::Mebibyte => "mebibytes",
            Self::Ratio => "ratio",
            Self::Percent => "percent",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural())
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M33-M44: conversion is exact where the target is.
    #[test]
    fn units_convert_exactly() {
        let apply = |from: Unit, into: Unit, value: f64| from.conversion(into).unwrap().apply(value);
        assert_eq!(apply(Unit::Nanosecond, Unit::Second, 5_000_000.0), 0.005);
        assert_eq!(apply(Unit::Microsecond, Unit::Second, 250_000.0), 0.25);
        assert_eq!(apply(Unit::Millisecond, Unit::Second, 1.0), 0.001);
        assert_eq!(apply(Unit::Second, Unit::Millisecond, 0.25), 250.0);
        assert_eq!(apply(Unit::Minute, Unit::Second, 2.0), 120.0);
        assert_eq!(apply(Unit::Second, Unit::Minute, 90.0), 1.5);
        assert_eq!(apply(Unit::Kilobyte, Unit::Byte, 3.0), 3_000.0);
        assert_eq!(apply(Unit::Megabyte, Unit::Kilobyte, 3.0), 3_000.0);
        assert_eq!(apply(Unit::Kibibyte, Unit::Byte, 3.0), 3_072.0);
        assert_eq!(apply(Unit::Mebibyte, Unit::Kibibyte, 3.0), 3_072.0);
        assert_eq!(apply(Unit::Mebibyte, Unit::Kilobyte, 125.0), 131_072.0);
        assert_eq!(apply(Unit::Percent, Unit::Ratio, 12.5), 0.125);
        assert_eq!(apply(Unit::Ratio, Unit::Percent, 0.125), 12.5);
        assert_eq!(apply(Unit::Other("items"), Unit::Other("items"), 7.0), 7.0);
    }

    /// M16: a unit never converts across families.
    #[test]
    fn units_of_different_dimensions_do_not_convert() {
        assert_eq!(Unit::Second.conversion(Unit::Byte), None);
        assert_eq!(Unit::Ratio.conversion(Unit::Second), None);
        assert_eq!(Unit::Other("items").conversion(Unit::Other("orders")), None);
    }

    #[test]
    fn base_units_are_those_of_prometheus() {
        assert_eq!(Unit::Minute.base(), Unit::Second);
        assert_eq!(Unit::Mebibyte.base(), Unit::Byte);
        assert_eq!(Unit::Percent.base(), Unit::Ratio);
        assert_eq!(Unit::Other("items").base(), Unit::Other("items"));
    }
}
