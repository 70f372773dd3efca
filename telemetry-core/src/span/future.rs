//! Spans whose body is a future.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::context::Current;
use super::{Extras, Live, Outcome, Running, Sites, Span};
use crate::event::SpanContext;

/// A future that is the body of a span; see [`Span::instrument`].
///
/// A struct rather than an `async` block: a block would keep its future twice, as captured and as pinned, so the size of
/// nested spans would double with each of them.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Instrumented<'a, F, J, const TAGS: usize, X: Extras = ()> {
    // Pinned whenever `self` is. First, so that it is dropped before the span stops.
    body: Within<F>,
    state: State<'a, TAGS, X>,
    // `None` once it has judged.
    is_error: Option<J>,
}

/// Whether the output of a body is an error.
type Judgement<T> = fn(&T) -> bool;

enum State<'a, const TAGS: usize, X: Extras> {
    // Nobody listens.
    Silent,
    NotStarted { sites: &'static Sites, live: Live<'a, TAGS>, extras: X },
    Running(Running<'a, TAGS, X>),
}

impl<'a, const TAGS: usize, X: Extras> Span<'a, TAGS, X> {
    /// Makes `future` the body of the span.
    ///
    /// The span starts with the first poll and is the current one during each. Its parent is the span that was current
    /// where `span!` stood, so a task that is spawned belongs to the span that spawned it.
    ///
    /// ```
    /// # fn charge() -> std::future::Ready<Result<u64, String>> { std::future::ready(Ok(3)) }
    /// # async fn pay() -> Result<u64, String> {
    /// let cents = telemetry_core::span!("shop.payment", { provider: "acme" }).instrument(charge()).await?;
    /// # Ok(cents) }
    /// ```
    pub fn instrument<F>(self, future: F) -> Instrumented<'a, F, Judgement<F::Output>, TAGS, X>
    where
        F: Future<Output: Outcome>,
    {
        self.instrument_as(future, Outcome::is_error)
    }

    /// Makes `future` the body of the span, whatever it returns; `is_error` judges it.
    pub fn instrument_as<F, J>(self, future: F, is_error: J) -> Instrumented<'a, F, J, TAGS, X>
    where
        F: Future,
        J: FnOnce(&F::Output) -> bool + Unpin,
    {
        let Self { sites, live, extras } = self;
        let state = live.map_or(State::Silent, |live| State::NotStarted { sites, live, extras });
        Instrumented { body: Within::new(None, future), state, is_error: Some(is_error) }
    }

    /// Makes an async closure the body of the span; it sets what the stop carries beside the tags of the start.
    ///
    /// ```
    /// # async fn import() {
    /// let span = telemetry_core::span!("shop.import", stop: { rows });
    /// span.instrument_with(async |stop| stop.rows.set(1_000u64)).await
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When `body` does, after `.exception` was emitted.
    pub async fn instrument_with<R: Outcome>(self, body: impl AsyncFnOnce(&mut X) -> R) -> R {
        let Self { sites, live, mut extras } = self;
        let Some(live) = live else { return body(&mut extras).await };
        let mut running = Running::start(sites, live, extras);
        let context = running.live.context;
        let result = {
            let mut within = pin!(Within::new(Some(context), body(&mut running.extras)));
            poll_fn(|task| within.as_mut().poll(task)).await
        };
        running.finish(result, Outcome::is_error)
    }
}

/// How a body ended: with its output, or with a panic.
type Ended<T> = std::thread::Result<T>;

/// A future that is polled, and dropped, with its span current.
struct Within<F> {
    // `None` when the span is silent, or has not started.
    span: Option<SpanContext>,
    // Invariant: dropped by `Drop` alone, once; pinned when `Within` is.
    future: ManuallyDrop<F>,
}

impl<F> Within<F> {
    const fn new(span: Option<SpanContext>, future: F) -> Self {
        Self { span, future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Within<F> {
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Ended<F::Output>> {
        // SAFETY: `future` is pinned when `self` is: nothing here moves it, `Drop` drops it where it stands, and `Within`
        // is `Unpin` only where `F` is.
        let (span, future) = unsafe {
            let this = self.get_unchecked_mut();
            (this.span, Pin::new_unchecked(&mut *this.future))
        };
        let Some(span) = span else { return future.poll(task).map(Ok) };
        let _current = Current::enter(span);
        // Unwind safety: the panic goes on, so nobody sees what the body left half done who would not see it anyway.
        match catch_unwind(AssertUnwindSafe(|| future.poll(task))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

impl<F> Drop for Within<F> {
    fn drop(&mut self) {
        let _current = self.span.map(Current::enter);
        // SAFETY: dropped here alone, once, and not used afterwards, by the invariant of `future`.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}

impl<F, J, const TAGS: usize, X> Future for Instrumented<'_, F, J, TAGS, X>
where
    F: Future,
    J: FnOnce(&F::Output) -> bool + Unpin,
    X: Extras + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: nothing is moved out of `this` but through `state` and `is_error`, which are never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if let State::NotStarted { .. } = this.state
            && let State::NotStarted { sites, live, extras } = std::mem::replace(&mut this.state, State::Silent)
        {
            this.body.span = Some(live.context);
            this.state = State::Running(Running::start(sites, live, extras));
        }
        // SAFETY: `body` is pinned whenever `self` is: no other code moves it or gives out a `&mut` to it, the struct has
        // no `Drop` that could, and it is `Unpin` only where `body` is.
        let body = unsafe { Pin::new_unchecked(&mut this.body) };
        let Poll::Ready(result) = body.poll(task) else { return Poll::Pending };
        Poll::Ready(match &mut this.state {
            State::Running(running) => {
                let judge = this.is_error.take();
                running.finish(result, |value| judge.is_some_and(|is_error| is_error(value)))
            }
            // Nothing is caught where the span is silent; what would be, goes on.
            _ => result.unwrap_or_else(|panic| resume_unwind(panic)),
        })
    }
}

impl<F, J, const TAGS: usize, X: Extras> fmt::Debug for Instrumented<'_, F, J, TAGS, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = match &self.state {
            State::Silent => None,
            State::NotStarted { live, .. } => Some(live.context),
            State::Running(running) => Some(running.live.context),
        };
        f.debug_struct("Instrumented").field("context", &context).finish_non_exhaustive()
    }
}
