//! What has to be measured again and again: jobs that run at a fixed cadence and emit events, or set gauges.
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::poller::{PollError, Poller, job};
//! use telemetry_core::{Registry, emit};
//!
//! let registry = Registry::new();
//! let poller = Poller::builder("app").every(Duration::from_secs(10)).start()?;
//! registry.source(poller.figures());
//!
//! poller.add(job("jobs.queue", || emit!("jobs.queue", { depth: 3 })))?;
//! poller.add(
//!     job("jobs.spool", || {
//!         // No such file: there is nothing to measure, which is no error.
//!         let spool = std::fs::read_to_string("/var/spool/jobs")?;
//!         let jobs = spool.lines().next().ok_or_else(|| PollError::failed("the spool has no header"))?;
//!         emit!("jobs.spool", { jobs: jobs.len() });
//!         Ok::<(), PollError>(())
//!     })
//!     .every(Duration::from_secs(60))
//!     .timeout(Duration::from_secs(5)),
//! )?;
//!
//! poller.remove("jobs.queue")?;
//! poller.stop(Duration::from_secs(1))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Figures that are cheap and wanted only when somebody looks are better [read then](crate::source). A poller is for what
//! handlers or windows have to see between scrapes, and for what takes long.
//!
//! # What is promised
//!
//! - **Cadence.** A job is due at whole periods after it was added, the first time at once. It does not drift, whatever it
//!   takes. Periods that pass while it runs, or while the process sleeps, are counted as missed, and not made up for.
//! - **No overlap.** A job never runs twice at once, so it may change what it owns.
//! - **Apart.** Jobs run on threads of the poller, in the dispatcher that was current when the poller was started. One that
//!   hangs keeps its thread; the others go on, on another, within a twentieth of a second.
//! - **In time.** A job that takes longer than its time-out, one period unless told, has failed. It can't be interrupted: it
//!   is not run again until it has returned.
//! - **It comes back.** A job that failed (by an error, a panic or its time-out) waits for 2, 4, 8 ... periods, 32 at most
//!   unless [told](Job::backoff_at_most), until it succeeds; then it is back in its cadence. None is ever dropped.
//! - **What is missing is no error.** A job that gives [`PollError::missing`], or an I/O error that says that there is no
//!   such file or process, stays in its cadence.
//! - **Counted.** [`Poller::figures`] shows outcomes, periods missed, when each job last succeeded and how long it took; each
//!   failure is an event, `telemetry.poller.failure`, with the tags `poller`, `job`, `reason` and `message`.

mod error;
mod figures;
mod schedule;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::scrape::Source;

pub use error::{AddError, PollError, Polled, RemoveError, StartError, StopError};

use figures::PollerFigures;
use schedule::Schedule;
use shared::{Entry, Shared, Work};

/// The period of a job unless it, or its poller, says otherwise.
const EVERY: Duration = Duration::from_secs(10);
/// The most periods between two runs of a job that fails.
const BACKOFF: u32 = 32;
/// What jobs are given to return when a poller is dropped instead of stopped.
const DROP_GRACE: Duration = Duration::from_millis(500);

/// A job of this id, to be [added](Poller::add).
///
/// It gives nothing, or a result whose error is a [`PollError`], or becomes one.
pub fn job<P: Polled>(id: impl Into<String>, mut work: impl FnMut() -> P + Send + 'static) -> Job {
    let work: Work = Box::new(move || work().into_result());
    Job { id: id.into(), work, every: None, timeout: None, backoff: None }
}

/// A measurement that is made again and again: see [`job`].
#[must_use = "a job is run when it is added to a poller"]
pub struct Job {
    id: String,
    work: Work,
    every: Option<Duration>,
    timeout: Option<Duration>,
    backoff: Option<Duration>,
}

impl Job {
    /// Its period, instead of the poller's.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    /// How long it may take, instead of one period.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The longest time between two runs while it fails, instead of 32 periods; it is rounded down to whole periods.
    pub fn backoff_at_most(mut self, longest: Duration) -> Self {
        self.backoff = Some(longest);
        self
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("every", &self.every).finish_non_exhaustive()
    }
}

/// How a poller is to be: see [`Poller::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    name: String,
    every: Duration,
    clock: Clock,
    dispatch: Option<Dispatch>,
}

impl Builder {
    /// The period of jobs that have none of their own; ten seconds unless told.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = period;
        self
    }

    /// The clock of periods and time-outs: for tests, one that they drive.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// The dispatcher that jobs run in; without it the current one of this thread.
    pub fn dispatch(mut self, dispatch: &Dispatch) -> Self {
        self.dispatch = Some(dispatch.clone());
        self
    }

    /// Starts the poller.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the system gives no thread, or the period is zero.
    pub fn start(self) -> Result<Poller, StartError> {
        if self.every.is_zero() {
            return Err(StartError::Period { poller: self.name });
        }
        let dispatch = self.dispatch.unwrap_or_else(Dispatch::current);
        let shared = Arc::new(Shared::new(self.name, self.clock, dispatch));
        let timed = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("telemetry-poll".to_owned())
            .spawn(move || timed.keep_time())
            .map_err(|source| StartError::Thread { poller: shared.name().to_owned(), source })?;
        Ok(Poller { shared, every: self.every, thread: Some(thread) })
    }
}

/// Runs jobs at their cadence, until it is stopped or dropped.
///
/// A drop gives jobs that run half a second.
#[derive(Debug)]
#[must_use = "a poller stops when it is dropped"]
pub struct Poller {
    shared: Arc<Shared>,
    every: Duration,
    // `None` once it is stopped.
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Begins a poller of this name, by which its figures are told from those of others.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder { name: name.into(), every: EVERY, clock: Clock::system(), dispatch: None }
    }

    /// Adds a job, which is due at once.
    ///
    /// # Errors
    ///
    /// [`AddError`] if there is a job of this id, or its period or time-out is zero.
    pub fn add(&self, job: Job) -> Result<(), AddError> {
        let Job { id, work, every, timeout, backoff } = job;
        let period = every.unwrap_or(self.every);
        let timeout = timeout.unwrap_or(period);
        if period.is_zero() || timeout.is_zero() {
            return Err(AddError::Zero { job: id });
        }
        let most = backoff.map_or(BACKOFF, |longest| {
            // At least one: it is due again.
            u32::try_from(longest.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX).max(1)
        });
        let schedule = Schedule::new(period, most, self.shared.now());
        self.shared.add(Entry::new(id, work, schedule, timeout))
    }

    /// Removes a job: it is not run again. If it runs now, it is left to return.
    ///
    /// # Errors
    ///
    /// [`RemoveError`] if there is no job of this id.
    pub fn remove(&self, id: &str) -> Result<(), RemoveError> {
        self.shared.remove(id)
    }

    /// The ids of the jobs, in the order in which they were added.
    #[must_use]
    pub fn jobs(&self) -> Vec<String> {
        self.shared.ids()
    }

    /// What the poller says of itself, for [`Registry::source`](crate::Registry::source). It goes on to say so after the
    /// poller was stopped.
    #[must_use]
    pub fn figures(&self) -> Arc<dyn Source> {
        Arc::new(PollerFigures(Arc::clone(&self.shared)))
    }

    /// Runs no job any more, and waits for those that run, for `grace` at most.
    ///
    /// # Errors
    ///
    /// [`StopError`] names the jobs that had not returned; their threads are left to themselves, and end when they do.
    pub fn stop(mut self, grace: Duration) -> Result<(), StopError> {
        self.end(grace)
    }

    fn end(&mut self, grace: Duration) -> Result<(), StopError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let deadline = Instant::now() + grace;
        self.shared.stop();
        // It runs no code of users, so it ends at once, and never by a panic.
        let _ = thread.join();
        self.shared.join(deadline)
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        // There is nobody to tell which jobs hang.
        let _ = self.end(DROP_GRACE);
    }
}
