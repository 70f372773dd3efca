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

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dispatch::Dispatch;
use crate::event::{self, Event, SpanContext};
use crate::scope::Scope;
use crate::value::{Number, Value};

/// How many events, or names of events, a failed assertion shows.
const SHOWN: usize = 5;

/// Keeps the events that are emitted on this thread until it is dropped: see the head of this module.
#[derive(Debug)]
#[must_use = "nothing is captured once it is dropped"]
pub struct Capture {
    dispatch: Dispatch,
    events: Arc<Mutex<Vec<CapturedEvent>>>,
    _scope: Scope,
}

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
        let (dispatch, events) = (Dispatch::new(), Arc::<Mutex<Vec<CapturedEvent>>>::default());
        let keep = Arc::clone(&events);
        let attached = dispatch.attach("capture", pattern, move |event: &Event<'_>| {
            let event = CapturedEvent::from(event);
            lock(&keep).push(event);
        });
        if let Err(error) = attached {
            let source = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            panic!("nothing can be captured: {source}");
        }
        let scope = dispatch.enter();
        Self { dispatch, events, _scope: scope }
    }

    /// The dispatcher of this capture: to carry it to threads and tasks, and to attach more to it.
    #[must_use]
    pub const fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// The events so far, in the order in which they came.
    #[must_use]
    pub fn events(&self) -> Vec<CapturedEvent> {
        lock(&self.events).clone()
    }

    /// The events of this name so far, in the order in which they came.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<CapturedEvent> {
        lock(&self.events).iter().filter(|event| event.name == name).cloned().collect()
    }

    /// The events so far, which are forgotten.
    #[must_use = "to forget events and not look at them, drop what this gives"]
    pub fn take(&self) -> Vec<CapturedEvent> {
        std::mem::take(&mut lock(&self.events))
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

/// Asserts that a [`Capture`] holds an event of this name with these fields, and gives the first that has them all.
///
/// It is written as [`emit!`](crate::emit!) is: a name, measurements, tags. Fields that are not named may be there or
/// not; one that is named as `None` must be absent. Numbers are equal when they are of one kind and equal: `3` and `3u64`
/// are, `3` and `3.0` are not.
///
/// ```should_panic
/// use telemetry_core::test::Capture;
/// use telemetry_core::{assert_emitted, emit};
///
/// let capture = Capture::start();
/// emit!("shop.checkout", { items: 2 }, { country: "de" });
/// assert_emitted!(capture, "shop.checkout", { items: 3 }, { country: "de" });
/// ```
///
/// panics with
///
/// ```text
/// no event was emitted as shop.checkout { items: 3 } { country: "de" }
/// of that name were emitted, nearest first:
///   shop.checkout { items: 2 } { country: "de" }
///     items is 2, expected 3
/// ```
///
/// # Panics
///
/// When there is no such event; the message shows those that come nearest, and in which fields they differ.
#[macro_export]
macro_rules! assert_emitted {
    (
        $capture:expr,
        $name:expr
        $(, { $($measurement:ident $(: $number:expr)?),* $(,)? }
            $(, { $($tag:ident $(: $value:expr)?),* $(,)? })?
        )?
        $(,)?
    ) => {
        $crate::test::Expected {
            name: $name,
            measurements: &[$($((
                $crate::__private::measurement(::core::stringify!($measurement), ::core::option::Option::None).name,
                $crate::Measurement::number(&$crate::__value!($measurement $(, $number)?)),
            )),*)?],
            tags: &[$($($((
                $crate::__private::tag(::core::stringify!($tag)).name,
                $crate::TagValue::value(&$crate::__value!($tag $(, $value)?)),
            )),*)?)?],
        }
        .find_in(&$capture)
    };
}

/// What `assert_emitted!` looks for.
#[doc(hidden)]
#[derive(Debug)]
pub struct Expected<'a> {
    pub name: &'a str,
    pub measurements: &'a [(&'static str, Option<Number>)],
    pub tags: &'a [(&'static str, Value<'a>)],
}

impl Expected<'_> {
    /// The first event that is as expected.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn find_in(&self, capture: &Capture) -> CapturedEvent {
        let events = capture.events();
        match events.iter().find(|event| event.name == self.name && self.differences(event).is_empty()) {
            Some(event) => event.clone(),
            None => panic!("{}", self.describe_failure(&events)),
        }
    }

    /// In what an event is not as expected, a line for each field.
    fn differences(&self, event: &CapturedEvent) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, expected) in self.measurements {
            let found = event.measurement(name);
            if found != *expected {
                differences.push(match (found, expected) {
                    // What has one text is of two kinds.
                    (Some(found), Some(expected)) if found.to_string() == expected.to_string() => {
                        format!("{name} is {found:?}, expected {expected:?}")
                    }
                    (found, expected) => format!("{name} is {}, expected {}", Shown(found), Shown(*expected)),
                });
            }
        }
        for (name, expected) in self.tags {
            let (found, expected) = (event.tag(name), (!expected.is_absent()).then(|| expected.to_string()));
            if found != expected.as_deref() {
                let quoted = |text: Option<&str>| Shown(text.map(|text| format!("{text:?}"))).to_string();
                differences.push(format!("{name} is {}, expected {}", quoted(found), quoted(expected.as_deref())));
            }
        }
        differences
    }

    fn describe_failure(&self, events: &[CapturedEvent]) -> String {
        let mut text = format!("no event was emitted as {self}\n");
        let mut named: Vec<(&CapturedEvent, Vec<String>)> = events
            .iter()
            .filter(|event| event.name == self.name)
            .map(|event| (event, self.differences(event)))
            .collect();
        // Writing to a `String` can't fail.
        if named.is_empty() {
            let _ = write!(text, "none of that name was captured; {}", Names::of(events));
            return text;
        }
        named.sort_by_key(|(_, differences)| differences.len());
        text.push_str("of that name were emitted, nearest first:");
        for (event, differences) in named.iter().take(SHOWN) {
            let _ = write!(text, "\n  {event}");
            differences.iter().for_each(|difference| {
                let _ = write!(text, "\n    {difference}");
            });
        }
        if named.len() > SHOWN {
            let _ = write!(text, "\n  and {} more", named.len() - SHOWN);
        }
        text
    }
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measurements = self.measurements.iter().filter_map(|(name, number)| Some((*name, (*number)?)));
        let tags = self.tags.iter().filter(|(_, value)| !value.is_absent()).copied();
        event::write_text(f, self.name, measurements, tags)?;
        let absent = self.measurements.iter().filter(|(_, number)| number.is_none()).map(|(name, _)| name);
        for name in absent.chain(self.tags.iter().filter(|(_, value)| value.is_absent()).map(|(name, _)| name)) {
            write!(f, " without {name}")?;
        }
        Ok(())
    }
}

/// A value, or that it is absent.
struct Shown<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("absent"),
        }
    }
}

/// The names of events, with the number of each.
struct Names(BTreeMap<&'static str, usize>);

impl Names {
    fn of(events: &[CapturedEvent]) -> Self {
        let mut names = BTreeMap::new();
        events.iter().for_each(|event| *names.entry(event.name).or_default() += 1);
        Self(names)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(
                "nothing was: an event is captured on the thread of the capture, and where `capture.dispatch()` is entered",
            );
        }
        f.write_str("captured were ")?;
        for (at, (name, number)) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{name} ({number})", if at == 0 { "" } else { ", " })?;
        }
        if self.0.len() > SHOWN { write!(f, " and {} more names", self.0.len() - SHOWN) } else { Ok(()) }
    }
}
