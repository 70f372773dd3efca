//! Room on the stack for the texts of an event's tags, and for the digits of those that are numbers.

use std::mem::MaybeUninit;

use crate::value::{TextBuffer, Value};

/// How many tags of one projection are looked up without an allocation.
pub(super) const TAGS: usize = 32;

pub(super) struct Room<'v> {
    texts: [MaybeUninit<&'v str>; TAGS],
    numbers: [MaybeUninit<TextBuffer>; TAGS],
}

impl<'v> Room<'v> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { texts: [const { MaybeUninit::uninit() }; TAGS], numbers: [const { MaybeUninit::uninit() }; TAGS] }
    }

    /// The texts of the values at some positions, absent ones being empty; `None` if they are too many.
    #[inline(always)]
    pub(super) fn texts(&'v mut self, positions: &[usize], values: &'v [Value<'v>]) -> Option<&'v [&'v str]> {
        if positions.len() > TAGS {
            return None;
        }
        let (texts, numbers) = (self.texts.as_mut_ptr(), self.numbers.as_mut_ptr());
        for (at, position) in positions.iter().enumerate() {
            // SAFETY: `at` lies below the length of both, and each is borrowed once.
            let (text, buffer) = unsafe { (&mut *texts.add(at), &mut *numbers.add(at)) };
            text.write(match values.get(*position) {
                Some(Value::Str(text)) => text,
                Some(Value::Variant(variant)) => variant.name(),
                Some(other) => format(other, buffer),
                None => "",
            });
        }
        // SAFETY: there was room for all, so the first `positions.len()` texts were just written.
        Some(unsafe { std::slice::from_raw_parts(texts.cast::<&str>(), positions.len()) })
    }
}

#[inline(never)]
fn format<'v>(value: &Value<'v>, buffer: &'v mut MaybeUninit<TextBuffer>) -> &'v str {
    value.text(buffer.write(TextBuffer::new()))
}
