//! Dispatchers other than the global one, on some threads and tasks: for tests, and for what must stay apart.
//!
//! ```
//! use telemetry_core::{Dispatch, Event, event::Metadata};
//!
//! let dispatch = Dispatch::new();
//! dispatch.attach("test", "shop.*", |event: &Event<'_>| assert_eq!(event.name(), "shop.checkout"))?;
//! dispatch.run(|| { /* what is emitted here is seen by "test", and by nothing else */ });
//!
//! let carried = dispatch.clone();
//! std::thread::spawn(move || carried.run(|| { /* and so is what is emitted here */ })).join().unwrap();
//! # Ok::<(), telemetry_core::handler::AttachError>(())
//! ```

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::dispatch::{Dispatch, context};

pub use crate::dispatch::context::Scope;

impl Dispatch {
    /// Directs what this thread emits to this dispatcher, and to it alone, until the guard is dropped.
    ///
    /// The dispatcher lives at least as long as the scope.
    pub fn enter(&self) -> Scope {
        context::enter(self.clone())
    }

    /// Runs `body` in a scope of this dispatcher.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        let _scope = self.enter();
        body()
    }

    /// A future that is polled, and dropped, in a scope of this dispatcher, on whatever thread.
    pub fn follow<F: Future>(&self, future: F) -> Followed<F> {
        Followed { dispatch: self.clone(), future: ManuallyDrop::new(future) }
    }
}

/// A future that carries its dispatcher with it: see [`Dispatch::follow`].
#[must_use = "futures do nothing unless polled"]
pub struct Followed<F> {
    dispatch: Dispatch,
    // Invariant: dropped by `Drop` alone, once; pinned when `Followed` is.
    future: ManuallyDrop<F>,
}

impl<F> fmt::Debug for Followed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").field("dispatch", &self.dispatch).finish_non_exhaustive()
    }
}

impl<F: Future> Future for Followed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned when `self` is: nothing here moves it, `Drop` drops it where it stands, and
        // `Followed` is `Unpin` only where `F` is.
        let (dispatch, future) = unsafe {
            let this = self.get_unchecked_mut();
            (&this.dispatch, Pin::new_unchecked(&mut *this.future))
        };
        let _scope = dispatch.enter();
        future.poll(task)
    }
}

impl<F> Drop for Followed<F> {
    fn drop(&mut self) {
        let _scope = self.dispatch.enter();
        // SAFETY: dropped here alone, once, and not used afterwards, by the invariant of `future`.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}
