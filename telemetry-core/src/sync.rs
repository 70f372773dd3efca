//! The one place that names the primitives of concurrency: those of `std`, or loom's models of them.

#[cfg(loom)]
#[allow(unused_imports)]
pub(crate) use loom::{
    cell::UnsafeCell,
    hint,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(loom))]
#[allow(unused_imports)]
pub(crate) use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

/// `std`'s cell with the interface of loom's, which sees every access because it lies within a closure.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
#[allow(dead_code)] // The interface is loom's, whatever of it is in use.
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// What this thread, or the one before it in the same role, wrote to a word that only it writes to.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn own(word: &AtomicU64) -> u64 {
    // Relaxed: nobody else writes.
    word.load(Ordering::Relaxed)
}

/// Loom fails here if anybody else writes. And it sees one access where it would see two: it keeps but the last access to
/// a word, so a load of our own would hide from our store that another thread has read the word before, and the model would
/// leave out the order in which that thread reads it after.
#[cfg(loom)]
pub(crate) fn own(word: &AtomicU64) -> u64 {
    // SAFETY: loom checks that every store happens before.
    unsafe { word.unsync_load() }
}
