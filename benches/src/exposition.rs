//! Reads the samples of a text exposition, with no regard for who wrote it.

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line<'t> {
    /// Its name.
    pub(crate) name: &'t str,
    labels: &'t str,
    /// Its value.
    pub(crate) value: f64,
}

impl<'t> Line<'t> {
    /// The value of a label; empty without one. No value of ours needs escaping.
    #[must_use]
    pub(crate) fn label(&self, name: &str) -> &'t str {
        let mut rest = self.labels;
        while let Some((found, behind)) = rest.split_once("=\"") {
            let Some((value, behind)) = behind.split_once('"') else { break };
            if found.trim_start_matches([',', ' ']) == name {
                return value;
            }
            rest = behind;
        }
        ""
    }
}

/// The samples of a text exposition; an error shows the line that is none.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, String>> {
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| read(line).ok_or_else(|| format!("this line of an exposition is no sample: {line}")))
}

fn read(line: &str) -> Option<Line<'_>> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, behind)) => {
            let (labels, rest) = behind.rsplit_once('}')?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    let value = rest.trim_start().split(' ').next()?.parse().ok()?;
    Some(Line { name, labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# TYPE a counter\na_total{x=\"1\",le=\"+Inf\"} 3\nb 2.5 1700000000\n\n# EOF\n";
        let read: Vec<_> = lines(text).map(Result::unwrap).collect();
        assert_eq!(
            (read[0].name, read[0].label("x"), read[0].label("le"), read[0].value),
            ("a_total", "1", "+Inf", 3.0)
        );
        assert_eq!((read[1].name, read[1].label("x"), read[1].value), ("b", "", 2.5));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_is_no_sample_is_an_error() {
        assert!(lines("nonsense").next().unwrap().is_err());
        assert!(lines("a{x=\"1\" 3").next().unwrap().is_err());
    }
}
