//! The bodies of a request and of its response, counted as they pass.

use std::any::type_name;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::Response;
use ::http::header::CONTENT_LENGTH;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::{Ending, Exchange, Side, Size};

pin_project! {
    /// The body of a request, counted as the service takes it.
    ///
    /// It is the body that was given, in all other respects.
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        // `None` when nobody wants to know, or there is nothing to count.
        size: Option<Arc<Size>>,
    }
}

impl<B: Body> RequestBody<B> {
    pub(super) fn new<S: Side>(inner: B, exchange: &mut Exchange<S>) -> Self {
        let size = if inner.is_end_stream() { None } else { exchange.request_body() };
        Self { inner, size }
    }
}

impl<B> RequestBody<B> {
    /// The body that was given.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let poll = this.inner.poll_frame(cx);
        if let (Some(size), Poll::Ready(Some(Ok(frame)))) = (this.size, &poll) {
            size.add(bytes_of(frame));
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default> Default for RequestBody<B> {
    fn default() -> Self {
        Self { inner: B::default(), size: None }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("size", &self.size).finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of a response. The request ends with its last byte, or when it is dropped before.
    ///
    /// It is the body that the service gave, in all other respects.
    pub struct ResponseBody<B: Body, S: Side> {
        #[pin]
        inner: B,
        // `None` where there is no request, as of a default body.
        exchange: Option<Exchange<S>>,
        // How many bytes are still to come, where that is known: a server that has sent so many drops the body without
        // having seen its end.
        remaining: Option<u64>,
    }

    impl<B: Body, S: Side> PinnedDrop for ResponseBody<B, S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(exchange) = this.exchange
                && !exchange.is_ended()
                && (*this.remaining == Some(0) || this.inner.is_end_stream())
            {
                exchange.end(Ending::Whole);
            }
        }
    }
}

impl<B: Body, S: Side> ResponseBody<B, S> {
    /// The response, whose body is this one.
    pub(super) fn response(response: Response<B>, mut exchange: Exchange<S>) -> Response<Self> {
        exchange.answered(&response);
        let (parts, inner) = response.into_parts();
        let mut remaining = None;
        if !exchange.is_ended() {
            if inner.is_end_stream() {
                exchange.end(Ending::Whole);
            }
            let declared = || parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok();
            remaining = inner.size_hint().exact().or_else(declared);
        }
        Response::from_parts(parts, Self { inner, exchange: Some(exchange), remaining })
    }
}

impl<B: Body, S: Side> Body for ResponseBody<B, S> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(exchange) = this.exchange.as_mut().filter(|exchange| !exchange.is_ended()) else {
            return this.inner.poll_frame(cx);
        };
        let poll = exchange.within(|| this.inner.as_mut().poll_frame(cx));
        match &poll {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = bytes_of(frame);
                exchange.sent(bytes);
                *this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(bytes as u64));
                // Whoever knows that this was the last frame does not ask for another.
                if this.inner.is_end_stream() {
                    exchange.end(Ending::Whole);
                }
            }
            Poll::Ready(Some(Err(_))) => exchange.end(Ending::Failed(type_name::<B::Error>())),
            Poll::Ready(None) => exchange.end(Ending::Whole),
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that belongs to no request, as other layers make them.
impl<B: Body + Default, S: Side> Default for ResponseBody<B, S> {
    fn default() -> Self {
        Self { inner: B::default(), exchange: None, remaining: None }
    }
}

impl<B: Body, S: Side> fmt::Debug for ResponseBody<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

/// The length of a frame of data; trailers are no part of a body's size.
fn bytes_of<D: Buf>(frame: &Frame<D>) -> usize {
    frame.data_ref().map_or(0, Buf::remaining)
}
