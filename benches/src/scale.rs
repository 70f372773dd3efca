//! How the cost of an event grows: with series, tags, handlers, metrics, threads, and with what is elsewhere.
//!
//! ```text
//! scale -> curves: for each x a dispatcher and a registry of their own -> rounds of events -> median
//!       -> table, file, drawing
//! ```

mod curves;
mod drawing;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use curves::CURVES;
pub use drawing::draw;

/// One line of the drawing: what grows, and what an event costs then.
#[derive(Debug)]
pub struct Curve {
    /// Its name.
    pub name: &'static str,
    /// What is done.
    pub about: &'static str,
    /// What grows.
    pub grows: &'static str,
    /// What is measured.
    pub unit: &'static str,
    /// How much there is of it, at each point.
    pub at: &'static [usize],
    /// Measures one point.
    pub measure: fn(usize, Pace) -> Vec<f64>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often.
    pub rounds: usize,
    /// How long each time.
    pub round: Duration,
}

impl Pace {
    /// Within ten minutes.
    pub const WHOLE: Self = Self { rounds: 9, round: Duration::from_millis(100) };
    /// Within two.
    pub const QUICK: Self = Self { rounds: 3, round: Duration::from_millis(20) };

    /// The nanoseconds of one operation, round by round; `run` does it so many times.
    pub fn time(self, mut run: impl FnMut(u64)) -> Vec<f64> {
        // Every series is made, and every page touched, before anything is measured.
        let mut times = 1_000;
        run(times);
        loop {
            let begin = Instant::now();
            run(times);
            let took = begin.elapsed();
            if took * 2 >= self.round {
                break;
            }
            times *= 2;
        }
        let round = |_| {
            let begin = Instant::now();
            run(times);
            per(begin.elapsed(), times)
        };
        (0..self.rounds).map(round).collect()
    }
}

#[allow(clippy::cast_precision_loss)] // A figure to show.
fn per(took: Duration, times: u64) -> f64 {
    took.as_nanos() as f64 / times as f64
}

/// A point of a curve.
#[derive(Clone, Debug)]
pub struct Point {
    /// How much there was.
    pub x: usize,
    /// The median of what was measured, and the least and the most.
    pub value: f64,
    /// The least and the most.
    pub range: (f64, f64),
}

/// A curve that was measured.
#[derive(Debug)]
pub struct Measured {
    /// What.
    pub curve: &'static Curve,
    /// The points, in order.
    pub points: Vec<Point>,
}

impl Curve {
    /// Measures every point.
    #[must_use]
    pub fn run(&'static self, pace: Pace) -> Measured {
        let point = |x: &usize| {
            let mut samples = (self.measure)(*x, pace);
            samples.sort_by(f64::total_cmp);
            let range = (samples[0], samples[samples.len() - 1]);
            Point { x: *x, value: samples[samples.len() / 2], range }
        };
        Measured { curve: self, points: self.at.iter().map(point).collect() }
    }
}

impl Measured {
    /// The points as they stand in a file.
    #[must_use]
    pub fn to_json(&self) -> Vec<Value> {
        let row = |point: &Point| {
            json!({
                "curve": self.curve.name,
                "grows": self.curve.grows,
                "x": point.x,
                "value": point.value,
                "least": point.range.0,
                "most": point.range.1,
                "unit": self.curve.unit,
            })
        };
        self.points.iter().map(row).collect()
    }

    /// The points as a table.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut table = format!("## {}\n\n{}\n\n| {} |", self.curve.name, self.curve.about, self.curve.grows);
        self.points.iter().for_each(|point| table += &format!(" {} |", point.x));
        table += &format!("\n|{}\n| {} |", "---:|".repeat(self.points.len() + 1), self.curve.unit);
        self.points.iter().for_each(|point| table += &format!(" {} |", crate::table::figure(point.value)));
        table + "\n"
    }
}
