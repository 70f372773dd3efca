//! Lanes: events leave the emitting thread through a bounded queue, and handlers see them on a thread of the lane.
//!
//! ```text
//! emit -> cast: copy the event into a slot of the queue       any thread, no lock, no allocation
//!               no room? what `Overflow` says                 counted
//! worker:       copy it out again, deliver it to its handlers  one thread per lane
//! ```
//!
//! # Order
//!
//! Events of one thread are delivered in the order in which that thread emitted them; those of several threads in the
//! order in which they came into the queue. Dropped events leave gaps, never a change of order.
//!
//! # What a cast costs
//!
//! Two locked instructions (the claim of a slot, the reference to the handlers) and the copy. A system call only when the
//! worker sleeps. No allocation for up to 8 measurements, 8 tags and 256 bytes of text; a larger event borrows heap memory
//! that stays with the lane for the next, up to 16 KiB for each of the three. A lane takes somewhat less than 1 KiB for
//! each event of its capacity.
//!
//! # Nothing is lost silently
//!
//! [`LaneStats::cast`] counts every attempt; once those are over and the lane is flushed, it equals
//! [`delivered`](LaneStats::delivered) plus [`dropped`](LaneStats::dropped).
//!
//! # Consistency: what [`Lane::stats`] may see
//!
//! The totals only grow. While others cast, they are of slightly different moments, but never are more delivered and
//! dropped than cast. [`depth`](LaneStats::depth) is a moment's view and never above the capacity.

mod bell;
mod error;
mod gate;
mod worker;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
pub(crate) mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::event::Event;
use crate::lane::bell::Bell;
use crate::lane::gate::{Deadline, Progress, Room};
use crate::lane::worker::Patience;
use crate::queue::record::Record;
use crate::queue::{Padded, PopError, PushError, Queue};
use crate::sync::{AtomicU64, Mutex, Ordering, thread};

pub use error::{FlushError, LaneError, ShutdownError};

/// The largest capacity of a lane.
const MAX_CAPACITY: usize = 1 << 20;

/// What an event is delivered to, on the worker of a lane.
pub(crate) trait Deliver: Send + Sync {
    /// Called once for each event that was not dropped.
    fn deliver(&self, event: &Event<'_>);
}

/// What happens to an event that is cast to a lane without room. Whatever it is, it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The event is dropped.
    #[default]
    DropNewest,
    /// The event that has waited longest is dropped, and this one takes its room.
    ///
    /// In the rare case that a thread is suspended while it copies an event into or out of the very slot that is needed,
    /// the new event is dropped instead: emitting does not wait for it.
    DropOldest,
    /// The emitting thread waits for room; after this time the event is dropped.
    ///
    /// A handler that runs on this lane and emits to it does not wait, since it would wait for itself: its event is
    /// dropped at once.
    BlockAtMost(Duration),
}

/// A bounded queue of events with a worker thread that delivers them.
///
/// A handle: clones are of the same lane, and handles are equal when their lanes are the same. When the last handle is
/// gone, the worker delivers what is still queued and ends.
///
/// ```
/// use std::time::Duration;
/// use telemetry_core::lane::{Lane, Overflow};
///
/// let lane = Lane::builder("audit").capacity(4096).overflow(Overflow::DropOldest).build()?;
/// assert_eq!(lane.stats().capacity, 4096);
///
/// lane.flush(Duration::from_secs(1))?;
/// assert_eq!(lane.stats().cast, lane.stats().delivered + lane.stats().dropped);
/// lane.shutdown(Duration::from_secs(1))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Lane(Arc<Handle>);

/// What the handles share; the worker has no part in it, so that it does not keep its own lane alive.
struct Handle {
    shared: Arc<Shared>,
    worker: thread::Thread,
    // Taken by the `shutdown` that joins the worker.
    join: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What handles and worker share. What different threads write often lies on different cache lines.
struct Shared {
    name: Arc<str>,
    overflow: Overflow,
    queue: Queue<Record>,
    bell: Padded<Bell>,
    room: Padded<Room>,
    progress: Padded<Progress>,
    tally: Padded<Tally>,
    drops: Padded<Drops>,
}

/// What became of the events that the worker took.
struct Tally {
    // Written by the worker alone.
    delivered: AtomicU64,
    // Written by the worker, and by an emitter that drops the last reference to a handler whose destructor panics.
    panicked: AtomicU64,
}

/// What became of the others.
struct Drops {
    // Never came into the queue.
    refused: AtomicU64,
    // Was taken out again by an emitter that needed the room.
    evicted: AtomicU64,
}

/// What has happened on a lane since it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Events that somebody tried to cast.
    pub cast: u64,
    /// Events that were handed to their handlers, those included whose handlers panicked.
    pub delivered: u64,
    /// Events that were dropped: for want of room, or because the lane was shut down.
    pub dropped: u64,
    /// Panics that reached the lane itself. The panic of a handler is dealt with by its failure policy and is not
    /// counted here; what remains is code such as the destructor of a handler.
    pub panicked: u64,
    /// Events that wait in the queue now.
    pub depth: usize,
    /// How many can wait.
    pub capacity: usize,
}

/// How a lane is made; see [`Lane::builder`].
#[derive(Clone, Debug)]
#[must_use = "a lane exists once `build` is called"]
pub struct LaneBuilder {
    name: String,
    capacity: usize,
    overflow: Overflow,
}

impl LaneBuilder {
    /// How many events can wait: at least 1, at most 2²⁰, rounded up to a power of two. 1024 unless set.
    pub const fn capacity(mut self, events: usize) -> Self {
        self.capacity = events;
        self
    }

    /// What happens to an event that finds no room. [`Overflow::DropNewest`] unless set.
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Makes the lane and starts its worker.
    ///
    /// # Errors
    ///
    /// [`LaneError::Name`] when the name is empty or holds a NUL, [`LaneError::Capacity`] when the capacity is out of
    /// range, [`LaneError::Thread`] when the system gives no thread.
    pub fn build(self) -> Result<Lane, LaneError> {
        if self.name.is_empty() || self.name.contains('\0') {
            return Err(LaneError::Name(self.name));
        }
        if !(1..=MAX_CAPACITY).contains(&self.capacity) {
            return Err(LaneError::Capacity { lane: self.name, capacity: self.capacity, most: MAX_CAPACITY });
        }
        let thread_name = format!("lane {}", self.name);
        let shared = Arc::new(Shared {
            name: self.name.into(),
            overflow: self.overflow,
            queue: Queue::new(self.capacity.next_power_of_two(), Record::new),
            bell: Padded(Bell::new()),
            room: Padded(Room::new()),
            progress: Padded(Progress::new()),
            tally: Padded(Tally { delivered: AtomicU64::new(0), panicked: AtomicU64::new(0) }),
            drops: Padded(Drops { refused: AtomicU64::new(0), evicted: AtomicU64::new(0) }),
        });
        let of_worker = Arc::clone(&shared);
        let join = thread::Builder::new()
            .name(thread_name)
            .spawn(move || worker::run(&of_worker))
            .map_err(|source| LaneError::Thread { lane: shared.name.to_string(), source })?;
        let worker = join.thread().clone();
        Ok(Lane(Arc::new(Handle { shared, worker, join: Mutex::new(Some(join)) })))
    }
}

impl Lane {
    /// Begins a lane; the name tells it from others in errors, in metrics and in the name of its thread.
    pub fn builder(name: impl Into<String>) -> LaneBuilder {
        LaneBuilder { name: name.into(), capacity: 1024, overflow: Overflow::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.shared.name
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self) -> impl Sized + '_ {
        (self.0.join.lock(), self.0.shared.room.0.locked(), self.0.shared.progress.0.locked())
    }

    /// Has the worker deliver `event` to `deliver`, or drops and counts it.
    #[inline]
    pub(crate) fn cast(&self, event: &Event<'_>, deliver: &Arc<dyn Deliver>) {
        match self.0.shared.queue.push(|record| record.fill(event, deliver)) {
            Ok(()) => self.0.shared.bell.0.ring(&self.0.worker),
            Err(refusal) => self.cast_without_room(refusal, event, deliver),
        }
    }

    #[cold]
    fn cast_without_room(&self, mut refusal: PushError, event: &Event<'_>, deliver: &Arc<dyn Deliver>) {
        let shared = &*self.0.shared;
        let push = || shared.queue.push(|record| record.fill(event, deliver));
        let mut patience = Patience::new();
        let cast = loop {
            match (refusal, shared.overflow) {
                (PushError::Closed, _) | (PushError::Full, Overflow::DropNewest) => break false,
                (PushError::Full, Overflow::DropOldest) => {
                    if !shared.drop_oldest() && !patience.wait() {
                        break false;
                    }
                }
                (PushError::Busy, Overflow::DropNewest | Overflow::DropOldest) => {
                    if !patience.wait() {
                        break false;
                    }
                }
                (PushError::Full | PushError::Busy, Overflow::BlockAtMost(limit)) => {
                    break !shared.is_worker()
                        && shared.room.0.wait(Deadline::after(limit), || match push() {
                            Ok(()) => Some(true),
                            Err(PushError::Closed) => Some(false),
                            Err(PushError::Full | PushError::Busy) => None,
                        }) == Some(true);
                }
            }
            match push() {
                Ok(()) => break true,
                Err(again) => refusal = again,
            }
        };
        if cast {
            shared.bell.0.ring(&self.0.worker);
        } else {
            // Relaxed: a count of its own; `stats` reads it once for both sums that it is part of.
            shared.drops.0.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until every event that was cast before this call, by any thread, is delivered or dropped.
    ///
    /// # Errors
    ///
    /// [`FlushError::TimedOut`] when that takes longer than `timeout`, [`FlushError::OnWorker`] at once when a handler
    /// calls this on the lane's own worker.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let shared = &*self.0.shared;
        if shared.is_worker() {
            return Err(FlushError::OnWorker { lane: Arc::clone(&shared.name) });
        }
        if shared.progress.0.wait(shared.queue.pushed(), Deadline::after(timeout)) {
            Ok(())
        } else {
            Err(FlushError::TimedOut { lane: Arc::clone(&shared.name), timeout })
        }
    }

    /// Takes no more events, delivers those that are queued, and ends the worker.
    ///
    /// What is cast later is dropped and counted. Further calls wait for the same end. After an error, the worker still
    /// goes on to deliver what is queued, and a later call can wait for it.
    ///
    /// The time covers the delivery; behind it, the thread is joined, and with it the destructors of what handlers keep in
    /// its thread-local storage.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::TimedOut`] when it takes longer than `timeout`, [`ShutdownError::OnWorker`] when a handler calls
    /// this on the lane's own worker: the lane is closed, but nothing is waited for.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
        let shared = &*self.0.shared;
        self.0.close();
        if shared.is_worker() {
            return Err(ShutdownError::OnWorker { lane: Arc::clone(&shared.name) });
        }
        if !shared.progress.0.wait(Progress::END, Deadline::after(timeout)) {
            return Err(ShutdownError::TimedOut { lane: Arc::clone(&shared.name), timeout, left: shared.queue.len() });
        }
        let join = self.0.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(join) = join {
            // The worker catches what its handlers throw, so there is no panic to pass on.
            let _ = join.join();
        }
        Ok(())
    }

    /// What has happened on this lane so far.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        let shared = &*self.0.shared;
        // Acquire, both, with the Releases where they are written: the pushes of what was delivered or evicted are then
        // seen by `pushed` below, so no more can be delivered and dropped than were cast.
        let delivered = shared.tally.0.delivered.load(Ordering::Acquire);
        let evicted = shared.drops.0.evicted.load(Ordering::Acquire);
        // Relaxed, both: counts that nothing else is compared with.
        let refused = shared.drops.0.refused.load(Ordering::Relaxed);
        let panicked = shared.tally.0.panicked.load(Ordering::Relaxed);
        LaneStats {
            cast: shared.queue.pushed() + refused,
            delivered,
            dropped: refused + evicted,
            panicked,
            depth: shared.queue.len(),
            capacity: shared.queue.capacity(),
        }
    }
}

impl Shared {
    /// Takes the oldest event out of the queue and drops it. False when that is impossible for the moment.
    fn drop_oldest(&self) -> bool {
        match self.queue.pop(Record::clear) {
            Ok((_, deliver)) => {
                // Release: see `stats`.
                self.drops.0.evicted.fetch_add(1, Ordering::Release);
                self.catch(|| drop(deliver));
                true
            }
            // The worker was faster: there is room now.
            Err(PopError::Empty { .. }) => true,
            Err(PopError::Busy) => false,
        }
    }

    /// Runs code of users; a panic ends here and is counted.
    fn catch(&self, run: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
            // Relaxed: a count of its own.
            self.tally.0.panicked.fetch_add(1, Ordering::Relaxed);
            // What was thrown can throw in its own destructor; what that throws is left alone.
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
        }
    }

    /// Whether the current thread is the worker of this lane.
    fn is_worker(&self) -> bool {
        worker::current() == std::ptr::from_ref(self).addr()
    }
}

impl Handle {
    fn close(&self) {
        self.shared.queue.close();
        self.shared.bell.0.ring(&self.worker);
        self.shared.room.0.notify_all();
    }
}

/// The last handle is gone: nobody can cast any more, and the worker ends by itself.
impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl PartialEq for Lane {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Lane {}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("name", &self.name())
            .field("overflow", &self.0.shared.overflow)
            .field("stats", &self.stats())
            .finish()
    }
}
