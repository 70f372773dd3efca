//! One exemplar, that any thread may replace and any thread may read, without a lock.
//!
//! The slot is a sequence lock over words that are atomic each: the sequence is odd while somebody writes, and a reader
//! that finds it changed reads again. A writer does not wait for another one: it has nothing that must be kept.
//!
//! ```text
//! writer:  sequence n -> n + 1 (compare-and-swap) | fence | words | due | sequence -> n + 2
//! reader:  sequence n, even | words | fence | sequence still n: the words belong together
//! ```
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;

use std::ptr;

use crate::sync::{AtomicU64, Ordering, fence, hint};

/// How often a reader tries before it leaves the exemplar to the next scrape.
const TRIES: usize = if cfg!(loom) { 1 } else { 16 };

/// See the head of this module.
#[derive(Debug)]
pub(super) struct Slot {
    // Zero: never written. Odd: being written.
    sequence: AtomicU64,
    /// From when on another exemplar is wanted, in nanoseconds on the coarse clock.
    due: AtomicU64,
    value: AtomicU64,
    /// Milliseconds since the Unix epoch.
    time: AtomicU64,
    /// In bytes; zero when the exemplar was taken away.
    length: AtomicU64,
    // Names and values in turn, as in a key.
    text: Box<[AtomicU64]>,
    /// The slot that this one replaced because its text was too short, kept for those who are in it; null if none.
    pub(super) smaller: *mut Self,
}

// SAFETY: all is atomic but `smaller`, which is written before the slot is shared, and read by who owns it alone.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

/// A value, when it was measured, and the text of its labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) value: f64,
    pub(crate) millis: u64,
    pub(crate) text: &'a [u8],
}

impl Slot {
    /// A slot for texts of some length in bytes.
    pub(super) fn new(text: usize) -> Self {
        let word = || AtomicU64::new(0);
        let text = (0..text.div_ceil(size_of::<u64>())).map(|_| word()).collect();
        let smaller = ptr::null_mut();
        Self { sequence: word(), due: word(), value: word(), time: word(), length: word(), text, smaller }
    }

    pub(super) fn has_room_for(&self, text: usize) -> bool {
        text <= self.text.len() * size_of::<u64>()
    }

    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        // Relaxed: a guess; `write` looks again.
        now >= self.due.load(Ordering::Relaxed)
    }

    /// Replaces the exemplar, unless somebody just has or is about to; the next one is due `interval` later. The slot has
    /// room for the text.
    pub(super) fn write(&self, content: Content<'_>, now: u64, interval: u64) -> bool {
        // Acquire: pairs with the release at the end of a write, so that what it has written to `due` is seen: without
        // it, two threads that find an old `due` would write one after the other.
        let sequence = self.sequence.load(Ordering::Acquire);
        if !self.is_due(now) || !self.begin(sequence) {
            return false;
        }
        // Relaxed, all: the fence in `begin` and the release in `end` order them for readers.
        self.value.store(content.value.to_bits(), Ordering::Relaxed);
        self.time.store(content.millis, Ordering::Relaxed);
        self.length.store(content.text.len() as u64, Ordering::Relaxed);
        for (word, bytes) in self.text.iter().zip(content.text.chunks(size_of::<u64>())) {
            let mut padded = [0; size_of::<u64>()];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        self.due.store(now.saturating_add(interval), Ordering::Relaxed);
        self.end(sequence);
        true
    }

    /// Takes the exemplar away, and wants another at once.
    pub(super) fn clear(&self) {
        for _ in 0..TRIES * 64 {
            // Acquire: as in `write`.
            let sequence = self.sequence.load(Ordering::Acquire);
            if self.begin(sequence) {
                // Relaxed: as in `write`.
                self.length.store(0, Ordering::Relaxed);
                self.due.store(0, Ordering::Relaxed);
                return self.end(sequence);
            }
            // Whoever writes is done soon, unless it lost its core; then its exemplar is newer than what is cleared.
            hint::spin_loop();
        }
    }

    /// Makes the sequence odd; false if it is already, or has gone on since the caller read it, with acquire.
    fn begin(&self, sequence: u64) -> bool {
        // Relaxed: the caller has read this very number with acquire, so the stores of the writer before come before ours;
        // the fence below keeps the odd number before our own.
        let begun = sequence.is_multiple_of(2)
            && self.sequence.compare_exchange(sequence, sequence + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if begun {
            // Release: pairs with the acquire fence in `read`. A reader that sees a word of ours sees that the sequence
            // is odd, or gone on; without it, words of two exemplars could be taken for one.
            fence(Ordering::Release);
        }
        begun
    }

    fn end(&self, sequence: u64) {
        // Release: pairs with the acquire in `read`, so that a reader that finds it even finds all words.
        self.sequence.store(sequence + 2, Ordering::Release);
    }

    /// Appends the text of the exemplar to `out`, and gives its value and the milliseconds since the Unix epoch; `None`
    /// when there is none, or none that stands still.
    pub(super) fn read(&self, out: &mut Vec<u8>) -> Option<(f64, u64)> {
        let start = out.len();
        for _ in 0..TRIES {
            // Acquire: pairs with the release in `end`.
            let before = self.sequence.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            if before.is_multiple_of(2) {
                // Relaxed, all: the fence below orders them before the second look at the sequence.
                let value = f64::from_bits(self.value.load(Ordering::Relaxed));
                let millis = self.time.load(Ordering::Relaxed);
                let length = self.length.load(Ordering::Relaxed) as usize;
                for word in self.text.iter().take(length.div_ceil(size_of::<u64>())) {
                    out.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
                }
                // Acquire: pairs with the release fence in `begin`.
                fence(Ordering::Acquire);
                // Relaxed: ordered by the fence.
                if self.sequence.load(Ordering::Relaxed) == before {
                    out.truncate(start + length);
                    return (length > 0).then_some((value, millis));
                }
                out.truncate(start);
            }
            hint::spin_loop();
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn content(value: f64, text: &[u8]) -> Content<'_> {
        Content { value, millis: 7, text }
    }

    #[test]
    fn a_slot_gives_back_what_was_written_last() {
        let slot = Slot::new(20);
        let mut out = b"before".to_vec();
        assert_eq!(slot.read(&mut out), None);
        assert!(slot.write(content(1.5, b"seventeen letters"), 0, 10));
        assert_eq!(slot.read(&mut out), Some((1.5, 7)));
        assert_eq!(out, b"beforeseventeen letters");
        assert!(!slot.write(content(2.5, b"too early"), 9, 10));
        assert!(slot.write(content(3.5, b"later"), 10, 10));
        out.clear();
        assert_eq!(slot.read(&mut out), Some((3.5, 7)));
        assert_eq!(out, b"later");
    }

    #[test]
    fn a_slot_that_was_cleared_is_empty_and_due() {
        let slot = Slot::new(8);
        assert!(slot.write(content(1.0, b"x"), 5, u64::MAX));
        slot.clear();
        let mut out = Vec::new();
        assert_eq!((slot.read(&mut out), out.len()), (None, 0));
        assert!(slot.write(content(2.0, b"y"), 5, 1));
    }
}
