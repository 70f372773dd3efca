//! How a worker sleeps, and how it is woken at no cost to those who need not wake it.
//!
//! ```text
//! producer                              worker
//!   claim a position (tail + 1)           asleep = true
//!   write and publish the record          is the tail still where I found the queue empty?
//!   asleep? then unpark                     no: asleep = false, go on      yes: park
//! ```
//!
//! Each side writes one word and then reads the other's, all four sequentially consistent: so they can't both read the
//! old value, and either the worker sees the claim and stays awake, or the producer sees that the worker sleeps. The
//! producer's write is the claim that it makes anyway, so an emit pays for no fence of its own.
//!
//! Model: `lane::loom_tests`.

use crate::sync::{AtomicBool, Ordering, thread};

/// What a worker sleeps on.
#[derive(Debug)]
pub(super) struct Bell {
    // True from before the worker looks at the queue for the last time until it is awake, or somebody has begun to wake
    // it.
    asleep: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self { asleep: AtomicBool::new(false) }
    }

    /// Wakes `worker` if it sleeps; comes after the change that it is to see.
    #[inline]
    pub(super) fn ring(&self, worker: &thread::Thread) {
        order_like_seq_cst_accesses();
        // SeqCst, with the store in `sleep_unless`: see the module's head.
        if self.asleep.load(Ordering::SeqCst) {
            self.wake(worker);
        }
    }

    #[cold]
    fn wake(&self, worker: &thread::Thread) {
        // Relaxed: `unpark` synchronizes with `park`; the exchange only makes one of many producers do the system call.
        if self.asleep.compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            worker.unpark();
        }
    }

    /// Sleeps until the bell rings, unless `is_due`, which reads sequentially consistently, says that it has been
    /// rung for already. May return early.
    pub(super) fn sleep_unless(&self, is_due: impl FnOnce() -> bool) {
        // SeqCst, with the load in `ring`: see the module's head.
        self.asleep.store(true, Ordering::SeqCst);
        order_like_seq_cst_accesses();
        if !is_due() {
            thread::park();
        }
        // Relaxed: read late, it costs a producer an `unpark` in vain.
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// Loom orders sequentially consistent fences among each other, but not such accesses; in its models a fence stands
/// in for what the accesses do by themselves.
#[inline(always)]
fn order_like_seq_cst_accesses() {
    #[cfg(loom)]
    crate::sync::fence(Ordering::SeqCst);
}
