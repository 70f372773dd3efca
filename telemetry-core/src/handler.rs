//! What is attached to events, and how.
//!
//! A handler is a closure over an event, or a type of its own that is asked once per callsite what it wants of it. It
//! runs on the thread that emits, before `emit` returns, unless it is attached on a [`Lane`].
//!
//! ```
//! use telemetry_core::{Event, detach, handler::{FailurePolicy, attachment}};
//!
//! attachment("console", |event: &Event<'_>| drop(format!("{event:?}")))
//!     .event("http.request.stop")
//!     .events(["shop.cart.*", "shop.payment.*"])
//!     .on_failure(FailurePolicy::Keep)
//!     .attach()?;
//! detach("console")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use crate::dispatch::context::discard;
use crate::dispatch::registry::lock;
use crate::dispatch::{Dispatch, Inner};
use crate::event::{Event, Metadata};
use crate::failure::{self, Payload, Standing, Tally};
use crate::lane::Lane;
use crate::name::{NameError, Pattern};
use crate::sync::Mutex;

pub use crate::failure::{FailureCounts, FailurePolicy};

/// What can be attached to events.
///
/// Closures `Fn(&Event<'_>)` are handlers; write the type of the argument, `|event: &Event<'_>| ..`.
pub trait Handler: Send + Sync + 'static {
    /// What the handler does with the events of one callsite; `None` when it does not want them.
    ///
    /// Asked once for each callsite that its patterns match, on whatever thread attaches a handler or reaches the
    /// callsite first, so that `handle` has nothing to look up by name. When two threads ask at once, one of the two
    /// forms is dropped. No lock is held: attaching, detaching and emitting are allowed here. A handler that is
    /// attached here is in force when the outer attachment is.
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>>;
}

/// A handler, bound to one callsite.
pub trait Bound: Send + Sync {
    /// Takes in one event.
    ///
    /// No lock is held: attaching, detaching and emitting are allowed here. A panic is caught, and the handler's
    /// [`FailurePolicy`] applies.
    fn handle(&self, event: &Event<'_>);

    /// A promise that `handle` never panics, so that nothing stands guard around it.
    #[doc(hidden)]
    fn cannot_panic(&self) -> bool {
        false
    }
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Handler for F {
    fn bind(self: Arc<Self>, _: &'static Metadata) -> Option<Arc<dyn Bound>> {
        Some(self)
    }
}

impl<F: Fn(&Event<'_>) + Send + Sync> Bound for F {
    #[inline]
    fn handle(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Begins to attach `handler` by `id`, which is its name among all handlers of the dispatcher.
pub fn attachment(id: impl Into<String>, handler: impl Handler) -> Attachment {
    shared_attachment(id, Arc::new(handler))
}

/// Begins to attach a handler that is shared already, such as one that [`AttachError::Taken`] gave back.
pub fn shared_attachment(id: impl Into<String>, handler: Arc<dyn Handler>) -> Attachment {
    let policy = FailurePolicy::default();
    Attachment { id: id.into(), handler, patterns: Vec::new(), fault: None, policy, lane: None }
}

/// A handler about to be attached: made by [`attachment`].
#[must_use = "nothing is attached before `attach`"]
pub struct Attachment {
    id: String,
    handler: Arc<dyn Handler>,
    patterns: Vec<Pattern>,
    fault: Option<NameError>,
    policy: FailurePolicy,
    lane: Option<Lane>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("id", &self.id).field("events", &self.patterns).finish_non_exhaustive()
    }
}

impl Attachment {
    /// Adds the event of this name, or with `.*` behind it all events below the name, or with `*` alone all events.
    pub fn event(mut self, pattern: impl AsRef<str>) -> Self {
        match Pattern::parse(pattern.as_ref()) {
            Ok(pattern) if self.patterns.contains(&pattern) => {}
            Ok(pattern) => self.patterns.push(pattern),
            Err(fault) => self.fault = self.fault.or(Some(fault)),
        }
        self
    }

    /// Adds each of these events: see [`Self::event`].
    pub fn events<P: AsRef<str>>(self, patterns: impl IntoIterator<Item = P>) -> Self {
        patterns.into_iter().fold(self, Self::event)
    }

    /// What is to become of the handler when it panics; it is detached unless this says otherwise.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Casts the events to a lane, whose worker runs the handler; it runs on the emitting thread unless this is called.
    pub fn lane(mut self, lane: &Lane) -> Self {
        self.lane = Some(lane.clone());
        self
    }

    /// Attaches the handler to the dispatcher of this thread: the global one, unless a scope is entered.
    ///
    /// When this has returned, every event emitted later, on any thread, reaches the handler.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach(self) -> Result<(), AttachError> {
        self.attach_to(&Dispatch::current())
    }

    /// Attaches the handler to a dispatcher.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach_to(self, dispatch: &Dispatch) -> Result<(), AttachError> {
        if let Some(fault) = self.fault {
            return Err(AttachError::Name(fault));
        }
        if self.patterns.is_empty() {
            return Err(AttachError::NoEvents { id: self.id });
        }
        let record = Record {
            id: self.id.into(),
            handler: self.handler,
            patterns: self.patterns,
            policy: self.policy,
            lane: self.lane,
            standing: Standing::new(),
            owner: Arc::downgrade(&dispatch.0),
            bindings: Mutex::new(BTreeMap::new()),
        };
        dispatch.add(record)
    }
}

/// Why a handler was not attached.
#[non_exhaustive]
pub enum AttachError {
    /// Another handler is attached by this id; the rejected one comes back.
    Taken {
        /// The id.
        id: String,
        /// The handler that was not attached.
        handler: Arc<dyn Handler>,
    },
    /// A pattern is not the name of an event, nor such a name followed by `.*`.
    Name(NameError),
    /// The attachment names no event.
    NoEvents {
        /// The id.
        id: String,
    },
}

impl AttachError {
    /// The rejected handler, for [`shared_attachment`].
    #[must_use]
    pub fn into_handler(self) -> Option<Arc<dyn Handler>> {
        match self {
            Self::Taken { handler, .. } => Some(handler),
            Self::Name(_) | Self::NoEvents { .. } => None,
        }
    }
}

impl fmt::Debug for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { id, .. } => f.debug_struct("Taken").field("id", id).finish_non_exhaustive(),
            Self::Name(fault) => f.debug_tuple("Name").field(fault).finish(),
            Self::NoEvents { id } => f.debug_struct("NoEvents").field("id", id).finish(),
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { id, .. } => {
                write!(f, "a handler is attached by the id {id:?} already; detach it first, or choose another id")
            }
            Self::Name(_) => f.write_str("the handler cannot be attached to an event of this name"),
            Self::NoEvents { id } => {
                write!(f, "the attachment of {id:?} names no event; name one with `event`, or all of them with \"*\"")
            }
        }
    }
}

impl std::error::Error for AttachError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(fault) => Some(fault),
            Self::Taken { .. } | Self::NoEvents { .. } => None,
        }
    }
}

/// Why nothing was detached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DetachError {
    /// No handler is attached by this id.
    Unknown {
        /// The id.
        id: String,
    },
}

impl fmt::Display for DetachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Unknown { id } = self;
        write!(f, "no handler is attached by the id {id:?}; `handlers(\"\")` lists those that are")
    }
}

impl std::error::Error for DetachError {}

/// A handler that is attached, by one of its patterns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandlerInfo {
    /// What it is attached by.
    pub id: String,
    /// The events, as given when it was attached.
    pub pattern: Pattern,
    /// Where it runs.
    pub delivery: Delivery,
    /// What becomes of it when it panics.
    pub policy: FailurePolicy,
    /// Whether it is in quarantine now.
    pub is_quarantined: bool,
    /// How often handlers of this id have failed, this one and those attached before it.
    pub failures: u64,
    /// How often a failure detached a handler of this id.
    pub detachments: u64,
    /// How often failures put a handler of this id into quarantine.
    pub quarantines: u64,
}

/// Where a handler runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// On the thread that emits, before `emit` returns.
    Inline,
    /// On the worker of the lane of this name.
    Lane(String),
}

/// A handler as it is attached to a dispatcher.
pub(crate) struct Record {
    pub(crate) id: Arc<str>,
    handler: Arc<dyn Handler>,
    patterns: Vec<Pattern>,
    pub(crate) policy: FailurePolicy,
    pub(crate) lane: Option<Lane>,
    pub(crate) standing: Standing,
    pub(crate) owner: Weak<Inner>,
    // By position of the callsite: the bound form, or that the handler does not want it. Never locked while `bind` runs.
    bindings: Mutex<BTreeMap<usize, Option<Arc<dyn Bound>>>>,
}

impl Record {
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// The bound form for the callsite at `index`, which is the same whoever asks; an error the first time that `bind`
    /// panics.
    pub(crate) fn bind(&self, index: usize, metadata: &'static Metadata) -> Result<Option<Arc<dyn Bound>>, Payload> {
        let known = lock(&self.bindings).get(&index).cloned();
        if let Some(bound) = known {
            return Ok(bound);
        }
        let asked = catch_unwind(AssertUnwindSafe(|| Arc::clone(&self.handler).bind(metadata)));
        let (bound, payload) = match asked {
            Ok(bound) => (bound, None),
            Err(payload) => (None, Some(payload)),
        };
        // The first to answer wins. Our own form stands in `bound` until the lock is gone: dropping it is user code.
        let (kept, is_first) = {
            let mut bindings = lock(&self.bindings);
            let is_first = !bindings.contains_key(&index);
            (bindings.entry(index).or_insert_with(|| bound.clone()).clone(), is_first)
        };
        discard(bound);
        match payload {
            Some(payload) if is_first => Err(payload),
            Some(payload) => {
                failure::discard_payload(payload);
                Ok(kept)
            }
            None => Ok(kept),
        }
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self) -> impl Sized + '_ {
        lock(&self.bindings)
    }

    pub(crate) fn into_handler(self) -> Arc<dyn Handler> {
        self.handler
    }

    /// A line for each pattern that lies below `prefix`.
    pub(crate) fn describe(&self, prefix: &str, tally: Tally) -> Vec<HandlerInfo> {
        let below = self.patterns.iter().filter(|pattern| pattern.is_below(prefix));
        let info = |pattern: &Pattern| HandlerInfo {
            id: self.id.to_string(),
            pattern: pattern.clone(),
            delivery: self.lane.as_ref().map_or(Delivery::Inline, |lane| Delivery::Lane(lane.name().to_owned())),
            policy: self.policy,
            is_quarantined: self.standing.is_quarantined(),
            failures: tally.failures,
            detachments: tally.detachments,
            quarantines: tally.quarantines,
        };
        below.map(info).collect()
    }
}
