//! Spans whose body is a future.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::context::Current;
use super::{Ending, Extras, Live, Outcome, Running, Sites, Span, message};
use crate::event::SpanContext;

/// A future that is the body of a span; see [`Span::instrument`].
///
/// A struct rather than an `async` block: a block would keep its future twice, as captured and as pinned, so the size of
/// nested spans would double with each of them.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Instrumented<'a, F, J, const TAGS: usize, X: Extras = ()> {
    // Pinned whenever `self` is. First, so that it is dropped before the span stops.
    future: F,
    state: State<'a, TAGS, X>,
    // `None` once it has judged.
    is_error: Option<J>,
}

/// Whether the output of a body is an error.
type Judgement<T> = fn(&T) -> bool;

enum State<'a, const TAGS: usize, X: Extras> {
    // Nobody listens, or the span has ended.
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
        Instrumented { future, state, is_error: Some(is_error) }
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
            let mut future = pin!(body(&mut running.extras));
            poll_fn(|task| poll_in(context, future.as_mut(), task)).await
        };
        finish(&mut running, result, Outcome::is_error)
    }
}

/// How a body ended: with its output, or with a panic.
type Ended<T> = std::thread::Result<T>;

/// Polls `future` with the span current.
fn poll_in<F: Future>(span: SpanContext, future: Pin<&mut F>, task: &mut Context<'_>) -> Poll<Ended<F::Output>> {
    let _current = Current::enter(span);
    // Unwind safety: the panic goes on, so nobody sees what the body left half done who would not see it anyway.
    match catch_unwind(AssertUnwindSafe(|| future.poll(task))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// Emits the stop or the exception, and goes on with the output or the panic.
fn finish<T, const TAGS: usize, X: Extras>(
    running: &mut Running<'_, TAGS, X>,
    result: Ended<T>,
    is_error: impl FnOnce(&T) -> bool,
) -> T {
    match result {
        Ok(value) => {
            running.end(Ending::of(is_error(&value)));
            value
        }
        Err(panic) => {
            running.end(Ending::Panic(message(&*panic)));
            resume_unwind(panic)
        }
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
        // SAFETY: `future` is pinned whenever `self` is: no other code moves it or gives out a `&mut` to it, the struct
        // has no `Drop` that could, and it is `Unpin` only when `future` is.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };

        if let State::NotStarted { .. } = this.state
            && let State::NotStarted { sites, live, extras } = std::mem::replace(&mut this.state, State::Silent)
        {
            this.state = State::Running(Running::start(sites, live, extras));
        }
        let State::Running(running) = &mut this.state else { return future.poll(task) };
        match poll_in(running.live.context, future, task) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                let judge = this.is_error.take();
                let value = finish(running, result, |value| judge.is_some_and(|is_error| is_error(value)));
                this.state = State::Silent;
                Poll::Ready(value)
            }
        }
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
