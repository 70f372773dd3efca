//! What the tests of an application need: the events that one test emitted, seen by that test alone.
//!
//! ```
//! use telemetry_core::test::Capture;
//! use telemetry_core::{Number, assert_emitted, emit};
//!
//! fn checkout(country: &str) {
//!     emit!("shop.checkout", { total: 12.5, items: 3 }, { country });
//! }
//!
//! let capture = Capture::start();
//! checkout("de");
//!
//! // These fields, whatever else the event carries.
//! assert_emitted!(capture, "shop.checkout", { items: 3 }, { country: "de" });
//! assert_emitted!(capture, "shop.checkout");
//! // Or by hand.
//! let [event] = &capture.named("shop.checkout")[..] else { panic!("one event") };
//! assert_eq!(event.measurement("total"), Some(Number::F64(12.5)));
//! assert_eq!(event.to_string(), r#"shop.checkout { total: 12.5, items: 3 } { country: "de" }"#);
//! ```
//!
//! A capture is a dispatcher of its own, in force on the thread that started it: tests that run at the same time on
//! other threads neither see nor disturb each other, and what is attached elsewhere in the process sees nothing of it.
//! Threads and tasks that a test starts are captured if they are given the dispatcher:
//!
//! ```
//! use telemetry_core::emit;
//! use telemetry_core::test::Capture;
//!
//! let capture = Capture::start();
//! let carried = capture.dispatch().clone();
//! std::thread::spawn(move || carried.run(|| emit!("shop.shipped"))).join().unwrap();
//! assert_eq!(capture.named("shop.shipped").len(), 1);
//!
//! let task = capture.dispatch().follow(async { emit!("shop.shipped") });
//! # let mut task = std::pin::pin!(task);
//! # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! # assert!(std::future::Future::poll(task.as_mut(), &mut context).is_ready());
//! # assert_eq!(capture.named("shop.shipped").len(), 2);
//! ```
//!
//! Metrics can be tested in the same scope, on a clock that the test drives:
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::metric::spiral;
//! use telemetry_core::scrape::SpiralSample;
//! use telemetry_core::snapshot::ValueSnapshot;
//! use telemetry_core::test::Capture;
//! use telemetry_core::{Clock, Registry, emit};
//!
//! let capture = Capture::start();
//! let (clock, hands) = Clock::manual();
//! let registry = Registry::with_clock(clock);
//! registry.aggregator([spiral("shop.checkout.items")])?.attach_to(capture.dispatch(), "metrics")?;
//!
//! emit!("shop.checkout", { items: 3 });
//! hands.advance(Duration::from_secs(61));
//! let spiral = ValueSnapshot::Spiral(SpiralSample { count: 3, one: 0 });
//! assert_eq!(registry.snapshot().sample("shop.checkout.items", &[]), Some(&spiral));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod expected;
mod page;
mod sample;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dispatch::Dispatch;
use crate::event::{self, Event, SpanContext};
use crate::scope::Scope;
use crate::value::Number;

#[doc(hidden)]
pub use expected::Expected;
use expected::Names;
#[doc(hidden)]
pub use page::assert_page;
pub use sample::Samples;
#[doc(hidden)]
pub use sample::assert_sample;

/// How many events, names of events or series a failed assertion shows.
const SHOWN: usize = 5;

/// Keeps the events that are emitted on this thread until it is dropped: see the head of this module.
#[derive(Debug)]
#[must_use = "nothing is captured once it is dropped"]
pub struct Capture {
    dispatch: Dispatch,
    kept: Arc<Kept>,
    reach: Reach,
}

/// Where a capture is in force; held until it is dropped.
#[derive(Debug)]
enum Reach {
    Scope { _scope: Scope },
    Process { _only: MutexGuard<'static, ()> },
}

#[derive(Debug, Default)]
struct Kept {
    events: Mutex<Vec<CapturedEvent>>,
    // Rung at each event.
    more: Condvar,
}

/// What a capture of the whole process is attached by.
const EVERYWHERE: &str = "telemetry.capture";

/// Held by the one capture of the whole process.
static ONLY: Mutex<()> = Mutex::new(());

/// An event that was captured, as a value to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedEvent {
    name: &'static str,
    measurements: Vec<(&'static str, Number)>,
    tags: Vec<(&'static str, String)>,
    span: Option<SpanContext>,
}

impl Capture {
    /// Captures every event.
    pub fn start() -> Self {
        Self::of("*")
    }

    /// Captures the events that a pattern matches: `"shop.checkout"`, or all below `"shop.*"`.
    ///
    /// Other events reach nobody, just as with [`Capture::start`].
    ///
    /// # Panics
    ///
    /// When `pattern` is not the name of an event, nor such a name followed by `.*`.
    #[track_caller]
    pub fn of(pattern: &str) -> Self {
        let dispatch = Dispatch::new();
        let kept = Kept::attached("capture", pattern, &dispatch);
        let scope = dispatch.enter();
        Self { dispatch, kept, reach: Reach::Scope { _scope: scope } }
    }

    /// Captures the events that a pattern matches on every thread of the process that is in no scope.
    ///
    /// This is for code that starts threads of its own, to which nothing can be carried. What tests emit that run at the
    /// same time is captured as well, unless they are in a scope, as those with another capture are; so choose a pattern that
    /// they do not emit. Of these captures there is one at a time: a second waits for the end of the first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use telemetry_core::emit;
    /// use telemetry_core::test::Capture;
    ///
    /// let capture = Capture::everywhere("capture.everywhere.*");
    /// std::thread::spawn(|| emit!("capture.everywhere.seen"));
    /// capture.wait_for("capture.everywhere.seen", 1, Duration::from_secs(60));
    /// ```
    ///
    /// # Panics
    ///
    /// When `pattern` is not the name of an event, nor such a name followed by `.*`, nor `*`.
    #[track_caller]
    pub fn everywhere(pattern: &str) -> Self {
        // A test that failed leaves nothing behind but the poison.
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let dispatch = Dispatch::global().clone();
        let kept = Kept::attached(EVERYWHERE, pattern, &dispatch);
        Self { dispatch, kept, reach: Reach::Process { _only: only } }
    }

    /// Waits until there are at least `number` events of this name, as when another thread emits them; gives them.
    ///
    /// # Panics
    ///
    /// When there are fewer after `patience`; the message says what was captured.
    #[track_caller]
    pub fn wait_for(&self, name: &str, number: usize, patience: Duration) -> Vec<CapturedEvent> {
        let deadline = Instant::now() + patience;
        let mut events = lock(&self.kept.events);
        loop {
            let named: Vec<CapturedEvent> = events.iter().filter(|event| event.name == name).cloned().collect();
            if named.len() >= number {
                return named;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                let message = format!(
                    "after {patience:?} there were {} events named {name}, expected {number}; {}",
                    named.len(),
                    Names::of(&events)
                );
                drop(events);
                panic!("{message}");
            }
            events = self.kept.more.wait_timeout(events, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The dispatcher of this capture: to carry it to threads and tasks, and to attach more to it.
    #[must_use]
    pub const fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// The events so far, in the order in which they came.
    #[must_use]
    pub fn events(&self) -> Vec<CapturedEvent> {
        lock(&self.kept.events).clone()
    }

    /// The events of this name so far, in the order in which they came.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<CapturedEvent> {
        lock(&self.kept.events).iter().filter(|event| event.name == name).cloned().collect()
    }

    /// The events so far, which are forgotten.
    #[must_use = "to forget events and not look at them, drop what this gives"]
    pub fn take(&self) -> Vec<CapturedEvent> {
        std::mem::take(&mut lock(&self.kept.events))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Reach::Process { .. } = self.reach {
            // Somebody may have detached it by hand.
            let _ = self.dispatch.detach(EVERYWHERE);
        }
    }
}

impl Kept {
    #[track_caller]
    fn attached(id: &str, pattern: &str, dispatch: &Dispatch) -> Arc<Self> {
        let kept = Arc::<Self>::default();
        let keep = Arc::clone(&kept);
        let attached = dispatch.attach(id, pattern, move |event: &Event<'_>| {
            let event = CapturedEvent::from(event);
            lock(&keep.events).push(event);
            keep.more.notify_all();
        });
        if let Err(error) = attached {
            let source = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            panic!("nothing can be captured: {source}");
        }
        kept
    }
}

/// A test that failed with the lock held leaves whole events behind.
fn lock(events: &Mutex<Vec<CapturedEvent>>) -> MutexGuard<'_, Vec<CapturedEvent>> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<&Event<'_>> for CapturedEvent {
    fn from(event: &Event<'_>) -> Self {
        Self {
            name: event.name(),
            measurements: event.measurements().collect(),
            tags: event.tags().map(|(name, value)| (name, value.to_string())).collect(),
            span: event.span(),
        }
    }
}

impl CapturedEvent {
    /// The name of the event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The measurement of this name; `None` when the event did not carry it.
    #[must_use]
    pub fn measurement(&self, name: &str) -> Option<Number> {
        self.measurements.iter().find(|(own, _)| *own == name).map(|(_, number)| *number)
    }

    /// The text of the tag of this name; `None` when the event did not carry it.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(own, _)| *own == name).map(|(_, text)| text.as_str())
    }

    /// The measurements that the event carried, in the order declared.
    #[must_use]
    pub fn measurements(&self) -> &[(&'static str, Number)] {
        &self.measurements
    }

    /// The tags that the event carried, as text, in the order declared.
    #[must_use]
    pub fn tags(&self) -> &[(&'static str, String)] {
        &self.tags
    }

    /// The span that the event belonged to.
    #[must_use]
    pub const fn span(&self) -> Option<SpanContext> {
        self.span
    }
}

/// As an [`Event`] is shown.
impl fmt::Display for CapturedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        event::write_text(
            f,
            self.name,
            self.measurements.iter().copied(),
            self.tags.iter().map(|(name, text)| (*name, text)),
        )?;
        self.span.map_or(Ok(()), |span| write!(f, " {span}"))
    }
}
