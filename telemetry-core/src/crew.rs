//! Threads for what users wrote and may hang: one while all goes well, another whenever that one is stuck.
//!
//! Tasks are queued, and whoever waits for them calls [`Crew::relieve`] now and then: if tasks wait and no worker is idle, it
//! adds a worker. So quick tasks share one thread, and a task that hangs takes one thread with it and holds up nobody for
//! longer than [`STALL`]. Who hands in tasks keeps their number down: never two that come from one place.
//!
//! A worker that has had nothing to do for a minute ends.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::caught;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How often who waits for a task looks whether the workers are stuck.
pub(crate) const STALL: Duration = Duration::from_millis(50);
/// For how long an idle worker stays.
const IDLE: Duration = Duration::from_secs(60);

pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// Cloning gives another handle to the same crew.
#[derive(Clone)]
pub(crate) struct Crew(Arc<Inner>);

struct Inner {
    thread: String,
    state: Mutex<State>,
    // Rung when a task is queued, when the crew is closed, and when a worker ends.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Task>,
    // Workers that wait for `changed`; one that was woken counts until it runs.
    idle: usize,
    workers: usize,
    closed: bool,
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("thread", &self.0.thread).finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crew {
    /// A crew without workers, whose threads will have this name.
    pub(crate) fn new(thread: impl Into<String>) -> Self {
        Self(Arc::new(Inner { thread: thread.into(), state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Queues a task. A closed crew drops it.
    ///
    /// Fails when there is no worker, and the system gives no thread for one; the task is dropped then.
    pub(crate) fn submit(&self, task: Task) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.closed {
            return Ok(());
        }
        state.queue.push_back(task);
        if state.workers > 0 {
            self.0.changed.notify_one();
            return Ok(());
        }
        let added = self.add(&mut state);
        if added.is_err() {
            // Nothing else was queued without a worker, so this is ours. Dropping it is user code.
            let task = state.queue.pop_back();
            drop(state);
            drop(task);
        }
        added
    }

    /// Adds a worker if tasks wait and all workers are busy: to be called every [`STALL`] by who waits.
    pub(crate) fn relieve(&self) {
        let mut state = self.0.lock();
        if state.queue.len() > state.idle && state.workers > 0 {
            // Without another thread the tasks wait, and are late: whoever waits for them counts that.
            let _ = self.add(&mut state);
        }
    }

    fn add(&self, state: &mut State) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        // Of `std` also under loom, whose models run no crew.
        std::thread::Builder::new().name(self.0.thread.clone()).spawn(move || inner.work())?;
        state.workers += 1;
        Ok(())
    }

    /// Drops what is queued and ends the workers, waiting for them until `deadline`; gives how many are stuck.
    pub(crate) fn close(&self, deadline: Instant) -> usize {
        let mut state = self.0.lock();
        state.closed = true;
        let queued = std::mem::take(&mut state.queue);
        drop(state);
        drop(queued);
        self.0.changed.notify_all();
        let mut state = self.0.lock();
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            if state.workers == 0 || rest.is_zero() {
                return state.workers;
            }
            state = self.0.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Inner {
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.queue.pop_front() {
                drop(state);
                // Tasks guard what users wrote; this is for what they forgot, so that the count of workers stays right.
                let _ = caught::guarded(task);
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            state.idle -= 1;
            if waited.1.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.workers -= 1;
        drop(state);
        // Who closes the crew waits for this; who is idle looks once in vain.
        self.changed.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn soon() -> Instant {
        Instant::now() + PATIENCE
    }

    #[test]
    fn quick_tasks_share_a_thread_and_run_in_order() {
        let crew = Crew::new("crew-test");
        let (send, sent) = mpsc::channel();
        for task in 0..100 {
            let send = send.clone();
            crew.submit(Box::new(move || send.send((task, std::thread::current().id())).unwrap())).unwrap();
        }
        let ran: Vec<_> = (0..100).map(|_| sent.recv_timeout(PATIENCE).unwrap()).collect();
        assert!(ran.iter().map(|(task, _)| *task).eq(0..100));
        assert!(ran.iter().all(|(_, thread)| *thread == ran[0].1));
        assert_eq!(crew.close(soon()), 0);
    }

    #[test]
    fn a_task_that_hangs_is_worked_around() {
        let crew = Crew::new("crew-test");
        let (release, released) = mpsc::channel::<()>();
        let (send, sent) = mpsc::channel();
        crew.submit(Box::new(move || released.recv().unwrap_or_default())).unwrap();
        crew.submit(Box::new(move || send.send(()).unwrap())).unwrap();
        while sent.recv_timeout(STALL).is_err() {
            crew.relieve();
        }
        // The one that hangs is told of, not waited for; the other ends.
        while crew.close(Instant::now()) != 1 {
            std::thread::yield_now();
        }
        drop(release);
        assert_eq!(crew.close(soon()), 0);
    }

    #[test]
    fn a_task_that_panics_costs_no_worker() {
        let crew = Crew::new("crew-test");
        let (send, sent) = mpsc::channel();
        crew.submit(Box::new(|| panic!("in a task"))).unwrap();
        crew.submit(Box::new(move || send.send(()).unwrap())).unwrap();
        sent.recv_timeout(PATIENCE).unwrap();
        assert_eq!(crew.close(soon()), 0);
    }
}
