//! What the macros compute while a static is evaluated: names of fields, and whether an event is possible.

use crate::event::{MeasurementField, Metadata, TagField};
use crate::name;
use crate::unit::Unit;

/// A measurement that a macro names.
#[must_use]
pub const fn measurement(name: &'static str, unit: Option<Unit>) -> MeasurementField {
    MeasurementField { name: plain(name), unit, description: "" }
}

/// A tag that a macro names; its type, and with it the set of its values, is not known there.
#[must_use]
pub const fn tag(name: &'static str) -> TagField {
    TagField { name: plain(name), variants: None, description: "" }
}

/// The name behind a raw identifier.
const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Gives `metadata` back when it is that of a possible event.
///
/// # Panics
///
/// When the name is not that of an event, or two measurements, or two tags, have one name: at compile time, as the
/// macros call this in the initialiser of a static.
#[must_use]
#[track_caller]
pub const fn checked(metadata: Metadata) -> Metadata {
    if let Some(fault) = name::fault(metadata.name()) {
        fail(&[
            "`",
            metadata.name(),
            "` is not the name of an event: ",
            fault,
            "; write segments of letters, digits and `_`, joined by dots, as in `http.request.stop`",
        ]);
    }
    checked_end(0, metadata)
}

/// Gives `metadata` back when its fields can be those of an event. Its name, and its first `shared` tags, are those of
/// another event, which is checked: a mistake there is reported once.
///
/// # Panics
///
/// See [`checked`].
#[must_use]
#[track_caller]
pub const fn checked_end(shared: usize, metadata: Metadata) -> Metadata {
    let measurements = metadata.measurements();
    let mut at = 0;
    while at < measurements.len() {
        check_field(measurements[at].name);
        let mut before = 0;
        while before < at {
            if same(measurements[before].name, measurements[at].name) {
                fail(&["the event `", metadata.name(), "` has two measurements named `", measurements[at].name, "`"]);
            }
            before += 1;
        }
        at += 1;
    }
    let tags = metadata.tags();
    let mut at = shared;
    while at < tags.len() {
        check_field(tags[at].name);
        if position(tags, tags[at].name) < at {
            fail(&["the event `", metadata.name(), "` has two tags named `", tags[at].name, "`"]);
        }
        at += 1;
    }
    metadata
}

#[track_caller]
const fn check_field(field: &str) {
    if let Some(fault) = name::fault(field) {
        fail(&["`", field, "` is not the name of a field: ", fault]);
    }
}

/// Where `name` stands among `tags`; their number when it does not.
pub(crate) const fn position(tags: &[TagField], name: &str) -> usize {
    let mut at = 0;
    while at < tags.len() && !same(tags[at].name, name) {
        at += 1;
    }
    at
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Panics with the pieces joined: a constant can't format, so they are copied into one text.
#[track_caller]
const fn fail(pieces: &[&str]) -> ! {
    let mut text = [0; 512];
    let mut length = 0;
    let mut piece = 0;
    while piece < pieces.len() {
        let bytes = pieces[piece].as_bytes();
        let mut at = 0;
        while at < bytes.len() && length < text.len() {
            text[length] = bytes[at];
            length += 1;
            at += 1;
        }
        piece += 1;
    }
    match std::str::from_utf8(text.split_at(length).0) {
        Ok(text) => panic!("{}", text),
        // Cut within a character: the text was longer than the room for it.
        Err(_) => panic!("a name is not valid, and too long to be shown"),
    }
}
