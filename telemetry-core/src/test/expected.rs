//! Assertions about what was captured: an event as it is looked for, and what is said when it is not there.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::event;
use crate::value::{Number, Value};

use super::{Capture, CapturedEvent, SHOWN};

/// Asserts that a [`Capture`] holds an event of this name with these fields, and gives the first that has them all.
///
/// It is written as [`emit!`](crate::emit!) is: a name, measurements, tags. Fields that are not named may be there or
/// not; one that is named as `None` must be absent. Numbers are equal when they are of one kind and equal: `3` and `3u64`
/// are, `3` and `3.0` are not.
///
/// ```should_panic
/// use telemetry_core::test::Capture;
/// use telemetry_core::{assert_emitted, emit};
///
/// let capture = Capture::start();
/// emit!("shop.checkout", { items: 2 }, { country: "de" });
/// assert_emitted!(capture, "shop.checkout", { items: 3 }, { country: "de" });
/// ```
///
/// panics with
///
/// ```text
/// no event was emitted as shop.checkout { items: 3 } { country: "de" }
/// of that name were emitted, nearest first:
///   shop.checkout { items: 2 } { country: "de" }
///     items is 2, expected 3
/// ```
///
/// # Panics
///
/// When there is no such event; the message shows those that come nearest, and in which fields they differ.
#[macro_export]
macro_rules! assert_emitted {
    ($capture:expr, $($expected:tt)*) => {
        $crate::__expected!($($expected)*).find_in(&$capture)
    };
}

/// Asserts that a [`Capture`] holds no event of this name with these fields.
///
/// It is written as [`assert_emitted!`](crate::assert_emitted) is.
///
/// ```
/// use telemetry_core::test::Capture;
/// use telemetry_core::{assert_not_emitted, emit};
///
/// let capture = Capture::start();
/// emit!("shop.checkout", { items: 2 }, { country: "de" });
/// assert_not_emitted!(capture, "shop.checkout", {}, { country: "fr" });
/// assert_not_emitted!(capture, "shop.refund");
/// ```
///
/// # Panics
///
/// When there is such an event; the message shows it.
#[macro_export]
macro_rules! assert_not_emitted {
    ($capture:expr, $($expected:tt)*) => {
        $crate::__expected!($($expected)*).miss_in(&$capture)
    };
}

/// An event as it is looked for.
#[doc(hidden)]
#[macro_export]
macro_rules! __expected {
    (
        $name:expr
        $(, { $($measurement:ident $(: $number:expr)?),* $(,)? }
            $(, { $($tag:ident $(: $value:expr)?),* $(,)? })?
        )?
        $(,)?
    ) => {
        $crate::test::Expected {
            name: $name,
            measurements: &[$($((
                $crate::__private::measurement(::core::stringify!($measurement), ::core::option::Option::None).name,
                $crate::Measurement::number(&$crate::__value!($measurement $(, $number)?)),
            )),*)?],
            tags: &[$($($((
                $crate::__private::tag(::core::stringify!($tag)).name,
                $crate::TagValue::value(&$crate::__value!($tag $(, $value)?)),
            )),*)?)?],
        }
    };
}

/// What `assert_emitted!` and `assert_not_emitted!` look for.
#[doc(hidden)]
#[derive(Debug)]
pub struct Expected<'a> {
    pub name: &'a str,
    pub measurements: &'a [(&'static str, Option<Number>)],
    pub tags: &'a [(&'static str, Value<'a>)],
}

impl Expected<'_> {
    /// The first event that is as expected.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn find_in(&self, capture: &Capture) -> CapturedEvent {
        let events = capture.events();
        match events.iter().find(|event| event.name == self.name && self.differences(event).is_empty()) {
            Some(event) => event.clone(),
            None => panic!("{}", self.describe_failure(&events)),
        }
    }

    /// That no event is as described.
    ///
    /// # Panics
    ///
    /// When there is one.
    #[track_caller]
    pub fn miss_in(&self, capture: &Capture) {
        let events = capture.events();
        let found = events.iter().filter(|event| event.name == self.name && self.differences(event).is_empty());
        let found: Vec<String> = found.map(ToString::to_string).collect();
        if !found.is_empty() {
            let more =
                if found.len() > SHOWN { format!("\n  and {} more", found.len() - SHOWN) } else { String::new() };
            let shown = found[..found.len().min(SHOWN)].join("\n  ");
            panic!("{} events were emitted as {self}, expected none:\n  {shown}{more}", found.len());
        }
    }

    /// In what an event is not as expected, a line for each field.
    fn differences(&self, event: &CapturedEvent) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, expected) in self.measurements {
            let found = event.measurement(name);
            if found != *expected {
                differences.push(match (found, expected) {
                    // What has one text is of two kinds.
                    (Some(found), Some(expected)) if found.to_string() == expected.to_string() => {
                        format!("{name} is {found:?}, expected {expected:?}")
                    }
                    (found, expected) => format!("{name} is {}, expected {}", Shown(found), Shown(*expected)),
                });
            }
        }
        for (name, expected) in self.tags {
            let (found, expected) = (event.tag(name), (!expected.is_absent()).then(|| expected.to_string()));
            if found != expected.as_deref() {
                let quoted = |text: Option<&str>| Shown(text.map(|text| format!("{text:?}"))).to_string();
                differences.push(format!("{name} is {}, expected {}", quoted(found), quoted(expected.as_deref())));
            }
        }
        differences
    }

    fn describe_failure(&self, events: &[CapturedEvent]) -> String {
        let mut text = format!("no event was emitted as {self}\n");
        let mut named: Vec<(&CapturedEvent, Vec<String>)> = events
            .iter()
            .filter(|event| event.name == self.name)
            .map(|event| (event, self.differences(event)))
            .collect();
        // Writing to a `String` can't fail.
        if named.is_empty() {
            let _ = write!(text, "none of that name was captured; {}", Names::of(events));
            return text;
        }
        named.sort_by_key(|(_, differences)| differences.len());
        text.push_str("of that name were emitted, nearest first:");
        for (event, differences) in named.iter().take(SHOWN) {
            let _ = write!(text, "\n  {event}");
            differences.iter().for_each(|difference| {
                let _ = write!(text, "\n    {difference}");
            });
        }
        if named.len() > SHOWN {
            let _ = write!(text, "\n  and {} more", named.len() - SHOWN);
        }
        text
    }
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measurements = self.measurements.iter().filter_map(|(name, number)| Some((*name, (*number)?)));
        let tags = self.tags.iter().filter(|(_, value)| !value.is_absent()).copied();
        event::write_text(f, self.name, measurements, tags)?;
        let absent = self.measurements.iter().filter(|(_, number)| number.is_none()).map(|(name, _)| name);
        for name in absent.chain(self.tags.iter().filter(|(_, value)| value.is_absent()).map(|(name, _)| name)) {
            write!(f, " without {name}")?;
        }
        Ok(())
    }
}

/// A value, or that it is absent.
struct Shown<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("absent"),
        }
    }
}

/// The names of events, with the number of each.
pub(super) struct Names(BTreeMap<&'static str, usize>);

impl Names {
    pub(super) fn of(events: &[CapturedEvent]) -> Self {
        let mut names = BTreeMap::new();
        events.iter().for_each(|event| *names.entry(event.name).or_default() += 1);
        Self(names)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(
                "nothing was: an event is captured on the thread of the capture, and where `capture.dispatch()` is entered",
            );
        }
        f.write_str("captured were ")?;
        for (at, (name, number)) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{name} ({number})", if at == 0 { "" } else { ", " })?;
        }
        if self.0.len() > SHOWN { write!(f, " and {} more names", self.0.len() - SHOWN) } else { Ok(()) }
    }
}
