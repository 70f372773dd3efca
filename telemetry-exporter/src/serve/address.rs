//! Where the endpoint listens, and what can go wrong before it does.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use tokio::net::{TcpListener, TcpSocket};

use super::access::AccessError;
#[cfg(unix)]
use super::activation::{self, ActivationError};
use super::socket::{Listener, Listeners};
#[cfg(feature = "tls")]
use super::tls::TlsError;
#[cfg(unix)]
use super::unix::{UnixSocket, UnixSocketError};
#[cfg(feature = "web-config")]
use super::web_config::WebConfigError;

/// What the system keeps of a response on its way, in bytes: four chunks.
const SEND_BUFFER: u32 = 256 * 1024;
/// How many clients the system lets wait to be accepted.
const BACKLOG: u32 = 1024;

/// Where a server listens: an address, or its text.
///
/// | text | listens on |
/// | --- | --- |
/// | `127.0.0.1:9464` `[::1]:9464` | an IP and a port; `0.0.0.0` and `[::]` stand for every interface |
/// | `localhost:9464` | one address of a host name: its first of version 4, else its first |
/// | `unix:/run/shop/metrics.sock` | a socket of this machine, see [`UnixSocket`] |
/// | `systemd` | every socket that was passed to the process when it started |
/// | `systemd:metrics` | those of them that are called `metrics` (`FileDescriptorName=`) |
///
/// The last three are for Unix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Socket(SocketAddr),
    Text(String),
    #[cfg(unix)]
    Unix(UnixSocket),
    #[cfg(unix)]
    Passed(Option<String>),
}

/// What a text asks for, if not for an address of the network.
#[cfg(unix)]
fn local(text: &str) -> Option<Form> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(Form::Unix(UnixSocket::new(path)));
    }
    match text.strip_prefix("systemd")? {
        "" => Some(Form::Passed(None)),
        name => name.strip_prefix(':').map(|name| Form::Passed(Some(name.to_owned()))),
    }
}

impl Address {
    /// The loopback address, with the port that OpenTelemetry assigns to Prometheus exporters.
    pub const DEFAULT: Self = Self(Form::Socket(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464)));

    /// Listens, within a runtime. Without `SO_REUSEPORT`: two servers on one port would each show half of the scrapes.
    pub(super) fn bind(self) -> Result<Listeners, ServeError> {
        let address = match self.0 {
            Form::Socket(address) => address,
            #[cfg(unix)]
            Form::Unix(socket) => return socket.bind().map_err(ServeError::Unix),
            #[cfg(unix)]
            Form::Passed(name) => return activation::listeners(name.as_deref()).map_err(ServeError::Activation),
            Form::Text(text) => resolve(text)?,
        };
        let listener = listen(address).map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => ServeError::Taken { address, source },
            ErrorKind::PermissionDenied => ServeError::Denied { address, source },
            ErrorKind::AddrNotAvailable => ServeError::Foreign { address, source },
            _ => ServeError::Bind { address, source },
        })?;
        Ok(Listeners::new(vec![Listener::Tcp(listener)]))
    }
}

fn resolve(text: String) -> Result<SocketAddr, ServeError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    look_up(&text).map_err(|source| ServeError::Address { text, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart does not wait for the last connections of its predecessor. Elsewhere the option lets two listen.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Connections inherit it. The system's own choice grows to megabytes for each client that does not read, and makes
    // a client that reads slowly look for seconds as if it did not. Without the option it works all the same.
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The address of a host name and a port.
fn look_up(text: &str) -> io::Result<SocketAddr> {
    // What is no name is not asked for: the answer could take seconds, and `:9464` would have one.
    let host = text.rsplit_once(':').map_or("", |(host, _)| host);
    if host.is_empty() || !host.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '.' | '_')) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "no host name and port"));
    }
    let found: Vec<SocketAddr> = text.to_socket_addrs()?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"))
}

impl Default for Address {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Socket(address) => address.fmt(f),
            Form::Text(text) => f.write_str(text),
            #[cfg(unix)]
            Form::Unix(socket) => socket.fmt(f),
            #[cfg(unix)]
            Form::Passed(None) => f.write_str("systemd"),
            #[cfg(unix)]
            Form::Passed(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(Form::Socket(address))
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from((ip, port): (I, u16)) -> Self {
        Self(Form::Socket(SocketAddr::new(ip.into(), port)))
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        #[cfg(unix)]
        if let Some(form) = local(&text) {
            return Self(form);
        }
        Self(Form::Text(text))
    }
}

#[cfg(unix)]
impl From<UnixSocket> for Address {
    fn from(socket: UnixSocket) -> Self {
        Self(Form::Unix(socket))
    }
}

/// Why a server could not be started. The application goes on without it, or tries again.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The text is no address, or its host name has none.
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Somebody else listens there.
    Taken {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// This process may not listen there.
    Denied {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address belongs to no interface of this machine.
    Foreign {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused to listen there for another reason.
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket of this machine can't be listened on.
    #[cfg(unix)]
    Unix(UnixSocketError),
    /// No socket that was passed to the process can be taken over.
    #[cfg(unix)]
    Activation(ActivationError),
    /// Who may ask can't be told by what was given.
    Access(AccessError),
    /// TLS can't be spoken as it was told.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The web configuration file can't be used.
    #[cfg(feature = "web-config")]
    WebConfig(WebConfigError),
    /// TLS is told in the code and in the web configuration file.
    #[cfg(feature = "web-config")]
    TwoTls {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A changed file would switch TLS on or off. It is told by [`GuardStats::reload_error`](super::GuardStats).
    #[cfg(feature = "tls")]
    TlsSwitched {
        /// Whether it is spoken now.
        before: bool,
    },
    /// The event loop of the server could not be made; the process may be out of file descriptors.
    Runtime {
        /// What the system said.
        source: io::Error,
    },
    /// The thread of the server could not be started.
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text, .. } => write!(
                f,
                "{text:?} is not an address to listen on; write an IP and a port, as in 127.0.0.1:9464 or [::1]:9464, \
                 or 0.0.0.0:9464 for every interface"
            ),
            Self::Taken { address, .. } => write!(
                f,
                "{address} is taken by another listener; stop it or choose another port, or port 0 for any that is \
                 free"
            ),
            Self::Denied { address, .. } => write!(
                f,
                "this process may not listen on {address}; ports below 1024 commonly need a privilege, so choose a \
                 higher one"
            ),
            Self::Foreign { address, .. } => write!(
                f,
                "{address} belongs to no interface of this machine; choose 127.0.0.1, the address of an interface, \
                 or 0.0.0.0 for all of them"
            ),
            Self::Bind { address, .. } => write!(f, "cannot listen on {address}"),
            #[cfg(unix)]
            Self::Unix(error) => error.fmt(f),
            #[cfg(unix)]
            Self::Activation(error) => error.fmt(f),
            Self::Access(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
            #[cfg(feature = "web-config")]
            Self::WebConfig(error) => error.fmt(f),
            #[cfg(feature = "web-config")]
            Self::TwoTls { path } => write!(
                f,
                "TLS is told in the code and in {} as well; remove `.tls(..)` or tls_server_config",
                path.display()
            ),
            #[cfg(feature = "tls")]
            Self::TlsSwitched { before } => {
                let (to, is) = if *before { ("off", "on") } else { ("on", "off") };
                write!(
                    f,
                    "TLS cannot be switched {to} while the endpoint serves, so it stays {is}; restart the process"
                )
            }
            Self::Runtime { .. } => {
                f.write_str("cannot make the event loop of the endpoint; check the limit of open files")
            }
            Self::Thread { .. } => {
                f.write_str("cannot start the thread of the endpoint; check the limits of threads and memory")
            }
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. }
            | Self::Taken { source, .. }
            | Self::Denied { source, .. }
            | Self::Foreign { source, .. }
            | Self::Bind { source, .. }
            | Self::Runtime { source }
            | Self::Thread { source } => Some(source),
            // What they say is said already; what remains is what the system said.
            #[cfg(unix)]
            Self::Unix(error) => error.source(),
            #[cfg(unix)]
            Self::Activation(error) => error.source(),
            Self::Access(error) => error.source(),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.source(),
            #[cfg(feature = "web-config")]
            Self::WebConfig(error) => error.source(),
            #[cfg(feature = "web-config")]
            Self::TwoTls { .. } => None,
            #[cfg(feature = "tls")]
            Self::TlsSwitched { .. } => None,
        }
    }
}
