//! Bodies that do as they are told.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// What a body does when it is polled.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(&'static [u8]),
    Trailers,
    Wait,
    Break,
    Panic,
}

/// A body that goes through its steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    steps: VecDeque<Step>,
    /// Whether it knows its length, and when it is over.
    knows: bool,
}

impl Steps {
    /// A body that is over before it begins, and knows.
    pub(crate) fn none() -> Self {
        Self { knows: true, ..Self::default() }
    }

    /// A body that knows its length.
    pub(crate) fn whole(data: &'static [u8]) -> Self {
        Self { steps: [Step::Data(data)].into(), knows: true }
    }

    /// A body that finds out what it is while it is polled.
    pub(crate) fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), knows: false }
    }
}

/// A body broke off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off")
    }
}

impl std::error::Error for Broken {}

impl Body for Steps {
    type Data = &'static [u8];
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<&'static [u8]>, Broken>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers) => {
                let trailers =
                    HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("a long one"))]);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Break) => Poll::Ready(Some(Err(Broken))),
            Some(Step::Panic) => panic!("no more bytes"),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.knows {
            return SizeHint::new();
        }
        let length = |step: &Step| if let Step::Data(data) = step { data.len() as u64 } else { 0 };
        SizeHint::with_exact(self.steps.iter().map(length).sum())
    }
}
