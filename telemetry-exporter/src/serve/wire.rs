//! What lies between hyper and a socket: nothing, or TLS. Below it the socket tells how it gets on.
//!
//! TLS keeps some of what it has encrypted, so only the socket can tell whether the client reads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::Guard;
use super::progress::Progress;
use super::socket::Stream;

/// The way to one client.
pub(super) enum Wire {
    Plain(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Socket>>),
}

impl Wire {
    /// Shakes hands, if TLS is spoken; `None` if that fails.
    #[cfg_attr(
        not(feature = "tls"),
        allow(clippy::unused_async, unused_variables, reason = "nothing is to be awaited")
    )]
    pub(super) async fn open(stream: Stream, guard: &Guard, progress: &Rc<Progress>) -> Option<Self> {
        let socket = Socket { stream, progress: progress.clone() };
        #[cfg(feature = "tls")]
        if let Some(tls) = guard.tls() {
            return match tls.accept(socket).await {
                Ok(stream) => Some(Self::Tls(Box::new(stream))),
                // The client was sent an alert that says why.
                Err(_) => {
                    guard.handshake_failed();
                    None
                }
            };
        }
        Some(Self::Plain(socket))
    }

    /// The socket below everything.
    pub(super) fn socket(&mut self) -> &mut Stream {
        match self {
            Self::Plain(socket) => &mut socket.stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => &mut stream.get_mut().0.stream,
        }
    }
}

/// Calls a method of whichever it is.
macro_rules! either {
    ($wire:expr, $inner:ident => $call:expr) => {
        match $wire.get_mut() {
            Wire::Plain($inner) => $call,
            #[cfg(feature = "tls")]
            Wire::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, wire => Pin::new(wire).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, wire => Pin::new(wire).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, wire => Pin::new(wire).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, wire => Pin::new(wire).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, wire => Pin::new(wire).poll_shutdown(cx))
    }
}

/// The socket of one client, that tells whether it takes what is written.
pub(super) struct Socket {
    stream: Stream,
    progress: Rc<Progress>,
}

impl Socket {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(_)) => self.progress.written(),
            Poll::Pending => self.progress.blocked(),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
