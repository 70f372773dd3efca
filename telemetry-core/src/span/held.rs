//! Tags that outlive the expression that gave them: a span needs them again when it ends.

use crate::value::{TagValue, Value};

/// The value of a tag, kept: borrowed where it was a reference, else copied.
///
/// Copying allocates only for a text longer than [`SHORT`].
#[derive(Debug)]
pub struct Held<'a>(Form<'a>);

#[derive(Debug)]
enum Form<'a> {
    Value(Value<'a>),
    // Invariant: the first `length` bytes are UTF-8; held by `Held::copy`.
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

/// The longest text that is kept in place: it makes `Held` no larger than it is for its other forms.
const SHORT: usize = 22;

impl Held<'static> {
    /// No value.
    pub(super) const ABSENT: Self = Self(Form::Value(Value::Absent));

    /// A copy of `value`.
    pub(super) fn copy(value: Value<'_>) -> Self {
        Self(match value {
            Value::Absent => Form::Value(Value::Absent),
            Value::U64(n) => Form::Value(Value::U64(n)),
            Value::I64(n) => Form::Value(Value::I64(n)),
            Value::Bool(b) => Form::Value(Value::Bool(b)),
            Value::Variant(variant) => Form::Value(Value::Variant(variant)),
            Value::Str(text) => {
                let mut bytes = [0; SHORT];
                match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
                    (Ok(length), Some(room)) => {
                        room.copy_from_slice(text.as_bytes());
                        Form::Short { length, bytes }
                    }
                    _ => Form::Long(text.into()),
                }
            }
        })
    }
}

impl Held<'_> {
    /// The value.
    pub(super) fn value(&self) -> Value<'_> {
        match &self.0 {
            Form::Value(value) => *value,
            // By the invariant this never falls back; a check of 22 bytes costs less than an `unsafe` to avoid it.
            Form::Short { length, bytes } => {
                Value::Str(std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default())
            }
            Form::Long(text) => Value::Str(text),
        }
    }
}

/// The value of an expression, on its way into a span.
///
/// `span!` calls `(&Hold::new(&expression)).hold()`: the compiler finds [`HeldByReference`] when the expression is a
/// reference, else [`HeldByCopy`], which is implemented one reference further away.
#[derive(Debug)]
pub struct Hold<'e, T: ?Sized>(&'e T);

impl<'e, T: ?Sized> Hold<'e, T> {
    /// The value of an expression.
    #[inline]
    pub const fn new(value: &'e T) -> Self {
        Self(value)
    }
}

/// The first choice: what a reference points at outlives the expression, so it needs no copy.
pub trait HeldByReference<'a> {
    /// The value, borrowed.
    fn hold(&self) -> Held<'a>;
}

/// The second choice: anything else is copied. It is there for any type, and asks for a tag value only when it is called:
/// so the error says that the type is no tag value, rather than that there is no method.
pub trait HeldByCopy<T: ?Sized> {
    /// The value, copied.
    fn hold(&self) -> Held<'static>
    where
        T: TagValue;
}

impl<'a, T: TagValue + ?Sized> HeldByReference<'a> for Hold<'_, &'a T> {
    fn hold(&self) -> Held<'a> {
        Held(Form::Value(T::value(self.0)))
    }
}

impl<T: ?Sized> HeldByCopy<T> for &Hold<'_, T> {
    fn hold(&self) -> Held<'static>
    where
        T: TagValue,
    {
        Held::copy(self.0.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_text_of_its_value_at_every_length() {
        for length in 0..=SHORT + 2 {
            let text = "x".repeat(length);
            assert_eq!(Held::copy(Value::Str(&text)).value(), Value::Str(&text), "{length}");
        }
        let wide = "é".repeat(SHORT / 2);
        assert_eq!(Held::copy(Value::Str(&wide)).value(), Value::Str(&wide));
        assert_eq!(Held::copy(Value::I64(-3)).value(), "-3");
        assert!(Held::ABSENT.value().is_absent());
    }

    #[test]
    #[allow(clippy::needless_borrow)] // As `span!` writes it.
    fn a_reference_is_held_without_a_copy() {
        let text = String::from("a text that is longer than what is kept in place");
        let held = {
            let reference: &str = &text;
            (&Hold::new(&reference)).hold()
        };
        let Form::Value(Value::Str(kept)) = held.0 else { panic!("{held:?} is a copy") };
        assert!(std::ptr::eq(kept, text.as_str()));

        let copy: Held<'static> = (&Hold::new(&text)).hold();
        drop(text);
        assert_eq!(copy.value(), "a text that is longer than what is kept in place");
    }
}
