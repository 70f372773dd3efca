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
/// Before a length that takes four bytes more.
pub(crate) const LONG: u8 = u8::MAX;

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

/// Values below this size are short: their length takes one byte.
const SHORT: usize = LONG as usize;

/// The texts of a series' tag values, where they are.
// By value on the way that is rarely taken, so that on the other they stay in registers.
pub(crate) trait Texts: Copy {
    /// The texts, in the order of the labels.
    fn texts(&self) -> impl Iterator<Item = &str>;

    /// The hash of the key that they have.
    #[inline(always)]
    fn hash(&self, seed: Seed) -> u64 {
        let mut marker = Marker::new(seed);
        for text in self.texts() {
            marker.add(text);
        }
        marker.finish()
    }

    /// Whether they have this key, which has as many values; not if one of them is long.
    ///
    /// # Safety
    ///
    /// `key` points to a key of as many values, or to a byte that no short value begins with.
    #[inline(always)]
    unsafe fn have_short(&self, mut key: *const u8) -> bool {
        for text in self.texts() {
            // SAFETY: there is one more value, since the texts before were as long as here, and none was long. If this one
            // is not, its first byte is its length.
            unsafe {
                if usize::from(*key) != text.len() || !is_short_and_same(key.add(1), text.as_ptr(), text.len()) {
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

/// Makes a key's hash.
pub(crate) struct Marker(FoldHasher<'static>);

impl Marker {
    #[inline(always)]
    pub(crate) fn new(seed: Seed) -> Self {
        Self(FoldHasher::with_seed(seed.own, seed.shared))
    }

    /// The key has this value next.
    ///
    /// A short one is read in words from both ends, which may overlap, with its length in the last, and mixed in without a
    /// call, which `write` makes from seventeen bytes on.
    #[inline(always)]
    pub(crate) fn add(&mut self, text: &str) {
        let (start, length) = (text.as_ptr(), text.len());
        let mut mix = |low: u64, high: u64| self.0.write_u128(u128::from(low) | u128::from(high) << 64);
        let mark = (length as u64) << 56;
        // SAFETY: every read lies within the first `length` bytes.
        unsafe {
            if length > 32 {
                self.0.write(text.as_bytes());
            } else if length >= 8 {
                if length > 16 {
                    mix(word(start, 0), word(start, 8));
                }
                // Of those that have more than sixteen bytes the second word is in the pair above, or in this one.
                mix(word(start, length.saturating_sub(16)), word(start, length - 8) ^ mark);
            } else if length >= 4 {
                mix(half(start, 0).into(), u64::from(half(start, length - 4)) | mark);
            } else if length > 0 {
                let byte = |at: usize| u64::from(*start.add(at));
                mix(byte(0), byte(length / 2) | byte(length - 1) << 8 | mark);
            } else {
                mix(0, 0);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn finish(self) -> u64 {
        self.0.finish()
    }
}

/// The hash of a key: that of its texts.
pub(crate) fn hash(mut key: &[u8], seed: Seed) -> u64 {
    let mut marker = Marker::new(seed);
    while let Some(value) = take_value(&mut key) {
        marker.add(value);
    }
    marker.finish()
}

#[inline(always)]
unsafe fn word(start: *const u8, at: usize) -> u64 {
    // SAFETY: the caller knows that eight bytes are there.
    unsafe { start.add(at).cast::<u64>().read_unaligned() }
}

#[inline(always)]
unsafe fn half(start: *const u8, at: usize) -> u32 {
    // SAFETY: the caller knows that four bytes are there.
    unsafe { start.add(at).cast::<u32>().read_unaligned() }
}

/// Whether two texts of the same length are short, and the same; most are compared without a call.
///
/// # Safety
///
/// Both can be read, if they are short.
#[inline(always)]
unsafe fn is_short_and_same(a: *const u8, b: *const u8, length: usize) -> bool {
    // SAFETY: every read lies within the first `length` bytes of both: pairs of words from both ends, which may overlap.
    unsafe {
        let differ = |at: usize| word(a, at) ^ word(b, at);
        let halves_differ = |at: usize| half(a, at) ^ half(b, at);
        let bytes_differ = |at: usize| *a.add(at) ^ *b.add(at);
        if length > 32 {
            length < SHORT && std::slice::from_raw_parts(a, length) == std::slice::from_raw_parts(b, length)
        } else if length >= 8 {
            let ends = differ(0) | differ(length - 8);
            (if length > 16 { ends | differ(8) | differ(length - 16) } else { ends }) == 0
        } else if length >= 4 {
            halves_differ(0) | halves_differ(length - 4) == 0
        } else {
            length == 0 || bytes_differ(0) | bytes_differ(length / 2) | bytes_differ(length - 1) == 0
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
        texts.hash(Seed::of_process())
    }

    /// As a row tells it.
    fn have(texts: &[&str], key: &[u8]) -> bool {
        let mut rest = key;
        let values = std::iter::from_fn(|| take_value(&mut rest)).count();
        // SAFETY: the values were just counted.
        let found = values == texts.len() && unsafe { texts.have_short(key.as_ptr()) };
        assert!(found == texts.have(key) || values != texts.len() || texts.iter().any(|text| text.len() >= SHORT));
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

    /// Texts that differ little have hashes that differ as if they were drawn: in all their bits, in the low ones, which a
    /// slot keeps, and in the high ones, which choose a table.
    #[test]
    fn like_texts_have_unlike_hashes() {
        const COUNT: usize = 20_000;
        let families: [fn(usize) -> [String; 2]; 6] = [
            |n| [n.to_string(), String::new()],
            |n| [String::new(), n.to_string()],
            |n| [format!("/users/{n}"), "200".into()],
            |n| [format!("/tenants/{n:05}/orders/latest"), (100 + n % 500).to_string()],
            |n| [format!("{n:05}-and-what-is-the-same-for-all-of-these-texts"), "x".into()],
            |n| ["a".repeat(n % 200), "b".repeat(n / 200)],
        ];
        for (family, texts) in families.into_iter().enumerate() {
            let hashes: Vec<u64> = (0..COUNT).map(texts).map(|[a, b]| texts_hash(&[a.as_str(), b.as_str()])).collect();
            let distinct = |bits: &dyn Fn(u64) -> u64| {
                hashes.iter().map(|hash| bits(*hash)).collect::<std::collections::HashSet<_>>().len()
            };
            assert_eq!(distinct(&|hash| hash), COUNT, "{family}");
            // Of so many draws among 2^18 numbers about 19,256 differ, with a deviation of 27.
            assert!(distinct(&|hash| hash & 0x3_FFFF) > 18_950, "{family}");
            assert!(distinct(&|hash| hash >> 46) > 18_950, "{family}");
        }
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
