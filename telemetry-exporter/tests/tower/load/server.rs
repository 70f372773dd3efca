//! An application on axum: some handlers answer, others fail in every way there is.

use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Frame;
use telemetry_core::http::ServerLayer;
use telemetry_exporter::MetricsService;
use tokio::net::{TcpListener, TcpStream};

/// What a handler panics with.
pub(crate) const PANIC: &str = "a handler that is to panic";
/// What a stream is made of.
pub(crate) const CHUNK: &[u8] = b"0123456789abcdef";
/// How much of a body that breaks off, or stalls, comes before.
pub(crate) const BEFORE: u64 = CHUNK.len() as u64;

/// The numbers of the requests that reached the handler that never answers.
pub(crate) type Arrived = Arc<Mutex<HashSet<u64>>>;

/// A server that runs until its runtime is gone.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) arrived: Arrived,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

pub(crate) async fn start(metrics: MetricsService) -> Server {
    let (arrived, connections) = (Arrived::default(), Arc::<AtomicUsize>::default());
    let app = Router::new()
        .route("/products/{name}", get(product))
        .route("/orders", post(order))
        .route("/stream/{chunks}", get(stream))
        .route("/fails", get(fails))
        .route("/panics", get(panics))
        .route("/breaks", get(async || frames([CHUNK], End::Flush)))
        .route("/stalls", get(async || frames([CHUNK], End::Stall)))
        .route("/never", get(never))
        .with_state(Arc::clone(&arrived))
        .layer(ServerLayer::new().route_from(MatchedPath::as_str))
        .route_service("/metrics", metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(Counting { listener, connections: Arc::clone(&connections) }, app).into_future());
    Server { address, arrived, connections }
}

async fn product(Path(name): Path<String>) -> String {
    name
}

async fn order(body: Bytes) -> (StatusCode, String) {
    (StatusCode::CREATED, body.len().to_string())
}

async fn stream(Path(chunks): Path<usize>) -> Response {
    frames(std::iter::repeat_n(CHUNK, chunks), End::Whole)
}

async fn fails() -> (StatusCode, &'static str) {
    (StatusCode::INTERNAL_SERVER_ERROR, "no")
}

async fn panics() -> &'static str {
    if true {
        panic!("{}", PANIC);
    }
    PANIC
}

async fn never(State(arrived): State<Arrived>, RawQuery(number): RawQuery) {
    arrived.lock().unwrap().insert(number.unwrap().parse().unwrap());
    pending::<()>().await;
}

/// How a body ends.
enum End {
    Whole,
    Flush,
    Break,
    Stall,
}

struct Frames(VecDeque<&'static [u8]>, End);

fn frames(frames: impl IntoIterator<Item = &'static [u8]>, end: End) -> Response {
    Response::new(Body::new(Frames(frames.into_iter().collect(), end)))
}

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.0.pop_front(), &self.1) {
            (Some(chunk), _) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(chunk))))),
            (None, End::Whole) => Poll::Ready(None),
            (None, End::Flush) => {
                // What came before is on its way when this is polled again.
                self.1 = End::Break;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (None, End::Break) => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            (None, End::Stall) => Poll::Pending,
        }
    }
}

/// A listener that counts.
struct Counting {
    listener: TcpListener,
    connections: Arc<AtomicUsize>,
}

impl axum::serve::Listener for Counting {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = axum::serve::Listener::accept(&mut self.listener).await;
        self.connections.fetch_add(1, SeqCst);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
