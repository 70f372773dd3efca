//! How much of the process the endpoint may take, and for how long.

use std::time::Duration;

/// The longest time that can be set: beyond it a limit means nothing, and sums of instants could overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// hyper's own lower bound for its buffers.
const SMALLEST_HEAD: usize = 8 * 1024;

/// What the endpoint allows its clients.
///
/// Every client is bounded in memory and in time, whatever it sends or does not read. A time above a day counts as a
/// day, a number of zero as one.
///
/// | limit | default | when it is reached |
/// | --- | ---: | --- |
/// | [`connections`](Self::connections) | 256 | the connection that waits longest gives way |
/// | [`scrapes`](Self::scrapes) | 8 | `503` with `Retry-After` |
/// | [`shared_bytes`](Self::shared_bytes) | 16 MiB | the client that is furthest behind is cut |
/// | [`head_bytes`](Self::head_bytes) | 16 KiB | `431` |
/// | [`headers`](Self::headers) | 100 | `431` |
/// | [`query_bytes`](Self::query_bytes) | 8 KiB | `414` |
/// | [`head_time`](Self::head_time) | 5 s | the connection is closed |
/// | [`idle_time`](Self::idle_time) | 75 s | the connection is closed |
/// | [`stall_time`](Self::stall_time) | 10 s | the response is cut |
/// | [`response_time`](Self::response_time) | 60 s | `503`, or the response is cut if it has begun |
///
/// ```
/// use std::time::Duration;
/// use telemetry_exporter::serve::Limits;
///
/// let strict = Limits::default().connections(8).stall_time(Duration::from_secs(2));
/// assert_ne!(strict, Limits::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "limits do nothing until a server is given them"]
pub struct Limits {
    pub(super) connections: usize,
    pub(super) scrapes: usize,
    pub(super) head_bytes: usize,
    pub(super) headers: usize,
    pub(super) query_bytes: usize,
    pub(super) shared_bytes: usize,
    pub(super) head_time: Duration,
    pub(super) idle_time: Duration,
    pub(super) stall_time: Duration,
    pub(super) response_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // More than a scraper needs: so that it finds a place at once while hundreds of others come and go.
            connections: 256,
            scrapes: 8,
            head_bytes: 16 * 1024,
            headers: 100,
            query_bytes: 8 * 1024,
            shared_bytes: 16 * 1024 * 1024,
            head_time: Duration::from_secs(5),
            // Longer than Prometheus' default interval of a minute: at 60 s each scrape would race with the close.
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_secs(10),
            response_time: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The most connections open at once.
    ///
    /// A client beyond it is not refused: the connection that has waited longest without use makes room. That is one
    /// idle between requests; else one that has not sent its request within 50 ms; else one whose client has read
    /// nothing for a quarter of a second. While all are in use, the client waits in the listener's queue.
    ///
    /// Each is a descriptor, of which a process often may have 1024, and up to 256 KiB that the system keeps for a client
    /// that does not read.
    pub fn connections(self, connections: usize) -> Self {
        Self { connections: connections.max(1), ..self }
    }

    /// The most scrapes whose body is under way at once; it bounds the buffers and the work that clients can ask for.
    ///
    /// A scrape beyond it takes the place of one whose client has stopped reading, else it is answered `503` with
    /// `Retry-After`.
    pub fn scrapes(self, scrapes: usize) -> Self {
        Self { scrapes: scrapes.max(1), ..self }
    }

    /// The most bytes of a request's line and headers; at least 8 KiB.
    pub fn head_bytes(self, head_bytes: usize) -> Self {
        Self { head_bytes: head_bytes.max(SMALLEST_HEAD), ..self }
    }

    /// The most headers of a request.
    pub fn headers(self, headers: usize) -> Self {
        Self { headers: headers.max(1), ..self }
    }

    /// The most bytes of a query, `name[]=` and all. One that makes the head too long is `431`, as any head that is.
    pub fn query_bytes(self, query_bytes: usize) -> Self {
        Self { query_bytes, ..self }
    }

    /// The most bytes of bodies that are kept because several scrapes share a body and some read it faster than others;
    /// 0 makes a body for each scrape.
    ///
    /// Scrapes that ask for the same while it is being made share one body. At the limit those that are furthest behind
    /// are cut, and such bodies are not shared again.
    pub fn shared_bytes(self, shared_bytes: usize) -> Self {
        Self { shared_bytes, ..self }
    }

    /// The longest a request's line and headers may take to arrive, from the connection's beginning or, on one that
    /// has been used, from their first byte.
    pub fn head_time(self, head_time: Duration) -> Self {
        Self { head_time: head_time.min(LONGEST), ..self }
    }

    /// The longest a connection stays open between two requests.
    pub fn idle_time(self, idle_time: Duration) -> Self {
        Self { idle_time: idle_time.min(LONGEST), ..self }
    }

    /// The longest a client may read nothing of a response under way.
    pub fn stall_time(self, stall_time: Duration) -> Self {
        Self { stall_time: stall_time.min(LONGEST), ..self }
    }

    /// The longest a whole response may take.
    ///
    /// A scraper that tells its own deadline (`X-Prometheus-Scrape-Timeout-Seconds`) gets the shorter of both, less
    /// half a second for the way.
    pub fn response_time(self, response_time: Duration) -> Self {
        Self { response_time: response_time.min(LONGEST), ..self }
    }
}
