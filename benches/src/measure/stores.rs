//! Cases about many series: scraping, keeping and making them.

use std::time::{Duration, Instant};

use super::{Outcome, Pace};
use crate::case::{Format, Store};
use crate::cases::Make;
use crate::heap;
use crate::implementation::{Implementation, Kind};
use crate::ledger::check_series;
use crate::row::{Row, Unit};
use crate::tags::ThreeLabels;

/// What is rendered.
#[derive(Clone, Copy)]
pub(super) struct Scrape {
    pub(super) series: usize,
    pub(super) format: Format,
    pub(super) histogram: bool,
}

/// A scrape that takes longer is not repeated when there is little time.
const LONG: Duration = Duration::from_millis(500);

fn fill(store: &dyn Store, series: usize) {
    let labels = ThreeLabels::all();
    (0..series).for_each(|n| store.touch(labels.of(n)));
    store.settle();
}

/// Checks that the store shows so many series; a limit has none.
fn check(one: &dyn Implementation, store: &dyn Store, series: usize, histogram: bool) -> Result<(), String> {
    let text = store.render(Format::Text).or_else(|| store.render(Format::OpenMetrics));
    match text {
        Some(text) if one.kind() != Kind::Limit => check_series(&text, series, histogram),
        _ => Ok(()),
    }
}

pub(super) fn measure_render(
    case: &str,
    implementations: &[Box<dyn Implementation>],
    make: Make,
    scrape: Scrape,
    pace: Pace,
    outcome: &mut Outcome,
) {
    let mut stores = Vec::new();
    for one in implementations {
        match make(&**one, scrape.series) {
            Ok(None) => {}
            Ok(Some(store)) => {
                fill(&*store, scrape.series);
                // The first scrape checks what the others are of. It counts only where there is no time for another.
                let begin = Instant::now();
                let text = store.render(scrape.format);
                let first = begin.elapsed();
                let samples =
                    if pace.least == 1 && first > LONG { vec![first.as_secs_f64() * 1e3] } else { Vec::new() };
                match text {
                    None => {}
                    Some(_) if one.kind() == Kind::Limit => stores.push((one, store, samples)),
                    Some(text) => match check_series(&text, scrape.series, scrape.histogram) {
                        Ok(()) => stores.push((one, store, samples)),
                        Err(fault) => outcome.fault(one.name(), fault),
                    },
                }
            }
            Err(error) => outcome.fault(one.name(), error),
        }
    }
    for _ in pace.rounds() {
        for (_, store, samples) in &mut stores {
            if pace.least == 1 && samples.first().is_some_and(|first| *first > LONG.as_secs_f64() * 1e3) {
                continue;
            }
            let begin = Instant::now();
            std::hint::black_box(store.scrape(scrape.format));
            samples.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    outcome.rows.extend(
        stores
            .iter()
            .filter_map(|(one, _, samples)| Row::of(case, one.name(), one.kind(), 1, Unit::Milliseconds, samples)),
    );
}

pub(super) fn measure_bytes(
    case: &str,
    implementations: &[Box<dyn Implementation>],
    make: Make,
    series: usize,
    outcome: &mut Outcome,
) {
    // Made before, so that nobody is charged for it.
    let _ = ThreeLabels::all();
    for one in implementations {
        let (made, bytes) = heap::grown(|| {
            let store = make(&**one, series)?;
            if let Some(store) = &store {
                fill(&**store, series);
            }
            Ok::<_, Box<dyn std::error::Error>>(store)
        });
        match made {
            Ok(None) => {}
            Ok(Some(store)) => {
                let histogram = case.contains("histogram");
                if let Err(fault) = check(&**one, &*store, series, histogram) {
                    outcome.fault(one.name(), fault);
                    continue;
                }
                #[allow(clippy::cast_precision_loss)] // Far below 2^53.
                let sample = bytes as f64 / series as f64;
                outcome.rows.extend(Row::of(case, one.name(), one.kind(), 1, Unit::Bytes, &[sample]));
            }
            Err(error) => outcome.fault(one.name(), error),
        }
    }
}

#[allow(clippy::cast_precision_loss)] // A number of series.
pub(super) fn measure_creation(
    case: &str,
    implementations: &[Box<dyn Implementation>],
    make: Make,
    series: usize,
    pace: Pace,
    outcome: &mut Outcome,
) {
    let labels = ThreeLabels::all();
    let mut samples: Vec<(Vec<f64>, Vec<f64>)> = implementations.iter().map(|_| (Vec::new(), Vec::new())).collect();
    let mut absent = vec![false; implementations.len()];
    for round in pace.rounds() {
        for (at, one) in implementations.iter().enumerate() {
            // What is global keeps its series, so it can make them once only.
            if absent[at] || (round > 0 && one.is_global()) {
                continue;
            }
            let store = match make(&**one, series) {
                Ok(Some(store)) => store,
                Ok(None) => {
                    absent[at] = true;
                    continue;
                }
                Err(error) => {
                    absent[at] = true;
                    outcome.fault(one.name(), error);
                    continue;
                }
            };
            let begin = Instant::now();
            let (mut before, mut worst) = (begin, Duration::ZERO);
            for n in 0..series {
                store.touch(labels.of(n));
                let now = Instant::now();
                worst = worst.max(now - before);
                before = now;
            }
            samples[at].0.push((before - begin).as_nanos() as f64 / series as f64);
            samples[at].1.push(worst.as_secs_f64() * 1e6);
            store.settle();
            if let Err(fault) = check(&**one, &*store, series, false) {
                absent[at] = true;
                samples[at] = (Vec::new(), Vec::new());
                outcome.fault(one.name(), fault);
            }
        }
    }
    for (one, (nanos, _)) in implementations.iter().zip(&samples) {
        outcome.rows.extend(Row::of(case, one.name(), one.kind(), 1, Unit::Nanoseconds, nanos));
    }
    for (one, (_, worst)) in implementations.iter().zip(&samples) {
        outcome.rows.extend(Row::of(case, one.name(), one.kind(), 1, Unit::Microseconds, worst));
    }
}
