//! The handler that writes events as events of `tracing`.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::{Field, FieldSet, Value as TracingValue};
use tracing_core::metadata::Kind;
use tracing_core::{Interest, Level, Metadata as TracingMetadata, dispatcher};

use super::origin;
use crate::event::{Event, Metadata};
use crate::handler::{Bound, Handler};
use crate::value::{Number, Value};

/// How many fields an event of `tracing` has at the most.
const MOST: usize = 32;

/// Writes each event as an event of `tracing`: the message is its name, its measurements and its tags are fields.
///
/// The target is the module that emits, so a filter such as `shop=info` means what it says; a duration is a number of
/// seconds. Fields beyond the thirty-first are left out: an event of `tracing` has no room for more.
///
/// ```
/// use telemetry_core::handler::attachment;
/// use telemetry_core::tracing::Log;
/// use tracing_core::Level;
///
/// attachment("log", Log::at(Level::DEBUG)).event("shop.*").attach()?;
/// attachment("log_failures", Log::at(Level::ERROR)).event("telemetry.handler.failure").attach()?;
/// # telemetry_core::detach("log")?;
/// # telemetry_core::detach("log_failures")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Events that an [`EventLayer`](super::EventLayer) makes are left out: they are in `tracing` already.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    level: Level,
}

impl Log {
    /// Writes at this level.
    #[must_use]
    pub const fn at(level: Level) -> Self {
        Self { level }
    }
}

impl Handler for Log {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        (!origin::is_of_layer(metadata)).then(|| Arc::new(Site::of(metadata, self.level)) as Arc<dyn Bound>)
    }
}

/// A callsite of `tracing` for one event at one level.
struct Site {
    // Set before anybody else sees the site.
    metadata: OnceLock<TracingMetadata<'static>>,
    fields: OnceLock<Box<[Field]>>,
    interest: AtomicU8,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

/// By the address of the event's metadata, and the level.
type Sites = Mutex<HashMap<(usize, Level), &'static Site>>;

impl Site {
    /// The site of an event: made once, since `tracing` never forgets one.
    fn of(event: &'static Metadata, level: Level) -> &'static Self {
        static SITES: OnceLock<Sites> = OnceLock::new();
        let key = (std::ptr::from_ref(event).addr(), level);
        let lock = || SITES.get_or_init(Sites::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = lock().get(&key).copied() {
            return site;
        }
        let site = Self::leak(event, level);
        // Another thread may have been faster; then ours stays unused, and unknown to `tracing`.
        let mut sites = lock();
        let is_first = !sites.contains_key(&key);
        let kept: &'static Self = sites.entry(key).or_insert(site);
        drop(sites);
        if is_first {
            // Without the lock: registering asks every subscriber, which is code of users.
            callsite::register(kept);
        }
        kept
    }

    fn leak(event: &'static Metadata, level: Level) -> &'static Self {
        let site: &'static Self = Box::leak(Box::new(Self {
            metadata: OnceLock::new(),
            fields: OnceLock::new(),
            interest: AtomicU8::new(SOMETIMES),
        }));
        let measurements = event.measurements().iter().map(|field| field.name);
        let tags = event.tags().iter().map(|field| field.name);
        let names: Vec<&'static str> = std::iter::once("message").chain(measurements).chain(tags).take(MOST).collect();
        let location = event.location();
        let target = if location.module.is_empty() { "telemetry" } else { location.module };
        let fields = FieldSet::new(names.leak(), Identifier(site));
        let metadata = TracingMetadata::new(
            event.name(),
            target,
            level,
            Some(location.file),
            Some(location.line),
            Some(target),
            fields,
            Kind::EVENT,
        );
        origin::note_logged(metadata.callsite());
        // Both are empty until here.
        let metadata = site.metadata.get_or_init(|| metadata);
        site.fields.get_or_init(|| metadata.fields().iter().collect());
        site
    }
}

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let interest = match interest {
            _ if interest.is_never() => NEVER,
            _ if interest.is_always() => ALWAYS,
            _ => SOMETIMES,
        };
        // Relaxed: the word is the only fact; who misses a change asks once more, or writes a line more or less.
        self.interest.store(interest, Ordering::Relaxed);
    }

    fn metadata(&self) -> &TracingMetadata<'_> {
        self.metadata.get().expect("it is set before anybody sees the site")
    }
}

/// A value as `tracing` takes it.
#[derive(Clone, Copy)]
enum Held<'a> {
    None,
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    Text(&'a str),
}

impl<'a> Held<'a> {
    fn number(number: Option<Number>) -> Self {
        match number {
            None => Self::None,
            Some(Number::U64(n)) => Self::U64(n),
            Some(Number::I64(n)) => Self::I64(n),
            Some(Number::F64(n)) => Self::F64(n),
            Some(Number::Duration(duration)) => Self::F64(duration.as_secs_f64()),
        }
    }

    fn tag(value: Value<'a>) -> Self {
        match value {
            Value::Absent => Self::None,
            Value::Str(text) => Self::Text(text),
            Value::U64(n) => Self::U64(n),
            Value::I64(n) => Self::I64(n),
            Value::Bool(is) => Self::Bool(is),
            Value::Variant(variant) => Self::Text(variant.name()),
        }
    }

    fn value(&self) -> Option<&dyn TracingValue> {
        Some(match self {
            Self::None => return None,
            Self::U64(n) => n,
            Self::I64(n) => n,
            Self::F64(n) => n,
            Self::Bool(is) => is,
            Self::Text(text) => text,
        })
    }
}

/// A text that is written as it is, as messages are.
struct Message(&'static str);

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Bound for &'static Site {
    fn handle(&self, event: &Event<'_>) {
        // Relaxed: see `set_interest`.
        let interest = self.interest.load(Ordering::Relaxed);
        let (Some(metadata), Some(fields)) = (self.metadata.get(), self.fields.get()) else { return };
        if interest == NEVER {
            return;
        }
        dispatcher::get_default(|dispatch| {
            if interest == SOMETIMES && !dispatch.enabled(metadata) {
                return;
            }
            let mut held = [Held::None; MOST];
            let measurements =
                (0..event.metadata().measurements().len()).map(|at| Held::number(event.measurement_at(at)));
            let tags = (0..event.metadata().tags().len()).map(|at| Held::tag(event.tag_at(at)));
            for (place, value) in held[1..].iter_mut().zip(measurements.chain(tags)) {
                *place = value;
            }
            let name = Message(event.name());
            let message = tracing_core::field::debug(&name);
            // What is beyond the fields has no value.
            let mut values: [(&Field, Option<&dyn TracingValue>); MOST] = [(&fields[0], None); MOST];
            values[0].1 = Some(&message);
            for ((place, field), held) in values.iter_mut().zip(fields).zip(&held).skip(1) {
                *place = (field, held.value());
            }
            dispatch.event(&tracing_core::Event::new(metadata, &metadata.fields().value_set(&values)));
        });
    }
}
