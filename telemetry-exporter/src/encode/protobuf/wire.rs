//! The wire of protobuf: fields, and messages within messages.
//!
//! A message stands behind its length, which is known when it is complete. One byte is left for it, which is enough up to
//! 127 bytes; what is longer is moved up, which costs less than to add up the lengths of everything beforehand.

use std::time::Duration;

use telemetry_core::scrape::Total;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;

/// The one NaN that is written. Among the others is Prometheus' mark for a series that has ended, 0x7ff0000000000002,
/// and a value that came from elsewhere may look like it.
const NAN: u64 = 0x7ff8_0000_0000_0001;

/// The most bytes of a varint.
pub(super) const LONGEST: usize = 10;

/// Appends a number, seven bits a byte.
#[inline]
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn push_key(out: &mut Vec<u8>, field: u32, kind: u32) {
    push_varint(out, u64::from(field << 3 | kind));
}

/// Appends a field of type `uint64`, `uint32`, `int64` of what is not negative, or an enumeration.
#[inline]
pub(super) fn push_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    push_key(out, field, VARINT);
    push_varint(out, value);
}

/// Appends a field of type `sint32`.
#[inline]
pub(super) fn push_sint(out: &mut Vec<u8>, field: u32, value: i32) {
    push_key(out, field, VARINT);
    push_zigzag(out, value.into());
}

/// Appends a number, those of a small size in few bytes whatever their sign.
#[inline]
pub(super) fn push_zigzag(out: &mut Vec<u8>, value: i64) {
    push_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a field of type `double`.
#[inline]
pub(super) fn push_double(out: &mut Vec<u8>, field: u32, value: f64) {
    push_key(out, field, FIXED64);
    let bits = if value.is_nan() { NAN } else { value.to_bits() };
    out.extend_from_slice(&bits.to_le_bytes());
}

/// Appends a field of type `double` that holds a total.
#[inline]
pub(super) fn push_total(out: &mut Vec<u8>, field: u32, total: Total) {
    push_double(out, field, total.to_f64());
}

/// Appends a field of type `google.protobuf.Timestamp`.
#[inline]
pub(super) fn push_timestamp(out: &mut Vec<u8>, field: u32, since_epoch: Duration) {
    const SECONDS: u32 = 1;
    const NANOS: u32 = 2;
    push_message(out, field, |out| {
        push_uint(out, SECONDS, since_epoch.as_secs());
        push_uint(out, NANOS, since_epoch.subsec_nanos().into());
    });
}

/// Appends a field of type `string`.
pub(super) fn push_text(out: &mut Vec<u8>, field: u32, text: &str) {
    push_key(out, field, LENGTH);
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a field that is a message, or packed numbers: what `body` appends, behind its length. Gives what `body` gave.
#[inline]
pub(super) fn push_message<R>(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    push_key(out, field, LENGTH);
    out.push(0);
    let start = out.len();
    let given = body(out);
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
    } else {
        make_room(out, start, length);
    }
    given
}

/// Puts a length of several bytes in the place of one, before the `length` bytes from `start` on.
fn make_room(out: &mut Vec<u8>, start: usize, length: usize) {
    let end = start + length;
    push_varint(out, length as u64);
    let mut varint = [0; LONGEST];
    let size = out.len() - end;
    varint[..size].copy_from_slice(&out[end..]);
    // The byte that was left for the length goes; what the varint took at the end makes up for it.
    out.truncate(end + size - 1);
    out.copy_within(start..end, start + size - 1);
    out[start - 1..start - 1 + size].copy_from_slice(&varint[..size]);
}
