//! A bounded queue of events with a worker of its own.

use std::sync::Arc;

use crate::event::Event;

/// What a lane's worker does with an event.
pub trait Deliver: Send + Sync {
    /// Takes in one event.
    fn deliver(&self, event: &Event<'_>);
}

/// A lane.
#[derive(Clone, Debug)]
pub struct Lane {
    name: Arc<str>,
}

impl Lane {
    /// A lane of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both are handles of the same lane.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.name, &other.name)
    }

    /// Hands the event to the worker.
    pub(crate) fn cast(&self, event: &Event<'_>, deliver: &Arc<dyn Deliver>) {
        deliver.deliver(event);
    }
}
