//! What a layer keeps of a span until it closes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing_core::Metadata;

use super::field::FieldValue;
use super::rule::{Compiled, Source};
use crate::value::{Number, Value};

/// One event to be, with the fields that were recorded so far.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) rule: Arc<Compiled>,
    measurements: Box<[Option<Number>]>,
    tags: Box<[Option<FieldValue>]>,
}

impl Draft {
    pub(super) fn new(rule: &Arc<Compiled>, metadata: &Metadata<'_>) -> Self {
        let known = |source: &Source| {
            let text = match source {
                Source::Field(_) => return None,
                Source::Name => metadata.name(),
                Source::Level => metadata.level().as_str(),
                Source::Target => metadata.target(),
            };
            Some(FieldValue::Text(text.into()))
        };
        let measurements = rule.event.metadata().measurements().len();
        Self {
            rule: Arc::clone(rule),
            measurements: vec![None; measurements].into(),
            tags: rule.tag_sources().map(known).collect(),
        }
    }

    /// Takes in a field; the last that was recorded counts.
    pub(super) fn take(&mut self, field: &str, value: &FieldValue) {
        for at in self.rule.measurements_of(field) {
            self.measurements[at] = value.number();
        }
        for at in self.rule.tags_of(field) {
            self.tags[at] = Some(value.clone().into_tag());
        }
    }

    /// Emits the event, of a span with its times.
    pub(super) fn emit(mut self, times: Option<Times>) {
        if let Some(Times { duration, busy }) = times {
            let idle = duration.saturating_sub(busy);
            for (place, time) in self.measurements.iter_mut().zip([duration, busy, idle]) {
                *place = Some(Number::Duration(time));
            }
        }
        let tags: Vec<Value<'_>> =
            self.tags.iter().map(|tag| tag.as_ref().map_or(Value::Absent, FieldValue::value)).collect();
        self.rule.event.emit(&self.measurements, &tags);
    }
}

/// The times of a span that closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) duration: Duration,
    pub(super) busy: Duration,
}

/// A span that some rules want.
#[derive(Debug)]
pub(super) struct Watch {
    /// Whose rules.
    pub(super) layer: u64,
    pub(super) drafts: Vec<Draft>,
    made: Instant,
    busy: Duration,
    /// Threads that are in the span, and since when there is one.
    inside: usize,
    since: Instant,
}

impl Watch {
    pub(super) fn new(layer: u64, drafts: Vec<Draft>) -> Self {
        let made = Instant::now();
        Self { layer, drafts, made, busy: Duration::ZERO, inside: 0, since: made }
    }

    pub(super) fn enter(&mut self) {
        if self.inside == 0 {
            self.since = Instant::now();
        }
        self.inside += 1;
    }

    pub(super) fn exit(&mut self) {
        self.inside = self.inside.saturating_sub(1);
        if self.inside == 0 {
            self.busy += self.since.elapsed();
        }
    }

    pub(super) fn times(&self) -> Times {
        Times { duration: self.made.elapsed(), busy: self.busy }
    }
}

/// What all layers keep of a span: one may have several.
#[derive(Debug, Default)]
pub(super) struct Watches(pub(super) Vec<Watch>);

impl Watches {
    pub(super) fn of(&mut self, layer: u64) -> Option<&mut Watch> {
        self.0.iter_mut().find(|watch| watch.layer == layer)
    }

    pub(super) fn take(&mut self, layer: u64) -> Option<Watch> {
        let at = self.0.iter().position(|watch| watch.layer == layer)?;
        Some(self.0.swap_remove(at))
    }
}
