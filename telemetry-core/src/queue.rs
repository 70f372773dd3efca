//! A bounded queue of reusable slots, for many producers and many consumers, without locks.
//!
//! Positions count up for ever; position `p` lives in slot `p % capacity`, in lap `p / capacity`. Each slot carries a
//! *turn* that says whose it is, and that only ever goes up:
//!
//! ```text
//! turn = 2 * lap        the producer that claims the position of this lap may write the slot
//! turn = 2 * lap + 1    the consumer that claims the position of this lap may read it
//! ```
//!
//! A producer claims the position `tail` by moving `tail` on by one, a consumer the position `head` likewise, each with
//! a compare-and-swap, and only when the slot's turn is theirs. So whoever has claimed a position owns its slot, alone,
//! until it moves the turn on. What a producer publishes with the turn is a complete record.
//!
//! A slot keeps its value between laps: a producer overwrites what it finds, so a value that owns buffers lends them to
//! event after event, and nothing is allocated. The top bit of `tail` says that the queue is closed; because producers
//! compare-and-swap the whole word, none can slip in once it is set.
//!
//! The queue is not wait-free: a thread that is stopped between its claim and its publication holds up that one slot.
//! Others see [`Full`](PushError::Full) or [`Empty`](PopError::Empty) only when that is the truth, and `Busy` when they
//! meet such a slot, so that they decide for themselves how long to be patient.
//!
//! Model: `loom_tests`.

pub(crate) mod record;

#[cfg(all(test, loom))]
mod loom_tests;

use crate::sync::{AtomicU64, Ordering, UnsafeCell, fence};

/// The bit of `tail` that says that nothing more is taken.
const CLOSED: u64 = 1 << 63;

/// A value on cache lines of its own, and not on the neighbour that a prefetcher fetches along with them.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

#[derive(Debug)]
#[repr(align(64))] // The end of one record and the turn of the next never share a line.
struct Slot<T> {
    // Invariant: never decreases; moved on only by the thread that owns the slot.
    turn: AtomicU64,
    // Invariant: touched only by the thread that claimed the position whose turn it is, before it moves the turn on.
    value: UnsafeCell<T>,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    // The next position to push; `CLOSED` in its top bit. Never decreases.
    tail: Padded<AtomicU64>,
    // The next position to pop. Never decreases, never passes `tail`.
    head: Padded<AtomicU64>,
    // Invariant: as many as `capacity`, a power of two.
    slots: Box<[Slot<T>]>,
    // `log2` of the capacity.
    lap_bits: u32,
}

// SAFETY: a slot's value is reached only through `push` and `pop`, by the one thread that owns the slot (the invariant
// of `Slot::value`), so values move between threads but are never shared: `T: Send` is enough.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Queue<T> {}

/// Why nothing was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// As many stand in the queue as it can hold.
    Full,
    /// There is room, but a consumer is still taking the former value out of it.
    Busy,
    /// The queue takes nothing more.
    Closed,
}

/// Why nothing was popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PopError {
    /// Everything before the position `at` has been popped, and nothing was pushed there.
    Empty {
        /// The next position.
        at: u64,
        /// Nothing will be pushed there either.
        closed: bool,
    },
    /// A producer is still writing the next value.
    Busy,
}

impl<T> Queue<T> {
    /// An empty queue of `capacity` slots, each holding what `slot` makes.
    ///
    /// # Panics
    ///
    /// When `capacity` is not a power of two.
    pub(crate) fn new(capacity: usize, mut slot: impl FnMut() -> T) -> Self {
        assert!(capacity.is_power_of_two(), "the capacity of a queue is a power of two");
        Self {
            tail: Padded(AtomicU64::new(0)),
            head: Padded(AtomicU64::new(0)),
            slots: (0..capacity).map(|_| Slot { turn: AtomicU64::new(0), value: UnsafeCell::new(slot()) }).collect(),
            lap_bits: capacity.trailing_zeros(),
        }
    }

    /// How many values the queue can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        #[allow(clippy::cast_possible_truncation)] // The mask leaves less than a `usize`.
        let index = (position as usize) & (self.slots.len() - 1);
        &self.slots[index]
    }

    #[inline]
    const fn lap(&self, position: u64) -> u64 {
        position >> self.lap_bits
    }

    /// Has `write` fill the next slot; it must not panic, or the queue stands still behind that slot.
    ///
    /// # Errors
    ///
    /// [`PushError`], and `write` was not called.
    #[inline]
    pub(crate) fn push(&self, write: impl FnOnce(&mut T)) -> Result<(), PushError> {
        // Relaxed: a guess, which the exchange below verifies.
        let mut tail = self.tail.0.load(Ordering::Relaxed);
        loop {
            if tail & CLOSED != 0 {
                return Err(PushError::Closed);
            }
            let slot = self.slot(tail);
            let free = 2 * self.lap(tail);
            // Acquire, with the Release of `pop`: the last reader is done with the value before we write it.
            let turn = slot.turn.load(Ordering::Acquire);
            if turn == free {
                // SeqCst: totally ordered with the accesses of whoever announces that it will sleep and then asks
                // `has_pushed_since`; with less, we could miss the announcement and it our claim. Failure is a new guess.
                match self.tail.0.compare_exchange_weak(tail, tail + 1, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: we claimed the position, and the turn was its producer's: the slot is ours, by the
                        // invariant of `value`, until the store below.
                        slot.value.with_mut(|value| write(unsafe { &mut *value }));
                        // Release, with the Acquire of `pop`: whoever sees the turn sees the whole value.
                        slot.turn.store(free + 1, Ordering::Release);
                        return Ok(());
                    }
                    Err(now) => tail = now,
                }
            } else {
                // Not free for this position. Either it has been claimed since, or its former value still stands there.
                // SeqCst, with the claims of `pop` and `push`: the loads behind the fence see every claim before it, so
                // `Full` is never said of a queue that had room throughout.
                fence(Ordering::SeqCst);
                // Relaxed, both: ordered by the fence.
                let now = self.tail.0.load(Ordering::Relaxed);
                if now == tail {
                    let head = self.head.0.load(Ordering::Relaxed);
                    let full = head + self.slots.len() as u64 <= tail;
                    return Err(if full { PushError::Full } else { PushError::Busy });
                }
                tail = now;
            }
        }
    }

    /// Has `take` empty the next slot, and returns its position with what `take` made of it; `take` must not panic, or
    /// the queue stands still before that slot.
    ///
    /// # Errors
    ///
    /// [`PopError`], and `take` was not called.
    #[inline]
    pub(crate) fn pop<R>(&self, take: impl FnOnce(&mut T) -> R) -> Result<(u64, R), PopError> {
        // Relaxed: a guess, which the exchange below verifies.
        let mut head = self.head.0.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(head);
            let filled = 2 * self.lap(head) + 1;
            // Acquire, with the Release of `push`: the whole value is there before we read it.
            let turn = slot.turn.load(Ordering::Acquire);
            if turn == filled {
                // SeqCst, with the fence in `push`: with less, a producer could go on seeing the former `head` and report a
                // full queue that has room. The value itself is carried by the turn. Failure is a new guess.
                match self.head.0.compare_exchange_weak(head, head + 1, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: we claimed the position, and the turn was its consumer's: the slot is ours, by the
                        // invariant of `value`, until the store below.
                        let taken = slot.value.with_mut(|value| take(unsafe { &mut *value }));
                        // Release, with the Acquire of `push`: we are done with the value before it is overwritten.
                        slot.turn.store(filled + 1, Ordering::Release);
                        return Ok((head, taken));
                    }
                    Err(now) => head = now,
                }
            } else {
                // Nothing to read at this position. Either it has been popped since, or nothing was published there.
                // SeqCst, with the claims of `push` and `pop`: the loads behind the fence see every claim before it, so
                // `Empty` is never said of a queue that had a value throughout.
                fence(Ordering::SeqCst);
                // Relaxed, both: ordered by the fence.
                let now = self.head.0.load(Ordering::Relaxed);
                if now == head {
                    let tail = self.tail.0.load(Ordering::Relaxed);
                    return Err(if tail & !CLOSED == head {
                        PopError::Empty { at: head, closed: tail & CLOSED != 0 }
                    } else {
                        PopError::Busy
                    });
                }
                head = now;
            }
        }
    }

    /// Takes nothing more; what stands in the queue can still be popped.
    pub(crate) fn close(&self) {
        // SeqCst: as the claim in `push`, it must not be missed by a consumer about to sleep.
        self.tail.0.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Whether anything was pushed at or behind the position `at`, which is the next one, or the queue was closed.
    pub(crate) fn has_pushed_since(&self, at: u64) -> bool {
        // SeqCst: see the claim in `push`.
        self.tail.0.load(Ordering::SeqCst) != at
    }

    /// How many values were ever pushed.
    pub(crate) fn pushed(&self) -> u64 {
        // Acquire: a caller that has seen a later fact, by an Acquire of its own, also sees the pushes behind that fact
        // (by coherence); nothing is read through it.
        self.tail.0.load(Ordering::Acquire) & !CLOSED
    }

    /// How many values stand in the queue: a moment's view, never above the capacity.
    pub(crate) fn len(&self) -> usize {
        let tail = self.pushed();
        // Relaxed: the two counts are of different moments anyway, hence the bounds.
        let waiting = tail.saturating_sub(self.head.0.load(Ordering::Relaxed));
        usize::try_from(waiting).unwrap_or(usize::MAX).min(self.capacity())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn push(queue: &Queue<usize>, value: usize) -> Result<(), PushError> {
        queue.push(|slot| *slot = value)
    }

    fn pop(queue: &Queue<usize>) -> Result<usize, PopError> {
        queue.pop(|slot| std::mem::replace(slot, usize::MAX)).map(|(_, value)| value)
    }

    #[test]
    fn values_come_out_in_order_lap_after_lap_at_every_capacity() {
        for capacity in [1, 2, 4, 64] {
            let queue = Queue::new(capacity, || usize::MAX);
            assert_eq!(queue.capacity(), capacity);
            for lap in 0..3 {
                for n in 0..capacity {
                    assert_eq!(push(&queue, lap * 1000 + n), Ok(()));
                    assert_eq!(queue.len(), n + 1);
                }
                assert_eq!(push(&queue, 7), Err(PushError::Full));
                for n in 0..capacity {
                    assert_eq!(pop(&queue), Ok(lap * 1000 + n));
                }
                let at = ((lap + 1) * capacity) as u64;
                assert_eq!(pop(&queue), Err(PopError::Empty { at, closed: false }));
                assert!(!queue.has_pushed_since(at));
            }
        }
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_takes_nothing() {
        let queue = Queue::new(2, || usize::MAX);
        assert_eq!(push(&queue, 1), Ok(()));
        queue.close();
        assert_eq!(push(&queue, 2), Err(PushError::Closed));
        assert!(queue.has_pushed_since(1));
        assert_eq!((queue.pushed(), queue.len()), (1, 1));
        assert_eq!(pop(&queue), Ok(1));
        assert_eq!(pop(&queue), Err(PopError::Empty { at: 1, closed: true }));
    }

    /// A slot whose thread stands still is neither room nor a value, and is told apart from a full and an empty queue.
    #[test]
    fn a_slot_in_use_is_busy() {
        let queue = Queue::new(1, || usize::MAX);
        let seen = queue.push(|slot| {
            *slot = 1;
            assert_eq!(pop(&queue), Err(PopError::Busy));
            assert_eq!(push(&queue, 2), Err(PushError::Full));
        });
        assert_eq!(seen, Ok(()));
        let seen = queue.pop(|_| {
            assert_eq!(push(&queue, 2), Err(PushError::Busy));
            assert_eq!(pop(&queue), Err(PopError::Empty { at: 1, closed: false }));
        });
        assert_eq!(seen, Ok((0, ())));
    }
}
