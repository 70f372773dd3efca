//! The catalogue as a page for people.
//!
//! Of places only modules are shown: lines and files change with every edit, and the page is to change when events do.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};

use crate::handler::Delivery;

use super::{Catalogue, Entry};

impl Catalogue {
    /// A section for each event, as Markdown: what is said of it, its fields, the metrics that are made of it and the
    /// handlers that listen to it.
    ///
    /// The same events give the same text, whatever was linked in what order.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let sections: Vec<String> = self.events.iter().map(|event| Section(event).to_string()).collect();
        if sections.is_empty() { "No events.\n".to_owned() } else { sections.join("\n") }
    }
}

struct Section<'a>(&'a Entry);

impl Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        writeln!(f, "## `{}`\n", event.name)?;
        if !event.documentation.is_empty() {
            writeln!(f, "{}\n", event.documentation)?;
        }
        let measurements = event.measurements.iter().map(|field| {
            let unit = field.unit.map(|unit| unit.to_string()).unwrap_or_default();
            [code(field.name), unit, field.description.to_owned()]
        });
        table(f, ["measurement", "unit", "meaning"], measurements)?;
        let tags = event.tags.iter().map(|field| {
            let values: Vec<String> = field.variants.unwrap_or_default().iter().map(|value| code(value)).collect();
            [code(field.name), values.join(", "), field.description.to_owned()]
        });
        table(f, ["tag", "values", "meaning"], tags)?;
        let metrics = event.metrics.iter().map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| code(label)).collect();
            [code(&metric.name), metric.kind.name().to_owned(), labels.join(", ")]
        });
        table(f, ["metric", "kind", "labels"], metrics)?;
        let handlers = event.handlers.iter().map(|handler| {
            let delivery = match &handler.delivery {
                Delivery::Inline => "inline".to_owned(),
                Delivery::Lane(lane) => format!("lane {}", code(lane)),
            };
            [code(&handler.id), code(&handler.pattern.to_string()), delivery]
        });
        table(f, ["handler", "listens to", "runs"], handlers)?;
        let modules: BTreeSet<&str> = event.places.iter().map(|place| place.module).collect();
        let modules: Vec<String> = modules.into_iter().map(code).collect();
        writeln!(f, "From {}.", modules.join(", "))
    }
}

fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let mut is_headed = false;
    for row in rows {
        if !is_headed {
            writeln!(f, "| {} |\n|{}", heads.join(" | "), " --- |".repeat(N))?;
            is_headed = true;
        }
        f.write_char('|')?;
        for cell in row {
            let cell = cell.replace('|', "\\|").replace(['\n', '\r'], " ");
            f.write_str(if cell.is_empty() { "" } else { " " })?;
            write!(f, "{cell} |")?;
        }
        f.write_char('\n')?;
    }
    if is_headed { f.write_char('\n') } else { Ok(()) }
}

/// Text as code, whatever is in it.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::code;

    #[test]
    fn text_is_code_whatever_is_in_it() {
        assert_eq!(code("a.b"), "`a.b`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(code(""), "`  `");
    }
}
