//! Cases that repeat one operation.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Entrant, Outcome, Pace};
use crate::case::{Case, Expected};
use crate::cases::Beside;
use crate::ledger::Ledger;
use crate::row::{Row, Unit};
use crate::tags::Draw;

/// What is known of an entrant while its case is measured.
struct Running {
    entrant: Entrant,
    ledger: Ledger,
    /// How many operations are done between two looks at the clock.
    burst: u64,
    samples: Vec<f64>,
}

/// The most operations between two looks at the clock: an operation that the compiler has removed takes no time at all.
const MOST: u64 = 1 << 32;

/// Every sequence that is drawn in a process has a seed of its own.
fn seed() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: the number alone matters.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One thread's part in a round.
struct Turn {
    seed: u64,
    times: u64,
    nanos_per_operation: f64,
}

/// Repeats bursts until they have taken `long`, the settling between them left out.
#[allow(clippy::cast_precision_loss)] // Times and counts stay far below 2^53.
fn turn(case: &dyn Case, burst: u64, long: Duration, settles: bool, start: Option<&Barrier>) -> Turn {
    let seed = seed();
    let mut draw = Draw::seeded(seed);
    let warm = burst.min(256);
    case.run(warm, &mut draw);
    if let Some(start) = start {
        start.wait();
    }
    let (mut times, mut spent) = (0, Duration::ZERO);
    while spent < long {
        let begin = Instant::now();
        case.run(burst, &mut draw);
        spent += begin.elapsed();
        times += burst;
        if settles {
            case.settle();
        }
    }
    Turn { seed, times: times + warm, nanos_per_operation: spent.as_nanos() as f64 / times as f64 }
}

impl Running {
    /// Finds how many operations take about a sixteenth of a round.
    fn new(entrant: Entrant, pace: Pace) -> Self {
        let mut ledger = Ledger::default();
        let seed = seed();
        let mut draw = Draw::seeded(seed);
        let (mut done, mut times) = (0, 64);
        let most = entrant.case.burst().min(MOST);
        let aim = pace.round / 16;
        let burst = loop {
            let begin = Instant::now();
            entrant.case.run(times, &mut draw);
            let spent = begin.elapsed();
            done += times;
            entrant.case.settle();
            if spent >= aim || times >= most {
                break times.min(most);
            }
            times *= 2;
        };
        ledger.enter(seed, done);
        Self { entrant, ledger, burst, samples: Vec::new() }
    }

    #[allow(clippy::cast_precision_loss)] // A number of threads.
    fn round(&mut self, threads: usize, pace: Pace) {
        let case = &*self.entrant.case;
        let turns = if threads == 1 {
            vec![turn(case, self.burst, pace.round, true, None)]
        } else {
            let start = Barrier::new(threads);
            let (burst, start) = (self.burst, &start);
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..threads)
                    .map(|thread| scope.spawn(move || turn(case, burst, pace.round, thread == 0, Some(start))))
                    .collect();
                all.into_iter().map(|one| one.join().expect("operations don't panic")).collect()
            })
        };
        for turn in &turns {
            self.ledger.enter(turn.seed, turn.times);
        }
        self.samples.push(turns.iter().map(|turn| turn.nanos_per_operation).sum::<f64>() / turns.len() as f64);
    }

    fn row(&mut self, case: &str, threads: usize) -> Option<Row> {
        let samples = std::mem::take(&mut self.samples);
        Row::of(case, self.entrant.name, self.entrant.kind, threads, Unit::Nanoseconds, &samples)
    }
}

/// Checks every count; what an implementation measured that miscounts is not shown.
fn check(runnings: &[Running], expected: &Expected, mut rows: Vec<Row>, outcome: &mut Outcome) {
    for running in runnings {
        running.entrant.case.settle();
        if let Err(fault) = running.ledger.check(&running.entrant.case.counted(), expected) {
            outcome.fault(running.entrant.name, fault);
            rows.retain(|row| row.implementation != running.entrant.name);
        }
    }
    outcome.rows.extend(rows);
}

pub(super) fn measure(
    case: &str,
    entrants: Vec<Entrant>,
    threads: &[usize],
    expected: &Expected,
    pace: Pace,
    outcome: &mut Outcome,
) {
    let mut runnings: Vec<Running> = entrants.into_iter().map(|entrant| Running::new(entrant, pace)).collect();
    let mut rows = Vec::new();
    for &threads in threads {
        for _ in pace.rounds() {
            runnings.iter_mut().for_each(|running| running.round(threads, pace));
        }
        rows.extend(runnings.iter_mut().filter_map(|running| running.row(case, threads)));
    }
    check(&runnings, expected, rows, outcome);
}

/// How many threads come and go, and how many of them at once.
const GENERATIONS: usize = 32;
const AT_ONCE: usize = 32;

pub(super) fn measure_after_threads(
    case: &str,
    entrants: Vec<Entrant>,
    expected: &Expected,
    pace: Pace,
    outcome: &mut Outcome,
) {
    let mut runnings: Vec<Running> = entrants.into_iter().map(|entrant| Running::new(entrant, pace)).collect();
    for running in &mut runnings {
        for _ in 0..GENERATIONS {
            let case = &*running.entrant.case;
            // All of a generation are there at once.
            let start = &Barrier::new(AT_ONCE);
            let turns: Vec<(u64, u64)> = std::thread::scope(|scope| {
                let count = move || {
                    let (seed, times) = (seed(), 100);
                    start.wait();
                    case.run(times, &mut Draw::seeded(seed));
                    (seed, times)
                };
                let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(count)).collect();
                all.into_iter().map(|one| one.join().expect("operations don't panic")).collect()
            });
            turns.into_iter().for_each(|(seed, times)| running.ledger.enter(seed, times));
        }
    }
    for _ in pace.rounds() {
        runnings.iter_mut().for_each(|running| running.round(1, pace));
    }
    let rows = runnings.iter_mut().filter_map(|running| running.row(case, 1)).collect();
    check(&runnings, expected, rows, outcome);
}

/// Counts of operations by how long they took: each nanosecond of the first millisecond, then each microsecond of the
/// first second, and those beyond.
struct Latencies {
    nanos: Vec<u64>,
    micros: Vec<u64>,
}

impl Latencies {
    const FINE: usize = 1_000_000;

    fn new() -> Self {
        Self { nanos: vec![0; Self::FINE], micros: vec![0; Self::FINE + 1] }
    }

    fn record(&mut self, took: Duration) {
        let nanos = usize::try_from(took.as_nanos()).unwrap_or(usize::MAX);
        match self.nanos.get_mut(nanos) {
            Some(count) => *count += 1,
            None => self.micros[(nanos / 1000).min(Self::FINE)] += 1,
        }
    }

    /// The nanoseconds that 999 of 1000 operations did not exceed.
    #[allow(clippy::cast_precision_loss)] // Far below 2^53.
    fn p999(&self) -> f64 {
        let total: u64 = self.nanos.iter().chain(&self.micros).sum();
        let mut left = total - total / 1000;
        let fine = self.nanos.iter().enumerate();
        let coarse = self.micros.iter().enumerate().map(|(micros, count)| (micros * 1000, count));
        for (nanos, count) in fine.chain(coarse) {
            if *count >= left {
                return nanos as f64;
            }
            left -= count;
        }
        0.0
    }
}

/// What an exposition of 100,000 counters with two labels has, about.
const COPIED: usize = 6 << 20;

pub(super) fn measure_percentile(
    case: &str,
    entrants: Vec<Entrant>,
    expected: &Expected,
    beside: Beside,
    pace: Pace,
    outcome: &mut Outcome,
) {
    let mut runnings: Vec<Running> = entrants.into_iter().map(|entrant| Running::new(entrant, pace)).collect();
    for running in &mut runnings {
        // So that there is something to scrape: nearly all series.
        let (seed, times) = (seed(), 500_000);
        running.entrant.case.run(times, &mut Draw::seeded(seed));
        running.ledger.enter(seed, times);
    }
    for _ in pace.rounds() {
        for running in &mut runnings {
            let sample = percentile(running, beside, pace.round * 8);
            running.samples.push(sample);
        }
    }
    let rows = runnings.iter_mut().filter_map(|running| running.row(case, 1)).collect();
    check(&runnings, expected, rows, outcome);
}

/// The 99.9th percentile of one operation's time while another thread does something again and again.
fn percentile(running: &mut Running, beside: Beside, long: Duration) -> f64 {
    let case = &*running.entrant.case;
    let over = AtomicBool::new(false);
    let seed = seed();
    let (latencies, times) = std::thread::scope(|scope| {
        // Relaxed: nothing is published by it.
        let goes_on = || !over.load(Ordering::Relaxed);
        match beside {
            Beside::Scrapes => {
                scope.spawn(move || {
                    while goes_on() {
                        std::hint::black_box(case.counted());
                        // A limit has nothing to scrape, and is not to take the core.
                        std::thread::yield_now();
                    }
                });
            }
            Beside::Copies => {
                scope.spawn(move || {
                    let (text, mut copy) = (vec![b'x'; COPIED], vec![0; COPIED]);
                    while goes_on() {
                        std::hint::black_box(&mut copy).copy_from_slice(std::hint::black_box(&text));
                    }
                });
            }
            Beside::Nothing => {}
        }
        let mut draw = Draw::seeded(seed);
        let mut latencies = Latencies::new();
        let (begin, mut times) = (Instant::now(), 0);
        while begin.elapsed() < long {
            for _ in 0..1000 {
                let before = Instant::now();
                case.run(1, &mut draw);
                latencies.record(before.elapsed());
            }
            times += 1000;
        }
        // Relaxed: as above.
        over.store(true, Ordering::Relaxed);
        (latencies, times)
    });
    running.ledger.enter(seed, times);
    latencies.p999()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_that_of_the_slowest_in_a_thousand() {
        let mut latencies = Latencies::new();
        (0..998).for_each(|_| latencies.record(Duration::from_nanos(10)));
        latencies.record(Duration::from_nanos(70));
        latencies.record(Duration::from_secs(1));
        assert_eq!(latencies.p999(), 70.0);
        (0..9).for_each(|_| latencies.record(Duration::from_millis(3)));
        assert_eq!(latencies.p999(), 3_000_000.0);
    }
}
