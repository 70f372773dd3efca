//! Numbers as Prometheus and OpenMetrics write them.
//!
//! The digits are the fewest that read back as the same float. An exponent is written from `1e+06` up and below `0.0001`,
//! with a sign and two digits at least. In `le` and `quantile` the text is part of the identity of a series, so there, and
//! in all of OpenMetrics, the *canonical* form is used: a whole number has `.0` behind it.

use crate::encode::copy::Room;

/// Appends a float as the text format writes values: `1`, `0.5`, `1e+06`, `NaN`, `+Inf`.
#[inline]
pub(crate) fn push_plain(out: &mut Vec<u8>, value: f64) {
    push_float(out, value, b"");
}

/// Appends a float in the canonical form: `1.0`, `0.5`, `1e+06`, `NaN`, `+Inf`.
#[inline]
pub(crate) fn push_canonical(out: &mut Vec<u8>, value: f64) {
    push_float(out, value, b".0");
}

/// Appends a count as a plain integer, exact beyond 2^53 too.
#[inline]
pub(crate) fn push_count(out: &mut Vec<u8>, count: u64) {
    let mut room = Room::behind(out, COUNT_SIZE);
    write_count(&mut room, count);
    room.keep();
}

/// The most bytes that a count has.
pub(crate) const COUNT_SIZE: usize = 20;

/// The same where there is room for it.
#[inline]
pub(crate) fn write_count(room: &mut Room<'_>, count: u64) {
    room.push(itoa::Buffer::new().format(count).as_bytes());
}

/// From here on an exponent is written, and floats are no longer taken for short integers.
const EXPONENT_FROM: f64 = 1e6;
/// Below this an exponent is written.
const EXPONENT_BELOW: f64 = 1e-4;

fn push_float(out: &mut Vec<u8>, value: f64, behind_whole: &[u8]) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    let size = value.abs();
    if size.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if size < EXPONENT_FROM && size.fract() == 0.0 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole, and from 0 to 999,999.
        push_count(out, u64::from(size as u32));
        return out.extend_from_slice(behind_whole);
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(size);
    if (EXPONENT_BELOW..EXPONENT_FROM).contains(&size) {
        // In this range the shortest form has no exponent, and the fraction is not zero.
        return out.extend_from_slice(shortest.as_bytes());
    }
    push_with_exponent(out, shortest);
}

/// Appends a positive number, given in any decimal form, as `d.ddde+xx`.
fn push_with_exponent(out: &mut Vec<u8>, decimal: &str) {
    let (mantissa, exponent) = decimal.split_once('e').unwrap_or((decimal, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let leading_zeros = digits().take_while(|digit| *digit == b'0').count();
    let trailing_zeros = digits().rev().take_while(|digit| *digit == b'0').count();
    let significant = (whole.len() + fraction.len()).saturating_sub(leading_zeros + trailing_zeros);

    for (place, digit) in digits().skip(leading_zeros).take(significant).enumerate() {
        if place == 1 {
            out.push(b'.');
        }
        out.push(digit);
    }

    // Both lengths are below 20, and a float's exponent is within ±400.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    let exponent = exponent.parse::<i32>().unwrap_or(0) + whole.len() as i32 - 1 - leading_zeros as i32;
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    let exponent = exponent.unsigned_abs();
    if exponent < 10 {
        out.push(b'0');
    }
    push_count(out, exponent.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(value: f64) -> String {
        let mut out = Vec::new();
        push_plain(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn canonical(value: f64) -> String {
        let mut out = Vec::new();
        push_canonical(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    /// V3: every float has one text in each form, the one that the reference client writes.
    #[test]
    fn floats_have_the_texts_of_the_reference_client() {
        for (value, as_plain, as_canonical) in [
            (0.0, "0", "0.0"),
            (1.0, "1", "1.0"),
            (-1.0, "-1", "-1.0"),
            (10.0, "10", "10.0"),
            (100_000.0, "100000", "100000.0"),
            (999_999.0, "999999", "999999.0"),
            (1e6, "1e+06", "1e+06"),
            (1_234_567.0, "1.234567e+06", "1.234567e+06"),
            (0.0001, "0.0001", "0.0001"),
            (0.000_01, "1e-05", "1e-05"),
            (1e20, "1e+20", "1e+20"),
            (1e21, "1e+21", "1e+21"),
            (1e-10, "1e-10", "1e-10"),
            (5e-324, "5e-324", "5e-324"),
            (f64::MAX, "1.7976931348623157e+308", "1.7976931348623157e+308"),
            (-0.0, "-0", "-0.0"),
            (f64::NAN, "NaN", "NaN"),
            (-f64::NAN, "NaN", "NaN"),
            // The bits with which Prometheus marks a series as stale.
            (f64::from_bits(0x7ff0_0000_0000_0002), "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            // About the limits between the forms.
            (999_999.5, "999999.5", "999999.5"),
            (1_000_000.5, "1.0000005e+06", "1.0000005e+06"),
            (-1_234_567.5, "-1.2345675e+06", "-1.2345675e+06"),
            (0.000_123, "0.000123", "0.000123"),
            (0.000_099, "9.9e-05", "9.9e-05"),
            (0.1 + 0.2, "0.30000000000000004", "0.30000000000000004"),
            (2.5, "2.5", "2.5"),
            (9_007_199_254_740_993.0, "9.007199254740992e+15", "9.007199254740992e+15"),
            (1e100, "1e+100", "1e+100"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308", "2.2250738585072014e-308"),
        ] {
            assert_eq!(plain(value), as_plain, "{value:e}");
            assert_eq!(canonical(value), as_canonical, "{value:e}");
        }
    }

    /// V3: a count is exact where a float is not.
    #[test]
    fn counts_are_exact_beyond_the_integers_of_a_float() {
        for (count, text) in
            [(0, "0"), (1_000_000, "1000000"), ((1 << 53) + 1, "9007199254740993"), (u64::MAX, "18446744073709551615")]
        {
            let mut out = Vec::new();
            push_count(&mut out, count);
            assert_eq!(out, text.as_bytes());
        }
    }

    proptest! {
        /// V3: whatever the float, both texts read back as the same bits, and use no form that a reader may refuse.
        #[test]
        fn floats_read_back_as_the_same_bits(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [plain(value), canonical(value)] {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits, "{}", text);
                prop_assert!(!text.contains("inf") && !text.starts_with('.') && !text.ends_with('.'), "{}", text);
                let exponent = if value == 0.0 { 0.0 } else { value.abs().log10() };
                prop_assert_eq!(text.contains('e'), value != 0.0 && (value.abs() < 1e-4 || exponent >= 6.0), "{}", text);
            }
        }

        /// The limits between the forms hold for short numbers, too.
        #[test]
        fn everyday_numbers_read_back_as_the_same_bits(whole in -10_000_000_i64..10_000_000, places in 0_i32..9) {
            #[allow(clippy::cast_precision_loss)]
            let value = whole as f64 / 10_f64.powi(places);
            for text in [plain(value), canonical(value)] {
                prop_assert_eq!(text.parse::<f64>().unwrap(), value, "{}", text);
            }
        }
    }
}
