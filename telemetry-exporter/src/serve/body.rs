//! The body of a response: pulled by the socket, one part at a time.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Buf, Frame, SizeHint};
use tokio::time::Instant;

use super::figures::Figures;
use super::flow::Reader;
use super::progress::Progress;
use super::{Chunks, ScrapeError, Step};

const PANICKED: &str = "the exposition panicked";

/// The chunks of a scrape, as calls that return whatever the exposition does.
pub(super) struct Source {
    // Invariant: `Some` until it is closed or dropped.
    chunks: Option<Box<dyn Chunks>>,
}

impl Source {
    /// Calls `open`, and takes its panic for an error.
    pub(super) fn open(open: impl FnOnce() -> Result<Box<dyn Chunks>, ScrapeError>) -> Result<Self, ScrapeError> {
        guarded(open)?.map(|chunks| Self { chunks: Some(chunks) })
    }

    pub(super) fn chunks(&self) -> &dyn Chunks {
        self.chunks.as_deref().expect("it is there until it is closed")
    }

    /// Whether [`next`](Self::next) may be called.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ScrapeError>> {
        match guarded(|| self.get().poll_ready(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Fills `buffer`, and takes a panic for an error: the source is not to be asked again.
    pub(super) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
        guarded(|| self.get().next(buffer))?
    }

    /// Drops it, and takes a panic for an error.
    pub(super) fn close(mut self) -> Result<(), ScrapeError> {
        let chunks = self.chunks.take();
        guarded(|| drop(chunks))
    }

    fn get(&mut self) -> &mut dyn Chunks {
        self.chunks.as_deref_mut().expect("it is there until it is closed")
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let chunks = self.chunks.take();
        // The scrape is over, or its client has gone: there is nobody to tell.
        let _ = guarded(|| drop(chunks));
    }
}

/// Calls code of the exposition. A panic leaves it as its own code does; nothing of the server is borrowed by the call.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, ScrapeError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| PANICKED.into())
}

/// The body of one response.
pub(super) struct Body {
    content: Content,
    /// Whether the scrape failed before its end.
    failed: bool,
    progress: Rc<Progress>,
}

enum Content {
    Whole(Option<Chunk>),
    Scrape { reader: Reader, measure: Measure },
}

/// What a scrape took.
struct Measure {
    begun: Instant,
    bytes: u64,
    content_encoding: Option<&'static str>,
    figures: Arc<Figures>,
}

impl Body {
    pub(super) fn whole(bytes: Vec<u8>, progress: &Rc<Progress>) -> Self {
        let chunk = (!bytes.is_empty()).then(|| Chunk::new(Rc::new(bytes), Rc::default()));
        Self { content: Content::Whole(chunk), failed: false, progress: progress.clone() }
    }

    /// The body of a scrape that was `begun` then.
    pub(super) fn scrape(
        reader: Reader,
        begun: Instant,
        content_encoding: Option<&'static str>,
        figures: &Arc<Figures>,
        progress: &Rc<Progress>,
    ) -> Self {
        let measure = Measure { begun, bytes: 0, content_encoding, figures: figures.clone() };
        Self { content: Content::Scrape { reader, measure }, failed: false, progress: progress.clone() }
    }
}

impl hyper::body::Body for Body {
    type Data = Chunk;
    type Error = ScrapeError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, ScrapeError>>> {
        let this = &mut *self;
        let next = match &mut this.content {
            Content::Whole(chunk) => chunk.take().map(Ok),
            Content::Scrape { reader, measure } => {
                let next = ready!(reader.poll_next(cx));
                if let Some(Ok(chunk)) = &next {
                    measure.bytes += chunk.remaining() as u64;
                }
                next
            }
        };
        if let Some(Err(_)) = next {
            this.failed = true;
            this.progress.failed();
        }
        Poll::Ready(next.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(chunk) => chunk.is_none(),
            Content::Scrape { reader, .. } => reader.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(chunk) => SizeHint::with_exact(chunk.as_ref().map_or(0, |chunk| chunk.remaining() as u64)),
            Content::Scrape { reader, .. } => reader.left().map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // hyper drops a body when it has taken all of it, when it wants none of it (`HEAD`), or when the connection
        // ends; after that nothing is flushed, so the response stays unfinished.
        if self.failed {
            return;
        }
        self.progress.whole();
        if let Content::Scrape { reader, measure } = &self.content
            && reader.is_over()
        {
            measure.figures.scraped(measure.begun.elapsed(), measure.bytes, measure.content_encoding);
        }
    }
}

/// Bytes on their way to the socket. When nobody else sends them, their buffer goes back to where the next are made.
pub(super) struct Chunk {
    // Invariant: `Some` until it is dropped.
    bytes: Option<Rc<Vec<u8>>>,
    at: usize,
    home: Rc<Cell<Vec<u8>>>,
}

impl Chunk {
    pub(super) fn new(bytes: Rc<Vec<u8>>, home: Rc<Cell<Vec<u8>>>) -> Self {
        Self { bytes: Some(bytes), at: 0, home }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| bytes.as_slice())
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes().len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes()[self.at..]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "{count} bytes written of {}", self.remaining());
        self.at += count;
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(buffer) = self.bytes.take().and_then(Rc::into_inner) {
            self.home.set(buffer);
        }
    }
}
