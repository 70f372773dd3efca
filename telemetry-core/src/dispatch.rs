//! From a callsite to the handlers attached to its event.
//!
//! ```text
//! emit! -> Callsite: one word; unwanted means that nothing else happens
//!       -> the thread's context: the table of its dispatcher, as new as the last publication (one load to compare)
//!       -> Plan of this callsite: what is attached, bound already
//!       -> handlers inline, in the order of attachment; then each lane gets one copy
//! ```
//!
//! There is one global dispatcher, and any number of others that scopes put in its place on some threads ([`scope`]).
//!
//! **Which thread runs my handler?** The one that emits, before `emit` returns, unless the handler is on a lane.
//!
//! **What is called under a lock?** Nothing of yours. A handler may attach, detach (itself, too) and emit.
//!
//! **When is an attachment in force?** When `attach` has returned, for every event emitted afterwards. A detached
//! handler may run once more in emissions that were in progress on other threads. It is dropped when the last thread
//! that emitted with it has emitted again, or ended; the thread that detaches lets go at once (as does, when it is done,
//! one that just then has a new callsite planned).
//!
//! **What does an emission cost?** With a handler attached: no lock, no locked instruction, no allocation, no system
//! call, except for the first emission of a thread after a publication, which takes the new table under a lock.
//!
//! [`scope`]: crate::scope

use std::fmt;
use std::sync::{Arc, Weak};

use once_cell::race::OnceBox;

use crate::callsite::Callsite;
use crate::failure::{self, FailureCounts, Tallies};
use crate::handler::{AttachError, DetachError, Handler, HandlerInfo, Record, attachment};
use crate::lane::Lane;
use crate::sync::Mutex;

pub(crate) mod context;
pub(crate) mod lease;
mod plan;
pub(crate) mod registry;

pub use context::recursion_cut;

use context::discard;
use plan::Table;
use registry::{Installed, Published, Registry, lock};

type Callsites = Registry<&'static Callsite, Table, Weak<Inner>>;

/// The callsites and dispatchers of this process.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn registry() -> &'static Callsites {
    static REGISTRY: Callsites = Registry::new();
    &REGISTRY
}

/// Loom's primitives cannot stand in a static; the models make registries of their own.
#[cfg(loom)]
pub(crate) fn registry() -> &'static Callsites {
    static REGISTRY: std::sync::OnceLock<Callsites> = std::sync::OnceLock::new();
    REGISTRY.get_or_init(Registry::new)
}

/// A set of handlers, and what directs events to them.
///
/// A handle: clones are the same dispatcher. When the last handle of a dispatcher is gone, and every scope of it left,
/// so are its handlers. The global dispatcher stays.
#[derive(Clone)]
pub struct Dispatch(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) published: Arc<Published<Table>>,
    // What is attached, in the order of attachment. A changed list is a new one, so that none is dropped under the lock.
    records: Mutex<Arc<[Arc<Record>]>>,
    pub(crate) tallies: Mutex<Tallies>,
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.0.records();
        let ids: Vec<&str> = records.iter().map(|record| &*record.id).collect();
        f.debug_struct("Dispatch").field("handlers", &ids).finish_non_exhaustive()
    }
}

impl Default for Dispatch {
    fn default() -> Self {
        Self::new()
    }
}

static GLOBAL: OnceBox<Dispatch> = OnceBox::new();

impl Dispatch {
    /// A dispatcher with nothing attached, which sees what is emitted in its scopes.
    #[must_use]
    pub fn new() -> Self {
        let published = Arc::new(Published::new(Arc::new(Table::empty())));
        let (records, tallies) = (Mutex::new(Arc::default()), Mutex::default());
        let inner = Arc::new(Inner { published, records, tallies });
        registry().join(&inner.published, Arc::downgrade(&inner));
        Self(inner)
    }

    /// The dispatcher of every thread that has entered no other.
    pub fn global() -> &'static Self {
        // Two first uses may make one each; one of them is dropped, and nobody waits.
        GLOBAL.get_or_init(|| Box::new(Self::new()))
    }

    pub(crate) fn global_if_used() -> Option<&'static Self> {
        GLOBAL.get()
    }

    /// The dispatcher of this thread: that of the scope entered last, or the global one.
    #[must_use]
    pub fn current() -> Self {
        context::current()
    }

    /// Attaches `handler` to the events that `pattern` matches; see [`attachment`] for more than one pattern, and for
    /// lanes and failure policies.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach(
        &self,
        id: impl Into<String>,
        pattern: impl AsRef<str>,
        handler: impl Handler,
    ) -> Result<(), AttachError> {
        attachment(id, handler).event(pattern).attach_to(self)
    }

    /// Detaches the handler of this id from all its events.
    ///
    /// # Errors
    ///
    /// [`DetachError::Unknown`] when there is none.
    pub fn detach(&self, id: &str) -> Result<(), DetachError> {
        if self.0.retain(|record| &*record.id != id) { Ok(()) } else { Err(DetachError::Unknown { id: id.to_owned() }) }
    }

    /// The handlers whose patterns lie at or below `prefix` (whole segments; the empty prefix for all), in the order of
    /// attachment: one line for each pattern.
    #[must_use]
    pub fn handlers(&self, prefix: &str) -> Vec<HandlerInfo> {
        let records = self.0.records();
        let tally = |record: &Record| lock(&self.0.tallies).of(&record.id);
        let infos = records.iter().flat_map(|record| record.describe(prefix, tally(record))).collect();
        discard(records);
        infos
    }

    /// The failures of handlers, by id, including those that are detached by now.
    #[must_use]
    pub fn failures(&self) -> Vec<FailureCounts> {
        lock(&self.0.tallies).all()
    }

    /// The lanes that handlers are attached on, each once, in the order of attachment.
    #[must_use]
    pub fn lanes(&self) -> Vec<Lane> {
        let records = self.0.records();
        let mut lanes: Vec<Lane> = Vec::new();
        for lane in records.iter().filter_map(|record| record.lane.as_ref()) {
            if !lanes.contains(lane) {
                lanes.push(lane.clone());
            }
        }
        discard(records);
        lanes
    }

    pub(crate) fn add(&self, record: Record) -> Result<(), AttachError> {
        let mut records = lock(&self.0.records);
        if records.iter().any(|other| other.id == record.id) {
            drop(records);
            return Err(AttachError::Taken { id: record.id.to_string(), handler: record.into_handler() });
        }
        let list = records.iter().cloned().chain([Arc::new(record)]).collect();
        let before = std::mem::replace(&mut *records, list);
        drop(records);
        discard(before);
        registry().request(&self.0.published);
        self.0.publish();
        Ok(())
    }
}

impl Inner {
    /// Runs `body` while every lock of the dispatcher and its handlers is held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self, body: impl FnOnce()) {
        let records = lock(&self.records);
        let _bindings: Vec<_> = records.iter().map(|record| record.locked()).collect();
        let _others = (self.published.locked(), lock(&self.tallies));
        body();
    }

    fn records(&self) -> Arc<[Arc<Record>]> {
        Arc::clone(&lock(&self.records))
    }

    /// Detaches a handler that failed; false when it was detached already.
    pub(crate) fn remove(&self, record: &Arc<Record>) -> bool {
        self.retain(|other| !Arc::ptr_eq(other, record))
    }

    /// Keeps the handlers that `keep` says, and publishes; false when that is all of them.
    fn retain(&self, keep: impl Fn(&Arc<Record>) -> bool) -> bool {
        let mut records = lock(&self.records);
        let kept: Arc<[Arc<Record>]> = records.iter().filter(|record| keep(record)).cloned().collect();
        if kept.len() == records.len() {
            return false;
        }
        let before = std::mem::replace(&mut *records, kept);
        drop(records);
        discard(before);
        registry().request(&self.published);
        self.publish();
        true
    }

    /// Brings the table up to date, and those of other dispatchers where `bind` of a handler asked for it; then tells
    /// of the handlers that failed at that.
    fn publish(&self) {
        let mut failures = Vec::new();
        self.bring_up_to_date(&mut failures);
        while context::take_has_to_plan() {
            bring_all_up_to_date(&mut failures);
        }
        context::release_outdated();
        failures.into_iter().for_each(failure::Failure::report);
    }

    fn bring_up_to_date(&self, failures: &mut Vec<failure::Failure>) {
        while let Some(order) = registry().order(&self.published) {
            let mut broken = Vec::new();
            let built = context::planning(|| Table::build(&order, self.records(), &mut broken));
            let Some(table) = built else { return discard(order) };
            // May detach, which counts a request, so that the table is refused.
            failures.extend(broken.into_iter().map(|at| failure::judge(&at.record, at.event, at.payload)));
            match registry().install(&self.published, &order, table) {
                Installed::Done { replaced: unused } | Installed::Refused { rejected: unused } => discard(unused),
            }
            discard(order);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        discard(registry().leave(&self.published));
    }
}

fn bring_all_up_to_date(failures: &mut Vec<failure::Failure>) {
    for owner in registry().owners() {
        if let Some(inner) = owner.upgrade() {
            inner.bring_up_to_date(failures);
            discard(inner);
        }
    }
}

/// Has a new callsite planned by every dispatcher.
pub(crate) fn reach(callsite: &'static Callsite) {
    registry().enrol(&callsite);
    if context::is_cut_by_planning() {
        return;
    }
    let mut failures = Vec::new();
    bring_all_up_to_date(&mut failures);
    while context::take_has_to_plan() {
        bring_all_up_to_date(&mut failures);
    }
    registry().settle();
    context::release_outdated();
    failures.into_iter().for_each(failure::Failure::report);
}

/// Attaches `handler`, in the dispatcher of this thread, to the events that `pattern` matches: see [`Dispatch::attach`].
///
/// ```
/// use telemetry_core::{Event, attach, detach};
///
/// attach("log", "http.request.*", |event: &Event<'_>| drop(format!("{} {:?}", event.name(), event.tag("route"))))?;
/// detach("log")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// See [`AttachError`].
pub fn attach(id: impl Into<String>, pattern: impl AsRef<str>, handler: impl Handler) -> Result<(), AttachError> {
    Dispatch::current().attach(id, pattern, handler)
}

/// Detaches a handler of this thread's dispatcher from all its events.
///
/// # Errors
///
/// [`DetachError::Unknown`] when there is none.
pub fn detach(id: &str) -> Result<(), DetachError> {
    Dispatch::current().detach(id)
}

/// The handlers of this thread's dispatcher, below a prefix: see [`Dispatch::handlers`].
#[must_use]
pub fn handlers(prefix: &str) -> Vec<HandlerInfo> {
    Dispatch::current().handlers(prefix)
}

/// The failures of the handlers of this thread's dispatcher: see [`Dispatch::failures`].
#[must_use]
pub fn failures() -> Vec<FailureCounts> {
    Dispatch::current().failures()
}
