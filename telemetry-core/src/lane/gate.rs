//! Where threads wait for a worker: for room in its queue, or for its progress. Nobody who has no need to wait takes a
//! lock here.
//!
//! Both protocols are the same exchange: who waits announces itself, then looks; the worker changes what is looked at,
//! then asks whether anybody has announced itself, with a sequentially consistent fence between the two steps on either
//! side. So either the waiter sees the change, or the worker sees the waiter and takes the lock to wake it; and because
//! the waiter holds that lock from before its look until it waits, the notification can't come between the two.
//!
//! Model: `lane::loom_tests`.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, fence};

/// When to stop waiting; `None` is never, for a time too long to be added to the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// Waits on `condition`; at once an error when the time is over. The lock is held again either way.
    fn wait<'a>(
        self,
        condition: &Condvar,
        guard: MutexGuard<'a, ()>,
    ) -> Result<MutexGuard<'a, ()>, MutexGuard<'a, ()>> {
        let Some(at) = self.0 else {
            return Ok(condition.wait(guard).unwrap_or_else(PoisonError::into_inner));
        };
        let remaining = at.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(guard);
        }
        Ok(condition.wait_timeout(guard, remaining).unwrap_or_else(PoisonError::into_inner).0)
    }
}

/// The lock guards no data, so a panic while it was held has broken nothing.
fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where producers wait for room.
#[derive(Debug)]
pub(super) struct Room {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    made: Condvar,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), lock: Mutex::new(()), made: Condvar::new() }
    }

    /// Tries until there is an answer or the time is over; at least once.
    pub(super) fn wait<R>(&self, deadline: Deadline, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
        let mut guard = lock(&self.lock);
        // Relaxed, here and below: ordered by the fence.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // SeqCst, with the fence in `Progress::reach` or `notify_all`: see the module's head.
        fence(Ordering::SeqCst);
        let answer = loop {
            if let Some(answer) = attempt() {
                break Some(answer);
            }
            match deadline.wait(&self.made, guard) {
                Ok(again) => guard = again,
                Err(last) => {
                    guard = last;
                    break None;
                }
            }
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(guard);
        // A notification may have been meant for us while our time ran out: it belongs to the next.
        self.made.notify_one();
        answer
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(super) fn locked(&self) -> impl Sized + '_ {
        lock(&self.lock)
    }

    /// How many wait.
    #[cfg(all(test, not(loom)))]
    pub(super) fn waiting(&self) -> usize {
        // Relaxed: a moment's view.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Wakes one who waits, after room was made and, behind that, a sequentially consistent fence.
    #[inline]
    pub(super) fn notify_one(&self) {
        // Relaxed: ordered by the caller's fence.
        if self.waiting.load(Ordering::Relaxed) != 0 {
            drop(lock(&self.lock));
            self.made.notify_one();
        }
    }

    /// Wakes all who wait, because there will be no more room.
    pub(super) fn notify_all(&self) {
        // SeqCst, with the fence in `wait`: see the module's head.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        if self.waiting.load(Ordering::Relaxed) != 0 {
            drop(lock(&self.lock));
            self.made.notify_all();
        }
    }
}

/// How far a worker has come, and where others wait for it to come further.
#[derive(Debug)]
pub(super) struct Progress {
    // Every position before it was delivered or dropped. Never decreases; written by the worker alone.
    settled: AtomicU64,
    // The least position that anybody waits for; `u64::MAX` when nobody does. Written under `lock`.
    wanted: AtomicU64,
    lock: Mutex<()>,
    reached: Condvar,
}

impl Progress {
    /// The position that is reached when the worker ends.
    pub(super) const END: u64 = u64::MAX;

    pub(super) fn new() -> Self {
        Self {
            settled: AtomicU64::new(0),
            wanted: AtomicU64::new(Self::END),
            lock: Mutex::new(()),
            reached: Condvar::new(),
        }
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(super) fn locked(&self) -> impl Sized + '_ {
        lock(&self.lock)
    }

    /// Everything before `position` is settled. Is a sequentially consistent fence too.
    pub(super) fn reach(&self, position: u64) {
        // Release, with the Acquire in `wait`: whoever sees the position sees what the handlers did before it.
        self.settled.store(position, Ordering::Release);
        // SeqCst, with the fence in `wait`: see the module's head.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        if position >= self.wanted.load(Ordering::Relaxed) {
            self.notify();
        }
    }

    #[cold]
    fn notify(&self) {
        let guard = lock(&self.lock);
        // Relaxed: written under the lock. Those whose position is still ahead ask for it again.
        self.wanted.store(Self::END, Ordering::Relaxed);
        drop(guard);
        self.reached.notify_all();
    }

    /// Waits until everything before `position` is settled; returns whether it is.
    pub(super) fn wait(&self, position: u64, deadline: Deadline) -> bool {
        let mut guard = lock(&self.lock);
        loop {
            // Relaxed, both: written under the lock, and ordered by the fence for the worker, which reads without it.
            let wanted = self.wanted.load(Ordering::Relaxed);
            self.wanted.store(wanted.min(position), Ordering::Relaxed);
            // SeqCst, with the fence in `reach`: see the module's head.
            fence(Ordering::SeqCst);
            // Acquire, with the Release in `reach`: see there.
            if self.settled.load(Ordering::Acquire) >= position {
                return true;
            }
            match deadline.wait(&self.reached, guard) {
                Ok(again) => guard = again,
                Err(_) => return false,
            }
        }
    }
}
