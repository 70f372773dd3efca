//! How names that are not made of letters, digits and `_` alone are written for a scraper.
//!
//! | name | `underscores` | `dots` | `values` |
//! | --- | --- | --- | --- |
//! | `http.status:sum` | `http_status:sum` | `http_dot_status:sum` | `U__http_2e_status:sum` |
//! | `my_metric` | `my_metric` | `my__metric` | `my_metric` |
//! | `a.b_c` | `a_b_c` | `a_dot_b__c` | `U__a_2e_b__c` |
//! | `0foo` | `_foo` | `__foo` | `U___30_foo` |
//!
//! A *plain* name is one that every scraper can read: letters, digits and `_`, of a metric `:` too, with no digit first.

use std::borrow::Cow;
use std::fmt::Write;

/// How names are written that are not plain: the parameter `escaping` of the headers `Accept` and `Content-Type`.
///
/// ```
/// use telemetry_exporter::name::Escaping;
///
/// assert_eq!(Escaping::Underscores.metric("http.status"), "http_status");
/// assert_eq!(Escaping::Dots.metric("http.status"), "http_dot_status");
/// assert_eq!(Escaping::Values.metric("http.status"), "U__http_2e_status");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// As they are; the text formats put such names into quotes. For scrapers that read UTF-8 names.
    AllowUtf8,
    /// Each character that is not plain becomes `_`. Two names may become one.
    #[default]
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, and each other character that is not plain becomes `__`. Plain names are
    /// escaped, too: that is how `_` and `.` are told apart.
    Dots,
    /// A name that is not plain becomes `U__`, and in it `_` becomes `__` and each character that is not plain its number
    /// between two `_`. Plain names stay as they are, and every name can be had back.
    Values,
}

impl Escaping {
    /// Every way to escape.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// The name that headers give it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// Escapes the name of a metric.
    #[must_use]
    pub fn metric(self, name: &str) -> Cow<'_, str> {
        self.escape(name, is_plain_in_metric)
    }

    /// Escapes the name of a label.
    #[must_use]
    pub fn label(self, name: &str) -> Cow<'_, str> {
        self.escape(name, is_plain_in_label)
    }

    fn escape(self, name: &str, is_plain: fn(usize, char) -> bool) -> Cow<'_, str> {
        let all_plain = name.chars().enumerate().all(|(at, c)| is_plain(at, c));
        if self == Self::AllowUtf8 || name.is_empty() || (all_plain && (self != Self::Dots || !name.contains('_'))) {
            return name.into();
        }
        let mut escaped = String::with_capacity(name.len() + 16);
        if self == Self::Values {
            escaped.push_str("U__");
        }
        for (at, c) in name.chars().enumerate() {
            match self {
                Self::Dots | Self::Values if c == '_' => escaped.push_str("__"),
                _ if is_plain(at, c) => escaped.push(c),
                Self::Dots if c == '.' => escaped.push_str("_dot_"),
                Self::Dots => escaped.push_str("__"),
                // A text takes whatever is written to it.
                Self::Values => drop(write!(escaped, "_{:x}_", u32::from(c))),
                Self::Underscores | Self::AllowUtf8 => escaped.push('_'),
            }
        }
        escaped.into()
    }
}

/// Whether every scraper can read a metric of this name without quotes.
pub(crate) fn is_plain_metric(name: &str) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(at, c)| is_plain_in_metric(at, c))
}

/// Whether every scraper can read a label of this name without quotes.
pub(crate) fn is_plain_label(name: &str) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(at, c)| is_plain_in_label(at, c))
}

fn is_plain_in_metric(at: usize, c: char) -> bool {
    c == ':' || is_plain_in_label(at, c)
}

fn is_plain_in_label(at: usize, c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic() || (c.is_ascii_digit() && at > 0)
}
