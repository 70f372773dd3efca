//! What a dispatcher of one test saw, kept as values.
#![allow(dead_code, unreachable_pub)] // Each test binary uses its part.

use std::sync::{Arc, Mutex, MutexGuard};

use telemetry_core::dispatch::Dispatch;
use telemetry_core::event::SpanContext;
use telemetry_core::{Event, Number};

/// An event as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: &'static str,
    pub measurements: Vec<(&'static str, Number)>,
    pub tags: Vec<(&'static str, String)>,
    pub span: Option<SpanContext>,
}

impl Seen {
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value.as_str())
    }

    pub fn measurement(&self, name: &str) -> Option<Number> {
        self.measurements.iter().find(|(measurement, _)| *measurement == name).map(|(_, number)| *number)
    }

    /// The tags, in order, as one text.
    pub fn tags(&self) -> String {
        self.tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    pub fn id(&self) -> u64 {
        self.span.expect("the event belongs to a span").id
    }
}

/// A dispatcher that keeps every event that `pattern` matches.
#[derive(Clone)]
pub struct Recorder {
    pub dispatch: Dispatch,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub fn of(pattern: &str) -> Self {
        let (dispatch, seen) = (Dispatch::new(), Arc::<Mutex<Vec<Seen>>>::default());
        let kept = Arc::clone(&seen);
        let keep = move |event: &Event<'_>| {
            kept.lock().unwrap().push(Seen {
                name: event.name(),
                measurements: event.measurements().collect(),
                tags: event.tags().map(|(name, value)| (name, value.to_string())).collect(),
                span: event.span(),
            });
        };
        dispatch.attach("seen", pattern, keep).unwrap();
        Self { dispatch, seen }
    }

    /// The events that `body` emits on this thread.
    pub fn during<R>(pattern: &str, body: impl FnOnce() -> R) -> (Vec<Seen>, R) {
        let recorder = Self::of(pattern);
        let scope = recorder.dispatch.enter();
        let result = body();
        drop(scope);
        let seen = recorder.events().clone();
        (seen, result)
    }

    pub fn events(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }
}
