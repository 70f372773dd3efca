//! What one connection is doing, and until when it may.
//!
//! The socket and the routes tell; the connection's task reads the deadline, and the admission who may be sent away.
//! hyper has a timeout for a request's head alone: none between requests, none for a client that stops reading.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::figures::Cut;

/// How long a connection may take to send its request while others wait for its place.
const HEAD_PATIENCE: Duration = Duration::from_millis(50);
/// How long a client may read nothing while others wait for its place.
const STALL_PATIENCE: Duration = Duration::from_millis(250);
/// How long what a client still sends is read and dropped, so that it gets to read its last response.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Waits for the rest of a request's head.
    Head { since: Instant },
    /// Makes and writes a response; `whole` once all of it was handed over to be written.
    Response { until: Instant, whole: bool },
    /// Waits for the next request.
    Idle { since: Instant },
    /// Has said everything, and drops what the client still sends.
    Closing { since: Instant },
}

/// The state of one connection, shared by the parts that serve it.
pub(super) struct Progress {
    limits: Limits,
    phase: Cell<Phase>,
    /// Since when the socket has taken nothing of what is to be written.
    stalled: Cell<Option<Instant>>,
    /// Whether the client may be in the middle of sending a body that nobody reads.
    unread: Cell<bool>,
    /// Whether the head of the response is known.
    answered: Cell<bool>,
    failed: Cell<bool>,
    stopping: Cell<bool>,
}

impl Progress {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Cell::new(Phase::Head { since: Instant::now() }),
            stalled: Cell::new(None),
            unread: Cell::new(false),
            answered: Cell::new(false),
            failed: Cell::new(false),
            stopping: Cell::new(false),
        }
    }

    /// Bytes came from the client.
    pub(super) fn read(&self) {
        if let Phase::Idle { .. } = self.phase.get() {
            self.phase.set(Phase::Head { since: Instant::now() });
        }
    }

    /// A request's head is complete. A scraper may grant less than the limits do.
    pub(super) fn request(&self, budget: Option<Duration>, has_body: bool) {
        let time = budget.unwrap_or(Duration::MAX).min(self.limits.response_time);
        self.phase.set(Phase::Response { until: Instant::now() + time, whole: false });
        self.unread.set(has_body);
        self.answered.set(false);
        self.failed.set(false);
    }

    /// The head of the response is known.
    pub(super) fn answered(&self) {
        self.answered.set(true);
    }

    /// The body of the response can't be finished.
    pub(super) fn failed(&self) {
        self.failed.set(true);
    }

    /// Why the response, if one is under way, is not sent whole.
    pub(super) fn cut(&self) -> Option<Cut> {
        let Phase::Response { until, .. } = self.phase.get() else { return None };
        Some(match self.stalled.get() {
            _ if self.failed.get() => Cut::Failed,
            Some(since) if since.elapsed() >= self.limits.stall_time => Cut::Stalled,
            _ if Instant::now() >= until => Cut::Late,
            _ => Cut::Gone,
        })
    }

    /// All of a response was handed over to be written.
    pub(super) fn whole(&self) {
        if let Phase::Response { until, .. } = self.phase.get() {
            self.phase.set(Phase::Response { until, whole: true });
        }
    }

    /// The socket took bytes.
    pub(super) fn written(&self) {
        self.stalled.set(None);
    }

    /// The socket would not take any.
    pub(super) fn blocked(&self) {
        if self.stalled.get().is_none() {
            self.stalled.set(Some(Instant::now()));
        }
    }

    /// Nothing is left to be written for now.
    pub(super) fn flushed(&self) {
        if let Phase::Response { whole: true, .. } = self.phase.get() {
            self.phase.set(Phase::Idle { since: Instant::now() });
        }
    }

    /// The server is being shut down.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
    }

    /// Whether the client may still be sending. A close would then reset the connection, and with it what the client
    /// has not read yet. Says so once.
    pub(super) fn close(&self) -> bool {
        // In the phase `Head` the client has gone, or its head was refused in the middle.
        let sending = self.unread.get() || matches!(self.phase.get(), Phase::Head { .. });
        self.phase.set(Phase::Closing { since: Instant::now() });
        sending && !self.stopping.get()
    }

    /// Whether a response has begun that its client has not been sent whole.
    pub(super) fn in_response(&self) -> bool {
        matches!(self.phase.get(), Phase::Response { .. })
    }

    /// When the time for the response is over.
    pub(super) fn time_of_response(&self) -> Instant {
        match self.phase.get() {
            Phase::Response { until, .. } => until,
            Phase::Head { since } | Phase::Idle { since } | Phase::Closing { since } => since,
        }
    }

    /// When the connection is to be cut, unless it gets on before.
    pub(super) fn deadline(&self) -> Instant {
        match self.phase.get() {
            Phase::Head { since } => since + self.limits.head_time,
            Phase::Idle { since } => since + self.limits.idle_time,
            Phase::Closing { since } => since + LINGER,
            Phase::Response { until, .. } => match self.stalled.get() {
                // Until there is a head, a response that is late can still say so.
                _ if !self.answered.get() => until + LINGER,
                Some(since) => until.min(since + self.limits.stall_time),
                None => until,
            },
        }
    }

    /// How little the connection is missed if it makes room for another, or `None` if it is in use.
    pub(super) fn uselessness(&self) -> Option<Uselessness> {
        let now = Instant::now();
        match self.phase.get() {
            Phase::Idle { since } | Phase::Closing { since } => Some(Uselessness::Idle(now - since)),
            Phase::Head { since } if now - since >= HEAD_PATIENCE => Some(Uselessness::Silent(now - since)),
            Phase::Response { .. } => self.stall(),
            Phase::Head { .. } => None,
        }
    }

    /// As [`uselessness`](Self::uselessness), for a connection whose client has stopped reading.
    pub(super) fn stall(&self) -> Option<Uselessness> {
        let stalled = self.stalled.get()?.elapsed();
        (self.in_response() && stalled >= STALL_PATIENCE).then_some(Uselessness::Stalled(stalled))
    }
}

/// Who is to make room: the greatest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Uselessness {
    /// Its response is not being read.
    Stalled(Duration),
    /// It has not sent its request.
    Silent(Duration),
    /// It was served and has sent nothing since.
    Idle(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_makes_room_before_a_silent_one_and_that_before_a_stalled_one() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(9));
        assert!(Uselessness::Idle(short) > Uselessness::Silent(long));
        assert!(Uselessness::Silent(short) > Uselessness::Stalled(long));
        assert!(Uselessness::Idle(long) > Uselessness::Idle(short));
    }

    #[test]
    fn a_fresh_connection_is_not_asked_to_make_room() {
        assert_eq!(Progress::new(Limits::default()).uselessness(), None);
    }

    #[test]
    fn a_response_is_over_when_its_whole_body_was_flushed() {
        let progress = Progress::new(Limits::default());
        progress.request(None, false);
        progress.flushed();
        assert!(progress.in_response(), "a flush between two chunks ends nothing");
        progress.whole();
        assert!(progress.in_response(), "what was handed over may not be written yet");
        progress.flushed();
        assert!(!progress.in_response());
    }

    #[test]
    fn the_first_byte_after_an_idle_time_starts_the_time_for_a_head() {
        let limits = Limits::default().head_time(Duration::from_secs(1)).idle_time(Duration::from_secs(1000));
        let progress = Progress::new(limits);
        progress.request(None, false);
        progress.whole();
        progress.flushed();
        let idle = progress.deadline();
        progress.read();
        let head = progress.deadline();
        assert!(head < idle);
        progress.read();
        assert_eq!(progress.deadline(), head, "a dribble does not extend it");
    }

    #[test]
    fn a_scraper_can_shorten_the_time_of_its_response_but_not_extend_it() {
        let progress = Progress::new(Limits::default().response_time(Duration::from_secs(10)));
        progress.request(Some(Duration::from_secs(1000)), false);
        progress.answered();
        assert!(progress.deadline() <= Instant::now() + Duration::from_secs(10));
        progress.request(Some(Duration::ZERO), false);
        assert!(progress.time_of_response() <= Instant::now());
    }

    #[test]
    fn a_response_without_a_head_has_time_to_say_that_it_is_late() {
        let progress = Progress::new(Limits::default());
        progress.request(Some(Duration::ZERO), false);
        assert!(progress.deadline() > Instant::now());
        progress.answered();
        assert!(progress.deadline() <= Instant::now());
    }
}
