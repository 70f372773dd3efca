//! Assertions about what metrics hold.

use std::fmt::Write;

use crate::registry::Registry;
use crate::snapshot::{FamilySnapshot, SeriesSnapshot, Snapshot};
use crate::value::{Number, Value};

use super::SHOWN;

/// Asserts that a metric has this value in the series of these labels.
///
/// The value is the total of a counter, a sum or a spiral, the value of a gauge, or the count of a histogram or a summary.
/// `None` is a series that is not there. The first argument is a [`Registry`] or a
/// [`Snapshot`]; looking changes neither.
///
/// ```
/// use telemetry_core::metric::counter;
/// use telemetry_core::test::Capture;
/// use telemetry_core::{Registry, assert_sample, emit};
///
/// let (capture, registry) = (Capture::start(), Registry::new());
/// let metrics = [counter("sample.sold.count").tags(["country"])];
/// registry.aggregator(metrics)?.attach_to(capture.dispatch(), "metrics")?;
/// emit!("sample.sold", {}, { country: "de" });
///
/// assert_sample!(registry, "sample.sold.count", { country: "de" }, 1);
/// assert_sample!(registry, "sample.sold.count", { country: "fr" }, None::<u64>);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// When there is another value, or no such series; the message shows which series there are.
#[macro_export]
macro_rules! assert_sample {
    ($of:expr, $name:expr, { $($label:ident $(: $text:expr)?),* $(,)? }, $value:expr $(,)?) => {
        $crate::test::assert_sample(
            &$crate::test::Samples::snapshot(&$of),
            $name,
            &[$((
                $crate::__private::tag(::core::stringify!($label)).name,
                $crate::TagValue::value(&$crate::__value!($label $(, $text)?)),
            )),*],
            $crate::Measurement::number(&$value),
        )
    };
    ($of:expr, $name:expr, $value:expr $(,)?) => {
        $crate::assert_sample!($of, $name, {}, $value)
    };
}

/// What has samples to look at.
pub trait Samples {
    /// All of them, as they are now.
    fn snapshot(&self) -> Snapshot;
}

impl Samples for Registry {
    fn snapshot(&self) -> Snapshot {
        Self::snapshot(self)
    }
}

impl Samples for Snapshot {
    fn snapshot(&self) -> Snapshot {
        self.clone()
    }
}

impl<S: Samples> Samples for &S {
    fn snapshot(&self) -> Snapshot {
        (**self).snapshot()
    }
}

/// What `assert_sample!` does.
///
/// # Panics
///
/// See `assert_sample!`.
#[doc(hidden)]
#[track_caller]
pub fn assert_sample(snapshot: &Snapshot, name: &str, labels: &[(&str, Value<'_>)], expected: Option<Number>) {
    let texts: Vec<(&str, String)> = labels.iter().map(|(label, value)| (*label, value.to_string())).collect();
    let pairs: Vec<(&str, &str)> = texts.iter().map(|(label, text)| (*label, text.as_str())).collect();
    let (found, expected) = (snapshot.total(name, &pairs), expected.map(Number::to_f64));
    if found == expected {
        return;
    }
    let series = format!("{name}{}", shown(pairs.iter().copied()));
    let mut text = match (found, expected) {
        (Some(found), Some(expected)) => format!("{series} is {found}, expected {expected}"),
        (Some(found), None) => format!("{series} is {found}, expected no such series"),
        (None, _) => format!("there is no series {series}"),
    };
    // Writing to a `String` can't fail.
    let _ = match snapshot.family(name) {
        Some(family) => describe(&mut text, snapshot, family),
        None => {
            let names: Vec<&str> = snapshot.families().iter().map(|family| family.family.name()).collect();
            write!(text, "; there is no such metric, but {}", names.join(", "))
        }
    };
    panic!("{text}");
}

fn describe(text: &mut String, snapshot: &Snapshot, family: &FamilySnapshot) -> std::fmt::Result {
    let name = family.family.name();
    if family.series.is_empty() {
        return write!(text, "; {name} has no series");
    }
    write!(text, "\nthe series of {name} are:")?;
    for SeriesSnapshot { labels, .. } in family.series.iter().take(SHOWN) {
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let value = snapshot.total(name, &pairs).unwrap_or(f64::NAN);
        write!(text, "\n  {name}{} {value}", shown(pairs.iter().copied()))?;
    }
    let more = family.series.len().saturating_sub(SHOWN);
    if more > 0 { write!(text, "\n  and {more} more") } else { Ok(()) }
}

fn shown<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> =
        labels.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value:?}")).collect();
    if pairs.is_empty() { String::new() } else { format!(" {{{}}}", pairs.join(",")) }
}
