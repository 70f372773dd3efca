//! A socket of this machine: a file that clients connect to, guarded by its permissions.
//!
//! The socket is bound beside its place, given its permissions, and then put there by a rename. So nobody can connect
//! before the permissions are right, and what a process left behind that was killed is replaced in one step.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::socket::Listeners;

/// Reading and writing for the owner and the group: to connect is to write.
const MODE: u32 = 0o660;
/// What is left of a mode: the bits of permissions.
const PERMISSIONS: u32 = 0o777;

/// A socket of this machine, to [listen](super::Builder::listen) on.
///
/// Its owner and its group may connect, unless [`mode`](Self::mode) says otherwise; on the way to it they must be able
/// to enter every folder. A file that a killed process left behind is replaced; any other is left alone. It is removed
/// when the server stops.
///
/// ```
/// use telemetry_exporter::Exporter;
/// use telemetry_exporter::serve::UnixSocket;
///
/// let path = std::env::temp_dir().join(format!("telemetry-doc-{}.sock", std::process::id()));
/// let exporter = Exporter::builder().listen(UnixSocket::new(&path).mode(0o600)).serve()?;
/// assert_eq!(exporter.local_path(), Some(&*path));
/// drop(exporter);
/// assert!(!path.exists());
/// # Ok::<(), telemetry_exporter::ExporterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing listens before `serve`"]
pub struct UnixSocket {
    path: PathBuf,
    mode: u32,
}

impl UnixSocket {
    /// The socket at `path`; as a text it is `unix:` and the path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: MODE }
    }

    /// Who may connect, as the permissions of the file: those who may write to it. `0o660` unless told.
    pub fn mode(self, mode: u32) -> Self {
        Self { mode: mode & PERMISSIONS, ..self }
    }

    /// Listens, within a runtime.
    pub(super) fn bind(self) -> Result<Listeners, UnixSocketError> {
        let Self { path, mode } = self;
        check_place(&path)?;
        let wrap = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => UnixSocketError::Folder { path: path.clone(), source },
            ErrorKind::PermissionDenied => UnixSocketError::Denied { path: path.clone(), source },
            // The system says so of a path that is too long.
            ErrorKind::InvalidInput => UnixSocketError::Long { path: path.clone(), source },
            _ => UnixSocketError::Bind { path: path.clone(), source },
        };
        let beside = beside(&path).map_err(wrap)?;
        // A process of the same id that was killed while it did the same.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).map_err(wrap)?;
        let placed = fs::set_permissions(&beside, Permissions::from_mode(mode))
            .and_then(|()| fs::symlink_metadata(&beside))
            .and_then(|file| fs::rename(&beside, &path).map(|()| identity(&file)));
        match placed {
            Ok(identity) => Ok(Listeners::with_file(listener, SocketFile { path, identity })),
            Err(source) => {
                // It is ours, and of no use.
                let _ = fs::remove_file(&beside);
                Err(wrap(source))
            }
        }
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.path.display())
    }
}

/// Whether a socket can be put there: nothing is, or a socket that nobody listens on.
fn check_place(path: &Path) -> Result<(), UnixSocketError> {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => Err(UnixSocketError::NoSocket { path: path.to_owned() }),
        // A socket that can't be connected to may be in use all the same: only a refusal says that nobody listens.
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
            Ok(_) => Err(UnixSocketError::Taken { path: path.to_owned(), source: None }),
            Err(source) => Err(UnixSocketError::Taken { path: path.to_owned(), source: Some(source) }),
        },
        // What else is in the way is told by the attempt.
        Err(_) => Ok(()),
    }
}

/// A place in the same folder, so that a rename is one step; short, as paths of sockets have to be.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no name of a file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// What tells one file from another that came to its place.
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// The file of a socket; it is gone with its owner, unless it is another one by now.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| identity(&file) == self.identity) {
            // A file that can't be removed is replaced by the next server.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why a socket of this machine can't be listened on.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnixSocketError {
    /// Somebody listens there.
    Taken {
        /// The path asked for.
        path: PathBuf,
        /// Why that can't be told for sure; `None` when somebody answered.
        source: Option<io::Error>,
    },
    /// The file there is no socket, so it is left alone.
    NoSocket {
        /// The path asked for.
        path: PathBuf,
    },
    /// There is no such folder.
    Folder {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This process may not write to the folder.
    Denied {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is too long, or none.
    Long {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused for another reason.
    Bind {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for UnixSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { path, source: None } => {
                write!(f, "somebody listens on the socket {} already; stop it or choose another path", path.display())
            }
            Self::Taken { path, source: Some(_) } => write!(
                f,
                "there is a socket {} that cannot be asked whether it is in use; remove it or choose another path",
                path.display()
            ),
            Self::NoSocket { path } => write!(
                f,
                "{} is not a socket, so it is left as it is; move it away or choose another path",
                path.display()
            ),
            Self::Folder { path, .. } => {
                write!(f, "cannot listen on {}, as its folder does not exist; make it first", path.display())
            }
            Self::Denied { path, .. } => write!(
                f,
                "this process may not listen on {}; it needs to write to the folder, so choose one that is its own",
                path.display()
            ),
            Self::Long { path, .. } => write!(
                f,
                "cannot listen on {}; paths of sockets have to be shorter than some 90 bytes, so choose a shorter one",
                path.display()
            ),
            Self::Bind { path, .. } if path.file_name().is_none() => write!(
                f,
                "{:?} is not the path of a file to be a socket; write one, as in unix:/run/shop/metrics.sock",
                path.display().to_string()
            ),
            Self::Bind { path, .. } => write!(f, "cannot listen on {}", path.display()),
        }
    }
}

impl std::error::Error for UnixSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoSocket { .. } => None,
            Self::Taken { source, .. } => source.as_ref().map(|source| source as _),
            Self::Folder { source, .. }
            | Self::Denied { source, .. }
            | Self::Long { source, .. }
            | Self::Bind { source, .. } => Some(source),
        }
    }
}
