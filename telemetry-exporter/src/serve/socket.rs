//! Where clients come from and what connects to them: sockets of the network, and those of this machine.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

#[cfg(unix)]
use super::unix::SocketFile;

/// One socket that listens.
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Client>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, from)| Client {
                // A socket for both versions shows clients of version 4 in the form of version 6.
                from: Some(from.ip().to_canonical()),
                stream: Stream::Tcp(stream),
            }),
            #[cfg(unix)]
            Self::Unix(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Client { from: None, stream: Stream::Unix(stream) })
            }
        }
    }

    fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Self::Unix(_) => Ok(None),
        }
    }
}

/// A client that was accepted.
pub(super) struct Client {
    pub(super) stream: Stream,
    /// `None` for one of this machine.
    pub(super) from: Option<IpAddr>,
}

/// All sockets that one endpoint listens on: one, unless several were passed to the process.
pub(super) struct Listeners {
    // Invariant: not empty.
    sockets: Vec<Listener>,
    /// Who is asked first: each in turn, so that a busy one does not keep out the clients of another.
    first: usize,
    /// Removed when the endpoint stops to listen.
    #[cfg(unix)]
    file: Option<SocketFile>,
}

impl Listeners {
    /// The sockets; there is at least one.
    pub(super) fn new(sockets: Vec<Listener>) -> Self {
        Self {
            sockets,
            first: 0,
            #[cfg(unix)]
            file: None,
        }
    }

    #[cfg(unix)]
    pub(super) fn with_file(listener: UnixListener, file: SocketFile) -> Self {
        Self { file: Some(file), ..Self::new(vec![Listener::Unix(listener)]) }
    }

    /// The address of the first that has one.
    pub(super) fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.sockets.iter().find_map(|socket| socket.local_addr().transpose()).transpose()
    }

    /// The file that clients of this machine connect to.
    pub(super) fn local_path(&self) -> Option<&Path> {
        #[cfg(unix)]
        return self.file.as_ref().map(SocketFile::path);
        #[cfg(not(unix))]
        None
    }

    /// The next client.
    pub(super) async fn accept(&mut self) -> io::Result<Client> {
        let accepted = poll_fn(|cx| {
            let count = self.sockets.len();
            for at in (0..count).map(|offset| (self.first + offset) % count) {
                if let Poll::Ready(client) = self.sockets[at].poll_accept(cx) {
                    self.first = (at + 1) % count;
                    return Poll::Ready(client);
                }
            }
            Poll::Pending
        });
        accepted.await
    }
}

/// The connection to one client.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Sends what is written at once: chunks are large, and the last one should not wait for an acknowledgement.
    pub(super) fn hurry(&self) {
        match self {
            // A socket without the option works too.
            Self::Tcp(stream) => drop(stream.set_nodelay(true)),
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }

    /// Makes the close a reset: a plain one would look like the end of a response without a length.
    pub(super) fn reset_on_close(&self) {
        match self {
            // It can only fail where the connection is already gone.
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            // Sockets of a machine have no reset; every version of HTTP since 1.1 has a length or chunks.
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }
}

/// Calls a method of whichever it is.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($inner) => $call,
            #[cfg(unix)]
            Stream::Unix($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
