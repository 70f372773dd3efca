//! The body of a response: pulled by the socket, one chunk at a time, through one buffer.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::{Buf, Frame, SizeHint};

use super::admission::Place;
use super::progress::Progress;
use super::{Chunks, ScrapeError, Step};

/// What a chunk is about as long as.
const CHUNK: usize = 64 * 1024;
/// Room for the row that reaches the length of a chunk.
const ROOM: usize = CHUNK + 4 * 1024;

/// The chunks of a scrape, as calls that return whatever the exposition does.
pub(super) struct Source(Box<dyn Chunks>);

impl Source {
    /// Calls `open`, and takes its panic for an error.
    pub(super) fn open(open: impl FnOnce() -> Result<Box<dyn Chunks>, ScrapeError>) -> Result<Self, ScrapeError> {
        // A panic leaves the exposition as its own code does; nothing of the server is borrowed by the call.
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err("the exposition panicked".into())).map(Self)
    }

    pub(super) fn chunks(&self) -> &dyn Chunks {
        &*self.0
    }

    /// Fills `buffer`, and takes a panic for an error: the source is not to be asked again.
    pub(super) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
        catch_unwind(AssertUnwindSafe(|| self.0.next(buffer))).unwrap_or_else(|_| Err("the exposition panicked".into()))
    }
}

/// What remains of a scrape after its first chunk.
struct Rest {
    source: Source,
    /// Whether the other connections have had their turn since the last chunk.
    yielded: bool,
    /// The buffer, while no chunk is in it.
    buffer: Rc<Cell<Vec<u8>>>,
    _place: Place,
}

/// The body of one response.
pub(super) struct Body {
    ready: Option<Chunk>,
    rest: Option<Rest>,
    /// Whether the scrape failed before its end.
    failed: bool,
    progress: Rc<Progress>,
}

impl Body {
    pub(super) fn whole(bytes: Vec<u8>, progress: &Rc<Progress>) -> Self {
        let ready = (!bytes.is_empty()).then(|| Chunk::new(bytes, Rc::default()));
        Self { ready, rest: None, failed: false, progress: progress.clone() }
    }

    /// The body that begins with `first` and goes on with the chunks of `source`.
    pub(super) fn scrape(first: Vec<u8>, source: Source, place: Place, progress: &Rc<Progress>) -> Self {
        let buffer = Rc::default();
        let ready = Some(Chunk::new(first, Rc::clone(&buffer)));
        let rest = Some(Rest { source, yielded: false, buffer, _place: place });
        Self { ready, rest, failed: false, progress: progress.clone() }
    }

    /// The buffer that a scrape is made in.
    pub(super) fn buffer() -> Vec<u8> {
        Vec::with_capacity(ROOM)
    }
}

impl hyper::body::Body for Body {
    type Data = Chunk;
    type Error = ScrapeError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, ScrapeError>>> {
        if let Some(chunk) = self.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        if !rest.yielded {
            // A fast reader would otherwise keep the only thread to itself for the whole of a large exposition.
            rest.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        rest.yielded = false;
        let mut buffer = rest.buffer.take();
        buffer.clear();
        buffer.reserve(ROOM);
        let step = rest.source.next(&mut buffer);
        let home = rest.buffer.clone();
        match step {
            Ok(Step::More) => {}
            Ok(Step::Last) => self.rest = None,
            Err(error) => {
                self.rest = None;
                self.failed = true;
                return Poll::Ready(Some(Err(error)));
            }
        }
        if buffer.is_empty() && self.rest.is_none() {
            return Poll::Ready(None);
        }
        // hyper passes over an empty chunk and asks again, which yields.
        Poll::Ready(Some(Ok(Frame::data(Chunk::new(buffer, home)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.ready, &self.rest) {
            (_, Some(_)) => SizeHint::new(),
            (Some(chunk), None) => SizeHint::with_exact(chunk.remaining() as u64),
            (None, None) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // hyper drops a body when it has taken all of it, when it wants none of it (`HEAD`), or when the connection
        // ends; after that nothing is flushed, so the response stays unfinished.
        if !self.failed {
            self.progress.whole();
        }
    }
}

/// Bytes on their way to the socket. Their buffer goes back to where the next chunk is made.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    at: usize,
    home: Rc<Cell<Vec<u8>>>,
}

impl Chunk {
    fn new(bytes: Vec<u8>, home: Rc<Cell<Vec<u8>>>) -> Self {
        Self { bytes, at: 0, home }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "{count} bytes written of {}", self.remaining());
        self.at += count;
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.home.set(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::{Wake, Waker};

    use hyper::body::Body as _;

    use super::super::Limits;
    use super::super::admission::Admission;
    use super::*;

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Numbers up to `.0`, one a chunk.
    struct Numbers(usize, usize);

    impl Chunks for Numbers {
        fn content_type(&self) -> &'static str {
            "text/plain"
        }
        fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
            assert!(buffer.is_empty());
            self.1 += 1;
            buffer.extend_from_slice(self.1.to_string().as_bytes());
            Ok(if self.1 == self.0 { Step::Last } else { Step::More })
        }
    }

    fn numbers(count: usize) -> Body {
        let limits = Limits::default();
        let place = Admission::new(limits).begin_scrape().expect("a place");
        let mut source = Source::open(|| Ok(Box::new(Numbers(count, 0)))).expect("a source");
        let mut first = Body::buffer();
        source.next(&mut first).expect("a chunk");
        Body::scrape(first, source, place, &Rc::new(Progress::new(limits)))
    }

    #[test]
    fn a_body_yields_between_two_chunks() {
        let (mut body, wakes) = (numbers(3), Arc::new(Wakes(AtomicUsize::new(0))));
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        let mut polls = Vec::new();
        loop {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Pending => polls.push("yield".to_owned()),
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => {
                    let Ok(chunk) = frame.expect("a chunk").into_data() else { panic!("no data") };
                    polls.push(String::from_utf8_lossy(chunk.chunk()).into_owned());
                }
            }
        }
        assert_eq!(polls, ["1", "yield", "2", "yield", "3"]);
        assert_eq!(wakes.0.load(SeqCst), 2, "who yields asks to be polled again");
        assert!(body.is_end_stream());
    }

    #[test]
    fn the_buffer_of_a_written_chunk_is_where_the_next_is_made() {
        let mut body = numbers(3);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else { panic!("no chunk") };
        let Ok(chunk) = frame.into_data() else { panic!("no data") };
        let home = body.rest.as_ref().map(|rest| rest.buffer.clone()).expect("two more chunks");
        assert_eq!(home.take().capacity(), 0, "the chunk has it");
        drop(chunk);
        assert!(home.take().capacity() >= ROOM);
    }

    #[test]
    fn a_length_is_known_only_where_the_body_is() {
        assert_eq!(numbers(2).size_hint().exact(), None);
        let progress = Rc::new(Progress::new(Limits::default()));
        assert_eq!(Body::whole(b"four".to_vec(), &progress).size_hint().exact(), Some(4));
        assert!(Body::whole(Vec::new(), &progress).is_end_stream());
    }
}
