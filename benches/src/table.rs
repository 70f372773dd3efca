//! Rows as a table for a terminal, which is a table of Markdown too.

use std::fmt::Write;

use crate::row::Row;

/// The name of the implementation that others are compared with.
const OURS: &str = "ours";

/// Three digits that count.
#[must_use]
pub fn figure(value: f64) -> String {
    match value.abs() {
        n if n >= 1000.0 => format!("{value:.0}"),
        n if n >= 100.0 => format!("{value:.0}"),
        n if n >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The table of one case.
#[must_use]
pub fn table(case: &str, about: &str, rows: &[Row]) -> String {
    let mut text = format!("\n## {case}\n\n{about}\n\n");
    text.push_str("| implementation | kind | threads | median | min | max | unit | times ours |\n");
    text.push_str("|---|---|---:|---:|---:|---:|---|---:|\n");
    for row in rows {
        let is_counterpart =
            |other: &&Row| other.implementation == OURS && other.threads == row.threads && other.unit == row.unit;
        let ratio = rows.iter().find(is_counterpart).filter(|ours| ours.value > 0.0).map(|ours| row.value / ours.value);
        let ratio = ratio.map_or_else(String::new, figure);
        let (value, min, max) = (figure(row.value), figure(row.range.0), figure(row.range.1));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {value} | {min} | {max} | {} | {ratio} |",
            row.implementation,
            row.kind.name(),
            row.threads,
            row.unit.symbol()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::implementation::Kind;
    use crate::row::Unit;

    #[test]
    fn each_row_is_compared_with_ours_of_the_same_threads_and_unit() {
        let row = |name: &str, threads, value: f64| {
            Row::of("a_case", name, Kind::Peer, threads, Unit::Nanoseconds, &[value]).unwrap()
        };
        let rows = [row("ours", 1, 2.0), row("theirs", 1, 7.0), row("ours", 2, 4.0), row("theirs", 2, 400.0)];
        let table = table("a_case", "about", &rows);
        assert!(table.contains("| theirs | peer | 1 | 7.00 | 7.00 | 7.00 | ns | 3.50 |"), "{table}");
        assert!(table.contains("| theirs | peer | 2 | 400 | 400 | 400 | ns | 100 |"), "{table}");
    }
}
