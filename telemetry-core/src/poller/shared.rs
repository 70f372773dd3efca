//! The jobs of a poller, the thread that keeps time, and those that run the jobs.
//!
//! ```text
//! telemetry-poll: due? -> crew    late? -> failed          a thread of the crew: begin, run, end
//! ```
//!
//! One lock guards all jobs, and no code of users runs under it.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::callsite::Callsite;
use crate::caught::guarded;
use crate::clock::Clock;
use crate::crew::{Crew, STALL};
use crate::dispatch::Dispatch;
use crate::event::{Location, Metadata, Origin, TagField};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::value::Value;

use super::error::{AddError, PollError, RemoveError, StopError};
use super::schedule::Schedule;

pub(super) type Work = Box<dyn FnMut() -> Result<(), PollError> + Send>;

static METADATA: Metadata = Metadata::new(
    "telemetry.poller.failure",
    "A job of a poller failed.",
    &[],
    &[
        TagField { name: "poller", variants: None, description: "The name of the poller." },
        TagField { name: "job", variants: None, description: "The id of the job." },
        TagField { name: "reason", variants: Some(&["error", "panic", "timeout"]), description: "How it failed." },
        TagField { name: "message", variants: None, description: "The error, or what it panicked with." },
    ],
    Origin::Typed,
    Location { module: module_path!(), file: file!(), line: line!() },
);
static CALLSITE: Callsite = Callsite::new(&METADATA);
inventory::submit! { &CALLSITE }

/// How often a clock that a test drives is looked at.
const GLANCE: Duration = Duration::from_millis(2);

pub(super) struct Shared {
    name: String,
    clock: Clock,
    dispatch: Dispatch,
    crew: Crew,
    state: Mutex<State>,
    // Rung when jobs are added, end, or are to stop.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    // Numbers tell a job from another of the same id, before or after it.
    numbers: u64,
    stopping: bool,
}

/// A job, as a poller keeps it.
pub(super) struct Entry {
    number: u64,
    pub(super) id: Arc<str>,
    // `None` while it runs: the thread that runs it has it.
    work: Option<Work>,
    schedule: Schedule,
    timeout: Duration,
    run: Run,
    pub(super) tally: Tally,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Rests,
    /// Handed to the crew.
    Waits,
    /// Begun at this time.
    Runs(Duration),
    /// Counted as failed, and not returned.
    Hangs,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) ok: u64,
    pub(super) missing: u64,
    pub(super) error: u64,
    pub(super) panic: u64,
    pub(super) timeout: u64,
    pub(super) missed: u64,
    /// The time of day of the last success, since the Unix epoch.
    pub(super) last_success: Option<Duration>,
    /// How long the newest run took.
    pub(super) took: Option<Duration>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Entry {
    pub(super) fn new(id: String, work: Work, schedule: Schedule, timeout: Duration) -> Self {
        let tally = Tally::default();
        Self { number: 0, id: id.into(), work: Some(work), schedule, timeout, run: Run::Rests, tally }
    }

    /// When it has to be looked at next.
    fn next(&self) -> Duration {
        match self.run {
            Run::Runs(since) => self.schedule.due().min(since.saturating_add(self.timeout)),
            Run::Rests | Run::Waits | Run::Hangs => self.schedule.due(),
        }
    }
}

impl Shared {
    pub(super) fn new(name: String, clock: Clock, dispatch: Dispatch) -> Self {
        let crew = Crew::new("telemetry-job");
        Self { name, clock, dispatch, crew, state: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, mut entry: Entry) -> Result<(), AddError> {
        let mut state = self.lock();
        if state.entries.iter().any(|other| other.id == entry.id) {
            drop(state);
            return Err(AddError::Taken { job: entry.id.to_string() });
        }
        state.numbers += 1;
        entry.number = state.numbers;
        state.entries.push(entry);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    pub(super) fn remove(&self, id: &str) -> Result<(), RemoveError> {
        let mut state = self.lock();
        let at = state.entries.iter().position(|entry| &*entry.id == id);
        let removed = at.map(|at| state.entries.remove(at));
        drop(state);
        // Dropping it is user code.
        removed.map(drop).ok_or_else(|| RemoveError::Unknown { job: id.to_owned() })
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().entries.iter().map(|entry| entry.id.to_string()).collect()
    }

    pub(super) fn tallies(&self) -> Vec<(Arc<str>, Tally)> {
        self.lock().entries.iter().map(|entry| (Arc::clone(&entry.id), entry.tally)).collect()
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Waits for what runs, and drops the jobs.
    pub(super) fn join(&self, deadline: Instant) -> Result<(), StopError> {
        let stuck = self.crew.close(deadline);
        let mut state = self.lock();
        let hanging = state.entries.iter().filter(|entry| matches!(entry.run, Run::Runs(_) | Run::Hangs));
        let jobs: Vec<String> = hanging.map(|entry| entry.id.to_string()).collect();
        let work: Vec<Option<Work>> = state.entries.iter_mut().map(|entry| entry.work.take()).collect();
        drop(state);
        // User code, which may panic, perhaps while a panic is under way that dropped the poller.
        let _ = guarded(|| drop(work));
        if stuck == 0 { Ok(()) } else { Err(StopError::Hanging { poller: self.name.clone(), jobs }) }
    }

    /// Hands out jobs when they are due, until the poller stops: what the poller's own thread does.
    pub(super) fn keep_time(self: &Arc<Self>) {
        let mut state = self.lock();
        while !state.stopping {
            let now = self.now();
            let mut late = Vec::new();
            for entry in &mut state.entries {
                if let Run::Runs(since) = entry.run
                    && now.saturating_sub(since) >= entry.timeout
                {
                    entry.run = Run::Hangs;
                    entry.tally.timeout += 1;
                    entry.schedule.fail(now);
                    late.push((Arc::clone(&entry.id), entry.timeout));
                }
                if entry.schedule.is_due(now) {
                    entry.tally.missed += entry.schedule.pass(now);
                    if entry.run == Run::Rests {
                        entry.run = Run::Waits;
                        self.hand_out(entry, now);
                    } else {
                        entry.tally.missed += 1;
                    }
                }
            }
            for (job, timeout) in late {
                self.report_late(job, timeout);
            }
            let next = state.entries.iter().map(Entry::next).min();
            let waits = state.entries.iter().any(|entry| entry.run == Run::Waits);
            let mut rest = next.map_or(Duration::MAX, |next| next.saturating_sub(now));
            if waits {
                rest = rest.min(STALL);
            }
            if self.clock.is_manual() {
                rest = rest.min(GLANCE);
            }
            // A year at the most: the system can't wait for longer than it can count.
            rest = rest.min(Duration::from_secs(365 * 24 * 3600));
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
            if waits {
                self.crew.relieve();
            }
        }
    }

    fn hand_out(self: &Arc<Self>, entry: &mut Entry, now: Duration) {
        let (shared, number) = (Arc::clone(self), entry.number);
        if self.crew.submit(Box::new(move || shared.run(number))).is_err() {
            // No thread: as good as an error of the job, which tries again later.
            entry.run = Run::Rests;
            entry.tally.error += 1;
            entry.schedule.fail(now);
        }
    }

    fn run(&self, number: u64) {
        let mut state = self.lock();
        let Some(entry) = state.entries.iter_mut().find(|entry| entry.number == number) else { return };
        let (Some(mut work), id) = (entry.work.take(), Arc::clone(&entry.id)) else { return };
        entry.run = Run::Runs(self.now());
        drop(state);
        // The time-out has begun.
        self.changed.notify_all();

        let begun = Instant::now();
        let outcome = guarded(|| self.dispatch.run(&mut work));
        let took = begun.elapsed();

        let failure = self.end(number, work, &outcome, took);
        if let Some((reason, message)) = failure {
            self.report(&id, reason, &message);
        }
        self.changed.notify_all();
    }

    /// Counts the outcome; what is to be told of it.
    fn end(
        &self,
        number: u64,
        work: Work,
        outcome: &Result<Result<(), PollError>, String>,
        took: Duration,
    ) -> Option<(&'static str, String)> {
        let mut state = self.lock();
        let now = self.now();
        let Some(entry) = state.entries.iter_mut().find(|entry| entry.number == number) else {
            drop(state);
            // It was removed. Dropping it is user code, which may panic.
            let _ = guarded(|| drop(work));
            return None;
        };
        entry.work = Some(work);
        entry.tally.took = Some(took);
        let was_late = std::mem::replace(&mut entry.run, Run::Rests) == Run::Hangs;
        if was_late {
            // Counted when its time was up.
            return None;
        }
        match outcome {
            Ok(Ok(())) => {
                entry.tally.ok += 1;
                entry.tally.last_success = Some(self.clock.origin().saturating_add(now));
                entry.schedule.succeed();
                None
            }
            Ok(Err(error)) if error.is_missing() => {
                entry.tally.missing += 1;
                entry.schedule.succeed();
                None
            }
            Ok(Err(error)) => {
                entry.tally.error += 1;
                entry.schedule.fail(now);
                Some(("error", error.to_string()))
            }
            Err(message) => {
                entry.tally.panic += 1;
                entry.schedule.fail(now);
                Some(("panic", message.clone()))
            }
        }
    }

    /// On the crew: handlers are code of users, which must not hold up who keeps time.
    fn report_late(self: &Arc<Self>, job: Arc<str>, timeout: Duration) {
        let shared = Arc::clone(self);
        let report = move || shared.report(&job, "timeout", &format!("it has not returned within {timeout:?}"));
        // Without a thread nobody is told: it was counted.
        let _ = self.crew.submit(Box::new(report));
    }

    fn report(&self, job: &str, reason: &'static str, message: &str) {
        if CALLSITE.is_wanted() {
            let tags = [Value::Str(&self.name), Value::Str(job), Value::Str(reason), Value::Str(message)];
            self.dispatch.run(|| CALLSITE.emit(&[], &tags));
        }
    }
}
