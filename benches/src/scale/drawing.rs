//! Curves as a drawing: a panel for each.

use std::error::Error;
use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor, SVGBackend, WHITE,
};

use super::Measured;

const COLUMNS: usize = 2;
const SIZE: (u32, u32) = (560, 300);
const OURS: RGBColor = RGBColor(208, 88, 34);

/// Draws the curves into a file.
///
/// # Errors
///
/// When the file can't be written.
#[allow(clippy::cast_precision_loss)] // Positions in a drawing.
pub fn draw(curves: &[Measured], file: &Path) -> Result<(), Box<dyn Error>> {
    let lines = curves.len().div_ceil(COLUMNS);
    let size = (SIZE.0 * u32::try_from(COLUMNS)?, SIZE.1 * u32::try_from(lines.max(1))?);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    for (area, measured) in root.split_evenly((lines.max(1), COLUMNS)).iter().zip(curves) {
        // Zero has a place left of one.
        let x = |x: usize| if x == 0 { 0.5 } else { x as f64 };
        let Some(last) = measured.points.last() else { continue };
        let top = measured.points.iter().map(|point| point.range.1).fold(0.0, f64::max) * 1.15;
        let title = format!("{}: {}, by {}", measured.curve.name, measured.curve.unit, measured.curve.grows);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 15))
            .margin(12)
            .x_label_area_size(28)
            .y_label_area_size(56)
            .build_cartesian_2d((0.4..x(last.x) * 1.2).log_scale(), 0.0..top)
            .map_err(|error| error.to_string())?;
        let name = |x: &f64| if *x < 1.0 { "0".to_owned() } else { format!("{x:.0}") };
        chart.configure_mesh().light_line_style(WHITE).x_label_formatter(&name).draw().map_err(|e| e.to_string())?;
        let points = || measured.points.iter().map(|point| (x(point.x), point.value));
        chart.draw_series(LineSeries::new(points(), OURS.stroke_width(2))).map_err(|error| error.to_string())?;
        chart.draw_series(points().map(|at| Circle::new(at, 3, OURS.filled()))).map_err(|error| error.to_string())?;
        let range = |point: &super::Point| {
            PathElement::new(vec![(x(point.x), point.range.0), (x(point.x), point.range.1)], OURS.stroke_width(1))
        };
        chart.draw_series(measured.points.iter().map(range)).map_err(|error| error.to_string())?;
    }
    root.present().map_err(|error| error.to_string())?;
    Ok(())
}
