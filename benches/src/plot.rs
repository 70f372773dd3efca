//! Rows as a drawing: a panel for each case, a bar for each implementation, on a logarithmic scale.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    Color, DrawingArea, DrawingBackend, IntoDrawingArea, IntoFont, PathElement, RGBColor, Rectangle, SVGBackend, Text,
    WHITE,
};

use crate::implementation::Kind;
use crate::row::Row;
use crate::table::figure;

const COLUMNS: usize = 2;
const WIDTH: i32 = 620;
const BAR: i32 = 17;
const HEAD: i32 = 46;
const NAMES: i32 = 170;
const FIGURES: i32 = 90;
const INK: RGBColor = RGBColor(40, 40, 40);

/// The rows of one panel: those of one case, one number of threads and one unit, the least first.
struct Panel<'r> {
    title: String,
    rows: Vec<&'r Row>,
}

impl Panel<'_> {
    fn height(&self) -> i32 {
        HEAD + BAR * i32::try_from(self.rows.len()).unwrap_or(i32::MAX / BAR)
    }
}

fn panels(rows: &[Row]) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    for row in rows {
        let threads = if row.threads == 1 { String::new() } else { format!(", {} threads", row.threads) };
        let title = format!("{}{threads}, {}", row.case, row.unit.symbol());
        match panels.iter_mut().find(|panel| panel.title == title) {
            Some(panel) => panel.rows.push(row),
            None => panels.push(Panel { title, rows: vec![row] }),
        }
    }
    for panel in &mut panels {
        panel.rows.sort_by(|a, b| a.value.total_cmp(&b.value));
    }
    panels
}

const fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Ours => RGBColor(208, 88, 34),
        Kind::Peer => RGBColor(64, 116, 168),
        Kind::Held => RGBColor(132, 170, 204),
        Kind::Unsync => RGBColor(150, 140, 180),
        Kind::Limit => RGBColor(176, 176, 176),
    }
}

/// Draws the rows into a file.
///
/// # Errors
///
/// When the file can't be written.
pub fn draw(rows: &[Row], file: &Path) -> Result<(), Box<dyn Error>> {
    let panels = panels(rows);
    let lines: Vec<&[Panel<'_>]> = panels.chunks(COLUMNS).collect();
    let line_height = |line: &[Panel<'_>]| line.iter().map(Panel::height).max().unwrap_or(0);
    let legend = 30;
    let height = legend + lines.iter().map(|line| line_height(line)).sum::<i32>() + 10;
    let size = (u32::try_from(WIDTH)? * u32::try_from(COLUMNS)?, u32::try_from(height)?);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;

    let mut left = 10;
    for kind in Kind::ALL {
        root.draw(&Rectangle::new([(left, 10), (left + 12, 22)], colour(kind).filled())).map_err(|e| e.to_string())?;
        label(&root, kind.name(), (left + 17, 10), 13)?;
        left += 80;
    }
    let mut top = legend;
    for line in lines {
        for (panel, left) in line.iter().zip((0..).step_by(usize::try_from(WIDTH)?)) {
            draw_panel(&root, panel, (left, top))?;
        }
        top += line_height(line);
    }
    root.present().map_err(|error| error.to_string())?;
    Ok(())
}

fn label<B: DrawingBackend>(
    root: &DrawingArea<B, Shift>,
    text: &str,
    at: (i32, i32),
    size: u32,
) -> Result<(), Box<dyn Error>> {
    root.draw(&Text::new(text.to_owned(), at, ("sans-serif", size).into_font().color(&INK)))
        .map_err(|error| error.to_string().into())
}

#[allow(clippy::cast_possible_truncation)] // Positions within a panel.
fn draw_panel<B: DrawingBackend>(
    root: &DrawingArea<B, Shift>,
    panel: &Panel<'_>,
    (left, top): (i32, i32),
) -> Result<(), Box<dyn Error>> {
    label(root, &panel.title, (left + 10, top + 16), 15)?;
    let smallest = panel.rows.iter().map(|row| row.range.0).filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
    let largest = panel.rows.iter().map(|row| row.range.1).fold(smallest, f64::max);
    // A tenth of a decade below the smallest, so that it has a bar too.
    let (low, high) = (smallest.log10() - 0.1, largest.log10().max(smallest.log10() + 0.1));
    let room = f64::from(WIDTH - NAMES - FIGURES);
    let x = |value: f64| {
        let share = (value.max(smallest).log10() - low) / (high - low);
        left + NAMES + (share * room).round() as i32
    };
    for (row, y) in panel.rows.iter().zip((top + HEAD - 6..).step_by(BAR as usize)) {
        label(root, &row.implementation, (left + 10, y), 12)?;
        let bar = [(left + NAMES, y + 1), (x(row.value), y + BAR - 5)];
        root.draw(&Rectangle::new(bar, colour(row.kind).filled())).map_err(|error| error.to_string())?;
        let middle = y + (BAR - 4) / 2;
        let range = vec![(x(row.range.0), middle), (x(row.range.1), middle)];
        root.draw(&PathElement::new(range, INK.stroke_width(1))).map_err(|error| error.to_string())?;
        label(root, &figure(row.value), (x(row.range.1.max(row.value)) + 6, y), 12)?;
    }
    Ok(())
}
