//! What can be read but can't be meant.

use proc_macro2::Span;
use syn::{Error, LitStr};

use super::ast::{Event, Field, Role};
use crate::attr::Errors;
use crate::name;

/// The units that convert into others, and their variants of `Unit`.
pub(crate) const UNITS: [(&str, &str); 12] = [
    ("nanosecond", "Nanosecond"),
    ("microsecond", "Microsecond"),
    ("millisecond", "Millisecond"),
    ("second", "Second"),
    ("minute", "Minute"),
    ("byte", "Byte"),
    ("kilobyte", "Kilobyte"),
    ("megabyte", "Megabyte"),
    ("kibibyte", "Kibibyte"),
    ("mebibyte", "Mebibyte"),
    ("ratio", "Ratio"),
    ("percent", "Percent"),
];

pub(crate) fn check(event: &Event<'_>, errors: &mut Errors) {
    match &event.name {
        None => errors.push(Error::new(
            event.input.ident.span(),
            "an event has a name; add `#[event(name = \"...\")]`, as in `#[event(name = \"http.request.stop\")]`",
        )),
        Some(name) => {
            if let Some(fault) = name::fault(&name.value()) {
                errors.push(bad_event_name(name, fault));
            }
        }
    }
    for field in &event.fields {
        check_field(field, errors);
    }
    check_names(event.measurements(), "measurement", errors);
    check_names(event.tags(), "tag", errors);
    check_constants(event, errors);
}

/// The error for the name of an event.
pub(crate) fn bad_event_name(name: &LitStr, fault: &str) -> Error {
    let message = format!(
        "`{}` is not the name of an event: {fault}; \
         write segments of letters, digits and `_`, joined by dots, as in `http.request.stop`",
        name.value()
    );
    Error::new(name.span(), message)
}

fn check_field(field: &Field<'_>, errors: &mut Errors) {
    let name = field.name();
    let (fault, noun) = match &field.role {
        Role::Measurement { unit } => {
            if let Some(unit) = unit {
                check_unit(unit, errors);
            }
            (name::segment_fault(&name), "measurement")
        }
        Role::Tag => (name::fault(&name), "tag"),
    };
    if let Some(fault) = fault {
        let message = format!("`{name}` is not the name of a {noun}: {fault}");
        errors.push(Error::new(field.name_span(), message));
    }
}

fn check_unit(unit: &LitStr, errors: &mut Errors) {
    let text = unit.value();
    // A unit that has a name of its own must not slip in as a noun, which would convert into nothing.
    let singular = text.to_lowercase();
    let singular = singular.strip_suffix('s').unwrap_or(&singular);
    if let Some((known, _)) = UNITS.iter().find(|(known, _)| *known == singular && *known != text) {
        errors.push(Error::new(unit.span(), format!("write `unit = \"{known}\"`")));
    } else if let Some(fault) = name::segment_fault(&text) {
        errors.push(Error::new(unit.span(), format!("`{text}` is not a unit: {fault}")));
    }
}

fn check_names<'e>(fields: impl Iterator<Item = &'e Field<'e>>, noun: &str, errors: &mut Errors) {
    let mut seen: Vec<String> = Vec::new();
    for field in fields {
        let name = field.name();
        if seen.contains(&name) {
            errors.push(Error::new(field.name_span(), format!("there is a {noun} named `{name}` already")));
        } else {
            seen.push(name);
        }
    }
}

fn check_constants(event: &Event<'_>, errors: &mut Errors) {
    let mut seen = vec![("EVENT".to_owned(), None::<Span>)];
    for field in &event.fields {
        let constant = field.constant().to_string();
        match seen.iter().find(|(name, _)| *name == constant) {
            None => seen.push((constant, Some(field.ident.span()))),
            Some((_, by_field)) => {
                let owner = if by_field.is_some() { "another field" } else { "the event itself" };
                let message = format!(
                    "the constant `{constant}` stands for {owner}; name the field otherwise and add `rename = \"{}\"`",
                    field.name()
                );
                errors.push(Error::new(field.ident.span(), message));
            }
        }
    }
}
