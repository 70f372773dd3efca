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

use crate::sync::{AtomicU64, Ordering, fence, own};

/// Whether one thread is in a section, or how many sharers of a shard are.
#[derive(Debug)]
pub(crate) struct Section {
    // Of a private shard: odd while its owner is in a section; only the owner writes.
    // Of a shared shard: how many threads are in one.
    word: AtomicU64,
    shared: bool,
}

/// Leaves the section when dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a>(&'a Section);

impl Section {
    pub(crate) fn new(shared: bool) -> Self {
        Self { word: AtomicU64::new(0), shared }
    }

    /// Enters; never while this thread is in it already.
    #[inline]
    pub(crate) fn enter(&self) -> Entered<'_> {
        if self.shared {
            // Relaxed: the fence below orders it before the reads that follow. It carries on what sections that were
            // left have released, since it reads and writes at once.
            self.word.fetch_add(1, Ordering::Relaxed);
        } else {
            // Release: a reclaimer that sees this word, and so that the section before was left, has to see what that
            // section did, which a relaxed store would hide. The fence below orders it before the reads that follow.
            self.word.store(own(&self.word).wrapping_add(1), Ordering::Release);
        }
        light_fence();
        Entered(self)
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

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: all that this section read and wrote happens before the reclaimer sees that it was left.
        if self.0.shared {
            self.0.word.fetch_sub(1, Ordering::Release);
        } else {
            self.0.word.store(own(&self.0.word).wrapping_add(1), Ordering::Release);
        }
    }
}

#[cfg(all(target_os = "linux", not(loom), not(miri)))]
mod barrier {
    use std::sync::atomic::{AtomicU8, Ordering, compiler_fence};

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

    #[inline]
    pub(super) fn light() {
        // Relaxed: a thread that does not see the mode yet decides itself, to the same end.
        if MODE.load(Ordering::Relaxed) == MEMBARRIER {
            compiler_fence(Ordering::SeqCst);
        } else {
            light_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn light_slow() {
        mode();
        super::fence(Ordering::SeqCst);
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

    #[inline]
    pub(super) fn light() {
        // SeqCst: with the one in `heavy`, either the reclaimer sees the section, or the section sees that what was
        // retired is unreachable.
        fence(Ordering::SeqCst);
    }

    pub(super) fn heavy() {
        fence(Ordering::SeqCst);
    }
}

/// The emitter's half of the fence.
#[inline]
fn light_fence() {
    barrier::light();
}

/// The reclaimer's half of the fence.
pub(crate) fn heavy_fence() {
    barrier::heavy();
}
