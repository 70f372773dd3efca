//! The endpoint: what Prometheus scrapes, over HTTP/1.1.
//!
//! ```text
//! thread "telemetry-serve", one event loop
//!   listener    accepts; makes room when full; backs off when the process has no descriptor left
//!   connection  one task a client: its deadlines, and hyper's state machine over the guarded socket
//!   route       a request to a response
//!   flow        makes a body part by part, once for all who asked for it meanwhile
//!   body        pulls the next part whenever the socket has taken the one before
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
//! Bodies are compressed for clients that ask for it. Scrapes that ask for the same at the same time share one body; a
//! slow client among them does not hold up the others. What an endpoint says of itself are its [`Figures`].
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

mod access;
#[cfg(unix)]
mod activation;
mod address;
mod admission;
mod body;
mod connection;
mod figures;
mod flow;
mod guard;
mod landing;
mod limits;
mod listener;
mod progress;
#[cfg(feature = "tls")]
mod reload;
mod route;
mod socket;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;
#[cfg(feature = "web-config")]
mod web_config;
mod wire;

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub use access::{Access, AccessError};
#[cfg(unix)]
pub use activation::ActivationError;
pub use address::{Address, ServeError};
pub use figures::Figures;
pub use guard::GuardStats;
pub use limits::Limits;
#[cfg(feature = "tls")]
pub use tls::{ClientAuth, Tls, TlsError, TlsVersion};
#[cfg(unix)]
pub use unix::{UnixSocket, UnixSocketError};
#[cfg(all(fuzzing, feature = "web-config"))]
pub(crate) use web_config::parse_web_config;
#[cfg(feature = "web-config")]
pub use web_config::{WebConfigError, check_web_config};

use crate::compress::Coding;

/// The thread's name; Linux shows 15 characters of it.
const THREAD: &str = "telemetry-serve";
/// The name of the thread that checks passwords, while there is one to check.
const HELPER: &str = "telemetry-login";
/// What requests in flight are given when a server is dropped instead of shut down.
const DROP_GRACE: Duration = Duration::from_millis(500);
/// What the thread is given to end after the grace, before it is given up: an exposition may hang in its own code.
const JOIN_MARGIN: Duration = Duration::from_secs(2);

/// Why a scrape cannot begin or go on.
pub type ScrapeError = Box<dyn Error + Send + Sync>;

/// An error of an [`Exposition`] that is the request's fault: it is answered with status 400, and this text.
///
/// ```
/// use telemetry_exporter::serve::{BadRequest, ScrapeError};
///
/// let error: ScrapeError = BadRequest::new("unknown parameter \"nmae\"").into();
/// assert_eq!(error.to_string(), "unknown parameter \"nmae\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    text: String,
}

impl BadRequest {
    /// An error that says what is wrong with the request.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for BadRequest {}

/// What an endpoint serves.
///
/// It is called on the server's thread, one call at a time, so it must not wait; see [`Chunks::poll_ready`]. What it gives
/// depends on nothing but its own state and the [`Scrape`]: scrapes that ask for the same at the same time share a body.
pub trait Exposition: Send + Sync + 'static {
    /// Begins one scrape.
    ///
    /// # Errors
    ///
    /// Any error, or a panic, is answered with status 500 and the error's text; [`BadRequest`] with status 400.
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
    /// How long the whole response may take.
    pub time: Duration,
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

    /// The `Content-Encoding` of the whole body, if it has one. A body that has none may be compressed by the server.
    fn content_encoding(&self) -> Option<&'static str> {
        None
    }

    /// Whether [`next`](Self::next) can go on without waiting for somebody else; if not, the waker of `cx` is to be woken
    /// when it can. It is asked before each call of `next`.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Appends the next part to `buffer`, which is empty: about 64 KiB, less only at the end or before it has to wait.
    ///
    /// It is called when everything before has been taken by a socket, and not again after [`Step::Last`], an error
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
    codings: Vec<Coding>,
    figures: Arc<Figures>,
    guard: guard::Definition,
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

    /// How bodies may be compressed for clients that ask for it, the coding to be preferred first; [`Coding::ALL`] unless
    /// told.
    pub fn codings(self, codings: impl IntoIterator<Item = Coding>) -> Self {
        Self { codings: codings.into_iter().collect(), ..self }
    }

    /// Counts what the endpoint does in `figures`.
    pub fn figures(self, figures: &Arc<Figures>) -> Self {
        Self { figures: Arc::clone(figures), ..self }
    }

    /// Who may ask; everybody unless told.
    pub fn access(mut self, access: Access) -> Self {
        self.guard.access = access;
        self
    }

    /// Speaks TLS, and nothing else.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.guard.tls = Some(tls);
        self
    }

    /// Takes TLS, passwords, headers and the limit of the rate from a web configuration file, as exporters of Prometheus
    /// do. What is told by [`access`](Self::access) counts as well.
    ///
    /// The file, and those that it names, are read when the server starts, and again when they change, for the connections
    /// and requests that begin afterwards. If they can't be used then, what was there stays, and [`Server::guard`] tells
    /// why.
    #[cfg(feature = "web-config")]
    pub fn web_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.guard.web_config = Some(path.into());
        self
    }

    /// Binds, and serves `exposition` on a thread of its own.
    ///
    /// When it returns, clients can connect.
    ///
    /// # Errors
    ///
    /// [`ServeError`] tells what stood in the way; nothing is left behind.
    pub fn serve(self, exposition: impl Exposition) -> Result<Server, ServeError> {
        // What it reads may be wrong, and then nothing was begun.
        let guard = self.guard.guard()?;
        let (tally, is_open) = (guard.tally(), guard.is_open());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_name(HELPER)
            .max_blocking_threads(1)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| ServeError::Runtime { source })?;
        let runtime = NotBegun(Some(runtime));
        let listeners = {
            let _entered = runtime.0.as_ref().map(Runtime::enter);
            self.address.bind()?
        };
        let address = listeners.local_addr().map_err(|source| ServeError::Runtime { source })?;
        let path = listeners.local_path().map(Path::to_owned);
        let pages = route::Pages { title: &self.title, events: self.events };
        let site = route::Site::new(Box::new(exposition), pages, self.limits, self.codings, self.figures);
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let Some(runtime) = { runtime }.0.take() else { return };
                let cut = {
                    let local = tokio::task::LocalSet::new();
                    local.block_on(&runtime, listener::run(listeners, guard, site, stopped))
                };
                // The sockets are closed before anybody is told that they are. A password may still be checked: nobody
                // waits for the answer.
                runtime.shutdown_background();
                // Nobody hears it when the wait for this thread was given up.
                let _ = ending.send(cut);
            })
            .map_err(|source| ServeError::Thread { source })?;
        Ok(Server { address, path, tally, is_open, running: Some(Running { stop, thread, ended: Mutex::new(ended) }) })
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
    address: Option<SocketAddr>,
    path: Option<PathBuf>,
    tally: guard::Tally,
    is_open: bool,
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
        Builder {
            address: Address::DEFAULT,
            limits: Limits::default(),
            title: "telemetry".to_owned(),
            events: false,
            codings: Coding::ALL.to_vec(),
            figures: Arc::default(),
            guard: guard::Definition::default(),
        }
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
    ///
    /// It is `0.0.0.0:0`, where nobody listens, for a server that is reached through a socket of this machine alone.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// The file that clients of this machine connect to, if the server was told one.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How often somebody was turned away, and how changed files fared.
    #[must_use]
    pub fn guard(&self) -> GuardStats {
        guard::stats(&self.tally)
    }

    /// The same for whoever shows them later; `None` where nobody is ever turned away.
    pub(crate) fn tally(&self) -> Option<Arc<Mutex<GuardStats>>> {
        (!self.is_open).then(|| self.tally.clone())
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
        f.debug_struct("Server").field("address", &self.address).field("path", &self.path).finish_non_exhaustive()
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
