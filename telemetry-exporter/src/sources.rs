//! Sources, each read on a thread of its own and within a time.
//!
//! A source is code of the application: it may hang on a lock, or panic. The endpoint's thread never runs it. A source
//! that is not ready in time is left out of the scrape, with its families; one that is still being read is not read a
//! second time, so a source that hangs for ever costs one thread, and scrapes after the first do not wait for it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{Labels, Sample, Series, Source, Total, Visit};
use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::recording::Recording;

/// The name of a thread that reads a source; Linux shows 15 characters of it.
const THREAD: &str = "telemetry-source";

/// The sources that a registry was last seen with, and what became of reading them.
pub(crate) struct Sources {
    // Code of ours, which does not hang: read where the walk is.
    own: Vec<Arc<dyn Source>>,
    watched: Mutex<Vec<Arc<Watched>>>,
    time: Duration,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("own", &self.own.len()).field("time", &self.time).finish_non_exhaustive()
    }
}

/// One source in a scrape.
pub(crate) enum Turn {
    /// It is read at once.
    Own(Arc<dyn Source>),
    /// It is being read; nothing when it failed, or was too late.
    Read(Pin<Box<dyn Future<Output = Option<Arc<Recording>>> + Send>>),
}

impl Sources {
    /// Gives every source but `own` at most `time`.
    pub(crate) fn new(own: Vec<Arc<dyn Source>>, time: Duration) -> Self {
        Self { own, watched: Mutex::default(), time }
    }

    /// Begins to read `sources`, all at the same time, for a scrape that has `left` for everything.
    pub(crate) fn read(&self, sources: &[Arc<dyn Source>], left: Duration) -> Vec<Turn> {
        // Half of it is for the rest of the scrape.
        let until = Instant::now() + self.time.min(left / 2);
        let mut watched = lock(&self.watched);
        // In the order of the registry, each with what is known of it.
        let mut known = std::mem::take(&mut *watched);
        let turns = sources.iter().map(|source| {
            if self.own.iter().any(|own| is_same(own, source)) {
                return Turn::Own(Arc::clone(source));
            }
            let at = known.iter().position(|watched| is_same(&watched.source, source));
            let of_source = at.map_or_else(|| Arc::new(Watched::new(source)), |at| known.swap_remove(at));
            watched.push(Arc::clone(&of_source));
            Turn::Read(of_source.read(until))
        });
        turns.collect()
    }

    /// Shows how many reads failed, and why.
    pub(crate) fn show_failures(&self, visitor: &mut impl Visit) {
        let watched = lock(&self.watched);
        visitor.family(
            &Family::new("telemetry.source.failures", Kind::Counter)
                .description(
                    "Scrapes that went without the figures of a source: it panicked, was late, or got no thread.",
                )
                .labels(["source", "reason"]),
        );
        let mut seen = HashMap::new();
        for watched in watched.iter() {
            // Sources of one type are told apart by their order.
            let number = seen.entry(watched.source.name()).and_modify(|number| *number += 1).or_insert(1);
            let name = match number {
                1 => watched.source.name().to_owned(),
                number => format!("{}#{number}", watched.source.name()),
            };
            for (reason, count) in
                [("panicked", &watched.panicked), ("late", &watched.late), ("thread", &watched.no_thread)]
            {
                // Relaxed: a figure, with which nothing is published.
                let sample = Sample::Total(Total::U64(count.load(Ordering::Relaxed)));
                let labels = [("source", &*name), ("reason", reason)];
                visitor.series(&Series::new(Labels::from_pairs(&labels), sample));
            }
        }
    }
}

fn is_same(one: &Arc<dyn Source>, other: &Arc<dyn Source>) -> bool {
    // By address alone: the table of functions of one type may stand in several places.
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A source and how it did.
struct Watched {
    source: Arc<dyn Source>,
    // The read that is under way.
    reading: Mutex<Option<Reading>>,
    panicked: AtomicU64,
    late: AtomicU64,
    no_thread: AtomicU64,
}

#[derive(Clone)]
struct Reading {
    until: Instant,
    outcome: watch::Receiver<Outcome>,
}

#[derive(Clone)]
enum Outcome {
    Awaited,
    Panicked,
    Read(Arc<Recording>),
}

impl Watched {
    fn new(source: &Arc<dyn Source>) -> Self {
        Self {
            source: Arc::clone(source),
            reading: Mutex::default(),
            panicked: AtomicU64::new(0),
            late: AtomicU64::new(0),
            no_thread: AtomicU64::new(0),
        }
    }

    /// Reads the source, or waits for who is reading it: those figures are newer than those of any scrape that is over,
    /// since a source is read by one thread after the other.
    fn read(self: &Arc<Self>, until: Instant) -> Pin<Box<dyn Future<Output = Option<Arc<Recording>>> + Send>> {
        let reading = {
            let mut reading = lock(&self.reading);
            if reading.is_none() {
                *reading = self.begin(until);
            }
            reading.clone()
        };
        let this = Arc::clone(self);
        Box::pin(async move {
            let Some(Reading { until, mut outcome }) = reading else {
                return this.failed(&this.no_thread);
            };
            let is_over = outcome.wait_for(|outcome| !matches!(outcome, Outcome::Awaited));
            match timeout_at(until.into(), is_over).await {
                Ok(Ok(outcome)) => match &*outcome {
                    Outcome::Read(recording) => Some(Arc::clone(recording)),
                    Outcome::Awaited | Outcome::Panicked => this.failed(&this.panicked),
                },
                // A thread that ends without a word can only have panicked.
                Ok(Err(_)) => this.failed(&this.panicked),
                Err(_) => this.failed(&this.late),
            }
        })
    }

    fn failed(&self, reason: &AtomicU64) -> Option<Arc<Recording>> {
        // Relaxed: as in `show_failures`.
        reason.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn begin(self: &Arc<Self>, until: Instant) -> Option<Reading> {
        let (tell, outcome) = watch::channel(Outcome::Awaited);
        let this = Arc::clone(self);
        let read = move || {
            let mut recording = Recording::new(until);
            // A panic leaves the source as its own code does; the recording is dropped with it.
            let read = catch_unwind(AssertUnwindSafe(|| this.source.collect(&mut recording)));
            // From here on a scrape reads anew: it may want what came after this.
            *lock(&this.reading) = None;
            // Nobody hears it when all who waited have gone.
            let _ = tell.send(if read.is_ok() { Outcome::Read(Arc::new(recording)) } else { Outcome::Panicked });
        };
        thread::Builder::new().name(THREAD.to_owned()).spawn(read).ok()?;
        Some(Reading { until, outcome })
    }
}
