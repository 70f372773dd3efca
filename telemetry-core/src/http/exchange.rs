//! One request, from its first poll to the last byte of its response: what is kept of it, and how it ends.
//!
//! ```text
//! call ---> ResponseFuture ---> ResponseBody ---> the end: a stop, or an exception
//!             |                   |
//!             | dropped, failed   | dropped, broke off, panicked
//!             v panicked          v
//!           the end             the end
//! ```
//!
//! The exchange moves from the future into the body of the response. Whichever of them holds it ends it, once; dropped
//! without an ending, it was cancelled.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::http::{Method, Response, StatusCode};

use crate::event::SpanContext;
use crate::span::{Current, child_of_current, message};
use crate::sync::{AtomicU64, Ordering};
use crate::value::Value;

use super::active::InFlight;
use super::protocol::Outcome;

/// What servers and clients tell differently; [`Server`](super::Server) and [`Client`](super::Client) are the two.
pub trait Side: sealed::Side {}

pub(super) mod sealed {
    use super::{Duration, Response, StatusCode, Stop};

    /// What is kept of one request for its events, and the events.
    pub trait Side: Sized {
        /// Whether a body that whoever receives it drops, is an error.
        const DROPPED_BODY_IS_ERROR: bool;

        /// Whether anybody listens to any event of this side.
        fn is_wanted() -> bool;

        /// Whether a response of this status is an error.
        fn is_error(status: StatusCode) -> bool;

        /// Emits the start. `now` is asked for the time of day if somebody listens.
        fn start(&self, now: impl FnOnce() -> Option<Duration>);

        /// Keeps what the head of the response tells.
        fn answered<B>(&mut self, response: &Response<B>);

        /// Emits the stop.
        fn stop(&self, stop: &Stop<'_>);

        /// Emits the exception.
        fn exception(&self, duration: Duration, message: Option<&str>);
    }
}

/// What both sides tell of a request that has ended.
#[derive(Debug)]
pub struct Stop<'a> {
    pub(super) duration: Duration,
    pub(super) time_to_head: Option<Duration>,
    pub(super) request_body_size: u64,
    pub(super) response_body_size: u64,
    pub(super) status: Option<u16>,
    pub(super) error_type: Value<'a>,
    pub(super) outcome: Outcome,
}

/// How an exchange ends.
pub(super) enum Ending<'m> {
    Whole,
    /// It broke off, for this reason.
    Failed(&'m str),
    Cancelled,
    Panicked(Option<&'m str>),
}

/// One request, until it has ended.
#[derive(Debug)]
pub(super) struct Exchange<S: sealed::Side> {
    // `None` once it has ended.
    in_flight: Option<InFlight>,
    // `None` when nobody listened where the request began, or it has ended.
    told: Option<Told<S>>,
    bodiless: Bodiless,
}

/// What is kept of a request that somebody listens to.
#[derive(Debug)]
struct Told<S> {
    side: S,
    span: SpanContext,
    started: Instant,
    time_to_head: Option<Duration>,
    status: Option<StatusCode>,
    // `None` when the request has no body.
    request_body_size: Option<Arc<Size>>,
    response_body_size: u64,
}

/// Whether the method lets the response have a body.
#[derive(Clone, Copy, Debug)]
enum Bodiless {
    Always,
    // `CONNECT`: the connection is a tunnel afterwards.
    OnSuccess,
    ByStatus,
}

/// How many bytes of a request's body were taken so far.
///
/// The body is with the service, the reader is the response: neither knows when the other ends.
#[derive(Debug, Default)]
pub(super) struct Size(AtomicU64);

impl Size {
    pub(super) fn add(&self, bytes: usize) {
        // Relaxed, and no locked addition: only the body writes, and it is polled by one thread at a time, whose change
        // the executor orders. The number is the only fact.
        self.0.store(self.0.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        // Relaxed: a service that answers when it has read the body orders this by itself; of one that still reads, any
        // number that was there is right.
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: sealed::Side> Exchange<S> {
    /// Begins; `side` is asked for only if somebody listens.
    pub(super) fn begin(in_flight: InFlight, method: &Method, side: impl FnOnce() -> S) -> Self {
        let bodiless = match *method {
            Method::HEAD => Bodiless::Always,
            Method::CONNECT => Bodiless::OnSuccess,
            _ => Bodiless::ByStatus,
        };
        let told = S::is_wanted().then(|| {
            let (side, span) = (side(), child_of_current());
            let current = Current::enter(span);
            // A clock before 1970 has no time to give.
            side.start(|| SystemTime::now().duration_since(UNIX_EPOCH).ok());
            drop(current);
            let started = Instant::now();
            Told {
                side,
                span,
                started,
                time_to_head: None,
                status: None,
                request_body_size: None,
                response_body_size: 0,
            }
        });
        Self { in_flight: Some(in_flight), told, bodiless }
    }

    /// What a request's body is to be counted by; `None` when nobody wants to know.
    pub(super) fn request_body(&mut self) -> Option<Arc<Size>> {
        let told = self.told.as_mut()?;
        Some(Arc::clone(told.request_body_size.insert(Arc::default())))
    }

    /// Runs a part of the request's work with its span current; a panic ends the exchange, and goes on.
    pub(super) fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let Some(told) = &self.told else { return work() };
        let current = Current::enter(told.span);
        // Unwind safety: the panic goes on, so nobody sees what the work left half done who would not see it anyway.
        let result: Result<R, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(work));
        drop(current);
        result.unwrap_or_else(|panic| {
            self.end(Ending::Panicked(message(&*panic)));
            resume_unwind(panic)
        })
    }

    /// Takes note of the head of the response. What has no body ends here.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        let status = response.status();
        if let Some(told) = &mut self.told {
            told.time_to_head = Some(told.started.elapsed());
            told.status = Some(status);
            told.side.answered(response);
        }
        let is_bodiless = match self.bodiless {
            Bodiless::Always => true,
            Bodiless::OnSuccess if status.is_success() => true,
            // 101 too: what follows is another protocol.
            _ => status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED),
        };
        if is_bodiless {
            self.end(Ending::Whole);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.in_flight.is_none()
    }

    /// Counts bytes of the response's body.
    pub(super) fn sent(&mut self, bytes: usize) {
        if let Some(told) = &mut self.told {
            told.response_body_size += bytes as u64;
        }
    }

    /// Emits the stop or the exception; once, however often it is called.
    pub(super) fn end(&mut self, ending: Ending<'_>) {
        // Dropped last: when nothing is in flight, all has been told.
        let _in_flight = self.in_flight.take();
        let Some(told) = self.told.take() else { return };
        let _current = Current::enter(told.span);
        let duration = told.started.elapsed();
        let by_status = |status: &StatusCode| S::is_error(*status);
        let (error_type, outcome) = match (ending, told.status.filter(by_status)) {
            (Ending::Panicked(message), _) => return told.side.exception(duration, message),
            (Ending::Cancelled, None) if told.status.is_some() && !S::DROPPED_BODY_IS_ERROR => {
                (Value::Absent, Outcome::Cancelled)
            }
            (Ending::Cancelled, None) => (Value::Str("cancelled"), Outcome::Cancelled),
            (Ending::Cancelled, Some(status)) => (Value::U64(status.as_u16().into()), Outcome::Cancelled),
            (Ending::Failed(_) | Ending::Whole, Some(status)) => (Value::U64(status.as_u16().into()), Outcome::Error),
            (Ending::Failed(reason), None) => (Value::Str(reason), Outcome::Error),
            (Ending::Whole, None) => (Value::Absent, Outcome::Ok),
        };
        told.side.stop(&Stop {
            duration,
            time_to_head: told.time_to_head,
            request_body_size: told.request_body_size.map_or(0, |size| size.read()),
            response_body_size: told.response_body_size,
            status: told.status.map(|status| status.as_u16()),
            error_type,
            outcome,
        });
    }
}

impl<S: sealed::Side> Drop for Exchange<S> {
    fn drop(&mut self) {
        self.end(Ending::Cancelled);
    }
}
