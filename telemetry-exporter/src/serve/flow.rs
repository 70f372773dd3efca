//! One body on its way to every client that asked for it while it was being made.
//!
//! A task makes the body, part by part, when a reader asks for a part that is not there. A part is kept until every
//! reader has taken it; readers do not wait for each other. What that can cost is bounded twice:
//!
//! - A newcomer shares a body only while all of it is still there: its first mebibyte, within a second. Then parts are
//!   dropped as they are taken, and a lone reader has one in memory.
//! - The parts that are kept for readers behind have a common limit. At the limit the last reader is cut, and bodies like
//!   this one are not shared again: each scrape has its own, and its own pace.
//!
//! A client must not see a counter go back. So nobody joins a body that was begun before another was completed: its
//! client may have read the other, newer one, in the scrape before.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local, yield_now};
use tokio::time::Instant;

use super::admission::Place;
use super::body::{Chunk, Source};
use super::figures::Figures;
use super::{ScrapeError, Step, Target};
use crate::compress::{Coder, Coding, WORTHWHILE};

/// How much of a body is kept for clients that may join it.
const JOINABLE_BYTES: usize = 1024 * 1024;
/// How long a body may be joined.
const JOINABLE_TIME: Duration = Duration::from_secs(1);
/// How much of a compressed body is made before it is sent.
const SENT: usize = 32 * 1024;
/// Room for the row that reaches the length of a chunk.
const ROOM: usize = 68 * 1024;
/// How many bodies are remembered as too large to be shared.
const REMEMBERED: usize = 16;

/// What a request says of the body that it asks for: equal requests may share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) target: Target,
    pub(super) accept: Option<Vec<u8>>,
    pub(super) accept_encoding: Option<Vec<u8>>,
    pub(super) query: Option<String>,
}

/// All bodies that are being made.
pub(super) struct Flows {
    /// The most bytes that are kept for readers behind.
    limit: usize,
    kept: Cell<usize>,
    open: RefCell<Vec<Rc<Flow>>>,
    large: RefCell<VecDeque<Key>>,
    /// When the last part of any body was last taken.
    completed: Cell<Option<Instant>>,
    figures: Arc<Figures>,
}

/// What the head of a response says of a body.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
}

struct Flow {
    key: Key,
    begun: Instant,
    flows: Rc<Flows>,
    state: RefCell<State>,
    /// A buffer whose part was written by all.
    spare: Rc<Cell<Vec<u8>>>,
}

struct State {
    head: Option<Head>,
    parts: VecDeque<Rc<Vec<u8>>>,
    /// The number of the first of them.
    first: usize,
    kept: usize,
    is_joinable: bool,
    end: Option<Result<(), Rc<ScrapeError>>>,
    readers: Vec<Option<Seat>>,
    /// The maker's, while it waits for a reader that wants more.
    maker: Option<Waker>,
    task: Option<AbortHandle>,
}

/// Where a reader is.
#[derive(Default)]
struct Seat {
    next: usize,
    is_left_behind: bool,
    waker: Option<Waker>,
}

/// The client fell too far behind those that shared its body.
#[derive(Debug)]
struct LeftBehind;

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client fell too far behind the others that share the body")
    }
}

impl std::error::Error for LeftBehind {}

impl Flows {
    pub(super) fn new(limit: usize, figures: Arc<Figures>) -> Rc<Self> {
        let (open, large) = Default::default();
        Rc::new(Self { limit, kept: Cell::new(0), open, large, completed: Cell::new(None), figures })
    }

    /// A reader of a body that is being made already, from its beginning.
    pub(super) fn join(&self, key: &Key) -> Option<Reader> {
        let is_fresh = |flow: &Flow| {
            flow.begun.elapsed() < JOINABLE_TIME && self.completed.get().is_none_or(|completed| completed < flow.begun)
        };
        let open = self.open.borrow();
        let flow = open.iter().find(|flow| flow.state.borrow().is_joinable && flow.key == *key && is_fresh(flow))?;
        self.figures.shared();
        Some(Reader::new(flow))
    }

    /// Makes the body of `source`, for the reader that is given back and all that join it.
    pub(super) fn begin(self: &Rc<Self>, key: Key, source: Source, coding: Coding, place: Place) -> Reader {
        let is_joinable = self.limit > 0 && !self.large.borrow().contains(&key);
        let state = State {
            head: None,
            parts: VecDeque::new(),
            first: 0,
            kept: 0,
            is_joinable,
            end: None,
            readers: Vec::new(),
            maker: None,
            task: None,
        };
        let flow = Rc::new(Flow {
            key,
            begun: Instant::now(),
            flows: Rc::clone(self),
            state: RefCell::new(state),
            spare: Rc::default(),
        });
        let reader = Reader::new(&flow);
        self.open.borrow_mut().push(Rc::clone(&flow));
        let maker = Rc::clone(&flow);
        let task = spawn_local(async move {
            let end = maker.make(source, coding).await;
            maker.end(end);
            drop(place);
        });
        flow.state.borrow_mut().task = Some(task.abort_handle());
        reader
    }

    fn remember_large(&self, key: &Key) {
        let mut large = self.large.borrow_mut();
        if !large.contains(key) {
            large.truncate(REMEMBERED - 1);
            large.push_front(key.clone());
        }
    }
}

impl Flow {
    async fn make(&self, mut source: Source, coding: Coding) -> Result<(), ScrapeError> {
        let mut raw = Vec::with_capacity(ROOM);
        let mut coder = None;
        loop {
            poll_fn(|cx| self.poll_wanted(cx)).await;
            let mut part = self.spare.take();
            part.clear();
            let step = loop {
                poll_fn(|cx| source.poll_ready(cx)).await?;
                raw.clear();
                raw.reserve(ROOM);
                let step = source.next(&mut raw)?;
                if self.state.borrow().head.is_none() {
                    let is_whole_and_small = step == Step::Last && raw.len() < WORTHWHILE;
                    let own = source.chunks().content_encoding();
                    let coding = if own.is_some() || is_whole_and_small { Coding::Identity } else { coding };
                    let head = Head {
                        content_type: source.chunks().content_type(),
                        content_encoding: own.or(coding.header()),
                    };
                    // A source that is still waiting for its first figures says nothing of its size.
                    if step == Step::Last || !raw.is_empty() {
                        self.state.borrow_mut().head = Some(head);
                        coder = (coding != Coding::Identity).then(|| Coder::new(coding)).transpose()?;
                    }
                }
                let is_enough = match &mut coder {
                    None => {
                        std::mem::swap(&mut part, &mut raw);
                        !part.is_empty()
                    }
                    Some(coder) => {
                        coder.code(&raw, &mut part)?;
                        part.len() >= SENT
                    }
                };
                if step == Step::Last || is_enough {
                    break step;
                }
                // What is made may take long to become a part.
                yield_now().await;
            };
            if step == Step::Last {
                if let Some(coder) = coder {
                    coder.finish(&mut part)?;
                }
                // Whatever it holds is free before its clients have read everything.
                source.close()?;
                self.push(part);
                return Ok(());
            }
            self.push(part);
        }
    }

    /// Whether a reader waits for a part that is not there.
    fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        let next = state.first + state.parts.len();
        if state.readers.iter().flatten().any(|seat| seat.next == next && seat.waker.is_some()) {
            return Poll::Ready(());
        }
        state.maker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn push(&self, part: Vec<u8>) {
        if part.is_empty() {
            return;
        }
        let state = &mut *self.state.borrow_mut();
        if state.kept + part.len() > JOINABLE_BYTES || self.begun.elapsed() > JOINABLE_TIME {
            state.is_joinable = false;
        }
        self.keep(state, part.len().cast_signed());
        state.parts.push_back(Rc::new(part));
        self.trim(state);
        while self.flows.kept.get() > self.flows.limit && self.leave_behind(state) {
            self.trim(state);
        }
        state.wake();
    }

    /// Cuts the readers that are behind all others; false if there are none.
    fn leave_behind(&self, state: &mut State) -> bool {
        let places = || state.readers.iter().flatten().filter(|seat| !seat.is_left_behind).map(|seat| seat.next);
        let (Some(last), Some(foremost)) = (places().min(), places().max()) else { return false };
        if last == foremost {
            return false;
        }
        for seat in state.readers.iter_mut().flatten().filter(|seat| seat.next == last) {
            seat.is_left_behind = true;
        }
        self.flows.remember_large(&self.key);
        true
    }

    /// Drops the parts that every reader has taken.
    fn trim(&self, state: &mut State) {
        let places = state.readers.iter().flatten().filter(|seat| !seat.is_left_behind).map(|seat| seat.next);
        let needed = places.min().unwrap_or(usize::MAX);
        while !state.is_joinable && state.first < needed {
            let Some(part) = state.parts.pop_front() else { break };
            state.first += 1;
            self.keep(state, -part.len().cast_signed());
            if let Some(buffer) = Rc::into_inner(part) {
                self.spare.set(buffer);
            }
        }
    }

    fn keep(&self, state: &mut State, bytes: isize) {
        state.kept = state.kept.saturating_add_signed(bytes);
        self.flows.kept.set(self.flows.kept.get().saturating_add_signed(bytes));
    }

    fn end(&self, end: Result<(), ScrapeError>) {
        let state = &mut *self.state.borrow_mut();
        state.end = Some(end.map_err(Rc::new));
        self.close(state);
        state.wake();
    }

    /// Lets nobody join any more.
    fn close(&self, state: &mut State) {
        state.is_joinable = false;
        self.trim(state);
        self.flows.open.borrow_mut().retain(|flow| !std::ptr::eq(&**flow, self));
    }
}

impl State {
    fn wake(&mut self) {
        for seat in self.readers.iter_mut().flatten() {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
    }
}

/// One client's way through a body.
pub(super) struct Reader {
    flow: Rc<Flow>,
    seat: usize,
}

impl Reader {
    fn new(flow: &Rc<Flow>) -> Self {
        let mut state = flow.state.borrow_mut();
        let seat = state.readers.iter().position(Option::is_none).unwrap_or(state.readers.len());
        if seat == state.readers.len() {
            state.readers.push(None);
        }
        state.readers[seat] = Some(Seat::default());
        Self { flow: Rc::clone(flow), seat }
    }

    /// What the head of the response is to say, when the first part is there.
    pub(super) async fn head(&mut self) -> Result<Head, Rc<ScrapeError>> {
        poll_fn(|cx| {
            let mut state = self.flow.state.borrow_mut();
            match (&state.end, state.head, state.parts.is_empty()) {
                (Some(Err(error)), _, true) => return Poll::Ready(Err(Rc::clone(error))),
                (Some(_), Some(head), _) | (None, Some(head), false) => return Poll::Ready(Ok(head)),
                _ => {}
            }
            self.wait(&mut state, cx);
            Poll::Pending
        })
        .await
    }

    /// The next part; `None` after the last.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, ScrapeError>>> {
        let flow = &*self.flow;
        let state = &mut *flow.state.borrow_mut();
        let end = state.first + state.parts.len();
        let Some(seat) = &mut state.readers[self.seat] else { return Poll::Ready(None) };
        if seat.is_left_behind {
            return Poll::Ready(Some(Err(LeftBehind.into())));
        }
        if seat.next < end {
            let part = Rc::clone(&state.parts[seat.next - state.first]);
            seat.next += 1;
            if seat.next == end && matches!(state.end, Some(Ok(()))) {
                flow.flows.completed.set(Some(Instant::now()));
            }
            flow.trim(state);
            return Poll::Ready(Some(Ok(Chunk::new(part, Rc::clone(&flow.spare)))));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.to_string().into()))),
            None => {
                self.wait(state, cx);
                Poll::Pending
            }
        }
    }

    fn wait(&self, state: &mut State, cx: &mut Context<'_>) {
        if let Some(seat) = &mut state.readers[self.seat] {
            seat.waker = Some(cx.waker().clone());
        }
        if let Some(maker) = state.maker.take() {
            maker.wake();
        }
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.left() == Some(0)
    }

    /// How many bytes are to come, when that is known.
    pub(super) fn left(&self) -> Option<u64> {
        let state = self.flow.state.borrow();
        let seat = state.readers[self.seat].as_ref().filter(|seat| !seat.is_left_behind)?;
        let Some(Ok(())) = state.end else { return None };
        Some(state.parts.iter().skip(seat.next - state.first).map(|part| part.len() as u64).sum())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.flow.state.borrow_mut();
        state.readers[self.seat] = None;
        if state.readers.iter().any(Option::is_some) {
            // The next of the others may be the one that the maker is to wait for.
            self.flow.trim(&mut state);
        } else {
            // Nobody is left to make it for.
            self.flow.close(&mut state);
            if let Some(task) = state.task.take() {
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests;
