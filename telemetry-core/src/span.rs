//! Spans: what happens between a start and a stop, as events.
//!
//! A span named `shop.payment` is three callsites. Each of its events carries the tags given to
//! [`span!`](crate::span!) and the same [`SpanContext`]:
//!
//! | event | when | measurements | tags beside those given |
//! | --- | --- | --- | --- |
//! | `shop.payment.start` | the body begins | `system_time`, since the Unix epoch | |
//! | `shop.payment.stop` | it ends | `duration`, and what is declared behind `stop:` | what is declared behind `stop:`; `outcome`, which is `ok`, `error` or `cancelled` |
//! | `shop.payment.exception` | it panics; the panic goes on | `duration` | `kind`, which is `panic`; `message`, where the panic has one |
//!
//! Ways to run a body, each of them ending in exactly one stop or exception:
//!
//! - [`Span::run`] and, where the stop carries more, [`Span::run_with`]: the body is a closure.
//! - [`Span::instrument`] and [`Span::instrument_with`]: the body is a future. The span is current while it is polled;
//!   a future that is dropped before it ends stops with the outcome `cancelled`.
//! - [`Span::enter`]: the body is the rest of a block, for code that a closure can't hold.
//! - `#[instrument]`: the body is a function, of either kind.
//!
//! **Is an error an error?** A body returns an [`Outcome`]: `Err` is an error, and a type of yours says for itself. The
//! compiler asks for it, rather than count a failure as a success; [`Span::run_as`] takes any type and a judgement.
//!
//! **The current span** of a thread is that of the innermost body that runs there: other events belong to it, and a
//! span that is made there is its child. A span that nobody listened to when it was made takes no id, reads no clock,
//! and is never current.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::event::SpanContext;
use crate::value::{Number, Value};

mod context;
mod future;
pub(crate) mod held;
pub(crate) mod outcome;
pub(crate) mod site;
mod stop;

pub use future::Instrumented;
pub use outcome::Outcome;
pub use stop::{Extras, StopMeasurement, StopTag};

pub(crate) use context::{Current, child_of_current};
use held::Held;
use site::{MAX_FIELDS, Sites};

/// A span that has not started; made by [`span!`](crate::span!).
///
/// It starts when a body is given to it: dropped before that, it emits nothing.
#[must_use = "a span emits nothing until it runs a body"]
pub struct Span<'a, const TAGS: usize, X = ()> {
    sites: &'static Sites,
    // `None` when nobody listened where the span was made.
    live: Option<Live<'a, TAGS>>,
    extras: X,
}

/// What a span that somebody listens to keeps.
struct Live<'a, const TAGS: usize> {
    context: SpanContext,
    tags: [Held<'a>; TAGS],
}

/// How a body ended.
enum Ending<'m> {
    Ok,
    Error,
    Cancelled,
    Panic(Option<&'m str>),
}

impl Ending<'_> {
    const fn of(is_error: bool) -> Self {
        if is_error { Self::Error } else { Self::Ok }
    }
}

impl<'a, const TAGS: usize, X> Span<'a, TAGS, X> {
    /// A span that somebody listens to; `span!` writes these calls.
    #[doc(hidden)]
    pub fn live(sites: &'static Sites, tags: [Held<'a>; TAGS], extras: X) -> Self {
        Self { sites, live: Some(Live { context: child_of_current(), tags }), extras }
    }

    /// A span that does nothing; `span!` writes these calls.
    #[doc(hidden)]
    #[inline]
    pub const fn idle(sites: &'static Sites, extras: X) -> Self {
        Self { sites, live: None, extras }
    }

    /// The id and the parent of the span; `None` when nobody listens to it.
    ///
    /// The parent is the span that was current where this one was made.
    #[must_use]
    pub fn context(&self) -> Option<SpanContext> {
        self.live.as_ref().map(|live| live.context)
    }
}

impl<'a, const TAGS: usize, X: Extras> Span<'a, TAGS, X> {
    /// Runs `body` as the body of the span.
    ///
    /// ```
    /// # fn charge() -> Result<u64, String> { Ok(3) }
    /// assert_eq!(telemetry_core::span!("shop.payment").run(charge), Ok(3));
    /// ```
    ///
    /// # Panics
    ///
    /// When `body` does, after `.exception` was emitted.
    #[inline]
    pub fn run<R: Outcome>(self, body: impl FnOnce() -> R) -> R {
        self.run_as(|_| body(), Outcome::is_error)
    }

    /// Runs `body`, which sets what the stop carries beside the tags of the start.
    ///
    /// # Panics
    ///
    /// When `body` does, after `.exception` was emitted.
    #[inline]
    pub fn run_with<R: Outcome>(self, body: impl FnOnce(&mut X) -> R) -> R {
        self.run_as(body, Outcome::is_error)
    }

    /// Runs `body`, whatever it returns; `is_error` judges it.
    ///
    /// ```
    /// let status = telemetry_core::span!("shop.call").run_as(|_| 503u16, |status| *status >= 500);
    /// assert_eq!(status, 503);
    /// ```
    ///
    /// # Panics
    ///
    /// When `body` does, after `.exception` was emitted; when `is_error` does.
    pub fn run_as<R>(self, body: impl FnOnce(&mut X) -> R, is_error: impl FnOnce(&R) -> bool) -> R {
        let Self { sites, live, mut extras } = self;
        let Some(live) = live else { return body(&mut extras) };
        let mut running = Running::start(sites, live, extras);
        let current = Current::enter(running.live.context);
        // Unwind safety: the panic goes on, so nobody sees what the body left half done who would not see it anyway.
        let result = catch_unwind(AssertUnwindSafe(|| body(&mut running.extras)));
        drop(current);
        running.finish(result, is_error)
    }

    /// Starts the span; it ends when the guard is dropped.
    ///
    /// For a body that a closure can't hold. The outcome is `ok` unless [`Entered::fail`] is called; a panic is an
    /// exception, but without its message, which only [`Span::run`] sees. Guards end in the reverse order of their
    /// start, as locals do. In async code use [`Span::instrument`]: a guard that is held over an `.await` would be current
    /// for whatever the thread does meanwhile.
    ///
    /// ```
    /// let mut entered = telemetry_core::span!("shop.import", stop: { rows }).enter();
    /// entered.rows.set(12u64);
    /// ```
    #[must_use = "the span ends when the guard is dropped"]
    pub fn enter(self) -> Entered<'a, TAGS, X> {
        let Self { sites, live, extras } = self;
        let state = match live {
            None => State::Idle(extras),
            Some(live) => {
                let running = Running::start(sites, live, extras);
                let current = Current::enter(running.live.context);
                State::Running { running, _current: current }
            }
        };
        Entered { state, failed: false, unwinding: std::thread::panicking(), thread: PhantomData }
    }
}

/// The body of a span that is the rest of a block; see [`Span::enter`].
///
/// What the stop carries is set through it: `entered.rows.set(12)`.
///
/// It stays on the thread that entered:
///
/// ```compile_fail,E0277
/// let entered = telemetry_core::span!("shop.call").enter();
/// std::thread::spawn(move || drop(entered));
/// ```
pub struct Entered<'a, const TAGS: usize, X: Extras = ()> {
    state: State<'a, TAGS, X>,
    failed: bool,
    // Whether the thread was unwinding before the body began: then it says nothing about the body.
    unwinding: bool,
    // The current span is a fact of the thread, so the guard stays on it.
    thread: PhantomData<*const ()>,
}

enum State<'a, const TAGS: usize, X: Extras> {
    Idle(X),
    Running { running: Running<'a, TAGS, X>, _current: Current },
}

impl<const TAGS: usize, X: Extras> Entered<'_, TAGS, X> {
    /// Makes the outcome `error`.
    pub fn fail(&mut self) {
        self.failed = true;
    }
}

impl<const TAGS: usize, X: Extras> std::ops::Deref for Entered<'_, TAGS, X> {
    type Target = X;

    fn deref(&self) -> &X {
        match &self.state {
            State::Idle(extras) => extras,
            State::Running { running, .. } => &running.extras,
        }
    }
}

impl<const TAGS: usize, X: Extras> std::ops::DerefMut for Entered<'_, TAGS, X> {
    fn deref_mut(&mut self) -> &mut X {
        match &mut self.state {
            State::Idle(extras) => extras,
            State::Running { running, .. } => &mut running.extras,
        }
    }
}

impl<const TAGS: usize, X: Extras> Drop for Entered<'_, TAGS, X> {
    fn drop(&mut self) {
        if let State::Running { running, .. } = &mut self.state {
            running.end(match std::thread::panicking() && !self.unwinding {
                true => Ending::Panic(None),
                false => Ending::of(self.failed),
            });
        }
    }
}

/// A span that has started. Dropped without an ending, it was cancelled.
struct Running<'a, const TAGS: usize, X: Extras> {
    sites: &'static Sites,
    live: Live<'a, TAGS>,
    extras: X,
    started: Instant,
    ended: bool,
}

impl<'a, const TAGS: usize, X: Extras> Running<'a, TAGS, X> {
    fn start(sites: &'static Sites, live: Live<'a, TAGS>, extras: X) -> Self {
        if sites.start.is_wanted() {
            // A clock before 1970 has no time to give.
            let system_time = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(Number::Duration);
            let tags: [Value<'_>; TAGS] = std::array::from_fn(|at| live.tags[at].value());
            sites.start.emit_in(live.context, &[system_time], &tags);
        }
        Self { sites, live, extras, started: Instant::now(), ended: false }
    }

    /// Emits the stop or the exception, and goes on with the output or the panic.
    #[inline]
    fn finish<R>(&mut self, result: std::thread::Result<R>, is_error: impl FnOnce(&R) -> bool) -> R {
        match result {
            Ok(value) => {
                self.end(Ending::of(is_error(&value)));
                value
            }
            Err(panic) => {
                self.end(Ending::Panic(message(&*panic)));
                resume_unwind(panic)
            }
        }
    }

    /// Emits the stop or the exception; once, however often it is called.
    fn end(&mut self, ending: Ending<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let outcome = match ending {
            Ending::Ok => "ok",
            Ending::Error => "error",
            Ending::Cancelled => "cancelled",
            Ending::Panic(message) => return self.emit_exception(message),
        };
        if !self.sites.stop.is_wanted() {
            return;
        }
        let mut measurements = Row::new(None);
        measurements.push(Some(Number::Duration(self.started.elapsed())));
        self.extras.measurements().for_each(|number| measurements.push(number));

        let mut tags = self.tags();
        for (&place, value) in self.sites.places.iter().zip(self.extras.tags()) {
            if place < TAGS && value.is_absent() {
                continue; // Not overridden: the stop inherits what the start has.
            }
            tags.set(place, value);
        }
        tags.push(Value::Str(outcome));
        self.sites.stop.emit_in(self.live.context, measurements.as_slice(), tags.as_slice());
    }

    fn emit_exception(&self, message: Option<&str>) {
        if self.sites.exception.is_wanted() {
            let mut tags = self.tags();
            tags.push(Value::Str("panic"));
            tags.push(message.map_or(Value::Absent, Value::Str));
            let duration = Some(Number::Duration(self.started.elapsed()));
            self.sites.exception.emit_in(self.live.context, &[duration], tags.as_slice());
        }
    }

    fn tags(&self) -> Row<Value<'_>> {
        let mut row = Row::new(Value::Absent);
        self.live.tags.iter().for_each(|held| row.push(held.value()));
        row
    }
}

impl<const TAGS: usize, X: Extras> Drop for Running<'_, TAGS, X> {
    fn drop(&mut self) {
        self.end(Ending::Cancelled);
    }
}

/// Values side by side on the stack, as many as a span can have.
struct Row<T> {
    // Invariant: `length <= MAX_FIELDS`; the macro refuses a span with more at compile time.
    values: [T; MAX_FIELDS],
    length: usize,
}

impl<T: Copy> Row<T> {
    const fn new(empty: T) -> Self {
        Self { values: [empty; MAX_FIELDS], length: 0 }
    }

    fn push(&mut self, value: T) {
        self.set(self.length, value);
    }

    /// Puts `value` at `place`, which is within the row or right behind it.
    fn set(&mut self, place: usize, value: T) {
        self.values[place] = value;
        self.length = self.length.max(place + 1);
    }

    fn as_slice(&self) -> &[T] {
        &self.values[..self.length]
    }
}

/// The message of a panic: `panic!` gives a text.
pub(crate) fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

impl<const TAGS: usize, X> fmt::Debug for Span<'_, TAGS, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Span");
        debug.field("stop", &self.sites.stop.metadata().name()).field("context", &self.context());
        debug.finish_non_exhaustive()
    }
}

impl<const TAGS: usize, X: Extras> fmt::Debug for Entered<'_, TAGS, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = match &self.state {
            State::Idle(_) => None,
            State::Running { running, .. } => Some(running.live.context),
        };
        f.debug_struct("Entered").field("context", &context).field("failed", &self.failed).finish_non_exhaustive()
    }
}
