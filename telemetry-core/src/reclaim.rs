//! When memory that threads read without locks can be used again.
//!
//! A thread that looks up a series is in a *section* while it holds pointers into lookup tables, or cells of a series
//! that no handle keeps. Whoever retires such memory first makes it unreachable, then waits until every thread has left
//! the section that it was in at that moment.
//!
//! Entering has to become visible before the thread reads the first pointer, which takes a fence between a store and a
//! load: the dearest there is. So the fence is put on the other side: the reclaimer calls `membarrier(2)`, which runs a
//! fence on every thread of the process, and entering is a plain store. Where there is no such call, or it is refused,
//! both sides use a real fence.
//!
//! Model: `loom_tests`, where both sides use a real fence.

#[cfg(all(test, loom))]
mod loom_tests;

use std::sync::atomic::compiler_fence;

use crate::sync::{AtomicU64, Ordering, fence, own};

/// Whether one thread is in a section, or how many sharers of a shard are.
#[derive(Debug)]
pub(crate) struct Section {
    // Of a private shard: odd while its owner is in a section; only the owner writes.
    // Of a shared shard: how many threads are in one.
    word: AtomicU64,
    /// Of a private shard, where the reclaimer brings the fence: to enter is a plain store.
    is_plain: bool,
    shared: bool,
}

/// Leaves the section when dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a>(&'a Section);

/// Leaves the section of a private shard when dropped.
#[derive(Debug)]
pub(crate) struct EnteredPlainly<'a>(&'a Section);

impl Section {
    pub(crate) fn new(shared: bool) -> Self {
        Self { word: AtomicU64::new(0), is_plain: !shared && reclaimer_brings_the_fence(), shared }
    }

    /// Enters; never while this thread is in it already.
    #[inline]
    pub(crate) fn enter(&self) -> Entered<'_> {
        if self.is_plain {
            self.step_in();
        } else {
            self.enter_with_fence();
        }
        Entered(self)
    }

    /// Enters, if that is a plain store; never while this thread is in it already.
    #[inline(always)]
    pub(crate) fn enter_plainly(&self) -> Option<EnteredPlainly<'_>> {
        if !self.is_plain {
            return None;
        }
        self.step_in();
        Some(EnteredPlainly(self))
    }

    /// Enters a private one by a plain store.
    #[inline(always)]
    fn step_in(&self) {
        self.step();
        // Nothing that follows is done before it; for the processor, the reclaimer's fence sees to that.
        compiler_fence(Ordering::SeqCst);
    }

    #[cold]
    #[inline(never)]
    fn enter_with_fence(&self) {
        if self.shared {
            // Relaxed: the fence below orders it before the reads that follow. It carries on what sections that were
            // left have released, since it reads and writes at once.
            self.word.fetch_add(1, Ordering::Relaxed);
        } else {
            self.step();
        }
        // SeqCst: with the one in `heavy_fence`, either the reclaimer sees the section, or the section sees that what was
        // retired is unreachable.
        fence(Ordering::SeqCst);
    }

    /// Enters or leaves a private one.
    #[inline]
    fn step(&self) {
        // Release, in both cases. Who leaves: all that the section read and wrote happens before the reclaimer sees that it
        // was left. Who enters: a reclaimer that sees this word, and so that the section before was left, has to see what
        // that one did, which a relaxed store would hide; the fence behind it orders it before the reads that follow.
        self.word.store(own(&self.word).wrapping_add(1), Ordering::Release);
    }

    #[cold]
    #[inline(never)]
    fn leave_shared(&self) {
        // Release: as in `step`.
        self.word.fetch_sub(1, Ordering::Release);
    }

    /// Enters, unless this thread is in it already.
    #[inline]
    pub(crate) fn enter_if_outside(&self) -> Option<Entered<'_>> {
        // Who is in a shared one is not known, but to be counted twice does no harm.
        (self.shared || own(&self.word).is_multiple_of(2)).then(|| self.enter())
    }

    /// What `has_left` compares with; after `heavy_fence`.
    pub(crate) fn observe(&self) -> u64 {
        // Acquire: pairs with the releases in `drop` and `enter`, so that what sections left by now did is done.
        self.word.load(Ordering::Acquire)
    }

    /// Leaves it for threads that this process, a child of `fork`, does not have.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn end(&self) {
        // Relaxed: there is no other thread.
        let word = self.word.load(Ordering::Relaxed);
        let left = if self.shared { 0 } else { word.next_multiple_of(2) };
        self.word.store(left, Ordering::Relaxed);
    }

    /// Whether every thread that was in the section when `seen` was observed has left it.
    pub(crate) fn has_left(&self, seen: u64) -> bool {
        // Acquire: as in `observe`.
        let now = self.word.load(Ordering::Acquire);
        if self.shared { now == 0 } else { seen.is_multiple_of(2) || now != seen }
    }
}

impl Drop for EnteredPlainly<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.step();
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.shared {
            self.0.leave_shared();
        } else {
            self.0.step();
        }
    }
}

#[cfg(all(target_os = "linux", not(loom), not(miri)))]
mod barrier {
    use std::sync::atomic::{AtomicU8, Ordering};

    const UNKNOWN: u8 = 0;
    const MEMBARRIER: u8 = 1;
    const FENCES: u8 = 2;

    static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);

    // linux/membarrier.h
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn is_reclaimers() -> bool {
        mode() == MEMBARRIER
    }

    fn mode() -> u8 {
        let known = MODE.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return known;
        }
        let mode = if membarrier(REGISTER_PRIVATE_EXPEDITED) { MEMBARRIER } else { FENCES };
        // Relaxed: the registration is the process's, and registering twice is harmless. The first to decide is
        // followed by all, since a refusal is for good.
        match MODE.compare_exchange(UNKNOWN, mode, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => mode,
            Err(theirs) => theirs,
        }
    }

    pub(super) fn heavy() {
        super::fence(Ordering::SeqCst);
        if mode() == MEMBARRIER {
            // It can't fail once registered; if it did, no memory could ever be used again safely.
            assert!(membarrier(PRIVATE_EXPEDITED), "membarrier was registered and is refused now");
        }
        super::fence(Ordering::SeqCst);
    }
}

#[cfg(not(all(target_os = "linux", not(loom), not(miri))))]
mod barrier {
    use super::{Ordering, fence};

    pub(super) const fn is_reclaimers() -> bool {
        false
    }

    pub(super) fn heavy() {
        fence(Ordering::SeqCst);
    }
}

/// Whether the fence between entering and reading is the reclaimer's: decided once for the process, before its first section.
fn reclaimer_brings_the_fence() -> bool {
    barrier::is_reclaimers()
}

/// What the reclaimer does between making memory unreachable and looking for sections.
pub(crate) fn heavy_fence() {
    barrier::heavy();
}
