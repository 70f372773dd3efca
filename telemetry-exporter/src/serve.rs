//! The endpoint: what Prometheus scrapes, over HTTP/1.1.
//!
//! ```text
//! thread "telemetry-serve", one event loop
//!   listener    accepts; makes room when full; backs off when the process has no descriptor left
//!   connection  one task a client: its deadlines, and hyper's state machine over the guarded socket
//!   route       a request to a response
//!   body        pulls one chunk of the exposition whenever the socket has taken the one before
//! ```
//!
//! The server owns its thread and its event loop, so an application needs no async runtime, and one whose runtime is
//! blocked can still be scraped. What is served is an [`Exposition`], asked for 64 KiB at a time: memory does not grow
//! with the size of the exposition, and a client that stops reading stops the work that is done for it.
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | the exposition, in the format that was negotiated |
//! | `/metrics.json` | the same as JSON |
//! | `/events` | the catalogue of events, if it is [asked for](Builder::events) |
//! | `/-/healthy` | `ok` |
//! | `/` | a page that links to the others |
//!
//! Methods are `GET`, `HEAD` and `OPTIONS`. A response that cannot be finished (the exposition failed or panicked,
//! a deadline passed) is cut with a reset of the connection, so that no client takes a part for the whole.
//!
//! Another process does not inherit the endpoint: after a `fork` the child holds the socket, but no thread serves it.
//!
//! ```
//! use std::time::Duration;
//! use telemetry_exporter::serve::{Chunks, Exposition, Scrape, ScrapeError, Server, Step};
//!
//! struct One;
//! struct Line;
//!
//! impl Exposition for One {
//!     fn open(&self, _: &Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> {
//!         Ok(Box::new(Line))
//!     }
//! }
//!
//! impl Chunks for Line {
//!     fn content_type(&self) -> &'static str {
//!         "text/plain; version=0.0.4; charset=utf-8"
//!     }
//!     fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
//!         buffer.extend_from_slice(b"one 1\n");
//!         Ok(Step::Last)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().listen("127.0.0.1:0").serve(One)?;
//! assert_ne!(server.local_addr().port(), 0);
//! server.shutdown(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```

mod address;
mod admission;
mod body;
mod connection;
mod landing;
mod limits;
mod listener;
mod progress;
mod route;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub use address::{Address, ServeError};
pub use limits::Limits;

/// The thread's name; Linux shows 15 characters of it.
const THREAD: &str = "telemetry-serve";
/// What requests in flight are given when a server is dropped instead of shut down.
const DROP_GRACE: Duration = Duration::from_millis(500);
/// What the thread is given to end after the grace, before it is given up: an exposition may hang in its own code.
const JOIN_MARGIN: Duration = Duration::from_secs(2);

/// Why a scrape cannot begin or go on.
pub type ScrapeError = Box<dyn Error + Send + Sync>;

/// What an endpoint serves.
///
/// It is called on the server's thread, one call at a time.
pub trait Exposition: Send + Sync + 'static {
    /// Begins one scrape.
    ///
    /// # Errors
    ///
    /// Any error, or a panic, is answered with status 500 and the error's text.
    fn open(&self, scrape: &Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError>;
}

impl<E: Exposition + ?Sized> Exposition for Arc<E> {
    fn open(&self, scrape: &Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> {
        (**self).open(scrape)
    }
}

/// One scrape, as its request asked for it.
#[derive(Debug, Clone, Copy)]
pub struct Scrape<'a> {
    /// What is scraped.
    pub target: Target,
    /// The `Accept` header; several are joined by commas.
    pub accept: Option<&'a [u8]>,
    /// The `Accept-Encoding` header; several are joined by commas.
    pub accept_encoding: Option<&'a [u8]>,
    /// What follows the `?`, as it was sent.
    pub query: Option<&'a str>,
}

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `/metrics`: a format that Prometheus takes.
    Metrics,
    /// `/metrics.json`.
    Json,
    /// `/events`: what can be emitted, as JSON. Asked for only where [`Builder::events`] says so.
    Events,
}

/// The body of one scrape, made as it is sent.
///
/// It is dropped when it is complete, when it failed, or when its client has gone.
pub trait Chunks: Send {
    /// The `Content-Type` of the whole body.
    fn content_type(&self) -> &'static str;

    /// The `Content-Encoding` of the whole body, if it has one.
    fn content_encoding(&self) -> Option<&'static str> {
        None
    }

    /// Appends the next part to `buffer`, which is empty: about 64 KiB, less only at the end.
    ///
    /// It is called when everything before has been taken by the socket, and not again after [`Step::Last`], an error
    /// or a panic.
    ///
    /// # Errors
    ///
    /// An error, or a panic, before anything was sent is answered with status 500; later it cuts the body in a way
    /// that the client notices.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError>;
}

/// Whether a body goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// The body is complete with what was just appended.
    Last,
}

/// How an endpoint is to be, before it is [served](Self::serve).
#[derive(Debug, Clone)]
#[must_use = "nothing listens before `serve`"]
pub struct Builder {
    address: Address,
    limits: Limits,
    title: String,
    events: bool,
}

impl Builder {
    /// Where to listen; `127.0.0.1:9464` unless told. Port 0 takes any that is free, see [`Server::local_addr`].
    pub fn listen(self, address: impl Into<Address>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// What clients are allowed.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What the landing page is headed with; the name of the application, say.
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Whether there is an `/events`, whose requests the exposition gets as [`Target::Events`]; off unless told, since it
    /// shows what the program is made of.
    pub fn events(self, events: bool) -> Self {
        Self { events, ..self }
    }

    /// Binds, and serves `exposition` on a thread of its own.
    ///
    /// When it returns, clients can connect.
    ///
    /// # Errors
    ///
    /// [`ServeError`] tells what stood in the way; nothing is left behind.
    pub fn serve(self, exposition: impl Exposition) -> Result<Server, ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| ServeError::Runtime { source })?;
        let runtime = NotBegun(Some(runtime));
        let listener = {
            let _entered = runtime.0.as_ref().map(Runtime::enter);
            self.address.bind()?
        };
        let address = listener.local_addr().map_err(|source| ServeError::Runtime { source })?;
        let site = route::Site::new(Box::new(exposition), &self.title, self.limits, self.events);
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let Some(runtime) = { runtime }.0.take() else { return };
                let cut = {
                    let local = tokio::task::LocalSet::new();
                    local.block_on(&runtime, listener::run(listener, site, stopped))
                };
                // The sockets are closed before anybody is told that they are.
                drop(runtime);
                // Nobody hears it when the wait for this thread was given up.
                let _ = ending.send(cut);
            })
            .map_err(|source| ServeError::Thread { source })?;
        Ok(Server { address, running: Some(Running { stop, thread, ended: Mutex::new(ended) }) })
    }
}

/// The runtime of an endpoint that has not begun. When it can't, the caller may be in a runtime of its own, where another
/// one must not be dropped: that would wait for it.
struct NotBegun(Option<Runtime>);

impl Drop for NotBegun {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An endpoint that is being served, until it is [shut down](Self::shutdown) or dropped.
///
/// A drop gives requests in flight half a second.
#[must_use = "a server stops when it is dropped"]
pub struct Server {
    address: SocketAddr,
    // Invariant: `Some` until `shutdown` or `drop`.
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<Duration>,
    thread: JoinHandle<()>,
    // A receiver is not `Sync`, and a server should be.
    ended: Mutex<mpsc::Receiver<usize>>,
}

impl Server {
    /// Begins the definition of an endpoint.
    pub fn builder() -> Builder {
        Builder { address: Address::DEFAULT, limits: Limits::default(), title: "telemetry".to_owned(), events: false }
    }

    /// Serves `exposition` at `address`, with the default limits.
    ///
    /// # Errors
    ///
    /// As [`Builder::serve`].
    pub fn bind(address: impl Into<Address>, exposition: impl Exposition) -> Result<Self, ServeError> {
        Self::builder().listen(address).serve(exposition)
    }

    /// The address that clients connect to, with the port that was given for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets the requests in flight finish for `grace` at most, cuts the others, and waits for the
    /// thread to end.
    ///
    /// # Errors
    ///
    /// The server has stopped all the same: [`ShutdownError`] tells what was lost.
    pub fn shutdown(mut self, grace: Duration) -> Result<(), ShutdownError> {
        match self.running.take() {
            Some(running) => running.end(grace),
            None => Ok(()),
        }
    }
}

impl Running {
    fn end(self, grace: Duration) -> Result<(), ShutdownError> {
        // An error says that the thread has ended already.
        let _ = self.stop.send(grace);
        if self.thread.thread().id() == thread::current().id() {
            // The exposition dropped its own server: the loop ends when this call returns to it.
            return Ok(());
        }
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(grace.saturating_add(JOIN_MARGIN)) {
            Err(mpsc::RecvTimeoutError::Timeout) => Err(ShutdownError::Stuck),
            cut => match (self.thread.join(), cut) {
                (Ok(()), Ok(0)) => Ok(()),
                (Ok(()), Ok(responses)) => Err(ShutdownError::Cut { responses }),
                _ => Err(ShutdownError::Panicked),
            },
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // There is nobody to tell what was cut.
            let _ = running.end(DROP_GRACE);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What was lost when a server was shut down.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Responses were still under way at the end of the grace; their clients saw them break off.
    Cut {
        /// How many.
        responses: usize,
    },
    /// The exposition did not return, so the thread was left to itself; it ends when the exposition does.
    Stuck,
    /// The thread had ended by a panic.
    Panicked,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { responses } => {
                write!(f, "{responses} responses were cut at the end of the grace; a longer one lets them finish")
            }
            Self::Stuck => f.write_str("the exposition did not return, so the thread of the endpoint was left behind"),
            Self::Panicked => f.write_str("the thread of the endpoint had panicked, so nothing was served any more"),
        }
    }
}

impl Error for ShutdownError {}
