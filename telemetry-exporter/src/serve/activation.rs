//! Sockets that are passed to the process when it starts, as systemd does for a unit of type `socket`.
//!
//! The protocol: `LISTEN_PID` is the process they are for, `LISTEN_FDS` how many there are, from descriptor 3 on, and
//! `LISTEN_FDNAMES` their names, with colons between them.

use std::env;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use socket2::{Domain, SockRef, Type};

use super::socket::{Listener, Listeners};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;

/// Takes the passed sockets of that name, or all of them, within a runtime.
///
/// What is served is a copy of the descriptor: the socket stays open, as it is the manager's, and another server of
/// this process can take it again.
pub(super) fn listeners(name: Option<&str>) -> Result<Listeners, ActivationError> {
    let passed = Passed::of(env_text("LISTEN_PID"), env_text("LISTEN_FDS"), env_text("LISTEN_FDNAMES"))?;
    let chosen: Vec<(RawFd, &str)> =
        passed.sockets().filter(|(_, named)| name.is_none_or(|name| name == *named)).collect();
    if let (true, Some(name)) = (chosen.is_empty(), name) {
        return Err(ActivationError::Name { name: name.to_owned(), passed: passed.names });
    }
    let sockets: Result<Vec<Listener>, _> =
        chosen.into_iter().map(|(fd, name)| take(fd).map_err(|problem| problem.of(fd, name))).collect();
    Ok(Listeners::new(sockets?))
}

fn env_text(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// What was passed: the names of the sockets, from the first descriptor on.
struct Passed {
    // Invariant: not empty, and short enough that every descriptor is a number.
    names: Vec<String>,
}

impl Passed {
    fn of(pid: Option<String>, count: Option<String>, names: Option<String>) -> Result<Self, ActivationError> {
        let (Some(pid), Some(count)) = (pid, count) else { return Err(ActivationError::Nothing) };
        // A child inherits the variables, and not the sockets.
        if pid.parse() != Ok(std::process::id()) {
            return Err(ActivationError::Foreign { pid });
        }
        let count = match count.parse::<u16>() {
            Ok(0) | Err(_) => return Err(ActivationError::Nothing),
            Ok(count) => usize::from(count),
        };
        let mut names: Vec<String> =
            names.map(|names| names.split(':').map(str::to_owned).collect()).unwrap_or_default();
        names.resize(count, "unknown".to_owned());
        Ok(Self { names })
    }

    fn sockets(&self) -> impl Iterator<Item = (RawFd, &str)> {
        (FIRST..).zip(self.names.iter().map(String::as_str))
    }
}

/// What a descriptor is not.
enum Problem {
    Closed(io::Error),
    NotListening,
}

impl Problem {
    fn of(self, fd: RawFd, name: &str) -> ActivationError {
        let name = name.to_owned();
        match self {
            Self::Closed(source) => ActivationError::Descriptor { fd, name, source },
            Self::NotListening => ActivationError::NotListening { fd, name },
        }
    }
}

fn take(fd: RawFd) -> Result<Listener, Problem> {
    // SAFETY: the manager opened this descriptor before the process began, and by the protocol it stays open unless the
    // application closed what it was given; it is borrowed for the one call that copies it, and a closed one is an error.
    let passed = unsafe { BorrowedFd::borrow_raw(fd) };
    let copy: OwnedFd = passed.try_clone_to_owned().map_err(Problem::Closed)?;
    // Programs that this process starts should not hold the socket. They would only keep it open.
    let _ = SockRef::from(&passed).set_cloexec(true);
    let domain = {
        let socket = SockRef::from(&copy);
        if !matches!(socket.r#type(), Ok(Type::STREAM)) || !matches!(socket.is_listener(), Ok(true)) {
            return Err(Problem::NotListening);
        }
        socket.set_nonblocking(true).map_err(Problem::Closed)?;
        socket.domain().map_err(Problem::Closed)?
    };
    let listener = if domain == Domain::UNIX {
        tokio::net::UnixListener::from_std(UnixListener::from(copy)).map(Listener::Unix)
    } else if domain == Domain::IPV4 || domain == Domain::IPV6 {
        tokio::net::TcpListener::from_std(TcpListener::from(copy)).map(Listener::Tcp)
    } else {
        return Err(Problem::NotListening);
    };
    listener.map_err(Problem::Closed)
}

/// Why no socket was taken over.
#[derive(Debug)]
#[non_exhaustive]
pub enum ActivationError {
    /// No socket was passed to this process.
    Nothing,
    /// Sockets were passed, but to another process.
    Foreign {
        /// What `LISTEN_PID` says.
        pid: String,
    },
    /// No socket of that name was passed.
    Name {
        /// The name asked for.
        name: String,
        /// The names of those that were.
        passed: Vec<String>,
    },
    /// A descriptor is no socket that listens for connections.
    NotListening {
        /// The descriptor.
        fd: RawFd,
        /// Its name.
        name: String,
    },
    /// A descriptor can't be used.
    Descriptor {
        /// The descriptor.
        fd: RawFd,
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for ActivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "no socket was passed to this process (LISTEN_FDS is not set); start it by a socket unit, or listen on \
                 an address",
            ),
            Self::Foreign { pid } => write!(
                f,
                "the sockets were passed to process {pid:?} (LISTEN_PID), and this is process {}; let the unit start \
                 this program itself, not a shell around it that stays",
                std::process::id()
            ),
            Self::Name { name, passed } => write!(
                f,
                "no socket named {name:?} was passed to this process, but {passed:?}; set FileDescriptorName={name} in \
                 the socket unit"
            ),
            Self::NotListening { fd, name } => write!(
                f,
                "descriptor {fd} ({name:?}) that was passed to this process is no socket that listens for connections; \
                 use ListenStream= with Accept=no in the socket unit, or name the socket to take"
            ),
            Self::Descriptor { fd, name, .. } => {
                write!(f, "descriptor {fd} ({name:?}) that was passed to this process cannot be used")
            }
        }
    }
}

impl std::error::Error for ActivationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Descriptor { source, .. } => Some(source),
            Self::Nothing | Self::Foreign { .. } | Self::Name { .. } | Self::NotListening { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pid: &str, count: &str, names: Option<&str>) -> Result<Vec<(RawFd, String)>, ActivationError> {
        let passed = Passed::of(Some(pid.to_owned()), Some(count.to_owned()), names.map(str::to_owned))?;
        Ok(passed.sockets().map(|(fd, name)| (fd, name.to_owned())).collect())
    }

    fn own() -> String {
        std::process::id().to_string()
    }

    #[test]
    fn sockets_are_numbered_from_three_in_the_order_of_their_names() {
        let names = passed(&own(), "2", Some("web:metrics")).unwrap();
        assert_eq!(names, [(3, "web".to_owned()), (4, "metrics".to_owned())]);
    }

    #[test]
    fn sockets_without_names_are_called_unknown() {
        assert_eq!(passed(&own(), "1", None).unwrap(), [(3, "unknown".to_owned())]);
    }

    #[test]
    fn variables_of_another_process_are_not_ours() {
        assert!(matches!(passed("1", "1", None), Err(ActivationError::Foreign { .. })));
    }

    #[test]
    fn nothing_is_taken_without_a_count() {
        assert!(matches!(Passed::of(None, None, None), Err(ActivationError::Nothing)));
        for count in ["", "0", "-1", "x", "99999999"] {
            assert!(matches!(passed(&own(), count, None), Err(ActivationError::Nothing)), "{count}");
        }
    }
}
