//! Labels of the facade, whose names may be any text, as labels of a series.

use std::borrow::Cow;

use metrics::Label;

/// The labels of a series: those that all have, then its own; of two with the same name the last counts.
pub(super) fn labels<'a>(
    common: &'a [(String, String)],
    own: impl Iterator<Item = &'a Label>,
) -> Vec<(Cow<'a, str>, &'a str)> {
    let mut labels: Vec<(Cow<'a, str>, &'a str)> = Vec::new();
    let common = common.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in common.chain(own.map(|label| (label.key(), label.value()))) {
        let name = legal(name);
        match labels.iter_mut().find(|(before, _)| *before == name) {
            Some((_, before)) => *before = value,
            None => labels.push((name, value)),
        }
    }
    labels
}

/// A name that a label can have: what is no letter, digit or `_` becomes `_`, and `exported_` stands before a name that
/// Prometheus keeps for itself.
fn legal(name: &str) -> Cow<'_, str> {
    let is_legal = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let name = if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_legal) {
        let first = (name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit())).then_some('_');
        first.into_iter().chain(name.chars().map(|c| if is_legal(c) { c } else { '_' })).collect::<String>().into()
    } else {
        Cow::Borrowed(name)
    };
    let is_reserved = name == "le" || name == "quantile" || name.starts_with("__");
    if is_reserved { format!("exported_{name}").into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M1-M7: whatever the name, it is one of a label in the end.
    #[test]
    fn any_name_becomes_one_of_a_label() {
        for (name, expected) in [
            ("queue", "queue"),
            ("http.method", "http_method"),
            ("1st", "_1st"),
            ("", "_"),
            ("größe", "gr__e"),
            ("le", "exported_le"),
            ("quantile", "exported_quantile"),
            ("__name__", "exported___name__"),
            ("--x", "exported___x"),
        ] {
            assert_eq!(legal(name), expected, "{name:?}");
            assert_eq!(crate::metric::label_fault(&legal(name)), None, "{name:?}");
        }
    }

    #[test]
    fn the_last_of_two_labels_counts() {
        let own = [Label::new("a.b", "1"), Label::new("service", "own"), Label::new("a_b", "2")];
        let common = [("service".to_owned(), "all".to_owned())];
        let labels = labels(&common, own.iter());
        assert_eq!(labels, [("service".into(), "own"), ("a_b".into(), "2")]);
    }
}
