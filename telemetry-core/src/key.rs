//! The key of a series: the texts of its tag values, each behind its length.
//!
//! The length comes first, in one byte below 255, else in 255 and four bytes more, so that `["ab", "c"]` and
//! `["a", "bc"]` have different keys.
//!
//! An emitter never builds a key for a series that exists: it hashes and compares the texts where they are. (Copying
//! them into one run of bytes first took longer than all the rest: the hash reads words that several small stores wrote,
//! which no processor forwards.)

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

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
    // Invariant: `inline[..length]` is initialized; the key is that, or `spilled` if that is not empty.
    inline: [MaybeUninit<u8>; INLINE],
    length: usize,
    spilled: Vec<u8>,
}

impl KeyBuffer {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { inline: [const { MaybeUninit::uninit() }; INLINE], length: 0, spilled: Vec::new() }
    }

    /// Appends one value.
    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let room = INLINE - self.length;
        // The room is at most 256, so a text that fits has a short length.
        if bytes.len() < room && bytes.len() < LONG as usize && self.spilled.is_empty() {
            // SAFETY: `length` and the text's bytes behind it lie within `inline`, which the text does not overlap.
            unsafe {
                let target = self.inline.as_mut_ptr().cast::<u8>().add(self.length);
                target.write(bytes.len() as u8);
                copy(target.add(1), bytes);
            }
            self.length += 1 + bytes.len();
        } else {
            self.push_spilled(bytes);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_spilled(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            // The thread's buffer is gone only while the thread ends.
            let mut spilled = SPARE.try_with(Cell::take).unwrap_or_default();
            spilled.clear();
            spilled.extend_from_slice(self.bytes());
            self.spilled = spilled;
        }
        write_length(&mut self.spilled, bytes.len());
        self.spilled.extend_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.spilled.is_empty() {
            // SAFETY: by the invariant of `inline`.
            unsafe { std::slice::from_raw_parts(self.inline.as_ptr().cast(), self.length) }
        } else {
            &self.spilled
        }
    }
}

impl Drop for KeyBuffer {
    #[inline]
    fn drop(&mut self) {
        if self.spilled.capacity() != 0 {
            give_back(std::mem::take(&mut self.spilled));
        }
    }
}

#[cold]
#[inline(never)]
fn give_back(spilled: Vec<u8>) {
    let _ = SPARE.try_with(|spare| spare.set(spilled));
}

/// Copies a short text without a call.
///
/// # Safety
///
/// `target` has room for the text, and does not overlap it.
#[inline(always)]
unsafe fn copy(target: *mut u8, text: &[u8]) {
    let (source, length) = (text.as_ptr(), text.len());
    // SAFETY: every read and write lies within the first `length` bytes: pairs of words from both ends, which may overlap.
    unsafe {
        if length > 16 {
            ptr::copy_nonoverlapping(source, target, length);
        } else if length >= 8 {
            let (head, tail) = (source.cast::<u64>(), source.add(length - 8).cast::<u64>());
            let (head, tail) = (head.read_unaligned(), tail.read_unaligned());
            target.cast::<u64>().write_unaligned(head);
            target.add(length - 8).cast::<u64>().write_unaligned(tail);
        } else if length >= 4 {
            let (head, tail) = (source.cast::<u32>(), source.add(length - 4).cast::<u32>());
            let (head, tail) = (head.read_unaligned(), tail.read_unaligned());
            target.cast::<u32>().write_unaligned(head);
            target.add(length - 4).cast::<u32>().write_unaligned(tail);
        } else if length > 0 {
            target.write(source.read());
            target.add(length / 2).write(source.add(length / 2).read());
            target.add(length - 1).write(source.add(length - 1).read());
        }
    }
}

/// Keys below this size have no long value, since that alone would be longer.
const SHORT: usize = LONG as usize;

/// The texts of a series' tag values, where they are.
// By value on the way that is rarely taken, so that on the other they stay in registers.
pub(crate) trait Texts: Copy {
    /// The texts, in the order of the labels.
    fn texts(&self) -> impl Iterator<Item = &str>;

    /// The hash and the size of the key that they have.
    #[inline(always)]
    fn mark(&self, seed: Seed) -> Mark {
        let mut marker = Marker::new(seed);
        self.texts().for_each(|text| marker.add(text));
        marker.finish()
    }

    /// Whether they have a key of so many bytes, which has been compared with the size of their mark.
    ///
    /// # Safety
    ///
    /// `key` points to a key of that size, and that is below [`SHORT`].
    #[inline(always)]
    unsafe fn have_short(&self, mut key: *const u8) -> bool {
        for text in self.texts() {
            // SAFETY: all texts and a byte for each are as long as the key, and the texts before are as long as here, so
            // that this one and its byte lie within the key.
            unsafe {
                if usize::from(*key) != text.len() || !same(key.add(1), text.as_ptr(), text.len()) {
                    return false;
                }
                key = key.add(1 + text.len());
            }
        }
        true
    }

    /// Whether they have this key, of any length.
    fn have(&self, mut key: &[u8]) -> bool {
        self.texts().all(|text| take_value(&mut key) == Some(text)) && key.is_empty()
    }

    /// Builds the key.
    fn key(&self) -> KeyBuffer {
        let mut key = KeyBuffer::new();
        self.texts().for_each(|text| key.push(text));
        key
    }
}

impl Texts for &[&str] {
    #[inline(always)]
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.iter().copied()
    }
}

impl<const N: usize> Texts for [&str; N] {
    #[inline(always)]
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.iter().copied()
    }
}

/// What hashes depend on, drawn once for a process, so that nobody can choose tag values that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    own: u64,
    shared: &'static SharedSeed,
}

impl Seed {
    pub(crate) fn of_process() -> Self {
        // A model takes the same steps each time it is run.
        if cfg!(loom) {
            return Self { own: 0, shared: SharedSeed::global_fixed() };
        }
        static OWN: OnceLock<u64> = OnceLock::new();
        let own = *OWN.get_or_init(|| RandomState::new().build_hasher().finish());
        Self { own, shared: SharedSeed::global_random() }
    }
}

/// A key's hash, and its size if all its values are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) hash: u64,
    pub(crate) size: usize,
}

impl Mark {
    /// Whether it may be that of a key of this length, and that is short.
    #[inline(always)]
    pub(crate) fn fits_short(self, length: u16) -> bool {
        self.size == usize::from(length) && self.size < SHORT
    }
}

/// Makes a key's [`Mark`].
pub(crate) struct Marker {
    hasher: FoldHasher<'static>,
    size: usize,
}

impl Marker {
    #[inline(always)]
    pub(crate) fn new(seed: Seed) -> Self {
        Self { hasher: FoldHasher::with_seed(seed.own, seed.shared), size: 0 }
    }

    /// The key has this value next.
    #[inline(always)]
    pub(crate) fn add(&mut self, text: &str) {
        // Each write mixes in its length, so texts are told apart by where they end.
        self.hasher.write(text.as_bytes());
        self.size += 1 + text.len();
    }

    #[inline(always)]
    pub(crate) fn finish(self) -> Mark {
        Mark { hash: self.hasher.finish(), size: self.size }
    }
}

/// The hash of a key: that of its texts.
pub(crate) fn hash(mut key: &[u8], seed: Seed) -> u64 {
    let mut marker = Marker::new(seed);
    while let Some(value) = take_value(&mut key) {
        marker.add(value);
    }
    marker.finish().hash
}

/// Whether two runs of bytes of the same length are the same; short ones without a call.
///
/// # Safety
///
/// Both runs can be read.
#[inline(always)]
unsafe fn same(a: *const u8, b: *const u8, length: usize) -> bool {
    // SAFETY: every read lies within the first `length` bytes of both: pairs of words from both ends, which may overlap.
    unsafe {
        let word = |start: *const u8, at: usize| start.add(at).cast::<u64>().read_unaligned();
        let half = |start: *const u8, at: usize| start.add(at).cast::<u32>().read_unaligned();
        if length > 32 {
            std::slice::from_raw_parts(a, length) == std::slice::from_raw_parts(b, length)
        } else if length >= 8 {
            let ends = (word(a, 0) ^ word(b, 0)) | (word(a, length - 8) ^ word(b, length - 8));
            let differ = |at: usize| word(a, at) ^ word(b, at);
            (if length > 16 { ends | differ(8) | differ(length - 16) } else { ends }) == 0
        } else if length >= 4 {
            (half(a, 0) ^ half(b, 0)) | (half(a, length - 4) ^ half(b, length - 4)) == 0
        } else {
            length == 0
                || (*a == *b && *a.add(length / 2) == *b.add(length / 2) && *a.add(length - 1) == *b.add(length - 1))
        }
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

    fn texts_hash(texts: &[&str]) -> u64 {
        texts.mark(Seed::of_process()).hash
    }

    /// As a row tells it.
    fn have(texts: &[&str], key: &[u8]) -> bool {
        let is_short = u16::try_from(key.len()).is_ok_and(|length| texts.mark(Seed::of_process()).fits_short(length));
        // SAFETY: the size was just compared.
        let found = is_short && unsafe { texts.have_short(key.as_ptr()) };
        assert!(found == texts.have(key) || !is_short && key.len() >= SHORT);
        found || texts.have(key)
    }

    /// V5: where one value ends and the next begins is part of the key.
    #[test]
    fn keys_keep_their_values_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["", "a"]), key(&["a", ""]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
    }

    /// V5: texts have the key that is built from them, and no other.
    #[test]
    fn texts_have_their_own_key_alone() {
        for length in 0..300 {
            let text: String = (0..length).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
            let texts = [text.as_str(), "x"];
            let own = key(&texts);
            assert!(have(&texts, &own), "{length}");
            assert_eq!(texts_hash(&texts), hash(&own, Seed::of_process()));
            assert!(!have(&texts[..1], &own) && !have(&[&text, "x", ""], &own));
            assert!(!have(&["x", &text], &own) || text == "x");
            for at in 0..length {
                let mut other = text.clone();
                other.replace_range(at..=at, "~");
                assert!(!have(&[&other, "x"], &own), "{length} bytes, the one at {at}");
            }
        }
        assert!(!have(&["ab", "c"], &key(&["a", "bc"])));
        assert_ne!(texts_hash(&["ab", "c"]), texts_hash(&["a", "bc"]));
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
