//! The thread of a lane.

use std::cell::Cell;
#[cfg(not(loom))]
use std::time::Duration;

use crate::lane::Shared;
use crate::lane::gate::Progress;
use crate::queue::PopError;
use crate::queue::record::Record;
use crate::sync::{Ordering, hint, thread};

/// How often an idle worker looks again before it sleeps: about as long as it would take to be woken, so that a stream of
/// events with small gaps needs no system calls, and short enough to be no burden on a machine with few cores.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 100 };

// The lane that the current thread works for, by the address of its `Shared`; 0 for every other thread. Without a
// destructor, so it can be read even while the thread's storage is taken down.
#[cfg(not(loom))]
thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}
// Loom runs all threads of a model on one, so it has thread-local storage of its own, without constant initializers.
#[cfg(loom)]
loom::thread_local! {
    static CURRENT: Cell<usize> = Cell::new(0);
}

/// The address of the [`Shared`] that the current thread works for, or 0.
pub(super) fn current() -> usize {
    CURRENT.try_with(Cell::get).unwrap_or(0)
}

/// Delivers event after event, until the queue is closed and empty.
pub(super) fn run(shared: &Shared) {
    // Fails only where the storage is gone already, which it can't be at the start of a thread.
    let _ = CURRENT.try_with(|current| current.set(std::ptr::from_ref(shared).addr()));
    let progress = &shared.progress.0;
    let mut record = Record::new();
    let mut settled = 0;
    let mut patience = Patience::new();
    loop {
        // The event leaves its slot before it is delivered: a slow handler holds up nobody who needs the slot.
        match shared.queue.pop(|slot| slot.move_into(&mut record)) {
            Ok((position, ())) => {
                // Everything before it was delivered by this loop, or evicted.
                progress.reach(position);
                // Behind the fence that `reach` is.
                shared.room.0.notify_one();
                shared.catch(|| record.deliver());
                let deliver = record.clear();
                shared.catch(|| drop(deliver));
                let delivered = &shared.tally.0.delivered;
                // Relaxed load: we are the only writer. Release: see `Lane::stats`.
                delivered.store(delivered.load(Ordering::Relaxed) + 1, Ordering::Release);
                settled = position;
                patience = Patience::new();
            }
            Err(PopError::Empty { closed: true, .. }) => break,
            Err(PopError::Empty { at, closed: false }) => {
                if settled != at {
                    progress.reach(at);
                    settled = at;
                }
                if !(0..LOOKS).any(|_| {
                    hint::spin_loop();
                    shared.queue.has_pushed_since(at)
                }) {
                    shared.bell.0.sleep_unless(|| shared.queue.has_pushed_since(at));
                }
                patience = Patience::new();
            }
            // Somebody is between its claim and its publication, most likely without a core to run on.
            Err(PopError::Busy) => {
                if !patience.wait() {
                    // Long enough for a thread of any priority to get its turn.
                    #[cfg(not(loom))]
                    thread::sleep(Duration::from_micros(100));
                    #[cfg(loom)]
                    thread::yield_now();
                }
            }
        }
    }
    progress.reach(Progress::END);
}

/// Waiting for another thread to do a step of a few nanoseconds, when that thread may have lost its core.
#[derive(Debug)]
pub(super) struct Patience {
    round: u32,
}

impl Patience {
    /// Rounds that double their length, up to about a microsecond.
    const SPINS: u32 = if cfg!(loom) { 0 } else { 6 };
    /// Rounds that offer the core to the other thread.
    const YIELDS: u32 = if cfg!(loom) { 1 } else { 4 };

    pub(super) const fn new() -> Self {
        Self { round: 0 }
    }

    /// Waits a little longer than the last time; false at once when it has been long enough.
    #[allow(clippy::absurd_extreme_comparisons)] // Under loom, no round is spent spinning.
    pub(super) fn wait(&mut self) -> bool {
        if self.round < Self::SPINS {
            (0..1 << self.round).for_each(|_| hint::spin_loop());
        } else if self.round < Self::SPINS + Self::YIELDS {
            thread::yield_now();
        } else {
            return false;
        }
        self.round += 1;
        true
    }
}
