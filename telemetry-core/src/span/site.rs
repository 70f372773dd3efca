//! The statics behind a `span!`: three callsites, and which field stands where.

use crate::Callsite;
use crate::event::{MeasurementField, TagField};
use crate::macros::constant::position;
use crate::unit::Unit;

/// The most tags, and the most measurements, that an event of a span has.
pub(super) const MAX_FIELDS: usize = 32;

/// The measurement of `.start`.
pub const SYSTEM_TIME: MeasurementField = MeasurementField {
    name: "system_time",
    unit: Some(Unit::Second),
    description: "When the span started, since the Unix epoch.",
};

/// The measurement of `.stop` and `.exception`.
pub const DURATION: MeasurementField = MeasurementField {
    name: "duration",
    unit: Some(Unit::Second),
    description: "From the start of the span to its end.",
};

const OUTCOME: TagField =
    TagField { name: "outcome", variants: Some(&["ok", "error", "cancelled"]), description: "How the span ended." };

const KIND: TagField =
    TagField { name: "kind", variants: Some(&["panic"]), description: "What kept the span from its stop." };

const MESSAGE: TagField = TagField { name: "message", variants: None, description: "What the panic said." };

/// The three callsites of a span.
#[derive(Debug)]
pub struct Sites {
    pub(super) start: &'static Callsite,
    pub(super) stop: &'static Callsite,
    pub(super) exception: &'static Callsite,
    // For each tag declared behind `stop:`, where it stands among the tags of the stop.
    pub(super) places: &'static [usize],
}

impl Sites {
    /// The sites of one span; `span!` writes these calls.
    #[must_use]
    pub const fn new(
        start: &'static Callsite,
        stop: &'static Callsite,
        exception: &'static Callsite,
        places: &'static [usize],
    ) -> Self {
        Self { start, stop, exception, places }
    }

    /// Whether anybody listens to any of the three.
    #[inline(always)]
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.start.is_wanted() || self.stop.is_wanted() || self.exception.is_wanted()
    }
}

/// Refuses a span that has more fields than there is room for.
///
/// # Panics
///
/// At compile time, as `span!` calls this in a constant.
#[track_caller]
pub const fn check_room(at_stop: usize, at_exception: usize, measurements: usize) {
    assert!(
        at_stop <= MAX_FIELDS && at_exception <= MAX_FIELDS && measurements <= MAX_FIELDS,
        "a span has room for 30 tags and 31 measurements"
    );
}

/// How many tags the stop has: those of the start, those of `extras` that don't override one of them, the outcome.
#[must_use]
pub const fn count_at_stop(tags: &[TagField], extras: &[TagField]) -> usize {
    let mut count = tags.len() + 1;
    let mut at = 0;
    while at < extras.len() {
        if position(tags, extras[at].name) == tags.len() {
            count += 1;
        }
        at += 1;
    }
    count
}

/// The tags of the stop, of which there are [`count_at_stop`].
#[must_use]
pub const fn tags_at_stop<const COUNT: usize>(tags: &[TagField], extras: &[TagField]) -> [TagField; COUNT] {
    let mut all = start_of_row(tags);
    let mut next = tags.len();
    let mut at = 0;
    while at < extras.len() {
        if position(tags, extras[at].name) == tags.len() {
            all[next] = extras[at];
            next += 1;
        }
        at += 1;
    }
    all[next] = OUTCOME;
    all
}

/// For each of `extras`, where it stands among [`tags_at_stop`].
#[must_use]
pub const fn places_of_extras<const COUNT: usize>(tags: &[TagField], extras: &[TagField]) -> [usize; COUNT] {
    let mut places = [0; COUNT];
    let mut next = tags.len();
    let mut at = 0;
    while at < COUNT {
        places[at] = position(tags, extras[at].name);
        if places[at] == tags.len() {
            places[at] = next;
            next += 1;
        }
        at += 1;
    }
    places
}

/// The tags of the exception, of which there are two more than `tags`.
#[must_use]
pub const fn tags_at_exception<const COUNT: usize>(tags: &[TagField]) -> [TagField; COUNT] {
    let mut all = start_of_row(tags);
    all[tags.len()] = KIND;
    all[tags.len() + 1] = MESSAGE;
    all
}

const fn start_of_row<const COUNT: usize>(tags: &[TagField]) -> [TagField; COUNT] {
    let mut row = [OUTCOME; COUNT];
    let mut at = 0;
    while at < tags.len() {
        row[at] = tags[at];
        at += 1;
    }
    row
}
