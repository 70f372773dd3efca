//! What was done, and whether it was counted.
//!
//! The ledger keeps the seed and the length of every sequence that was drawn. At the end of a case it draws them all
//! again, so that each series can be checked by itself, not only the total.

use std::collections::HashMap;

use crate::case::{Counted, Expected};
use crate::exposition::{Line, lines};
use crate::tags::{BOUNDS, Draw, Tags};

/// Sequences of operations that were done.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<(u64, u64)>,
}

/// What the sequences come to, for one series.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tally {
    count: u64,
    sum: f64,
    /// Not cumulative, the last one beyond all bounds.
    buckets: [u64; BOUNDS.len() + 1],
}

impl Ledger {
    /// Enters `times` operations that drew from `Draw::seeded(seed)`.
    pub fn enter(&mut self, seed: u64, times: u64) {
        if times > 0 {
            self.entries.push((seed, times));
        }
    }

    /// How many operations there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.entries.iter().map(|(_, times)| times).sum()
    }

    fn draw_again(&self, tags: Option<&Tags>) -> (Vec<Tally>, Vec<f64>) {
        let mut tallies = vec![Tally::default(); tags.map_or(1, Tags::pairs)];
        let mut last = Vec::new();
        for &(seed, times) in &self.entries {
            let mut draw = Draw::seeded(seed);
            let mut newest = f64::NAN;
            for _ in 0..times {
                let (series, value) = match tags {
                    Some(tags) => {
                        let drawn = draw.event(tags);
                        (drawn.pair, drawn.value)
                    }
                    None => (0, draw.value()),
                };
                let tally = &mut tallies[series];
                tally.count += 1;
                tally.sum += value;
                tally.buckets[BOUNDS.partition_point(|bound| value > *bound)] += 1;
                newest = value;
            }
            last.push(newest);
        }
        (tallies, last)
    }

    /// Compares what was counted with what was done.
    ///
    /// # Errors
    ///
    /// Says which series shows what, and what it should show.
    pub fn check(&self, counted: &Counted, expected: &Expected) -> Result<(), String> {
        match counted {
            Counted::Nothing => Ok(()),
            Counted::Total(total) if *total == self.total() => Ok(()),
            Counted::Total(total) => Err(format!("it counted {total} of {} operations", self.total())),
            Counted::Exposition(text) => self.check_exposition(text, expected),
        }
    }

    fn check_exposition(&self, text: &str, expected: &Expected) -> Result<(), String> {
        let tags = expected.tags.map(|tags| tags());
        let needs_values = expected.histogram || expected.gauge;
        let (tallies, last) = if tags.is_some() || needs_values {
            self.draw_again(tags)
        } else {
            (vec![Tally { count: self.total(), ..Tally::default() }], Vec::new())
        };
        let shown = Shown::read(text, tags)?;
        for (series, tally) in tallies.iter().enumerate() {
            let name = |what: &str| {
                let (route, status) = tags.map_or(("", ""), |tags| tags.pair(series));
                format!("{what}{{route={route:?},status={status:?}}}")
            };
            let differs =
                |what: &str, shown: f64, done: f64| Err(format!("{} shows {shown}, and {done} is right", name(what)));
            #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^53.
            let count = tally.count as f64;
            if expected.counter && shown.counters[series] != count {
                return differs("requests_total", shown.counters[series], count);
            }
            if (expected.histogram || expected.timed) && shown.counts[series] != count {
                return differs("latency_seconds_count", shown.counts[series], count);
            }
            if expected.histogram {
                if (shown.sums[series] - tally.sum).abs() > 1e-6 * tally.sum.abs().max(1.0) {
                    return differs("latency_seconds_sum", shown.sums[series], tally.sum);
                }
                let mut cumulative = 0;
                for (at, bucket) in tally.buckets.iter().enumerate() {
                    cumulative += bucket;
                    #[allow(clippy::cast_precision_loss)] // As above.
                    if shown.buckets[series][at] != cumulative as f64 {
                        let bound = BOUNDS.get(at).map_or("+Inf".to_owned(), ToString::to_string);
                        let what = format!("the bucket up to {bound} of latency_seconds");
                        return differs(
                            &what,
                            shown.buckets[series][at],
                            f64::from(u32::try_from(cumulative).unwrap_or(u32::MAX)),
                        );
                    }
                }
            }
        }
        // Several threads set one gauge: the last value of any of them may have stayed.
        if expected.gauge && !last.contains(&shown.gauge) {
            return Err(format!("depth shows {}, which no thread set last", shown.gauge));
        }
        Ok(())
    }
}

/// What an exposition shows of a case, by the number of the series.
struct Shown {
    counters: Vec<f64>,
    counts: Vec<f64>,
    sums: Vec<f64>,
    buckets: Vec<[f64; BOUNDS.len() + 1]>,
    gauge: f64,
}

impl Shown {
    fn read(text: &str, tags: Option<&Tags>) -> Result<Self, String> {
        let series = tags.map_or(1, Tags::pairs);
        let numbers: HashMap<(&str, &str), usize> = tags.map(|tags| tags.iter().zip(0..).collect()).unwrap_or_default();
        let mut shown = Self {
            counters: vec![0.0; series],
            counts: vec![0.0; series],
            sums: vec![0.0; series],
            buckets: vec![[0.0; BOUNDS.len() + 1]; series],
            gauge: f64::NAN,
        };
        for line in lines(text) {
            let line = line?;
            if !["requests_total", "latency_seconds_count", "latency_seconds_sum", "latency_seconds_bucket", "depth"]
                .contains(&line.name)
            {
                continue;
            }
            let at = match tags {
                None => 0,
                Some(_) => *numbers
                    .get(&(line.label("route"), line.label("status")))
                    .ok_or_else(|| format!("the exposition has a series that nobody made: {line:?}"))?,
            };
            match line.name {
                "requests_total" => shown.counters[at] += line.value,
                "latency_seconds_count" => shown.counts[at] += line.value,
                "latency_seconds_sum" => shown.sums[at] += line.value,
                "latency_seconds_bucket" => shown.buckets[at][bucket(&line)?] += line.value,
                _ => shown.gauge = line.value,
            }
        }
        Ok(shown)
    }
}

fn bucket(line: &Line<'_>) -> Result<usize, String> {
    match line.label("le") {
        "+Inf" => Ok(BOUNDS.len()),
        bound => bound
            .parse::<f64>()
            .ok()
            .and_then(|bound| BOUNDS.iter().position(|own| *own == bound))
            .ok_or_else(|| format!("the exposition has a bucket that nobody asked for: {line:?}")),
    }
}

/// Checks that an exposition shows so many series with three labels, each touched once.
///
/// # Errors
///
/// Says what it shows instead.
pub fn check_series(text: &str, series: usize, histogram: bool) -> Result<(), String> {
    let name = if histogram { "latency_seconds_count" } else { "requests_total" };
    let mut seen = 0;
    for line in lines(text) {
        let line = line?;
        if line.name == name {
            seen += 1;
            if line.value != 1.0 {
                return Err(format!("a series that was touched once shows something else: {line:?}"));
            }
        }
    }
    if seen == series { Ok(()) } else { Err(format!("{seen} series of {name} are shown, and {series} were made")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: Expected = Expected { tags: None, counter: true, histogram: false, timed: false, gauge: false };

    #[test]
    fn a_lost_count_is_found() {
        let mut ledger = Ledger::default();
        ledger.enter(1, 5);
        ledger.enter(2, 2);
        assert_eq!(ledger.check(&Counted::Exposition("requests_total 7\n".into()), &COUNTER), Ok(()));
        let error = ledger.check(&Counted::Exposition("requests_total 6\n".into()), &COUNTER).unwrap_err();
        assert!(error.contains("shows 6, and 7 is right"), "{error}");
        assert!(ledger.check(&Counted::Total(8), &COUNTER).is_err());
    }

    #[test]
    fn a_count_in_the_wrong_series_is_found() {
        let expected = Expected { tags: Some(Tags::few), ..COUNTER };
        let mut ledger = Ledger::default();
        ledger.enter(9, 1);
        let right = Draw::seeded(9).event(Tags::few()).pair;
        for (pair, (route, status)) in Tags::few().iter().enumerate() {
            let text = format!("requests_total{{route=\"{route}\",status=\"{status}\"}} 1\n");
            assert_eq!(ledger.check(&Counted::Exposition(text), &expected).is_ok(), pair == right);
        }
    }

    #[test]
    fn a_value_in_the_wrong_bucket_is_found() {
        let expected = Expected { counter: false, histogram: true, ..COUNTER };
        let mut ledger = Ledger::default();
        ledger.enter(4, 1);
        let value = Draw::seeded(4).value();
        let text = |shift: f64| {
            let le = |bound: &f64| {
                format!("latency_seconds_bucket{{le=\"{bound}\"}} {}\n", u8::from(value + shift <= *bound))
            };
            let buckets: String = BOUNDS.iter().map(le).collect();
            format!(
                "{buckets}latency_seconds_bucket{{le=\"+Inf\"}} 1\nlatency_seconds_sum {value}\nlatency_seconds_count 1\n"
            )
        };
        assert_eq!(ledger.check(&Counted::Exposition(text(0.0)), &expected), Ok(()));
        assert!(ledger.check(&Counted::Exposition(text(20.0)), &expected).is_err());
    }

    #[test]
    fn series_that_are_missing_are_found() {
        assert_eq!(check_series("requests_total{host=\"a\"} 1\n", 1, false), Ok(()));
        assert!(check_series("requests_total{host=\"a\"} 1\n", 2, false).is_err());
        assert!(check_series("requests_total{host=\"a\"} 2\n", 1, false).is_err());
    }
}
