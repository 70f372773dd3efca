//! One client: hyper's state machine over a socket that tells how it gets on, cut at its deadline.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::admission::Admission;
use super::figures::Figures;
use super::progress::Progress;
use super::route::Site;

/// The most that is read of a body that nobody wants before the connection is closed all the same.
const LINGER_BYTES: usize = 256 * 1024;

/// Serves one client until it leaves, is to leave, or passes a deadline.
pub(super) async fn run(
    stream: TcpStream,
    site: Rc<Site>,
    admission: Rc<Admission>,
    progress: Rc<Progress>,
    mut stop: watch::Receiver<bool>,
) {
    // Chunks are large and the last one should not wait for an acknowledgement. A socket without the option works too.
    let _ = stream.set_nodelay(true);
    let limits = site.limits();
    let of_client = (&site, &admission, &progress);
    let service = service_fn(move |request| async move {
        let (site, admission, progress) = of_client;
        Ok::<_, Infallible>(site.respond(&request, admission, progress).await)
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
            .serve_connection(Transport::new(stream, progress.clone(), site.figures().clone()), service)
    );
    let mut deadline = pin!(sleep_until(progress.deadline()));
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
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

/// The socket of one client.
struct Transport {
    // `TokioIo` hands hyper's uninitialized buffer to tokio, so that no unsafe code is needed here.
    io: TokioIo<TcpStream>,
    progress: Rc<Progress>,
    figures: Arc<Figures>,
    /// How many bytes were dropped since the last was written, once it was.
    lingering: Option<usize>,
}

impl Transport {
    fn new(stream: TcpStream, progress: Rc<Progress>, figures: Arc<Figures>) -> Self {
        Self { io: TokioIo::new(stream), progress, figures, lingering: None }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(_)) => self.progress.written(),
            Poll::Pending => self.progress.blocked(),
            Poll::Ready(Err(_)) => {}
        }
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
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.note(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing left to write.
        self.progress.flushed();
        Pin::new(&mut self.io).poll_flush(cx)
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
            ready!(Pin::new(this.io.inner_mut()).poll_read(cx, &mut buffer))?;
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
            // A plain close would look like the end of a response without a length. It can only fail where the
            // connection is already gone.
            let _ = self.io.inner().set_zero_linger();
        }
    }
}
