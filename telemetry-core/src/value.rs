//! What an event carries: measurements, which are [`Number`]s, and tags, which are [`Value`]s.
//!
//! Implementations are marked `do_not_recommend`, so that the compiler answers a type that does not fit with the note on
//! the trait, not with a choice of eight types out of thirty.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One measured value.
///
/// Signed and unsigned integers compare by value: `Number::I64(3) == Number::U64(3)`.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number that is not negative.
    U64(u64),
    /// A whole number.
    I64(i64),
    /// A float; rejected by metrics, and counted there, when it is not finite.
    F64(f64),
    /// A span of time, exact to the nanosecond.
    Duration(Duration),
}

impl Number {
    /// The nearest float; a duration in seconds.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // The nearest float is what is asked for.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::U64(n) => n as f64,
            Self::I64(n) => n as f64,
            Self::F64(n) => n,
            Self::Duration(d) => d.as_secs_f64(),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::U64(a), Self::U64(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::U64(u), Self::I64(i)) | (Self::I64(i), Self::U64(u)) => u64::try_from(i) == Ok(u),
            (Self::F64(a), Self::F64(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U64(n) => n.fmt(f),
            Self::I64(n) => n.fmt(f),
            Self::F64(n) => n.fmt(f),
            Self::Duration(d) => write!(f, "{d:?}"),
        }
    }
}

/// A type that can be measured: integers up to 64 bits, floats, `bool` (1 or 0), `Duration`, and `Option` of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be measured",
    label = "not a number or a duration",
    note = "a measurement is an integer up to 64 bits, a float, a `bool`, a `Duration`, or an `Option` of these"
)]
pub trait Measurement {
    /// The value; `None` when there is none to report, as for an `Option` that is `None`.
    fn number(&self) -> Option<Number>;
}

macro_rules! measure {
    ($variant:ident($wide:ty): $($narrow:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl Measurement for $narrow {
            #[inline]
            fn number(&self) -> Option<Number> {
                Some(Number::$variant(<$wide>::from(*self)))
            }
        }
    )*};
}
measure!(U64(u64): bool u8 u16 u32 u64);
measure!(I64(i64): i8 i16 i32 i64);
measure!(F64(f64): f32 f64);

#[diagnostic::do_not_recommend]
impl Measurement for usize {
    #[inline]
    fn number(&self) -> Option<Number> {
        Some(Number::U64(*self as u64))
    }
}

#[diagnostic::do_not_recommend]
impl Measurement for isize {
    #[inline]
    fn number(&self) -> Option<Number> {
        Some(Number::I64(*self as i64))
    }
}

#[diagnostic::do_not_recommend]
impl Measurement for Duration {
    #[inline]
    fn number(&self) -> Option<Number> {
        Some(Number::Duration(*self))
    }
}

#[diagnostic::do_not_recommend]
impl Measurement for Number {
    #[inline]
    fn number(&self) -> Option<Number> {
        Some(*self)
    }
}

#[diagnostic::do_not_recommend]
impl<M: Measurement> Measurement for Option<M> {
    #[inline]
    fn number(&self) -> Option<Number> {
        self.as_ref().and_then(Measurement::number)
    }
}

#[diagnostic::do_not_recommend]
impl<M: Measurement + ?Sized> Measurement for &M {
    #[inline]
    fn number(&self) -> Option<Number> {
        (**self).number()
    }
}

/// The value of one tag, as the emitter gave it.
///
/// Two values name the same series exactly when their texts are the same: `U64(1)` and `Str("1")` do. [`Value::Absent`]
/// has the empty text, as Prometheus has it: a label with an empty value is no label.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No value: an `Option` that is `None`.
    Absent,
    /// Text.
    Str(&'a str),
    /// A whole number that is not negative.
    U64(u64),
    /// A whole number.
    I64(i64),
    /// `true` or `false`.
    Bool(bool),
    /// One of the values that a fieldless enum can have.
    Variant(Variant),
}

/// One of a closed set of tag values.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    // Invariant: `index < names.len()`; held by `Variant::new`, the only constructor.
    index: usize,
    names: &'static [&'static str],
}

impl Variant {
    /// The value at `index` of `names`.
    ///
    /// # Panics
    ///
    /// When `index` is not below `names.len()`.
    #[inline]
    #[must_use]
    pub const fn new(index: usize, names: &'static [&'static str]) -> Self {
        assert!(index < names.len(), "a variant's index lies within its names");
        Self { index, names }
    }

    /// Its position in [`Self::names`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.index
    }

    /// Every value of the set.
    #[inline]
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        self.names
    }

    /// Its text.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.names[self.index]
    }
}

/// Room for the text of any tag value that is not text already.
pub struct TextBuffer(itoa::Buffer);

impl Default for TextBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TextBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextBuffer").finish_non_exhaustive()
    }
}

impl TextBuffer {
    /// An empty buffer.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self(itoa::Buffer::new())
    }
}

impl<'a> Value<'a> {
    /// The text of the value; integers are written into `buffer`.
    #[inline]
    #[must_use]
    pub fn text<'b>(&self, buffer: &'b mut TextBuffer) -> &'b str
    where
        'a: 'b,
    {
        match *self {
            Self::Absent => "",
            Self::Str(text) => text,
            Self::U64(n) => buffer.0.format(n),
            Self::I64(n) => buffer.0.format(n),
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Variant(variant) => variant.name(),
        }
    }

    /// Whether there is no value.
    #[inline]
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Compares by text: see [`Value`].
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text(&mut TextBuffer::new()) == other.text(&mut TextBuffer::new())
    }
}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, other: &str) -> bool {
        self.text(&mut TextBuffer::new()) == other
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text(&mut TextBuffer::new()))
    }
}

/// A type that can be the value of a tag: text, integers up to 64 bits, `bool`, `Option` of these (absent when `None`),
/// and fieldless enums that derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the value of a tag",
    label = "not a tag value",
    note = "a tag is text, an integer up to 64 bits, a `bool`, or an `Option` of these; for an enum without fields, add `#[derive(TagValue)]`"
)]
pub trait TagValue {
    /// Every value that the type can have, where they are few and known; `Option` adds absence.
    const VARIANTS: Option<&'static [&'static str]> = None;

    /// The value.
    fn value(&self) -> Value<'_>;
}

macro_rules! tag {
    ($variant:ident($wide:ty): $($narrow:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl TagValue for $narrow {
            #[inline]
            fn value(&self) -> Value<'_> {
                Value::$variant(<$wide>::from(*self))
            }
        }
    )*};
}
tag!(U64(u64): u8 u16 u32 u64);
tag!(I64(i64): i8 i16 i32 i64);

#[diagnostic::do_not_recommend]
impl TagValue for usize {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::U64(*self as u64)
    }
}

#[diagnostic::do_not_recommend]
impl TagValue for isize {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::I64(*self as i64)
    }
}

#[diagnostic::do_not_recommend]
impl TagValue for bool {
    const VARIANTS: Option<&'static [&'static str]> = Some(&["false", "true"]);

    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

#[diagnostic::do_not_recommend]
impl TagValue for str {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Str(self)
    }
}

#[diagnostic::do_not_recommend]
impl TagValue for String {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Str(self)
    }
}

#[diagnostic::do_not_recommend]
impl TagValue for Variant {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Variant(*self)
    }
}

#[diagnostic::do_not_recommend]
impl TagValue for Value<'_> {
    #[inline]
    fn value(&self) -> Value<'_> {
        *self
    }
}

#[diagnostic::do_not_recommend]
impl<T: TagValue + ToOwned + ?Sized> TagValue for Cow<'_, T> {
    const VARIANTS: Option<&'static [&'static str]> = T::VARIANTS;

    #[inline]
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

#[diagnostic::do_not_recommend]
impl<T: TagValue> TagValue for Option<T> {
    const VARIANTS: Option<&'static [&'static str]> = T::VARIANTS;

    #[inline]
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Absent, TagValue::value)
    }
}

macro_rules! tag_through {
    ($($pointer:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: TagValue + ?Sized> TagValue for $pointer {
            const VARIANTS: Option<&'static [&'static str]> = T::VARIANTS;

            #[inline]
            fn value(&self) -> Value<'_> {
                (**self).value()
            }
        }
    )*};
}
tag_through!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_compare_by_value_whatever_their_sign_bit() {
        assert_eq!(3i32.number(), Some(Number::U64(3)));
        assert_ne!((-1i8).number(), Some(Number::U64(u64::MAX)));
        assert_eq!(true.number(), Some(Number::U64(1)));
        assert_eq!(None::<u8>.number(), None);
    }

    /// V5: `1` and `"1"` have the same text, so they name one series.
    #[test]
    fn tag_values_compare_by_text() {
        assert_eq!(1u8.value(), "1");
        assert_eq!(i64::MIN.value(), "-9223372036854775808");
        assert_eq!(u64::MAX.value(), "18446744073709551615");
        assert_eq!(Some("x").value(), "x");
        assert_eq!(None::<&str>.value(), Value::Str(""));
        assert_eq!(String::from("é").value(), "é");
        assert_eq!(false.value(), "false");
        assert_eq!(Variant::new(1, &["a", "b"]).value(), "b");
    }
}
