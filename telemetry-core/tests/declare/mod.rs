//! Callsites written out, and a handler that notes what it sees.

// Each test binary uses a part, and none is a library.
#![allow(dead_code, unreachable_pub)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use telemetry_core::failure::EVENT;
use telemetry_core::{Event, Number};

/// A static callsite: `callsite!(NAME: "event.name", [measurements], [tags])`.
#[macro_export]
macro_rules! callsite {
    ($callsite:ident: $name:literal, [$($measurement:literal),*], [$($tag:literal),*]) => {
        static $callsite: telemetry_core::Callsite = {
            use telemetry_core::event;
            static METADATA: event::Metadata = event::Metadata::new(
                $name,
                "",
                &[$(event::MeasurementField { name: $measurement, unit: None, description: "" }),*],
                &[$(event::TagField { name: $tag, variants: None, description: "" }),*],
                event::Origin::AdHoc,
                event::Location { module: module_path!(), file: file!(), line: line!() },
            );
            telemetry_core::Callsite::new(&METADATA)
        };
    };
}

/// Emits as the macros do.
pub fn emit(callsite: &'static telemetry_core::Callsite) -> bool {
    let wanted = callsite.is_wanted();
    if wanted {
        callsite.emit(&[], &[]);
    }
    wanted
}

/// Whether something comes true, given time: a thread that builds tables meanwhile, for a callsite that another test has
/// reached, holds on to what was just detached or dropped.
pub fn comes_true(condition: impl Fn() -> bool) -> bool {
    let patience = Instant::now() + Duration::from_secs(60);
    while !condition() {
        if Instant::now() > patience {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// An event, written down.
pub type Line = (String, Vec<(String, Number)>, Vec<(String, String)>);

/// What a handler has seen.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Line>>>);

impl Notes {
    /// A handler that writes here.
    pub fn handler(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let notes = self.clone();
        move |event: &Event<'_>| {
            let measurements = event.measurements().map(|(name, number)| (name.to_owned(), number)).collect();
            let tags = event.tags().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
            notes.0.lock().unwrap().push((event.name().to_owned(), measurements, tags));
        }
    }

    /// The events seen since the last call.
    pub fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The names of the events seen since the last call.
    pub fn names(&self) -> Vec<String> {
        self.take().into_iter().map(|(name, ..)| name).collect()
    }
}

/// What the failure event of a handler looks like.
pub fn told(handler: &str, event: &str, message: &str) -> Line {
    let tags = [("handler", handler), ("event", event), ("message", message)];
    (EVENT.to_owned(), vec![], tags.map(|(tag, text)| (tag.to_owned(), text.to_owned())).to_vec())
}
