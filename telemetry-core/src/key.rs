//! The key of a series: the texts of its tag values, each behind its length.
//!
//! The length comes first, in one byte below 255, else in 255 and four bytes more, so that `["ab", "c"]` and
//! `["a", "bc"]` have different keys. A key is hashed and compared as one run of bytes.

use std::cell::Cell;

/// Keys up to this size are built on the stack.
const INLINE: usize = 256;
/// A length that takes four bytes more.
const LONG: u8 = u8::MAX;

std::thread_local! {
    /// The buffer of this thread for keys that are longer: kept, so that a long key allocates once.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A key being built.
#[derive(Debug)]
pub(crate) struct KeyBuffer {
    // Invariant: the key is `inline[..length]`, or `spilled` if that is not empty.
    inline: [u8; INLINE],
    length: usize,
    spilled: Vec<u8>,
}

impl KeyBuffer {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { inline: [0; INLINE], length: 0, spilled: Vec::new() }
    }

    /// Appends one value.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let end = self.length + 1 + bytes.len();
        if bytes.len() < LONG as usize && end <= INLINE && self.spilled.is_empty() {
            self.inline[self.length] = bytes.len() as u8;
            copy(&mut self.inline[self.length + 1..end], bytes);
            self.length = end;
        } else {
            self.push_spilled(bytes);
        }
    }

    #[cold]
    fn push_spilled(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            // The thread's buffer is gone only while the thread ends.
            self.spilled = SPARE.try_with(Cell::take).unwrap_or_default();
            self.spilled.clear();
            self.spilled.extend_from_slice(&self.inline[..self.length]);
        }
        write_length(&mut self.spilled, bytes.len());
        self.spilled.extend_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.length] } else { &self.spilled }
    }
}

impl Drop for KeyBuffer {
    #[inline]
    fn drop(&mut self) {
        if self.spilled.capacity() != 0 {
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.spilled)));
        }
    }
}

/// Copies a short text without a call.
#[inline(always)]
fn copy(target: &mut [u8], source: &[u8]) {
    let length = source.len();
    if length > 16 {
        target.copy_from_slice(source);
    } else if length >= 8 {
        // Two words that may overlap.
        let (head, tail): ([u8; 8], [u8; 8]) =
            (source[..8].try_into().expect("eight bytes"), source[length - 8..].try_into().expect("eight bytes"));
        target[..8].copy_from_slice(&head);
        target[length - 8..].copy_from_slice(&tail);
    } else if length >= 4 {
        let (head, tail): ([u8; 4], [u8; 4]) =
            (source[..4].try_into().expect("four bytes"), source[length - 4..].try_into().expect("four bytes"));
        target[..4].copy_from_slice(&head);
        target[length - 4..].copy_from_slice(&tail);
    } else if length > 0 {
        target[0] = source[0];
        target[length / 2] = source[length / 2];
        target[length - 1] = source[length - 1];
    }
}

fn write_length(key: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < LONG => key.push(short),
        _ => {
            let long = u32::try_from(length).expect("a tag value is shorter than 4 GiB");
            key.push(LONG);
            key.extend_from_slice(&long.to_le_bytes());
        }
    }
}

/// Takes the first value off a key; `None` at its end.
#[inline]
pub(crate) fn take_value<'a>(key: &mut &'a [u8]) -> Option<&'a str> {
    let (&first, mut rest) = key.split_first()?;
    let length = if first < LONG {
        usize::from(first)
    } else {
        let (long, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        u32::from_le_bytes(*long) as usize
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *key = rest;
    debug_assert!(std::str::from_utf8(value).is_ok());
    // SAFETY: keys are only written by `KeyBuffer::push`, which takes whole texts, and are taken apart in the same steps.
    Some(unsafe { std::str::from_utf8_unchecked(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Vec<u8> {
        let mut key = KeyBuffer::new();
        values.iter().for_each(|value| key.push(value));
        key.bytes().to_vec()
    }

    /// V5: where one value ends and the next begins is part of the key.
    #[test]
    fn keys_keep_their_values_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["", "a"]), key(&["a", ""]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
    }

    /// V5: values of every length come back as they went in, on the stack and off it.
    #[test]
    fn keys_give_back_their_values() {
        let texts: Vec<String> = (0..40).chain([254, 255, 256, 300, 10_000]).map(|n| "x".repeat(n)).collect();
        for a in &texts {
            for b in &texts {
                let key = key(&[a, "é\"\\\n\0", b]);
                let mut rest = key.as_slice();
                assert_eq!(take_value(&mut rest), Some(a.as_str()));
                assert_eq!(take_value(&mut rest), Some("é\"\\\n\0"));
                assert_eq!(take_value(&mut rest), Some(b.as_str()));
                assert_eq!(take_value(&mut rest), None);
            }
        }
    }
}
