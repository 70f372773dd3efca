//! Names of events, and patterns over them.
//!
//! A name is one or more segments joined by dots; a segment is one or more of `a-z`, `A-Z`, `0-9` and `_`.

use std::fmt;

/// Why a text is not the name of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: String,
    fault: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not the name of an event: {}; write segments of letters, digits and `_`, joined by dots, as in \"http.request.stop\"",
            self.name, self.fault
        )
    }
}

impl std::error::Error for NameError {}

/// What is wrong with `name`, in words; `None` when nothing is.
///
/// Usable in constants, so that macros refuse a bad name at compile time.
#[must_use]
pub const fn fault(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return Some("it is empty");
    }
    if bytes[0] == b'.' {
        return Some("it starts with a dot");
    }
    if bytes[bytes.len() - 1] == b'.' {
        return Some("it ends with a dot");
    }
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'.' if bytes[at - 1] == b'.' => return Some("it has an empty segment"),
            b'.' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {}
            _ => return Some("it has a character outside of letters, digits, `_` and `.`"),
        }
        at += 1;
    }
    None
}

/// Checks the name of an event.
///
/// # Errors
///
/// [`NameError`], which says what is wrong.
///
/// ```
/// assert!(telemetry_core::name::check("http.request.stop").is_ok());
/// assert!(telemetry_core::name::check("http..stop").is_err());
/// ```
pub fn check(name: &str) -> Result<(), NameError> {
    fault(name).map_or(Ok(()), |fault| Err(NameError { name: name.to_owned(), fault }))
}

/// Which events a handler listens to: one by its exact name, or all below a prefix.
///
/// `"http.request.stop"` matches that event alone; `"http.request.*"` matches every event whose name starts with
/// `http.request.`; `"*"` matches every event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Form);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Exact(String),
    // Ends with a dot, or is empty.
    Below(String),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`NameError`] when what stands before `*`, or the whole, is not the name of an event.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Self(Form::Below(String::new())));
        }
        if let Some(prefix) = text.strip_suffix(".*") {
            check(prefix)?;
            return Ok(Self(Form::Below(format!("{prefix}."))));
        }
        check(text)?;
        Ok(Self(Form::Exact(text.to_owned())))
    }

    /// Whether the event of this name is matched.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Form::Exact(exact) => exact == name,
            Form::Below(prefix) => name.starts_with(prefix.as_str()),
        }
    }

    /// Whether the pattern lies at or below `prefix`: itself, or with whole segments behind it. Everything lies below
    /// the empty prefix.
    #[must_use]
    pub fn is_below(&self, prefix: &str) -> bool {
        let own = match &self.0 {
            Form::Exact(own) => own.as_str(),
            Form::Below(own) => own.strip_suffix('.').unwrap_or(own),
        };
        prefix.is_empty() || own.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Exact(name) => f.write_str(name),
            Form::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T1: each kind of bad name is refused, and the message says what is wrong with it.
    #[test]
    fn bad_names_are_refused_with_their_fault() {
        for (name, fault) in [
            ("", "is empty"),
            (".a", "starts with a dot"),
            ("a.", "ends with a dot"),
            ("a..b", "empty segment"),
            ("a-b", "a character outside"),
            ("a b", "a character outside"),
            ("é", "a character outside"),
        ] {
            let message = check(name).unwrap_err().to_string();
            assert!(message.contains(fault), "{name:?}: {message}");
        }
        for name in ["a", "a.b", "http.server.request.stop", "_a.B9"] {
            assert_eq!(check(name), Ok(()));
        }
    }

    /// T8, T9: an exact pattern matches neither shorter nor longer names; a prefix matches whole segments.
    #[test]
    fn patterns_match_exactly_or_below() {
        let exact = Pattern::parse("a.test.event").unwrap();
        assert!(exact.matches("a.test.event"));
        assert!(!exact.matches("a.test"));
        assert!(!exact.matches("a.test.event.more"));

        let below = Pattern::parse("a.test.*").unwrap();
        assert!(below.matches("a.test.event"));
        assert!(below.matches("a.test.event.more"));
        assert!(!below.matches("a.test"));
        assert!(!below.matches("a.tests.event"));

        assert!(Pattern::parse("*").unwrap().matches("anything.at.all"));
        assert!(Pattern::parse("a.*.b").is_err());
        assert!(Pattern::parse(".*").is_err());
    }

    /// T4, T5, T12: prefixes select whole segments.
    #[test]
    fn patterns_lie_below_their_prefixes() {
        let pattern = Pattern::parse("a.test.event").unwrap();
        for prefix in ["", "a", "a.test", "a.test.event"] {
            assert!(pattern.is_below(prefix), "{prefix:?}");
        }
        for prefix in ["a.te", "b", "a.test.event.more"] {
            assert!(!pattern.is_below(prefix), "{prefix:?}");
        }
        assert!(Pattern::parse("a.*").unwrap().is_below("a"));
        assert!(Pattern::parse("*").unwrap().is_below(""));
    }
}
