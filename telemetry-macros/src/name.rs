//! Names: which are possible, and how one form is made from another.

/// What is wrong with the name of an event; the rule of `telemetry_core::name`, which a test holds this to.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.starts_with('.') {
        Some("it starts with a dot")
    } else if name.ends_with('.') {
        Some("it ends with a dot")
    } else if name.contains("..") {
        Some("it has an empty segment")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        Some("it has a character outside of letters, digits, `_` and `.`")
    } else {
        None
    }
}

/// What is wrong with a name that is one segment, as that of a measurement is.
pub(crate) fn segment_fault(name: &str) -> Option<&'static str> {
    fault(name).or_else(|| name.contains('.').then_some("it has a dot"))
}

/// How the names of variants become texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Case {
    #[default]
    Snake,
    Kebab,
    ScreamingSnake,
    Lower,
    Pascal,
}

impl Case {
    pub(crate) const NAMES: &str = "`snake_case`, `kebab-case`, `SCREAMING_SNAKE_CASE`, `lowercase` or `PascalCase`";

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "snake_case" => Self::Snake,
            "kebab-case" => Self::Kebab,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "lowercase" => Self::Lower,
            "PascalCase" => Self::Pascal,
            _ => return None,
        })
    }

    /// The text for a variant of this name.
    pub(crate) fn apply(self, variant: &str) -> String {
        match self {
            Self::Snake => words(variant, '_'),
            Self::Kebab => words(variant, '-'),
            Self::ScreamingSnake => words(variant, '_').to_uppercase(),
            Self::Lower => variant.to_lowercase(),
            Self::Pascal => variant.to_owned(),
        }
    }
}

/// The words of a name in Pascal case, in lower case. A word starts at a capital behind anything else, and at the last
/// of several capitals when a small letter follows: `HttpServer` and `HTTPServer` have the same two.
fn words(name: &str, separator: char) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before != '_' && (!before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()))
            });
        if starts_word {
            text.push(separator);
        }
        match letter {
            '_' => text.push(separator),
            _ => text.extend(letter.to_lowercase()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T1: the compiler and the running program refuse the same names, for the same reason.
    #[test]
    fn the_macros_and_the_library_agree_on_names() {
        for name in ["", ".", "..", ".a", "a.", "a..b", "a-b", "a b", "é", "a", "a.b", "A_9.b", "a.b.", "a.é..b"] {
            assert_eq!(fault(name).is_some(), telemetry_core::name::fault(name).is_some(), "{name:?}");
        }
        for name in ["", ".a", "a.", "a..b", "a-b"] {
            assert_eq!(fault(name), telemetry_core::name::fault(name), "{name:?}");
        }
        assert_eq!(segment_fault("a.b"), Some("it has a dot"));
        assert_eq!(segment_fault("a_b"), None);
    }

    #[test]
    fn variants_become_words() {
        for (variant, snake) in [
            ("Hit", "hit"),
            ("StaleHit", "stale_hit"),
            ("HTTPServer", "http_server"),
            ("HttpV2", "http_v2"),
            ("A", "a"),
            ("Already_Split", "already_split"),
            ("IO", "io"),
        ] {
            assert_eq!(Case::Snake.apply(variant), snake);
        }
        assert_eq!(Case::Kebab.apply("StaleHit"), "stale-hit");
        assert_eq!(Case::ScreamingSnake.apply("StaleHit"), "STALE_HIT");
        assert_eq!(Case::Lower.apply("StaleHit"), "stalehit");
        assert_eq!(Case::Pascal.apply("StaleHit"), "StaleHit");
    }
}
