//! A measurement in the unit of its metric: whole numbers stay whole, so that sums are exact.

use std::time::Duration;

use crate::clock::nanos;
use crate::unit::{Conversion, Unit};
use crate::value::Number;

/// A measurement, converted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quantity {
    /// A whole number of the metric's smallest unit; never the least `i64`, which stands for "none" among bounds.
    Whole(i64),
    /// A finite number of the metric's unit.
    Float(f64),
}

/// How many whole quantities make one unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitOfMetric {
    unit: Option<Unit>,
    wholes: u64,
}

impl UnitOfMetric {
    pub(crate) fn new(unit: Option<Unit>) -> Self {
        Self { unit, wholes: unit.map_or(1, smallest_in) }
    }

    /// Whether a whole number of the smallest unit is a whole number of the metric's.
    pub(crate) const fn is_whole(self) -> bool {
        self.wholes == 1
    }

    /// The metric's value of a whole quantity; rounded once.
    #[inline]
    #[allow(clippy::cast_precision_loss)] // The nearest float is what is asked for.
    pub(crate) fn float(self, whole: i64) -> f64 {
        whole as f64 / self.wholes as f64
    }

    /// The same of a quantity that is never negative, and may be too large for the sign.
    #[inline]
    #[allow(clippy::cast_precision_loss)] // As above.
    pub(crate) fn float_of_unsigned(self, whole: u64) -> f64 {
        whole as f64 / self.wholes as f64
    }

    /// The largest whole quantity that is at most `bound`; the least `i64` if there is none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // Saturates, and is mended below.
    pub(crate) fn whole_at_most(self, bound: f64) -> i64 {
        let mut whole = (bound * self.wholes as f64).round() as i64;
        // The product may have been rounded across the bound.
        while whole > i64::MIN && self.float(whole) > bound {
            whole -= 1;
        }
        while whole < i64::MAX && self.float(whole + 1) <= bound {
            // Beyond 2^53 many whole numbers have the same float.
            if whole.unsigned_abs() > 1 << 53 {
                break;
            }
            whole += 1;
        }
        whole
    }
}

/// How many of the smallest unit of its dimension make one of `unit`.
fn smallest_in(unit: Unit) -> u64 {
    let smallest = match unit.base() {
        Unit::Second => Unit::Nanosecond,
        Unit::Ratio => Unit::Percent,
        base => base,
    };
    unit.conversion(smallest).map_or(1, |conversion| conversion.numerator)
}

/// A duration in nanoseconds; `None` if it is so long that they may not fit.
#[inline(always)]
pub(crate) fn small_nanos(duration: Duration) -> Option<i64> {
    let seconds = duration.as_secs();
    (seconds < 1 << 32).then(|| (seconds * 1_000_000_000 + u64::from(duration.subsec_nanos())) as i64)
}

/// How the measurements of one callsite become quantities of one metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// What a whole number is multiplied by.
    whole: u64,
    float: Conversion,
    /// Whether a duration is counted in whole nanoseconds.
    whole_durations: bool,
    /// Seconds to the metric's unit.
    seconds: Conversion,
}

impl Scale {
    /// From a unit that was declared for the measurement, or was not, into the metric's; `None` if they measure
    /// different things.
    pub(crate) fn new(measured: Option<Unit>, metric: UnitOfMetric) -> Option<Self> {
        let (whole, float) = match (measured, metric.unit) {
            (Some(from), Some(into)) => (smallest_in(from), from.conversion(into)?),
            // A bare number is taken as it is.
            (None, _) => (metric.wholes, Conversion::IDENTITY),
            (Some(_), None) => (1, Conversion::IDENTITY),
        };
        let seconds = metric.unit.and_then(|into| Unit::Second.conversion(into));
        Some(Self {
            whole,
            float,
            whole_durations: seconds.is_some(),
            seconds: seconds.unwrap_or(Conversion::IDENTITY),
        })
    }

    /// From numbers that are in the metric's unit already.
    pub(crate) fn of(metric: UnitOfMetric) -> Self {
        Self::new(metric.unit, metric).expect("a unit converts into itself")
    }

    /// Whether durations that are not too long become whole nanoseconds.
    pub(crate) const fn keeps_durations(&self) -> bool {
        self.whole_durations
    }

    /// Whether floats are taken as they are.
    pub(crate) fn keeps_floats(&self) -> bool {
        self.float == Conversion::IDENTITY
    }

    /// Whether whole numbers are taken as they are.
    pub(crate) const fn keeps_wholes(&self) -> bool {
        self.whole == 1
    }

    /// Converts; `None` if the number is not finite.
    // Inlined with what is measured most, since its result stalls a reader that finds it in memory, written in parts.
    #[inline(always)]
    pub(crate) fn apply(&self, number: Number) -> Option<Quantity> {
        match number {
            Number::Duration(duration) if self.whole_durations => match small_nanos(duration) {
                Some(nanos) => Some(Quantity::Whole(nanos)),
                None => self.apply_rarer(number),
            },
            Number::F64(n) => {
                let converted = self.float.apply(n);
                converted.is_finite().then_some(Quantity::Float(converted))
            }
            other => self.apply_rarer(other),
        }
    }

    #[inline(never)]
    fn apply_rarer(&self, number: Number) -> Option<Quantity> {
        match number {
            Number::Duration(duration) if self.whole_durations => Some(match i64::try_from(nanos(duration)) {
                Ok(whole) => Quantity::Whole(whole),
                Err(_) => Quantity::Float(self.seconds.apply(duration.as_secs_f64())),
            }),
            Number::Duration(duration) => Some(Quantity::Float(duration.as_secs_f64())),
            Number::U64(n) => Some(match n.checked_mul(self.whole).and_then(|n| i64::try_from(n).ok()) {
                Some(whole) => Quantity::Whole(whole),
                None => self.float(n as f64),
            }),
            Number::I64(n) => Some(match i64::try_from(self.whole).ok().and_then(|factor| n.checked_mul(factor)) {
                Some(whole) if whole != i64::MIN => Quantity::Whole(whole),
                _ => self.float(n as f64),
            }),
            Number::F64(n) => {
                let converted = self.float.apply(n);
                converted.is_finite().then_some(Quantity::Float(converted))
            }
        }
    }

    fn float(&self, n: f64) -> Quantity {
        // At most 2^64 times a factor: finite.
        Quantity::Float(self.float.apply(n))
    }
}

impl Quantity {
    /// So many times the value; not finite if no float is that large.
    #[allow(clippy::cast_precision_loss)] // The nearest float is what is asked for.
    pub(crate) fn times(self, n: u64, unit: UnitOfMetric) -> Self {
        let whole = match self {
            Self::Whole(whole) => i64::try_from(n).ok().and_then(|n| whole.checked_mul(n)),
            Self::Float(_) => None,
        };
        match whole {
            Some(whole) if whole != i64::MIN => Self::Whole(whole),
            _ => Self::Float(self.to_f64(unit) * n as f64),
        }
    }

    /// In the metric's unit.
    #[inline]
    pub(crate) fn to_f64(self, unit: UnitOfMetric) -> f64 {
        match self {
            Self::Whole(n) => unit.float(n),
            Self::Float(x) => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(measured: Option<Unit>, metric: Option<Unit>, number: Number) -> Option<Quantity> {
        Scale::new(measured, UnitOfMetric::new(metric)).unwrap().apply(number)
    }

    /// M33-M44: whole measurements stay whole, in nanoseconds and bytes.
    #[test]
    fn whole_measurements_stay_whole() {
        let second = Some(Unit::Second);
        let five = Number::Duration(Duration::from_millis(5));
        assert_eq!(scaled(second, second, five), Some(Quantity::Whole(5_000_000)));
        assert_eq!(scaled(Some(Unit::Millisecond), second, Number::U64(5)), Some(Quantity::Whole(5_000_000)));
        assert_eq!(scaled(Some(Unit::Kibibyte), Some(Unit::Byte), Number::I64(-2)), Some(Quantity::Whole(-2048)));
        assert_eq!(scaled(None, None, Number::U64(7)), Some(Quantity::Whole(7)));
        assert_eq!(scaled(None, second, Number::U64(7)), Some(Quantity::Whole(7_000_000_000)));
        assert_eq!(scaled(None, None, five), Some(Quantity::Float(0.005)));
    }

    /// V3: what does not fit becomes a float, what is not finite is refused.
    #[test]
    fn extremes_neither_wrap_nor_poison() {
        assert_eq!(scaled(None, None, Number::U64(u64::MAX)), Some(Quantity::Float(u64::MAX as f64)));
        assert_eq!(scaled(None, None, Number::I64(i64::MIN)), Some(Quantity::Float(i64::MIN as f64)));
        assert_eq!(scaled(None, None, Number::F64(f64::NAN)), None);
        assert_eq!(scaled(None, None, Number::F64(f64::INFINITY)), None);
        assert_eq!(scaled(Some(Unit::Minute), Some(Unit::Nanosecond), Number::F64(f64::MAX)), None);
        let longest = scaled(Some(Unit::Second), Some(Unit::Second), Number::Duration(Duration::MAX));
        assert_eq!(longest, Some(Quantity::Float(Duration::MAX.as_secs_f64())));
    }

    /// V2: a bound is the same for whole quantities and for floats.
    #[test]
    fn bounds_of_wholes_are_those_of_floats() {
        let seconds = UnitOfMetric::new(Some(Unit::Second));
        for bound in [0.005, 0.01, 0.1, 0.25, 0.3, 1.0, 2.5, 1e-9, 1.5e-9, 0.0, -0.5] {
            let whole = seconds.whole_at_most(bound);
            assert!(seconds.float(whole) <= bound && seconds.float(whole + 1) > bound, "{bound}: {whole}");
        }
        assert_eq!(seconds.whole_at_most(0.3), 300_000_000);
        assert_eq!(UnitOfMetric::new(None).whole_at_most(2.5), 2);
        assert_eq!(UnitOfMetric::new(None).whole_at_most(-2.5), -3);
        assert_eq!(UnitOfMetric::new(None).whole_at_most(1e300), i64::MAX);
    }
}
