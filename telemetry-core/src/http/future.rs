//! The future of a response.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::ResponseBody;
use super::exchange::{Ending, Exchange, Side};

/// Says in a word what kind of error a service failed with: the tag `error.type`.
///
/// Any `Fn(&E) -> &'static str` does. The words should be few: each makes a series.
pub trait ErrorType<E> {
    /// The kind of `error`.
    fn error_type(&self, error: &E) -> &'static str;
}

/// The name of the error's type; what a layer uses unless it is told otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct TypeName;

impl<E> ErrorType<E> for TypeName {
    fn error_type(&self, _: &E) -> &'static str {
        type_name::<E>()
    }
}

impl<E, F: Fn(&E) -> &'static str> ErrorType<E> for F {
    fn error_type(&self, error: &E) -> &'static str {
        self(error)
    }
}

pin_project! {
    /// The future of a response; its request goes on until the body of the response ends.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct ResponseFuture<F, S: Side, C> {
        // `None` once it was ready: what it holds is not to live as long as the body.
        #[pin]
        inner: Option<F>,
        exchange: Option<Exchange<S>>,
        classify: C,
    }

    impl<F, S: Side, C> PinnedDrop for ResponseFuture<F, S, C> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What the future tells while it is dropped belongs to its request.
            if let Some(exchange) = this.exchange {
                exchange.within(|| this.inner.set(None));
            }
        }
    }
}

impl<F, S: Side, C> ResponseFuture<F, S, C> {
    pub(super) fn new(inner: F, exchange: Exchange<S>, classify: C) -> Self {
        Self { inner: Some(inner), exchange: Some(exchange), classify }
    }
}

impl<F, B, E, S, C> Future for ResponseFuture<F, S, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    S: Side,
    C: ErrorType<E>,
{
    type Output = Result<Response<ResponseBody<B, S>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(inner), Some(exchange)) = (this.inner.as_mut().as_pin_mut(), this.exchange.as_mut()) else {
            panic!("the future of a response was polled after it was ready");
        };
        let result = ready!(exchange.within(|| inner.poll(cx)));
        exchange.within(|| this.inner.set(None));
        let Some(mut exchange) = this.exchange.take() else { unreachable!("it was there just now") };
        Poll::Ready(match result {
            Ok(response) => Ok(ResponseBody::response(response, exchange)),
            Err(error) => {
                exchange.end(Ending::Failed(this.classify.error_type(&error)));
                Err(error)
            }
        })
    }
}

impl<F, S: Side, C> fmt::Debug for ResponseFuture<F, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("is_ready", &self.inner.is_none()).finish_non_exhaustive()
    }
}
