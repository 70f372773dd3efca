//! Handles that are ready: one for each series, found by the key of the facade without a lock.
//!
//! The lookup is that of a projection: an [`Index`], here of addresses of slots, which a thread reads within a section. A
//! slot is written before it is published and never after; one that is let go is taken out of the index first, and freed
//! when every section that was open then has been left.
//!
//! A slot is only a short cut to a series: who finds none asks the family, and gets a handle to the same cells. So slots
//! can be dropped at any time, and those of idle series are, since the handle in it would keep the series for ever.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Key;

use crate::cells::{self, Reader};
use crate::index::{Index, Retired};

use super::handle::{Series, touches};

/// References to an instrument that are a slot's own: the one in the handle, and the one beside it.
const OWN: usize = 2;
/// Retired tables below this size are not worth a wait.
const RETIRED_BYTES: usize = 256 << 10;

/// See the head of this module.
pub(super) struct Ready<H> {
    index: Index,
    seed: u64,
    writer: Mutex<Writer<H>>,
    // What threads find is shared among them.
    slots: PhantomData<Slot<H>>,
}

struct Writer<H> {
    // Invariant: each came from a box, is in the index, and is freed once: by `let_go` or by `drop`.
    slots: Vec<*mut Slot<H>>,
    retired: Retired,
}

// SAFETY: the pointers are owned, and what they point to is `Send`.
unsafe impl<H: Send> Send for Writer<H> {}

struct Slot<H> {
    key: Key,
    handle: H,
    series: Series,
    /// How often the series had been touched when idle ones were last looked for.
    touches: AtomicU64,
}

impl<H> fmt::Debug for Ready<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// # Safety
///
/// `address` is that of a slot, exposed, that is not freed while the result is used.
#[inline]
unsafe fn slot<'a, H>(address: u64) -> &'a Slot<H> {
    // SAFETY: the caller's promise.
    unsafe { &*std::ptr::with_exposed_provenance(address as usize) }
}

fn address<H>(slot: *mut Slot<H>) -> u64 {
    slot.expose_provenance() as u64
}

impl<H: Clone> Ready<H> {
    pub(super) fn new() -> Self {
        let seed = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0_u8);
        let writer = Writer { slots: Vec::new(), retired: Retired::default() };
        Self { index: Index::new(), seed, writer: Mutex::new(writer), slots: PhantomData }
    }

    /// The facade's own hash, whose bits are not spread, spread.
    #[inline]
    fn hash(&self, key: &Key) -> u64 {
        let product = u128::from(key.get_hash() ^ self.seed) * 0x9E37_79B9_7F4A_7C15;
        (product as u64) ^ (product >> 64) as u64
    }

    /// The handle of a series, if it is ready.
    #[inline]
    pub(super) fn get(&self, key: &Key) -> Option<H> {
        let hash = self.hash(key);
        // What is found is not freed before the section is left. No code of users runs in it.
        let _section = cells::local().section.enter();
        // SAFETY: what is in the index is not freed, as above.
        let found = self.index.find(hash, |address| unsafe { slot::<H>(address) }.key == *key)?;
        // SAFETY: it is in the index, and the section keeps it.
        Some(unsafe { slot::<H>(found) }.handle.clone())
    }

    /// Makes a handle ready, unless another thread was faster: gives the one that is.
    pub(super) fn insert(&self, key: &Key, handle: H, series: Series) -> H {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = self.hash(key);
        // SAFETY: slots in the index are freed under the lock of `writer`, which is held.
        let found = self.index.find(hash, |address| unsafe { slot::<H>(address) }.key == *key);
        if let Some(found) = found {
            // SAFETY: as above.
            return unsafe { slot::<H>(found) }.handle.clone();
        }
        // Not the count of now: what comes between two looks is let go at the second.
        let slot = Slot { key: key.to_retained(), handle: handle.clone(), series, touches: AtomicU64::new(u64::MAX) };
        self.publish(&mut writer, Box::into_raw(Box::new(slot)));
        handle
    }

    /// Enters a slot that is complete and not in the index.
    fn publish(&self, writer: &mut Writer<H>, pointer: *mut Slot<H>) {
        // SAFETY: slots in the index are freed under the lock of `writer`, which the caller has.
        let hash_of = |address| self.hash(&unsafe { slot::<H>(address) }.key);
        let address = address(pointer);
        self.index.insert(hash_of(address), address, hash_of, &mut writer.retired);
        writer.slots.push(pointer);
        if writer.retired.bytes() > RETIRED_BYTES && cells::space().wait_for_sections() {
            // SAFETY: all of it was unreachable before the wait, which ended with all readers gone.
            unsafe { writer.retired.free() };
        }
    }

    /// Its lock, held.
    #[cfg(all(test, not(loom)))]
    pub(super) fn locked(&self) -> impl Sized + '_ {
        self.writer.lock()
    }

    /// Drops the slots of series that can be forgotten, that nobody holds a handle to, and that nobody has touched since
    /// the last time.
    pub(super) fn let_go(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reader = Reader::new();
        let mut idle = Vec::new();
        writer.slots.retain(|&pointer| {
            // SAFETY: by the invariant of `slots`, and under the lock that they are freed under.
            let slot = unsafe { &*pointer };
            let Some(touches) = touches(&slot.series, &mut reader) else { return true };
            // Relaxed: only read and written here, under the lock.
            let is_idle = slot.touches.swap(touches, Ordering::Relaxed) == touches;
            let is_held = Arc::strong_count(&slot.series) > OWN;
            if is_idle && !is_held {
                self.index.remove(self.hash(&slot.key), address(pointer));
                idle.push(pointer);
            }
            !is_idle || is_held
        });
        if idle.is_empty() {
            return;
        }
        if cells::space().wait_for_sections() {
            // Whoever found one before it was taken out has a handle of its own by now, and that keeps the series.
            // SAFETY: they were taken out of the index before the wait, and came from boxes.
            idle.into_iter().for_each(|pointer| drop(unsafe { Box::from_raw(pointer) }));
            // SAFETY: the same holds for what was retired.
            unsafe { writer.retired.free() };
            return;
        }
        // Some reader may be in one: they stay.
        idle.into_iter().for_each(|pointer| self.publish(&mut writer, pointer));
    }
}

impl<H> Drop for Ready<H> {
    fn drop(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        for pointer in writer.slots.drain(..) {
            // SAFETY: by the invariant of `slots`; `&mut self` proves that no reader is here.
            drop(unsafe { Box::from_raw(pointer) });
        }
        // SAFETY: as above.
        unsafe { writer.retired.free() };
    }
}
