//! What can go wrong with a poller and its jobs.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a job could not measure: something failed, or there was nothing to measure.
///
/// Any error becomes one by `?`. An I/O error that says that there is no such file or process, or an error that one of
/// these caused, says that there was nothing to measure. Like other errors that take in all others, this one is none itself.
pub struct PollError {
    is_missing: bool,
    message: String,
}

impl PollError {
    /// Something failed.
    #[must_use]
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { is_missing: false, message: message.to_string() }
    }

    /// There is nothing to measure, which is no failure.
    #[must_use]
    pub fn missing(message: impl fmt::Display) -> Self {
        Self { is_missing: true, message: message.to_string() }
    }

    /// Whether there was nothing to measure.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.is_missing
    }
}

impl<E: Error + 'static> From<E> for PollError {
    fn from(error: E) -> Self {
        let (mut is_missing, mut message) = (false, error.to_string());
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            is_missing |= error.downcast_ref().is_some_and(says_missing);
            cause = error.source();
            if let Some(cause) = cause {
                message.push_str(": ");
                message.push_str(&cause.to_string());
            }
        }
        Self { is_missing, message }
    }
}

fn says_missing(error: &io::Error) -> bool {
    // "No such process" has no kind of its own.
    const ESRCH: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || (cfg!(unix) && error.raw_os_error() == Some(ESRCH))
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a job may give: nothing, or a result.
#[diagnostic::on_unimplemented(
    message = "a job can't give `{Self}`",
    note = "let it end with `;`, or give a `Result<(), PollError>`; any error becomes a `PollError` by `?`"
)]
pub trait Polled {
    /// How the job ended.
    ///
    /// # Errors
    ///
    /// What the job gave as its error.
    fn into_result(self) -> Result<(), PollError>;
}

impl Polled for () {
    fn into_result(self) -> Result<(), PollError> {
        Ok(self)
    }
}

impl<E: Into<PollError>> Polled for Result<(), E> {
    fn into_result(self) -> Result<(), PollError> {
        self.map_err(Into::into)
    }
}

/// Why a poller did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The period is zero.
    Period {
        /// The name of the poller.
        poller: String,
    },
    /// The system gave no thread.
    Thread {
        /// The name of the poller.
        poller: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Period { poller } => {
                write!(f, "the poller {poller:?} can't run its jobs every 0 s; give `every` a duration above zero")
            }
            Self::Thread { poller, .. } => {
                write!(f, "no thread could be started for the poller {poller:?}; see the limits on threads and memory")
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread { source, .. } => Some(source),
            Self::Period { .. } => None,
        }
    }
}

/// Why a job was not added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// There is a job of this id.
    Taken {
        /// The id.
        job: String,
    },
    /// The period or the time-out is zero.
    Zero {
        /// The id.
        job: String,
    },
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { job } => {
                write!(f, "there is a job of the id {job:?} already; remove it first, or choose another id")
            }
            Self::Zero { job } => {
                write!(f, "the job {job:?} has a period or a time-out of zero; give both a duration above zero")
            }
        }
    }
}

impl Error for AddError {}

/// Why no job was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveError {
    /// There is no job of this id.
    Unknown {
        /// The id.
        job: String,
    },
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Unknown { job } = self;
        write!(f, "there is no job of the id {job:?}; `jobs()` lists those that there are")
    }
}

impl Error for RemoveError {}

/// What was left behind when a poller was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopError {
    /// Some jobs had not returned.
    Hanging {
        /// The name of the poller.
        poller: String,
        /// The ids of the jobs that are still known; one that was removed while it ran is not among them.
        jobs: Vec<String>,
    },
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Hanging { poller, jobs } = self;
        write!(
            f,
            "jobs of the poller {poller:?} had not returned, so their threads were left behind: {}",
            jobs.join(", ")
        )
    }
}

impl Error for StopError {}
