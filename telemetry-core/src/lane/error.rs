//! What can go wrong with a lane.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a lane was not built.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaneError {
    /// The name is empty or holds a NUL.
    Name(String),
    /// The capacity is zero or too large.
    Capacity {
        /// The name of the lane.
        lane: String,
        /// What was asked for.
        capacity: usize,
        /// The largest that there is.
        most: usize,
    },
    /// The system gave no thread for the worker.
    Thread {
        /// The name of the lane.
        lane: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for LaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) if name.is_empty() => f.write_str("a lane has no name; give it one that is not empty"),
            Self::Name(name) => write!(f, "{name:?} can't name a lane, because it holds a NUL; leave it out"),
            Self::Capacity { lane, capacity, most } => {
                write!(f, "the lane {lane:?} can't have a capacity of {capacity} events; choose one from 1 to {most}")
            }
            Self::Thread { lane, .. } => {
                write!(f, "no thread could be started for the lane {lane:?}; see the limits on threads and memory")
            }
        }
    }
}

impl Error for LaneError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread { source, .. } => Some(source),
            Self::Name(_) | Self::Capacity { .. } => None,
        }
    }
}

/// Why a lane was not flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// Not everything was delivered in time.
    TimedOut {
        /// The name of the lane.
        lane: Arc<str>,
        /// How long was waited.
        timeout: Duration,
    },
    /// A handler that runs on the lane can't wait for the lane: it would wait for itself.
    OnWorker {
        /// The name of the lane.
        lane: Arc<str>,
    },
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { lane, timeout } => write!(
                f,
                "the lane {lane:?} has not delivered within {timeout:?} what was cast to it; allow more time, or look for a slow handler on it"
            ),
            Self::OnWorker { lane } => write!(
                f,
                "a handler on the lane {lane:?} can't flush that lane, because it would wait for itself; flush from another thread"
            ),
        }
    }
}

impl Error for FlushError {}

/// Why a lane has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Not everything was delivered in time.
    TimedOut {
        /// The name of the lane.
        lane: Arc<str>,
        /// How long was waited.
        timeout: Duration,
        /// How many events still waited in the queue.
        left: usize,
    },
    /// A handler that runs on the lane can't wait for the end of the lane: it would wait for itself.
    OnWorker {
        /// The name of the lane.
        lane: Arc<str>,
    },
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { lane, timeout, left } => write!(
                f,
                "the lane {lane:?} has not ended within {timeout:?}, and {left} events wait in it; allow more time, or look for a slow handler on it"
            ),
            Self::OnWorker { lane } => write!(
                f,
                "a handler on the lane {lane:?} can't wait for the end of that lane; it is closed and ends when the handler returns, or shut it down from another thread"
            ),
        }
    }
}

impl Error for ShutdownError {}
