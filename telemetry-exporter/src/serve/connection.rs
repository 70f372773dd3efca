//! One client: hyper's state machine over a socket that tells how it gets on, cut at its deadline.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::admission::Admission;
use super::figures::Figures;
use super::guard::Guard;
use super::progress::Progress;
use super::route::Site;
use super::socket::Client;
use super::wire::Wire;

/// The most that is read of a body that nobody wants before the connection is closed all the same.
const LINGER_BYTES: usize = 256 * 1024;

/// Serves one client until it leaves, is to leave, or passes a deadline.
pub(super) async fn run(
    client: Client,
    guard: Rc<Guard>,
    site: Rc<Site>,
    admission: Rc<Admission>,
    progress: Rc<Progress>,
    mut stop: watch::Receiver<bool>,
) {
    let Client { stream, from } = client;
    stream.hurry();
    let limits = site.limits();
    let mut deadline = pin!(sleep_until(progress.deadline()));
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let wire = tokio::select! {
        biased;
        wire = Wire::open(stream, &guard, &progress) => match wire {
            Some(wire) => wire,
            None => return,
        },
        () = &mut deadline => {
            #[cfg(feature = "tls")]
            guard.handshake_failed();
            return;
        }
        _ = &mut stopped => return,
    };
    let (guard, site, admission) = (&guard, &site, &admission);
    let told = &progress;
    let service = service_fn(move |request: Request<Incoming>| async move {
        told.request(None, !request.body().is_end_stream());
        let mut response = match guard.admit(&request, from).await {
            Ok(()) => site.respond(&request, admission, told).await,
            Err(refusal) => {
                let response = guard.refuse(refusal, told);
                site.figures().responded(response.status().as_u16());
                response
            }
        };
        guard.dress(&mut response);
        Ok::<_, Infallible>(response)
    });
    let mut connection = pin!(
        http1::Builder::new()
            // The phases of `Progress` have their deadlines, this one among them.
            .header_read_timeout(None)
            // A client may send its request and close its half: it still gets the response.
            .half_close(true)
            .max_headers(limits.headers)
            // What is read before a head is complete, and the mark above which hyper asks for no more of a body: as
            // a chunk is longer, it asks for one at a time.
            .max_buf_size(limits.head_bytes)
            .serve_connection(Transport::new(wire, progress.clone(), site.figures().clone()), service),
    );
    let mut stopping = false;
    poll_fn(|cx| {
        // An error says that the server has gone, which is the same.
        if !stopping && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            progress.stop();
            connection.as_mut().graceful_shutdown();
        }
        // There is nobody to tell an error: the client is gone or was told by a status, and a body that failed is cut
        // by the drop of the transport.
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            match end {
                Err(error) if error.is_parse_too_large() => site.figures().responded(431),
                Err(error) if error.is_parse() => site.figures().responded(400),
                Ok(()) | Err(_) => {}
            }
            return Poll::Ready(());
        }
        if deadline.deadline() != progress.deadline() {
            deadline.as_mut().reset(progress.deadline());
        }
        deadline.as_mut().poll(cx)
    })
    .await;
}

/// The wire of one client, as hyper sees it.
struct Transport {
    // `TokioIo` hands hyper's uninitialized buffer to tokio, so that no unsafe code is needed here.
    io: TokioIo<Wire>,
    progress: Rc<Progress>,
    figures: Arc<Figures>,
    /// How many bytes were dropped since the last was written, once it was.
    lingering: Option<usize>,
}

impl Transport {
    fn new(wire: Wire, progress: Rc<Progress>, figures: Arc<Figures>) -> Self {
        Self { io: TokioIo::new(wire), progress, figures, lingering: None }
    }
}

impl Read for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.progress.read();
        }
        read
    }
}

impl Write for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing left to write; the wire may, of what it has encrypted.
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut dropped = match this.lingering {
            Some(dropped) => dropped,
            None => {
                ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
                if !this.progress.close() {
                    return Poll::Ready(Ok(()));
                }
                0
            }
        };
        let mut bytes = [0; 4096];
        while dropped < LINGER_BYTES {
            this.lingering = Some(dropped);
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(this.io.inner_mut().socket()).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => break,
                read => dropped += read,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if let Some(reason) = self.progress.cut() {
            self.figures.cut(reason);
            self.io.inner_mut().socket().reset_on_close();
        }
    }
}
