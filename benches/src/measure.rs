//! Measures one case: round after round, in each of which every implementation has its turn, so that a neighbour's noise
//! falls on all of them.

mod operations;
mod stores;

use std::time::{Duration, Instant};

use crate::case::{Case, Setup};
use crate::cases::{Definition, Shape};
use crate::implementation::{Implementation, Kind};
use crate::row::Row;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Rounds of a case.
    pub rounds: usize,
    /// How long one round of one implementation takes.
    pub round: Duration,
    /// When this much time has gone into one case, no further round begins, but for the fewest.
    pub patience: Duration,
    /// The fewest rounds.
    pub least: usize,
}

impl Pace {
    /// Everything within thirty minutes.
    pub const WHOLE: Self =
        Self { rounds: 9, round: Duration::from_millis(100), patience: Duration::from_secs(55), least: 3 };
    /// Everything within three minutes.
    pub const QUICK: Self =
        Self { rounds: 3, round: Duration::from_millis(10), patience: Duration::from_secs(1), least: 1 };

    /// The rounds, as long as there is patience.
    fn rounds(self) -> impl Iterator<Item = usize> {
        let start = Instant::now();
        (0..self.rounds).take_while(move |round| *round < self.least || start.elapsed() < self.patience)
    }
}

/// What a case came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The figures.
    pub rows: Vec<Row>,
    /// What went wrong, by implementation; its figures are not among the rows.
    pub faults: Vec<String>,
}

impl Outcome {
    fn fault(&mut self, implementation: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{implementation}: {what}"));
    }
}

/// An implementation that takes part in a case.
struct Entrant {
    name: &'static str,
    kind: Kind,
    case: Box<dyn Case>,
}

/// Measures a case with those of the implementations that do it; `wanted` chooses by name, variants of patterns too.
#[must_use]
pub fn measure(
    definition: &Definition,
    mut implementations: Vec<Box<dyn Implementation>>,
    wanted: impl Fn(&str) -> bool,
    pace: Pace,
) -> Outcome {
    implementations.retain(|one| wanted(one.name()));
    let implementations = &implementations[..];
    let mut outcome = Outcome::default();
    let name = definition.name.as_str();
    let mut enter = |make: &dyn Fn(&dyn Implementation) -> Setup| {
        let mut entrants = Vec::new();
        for one in implementations {
            match make(&**one) {
                Ok(Some(case)) => entrants.push(Entrant { name: one.name(), kind: one.kind(), case }),
                Ok(None) => {}
                Err(error) => outcome.fault(one.name(), error),
            }
        }
        entrants
    };
    match &definition.shape {
        Shape::Operations { make, threads, expected } => {
            let entrants = enter(make);
            operations::measure(name, entrants, threads, expected, pace, &mut outcome);
        }
        Shape::AfterThreads { make, expected } => {
            let entrants = enter(make);
            operations::measure_after_threads(name, entrants, expected, pace, &mut outcome);
        }
        Shape::Percentile { make, expected, beside } => {
            let entrants = enter(make);
            operations::measure_percentile(name, entrants, expected, *beside, pace, &mut outcome);
        }
        Shape::Render { make, series, format, histogram } => {
            let scrape = stores::Scrape { series: *series, format: *format, histogram: *histogram };
            stores::measure_render(name, implementations, *make, scrape, pace, &mut outcome);
        }
        Shape::Bytes { make, series } => stores::measure_bytes(name, implementations, *make, *series, &mut outcome),
        Shape::Creation { make, series } => {
            stores::measure_creation(name, implementations, *make, *series, pace, &mut outcome);
        }
        Shape::Pattern(pattern) => {
            let mut entrants = Vec::new();
            for variant in pattern.variants.iter().filter(|variant| wanted(variant.name)) {
                match (variant.setup)() {
                    Ok(Some(case)) => entrants.push(Entrant { name: variant.name, kind: variant.kind, case }),
                    Ok(None) => {}
                    Err(error) => outcome.fault(variant.name, error),
                }
            }
            operations::measure(name, entrants, &[1, 2], &pattern.expected, pace, &mut outcome);
        }
    }
    outcome
}
