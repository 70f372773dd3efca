//! `rate_limit`: one request in an interval, and some at once.
//!
//! A bucket holds as many tokens as requests may come at once; each takes one, and one comes back in each interval.

use std::time::{Duration, Instant};

use super::yaml::{Fields, Problem};

/// How many requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) struct Rate {
    interval: Duration,
    burst: u32,
}

/// The tokens that are left. They are kept as the time that they took to come, so nothing is rounded.
#[derive(Debug, Default)]
pub(in crate::serve) struct Bucket {
    /// What was left at `asked`, and for which rate; `None` before the first request.
    filled: Option<(Rate, Duration, Instant)>,
}

impl Bucket {
    /// Takes one token, if there is one.
    pub(in crate::serve) fn take(&mut self, rate: Rate) -> bool {
        self.take_at(rate, Instant::now())
    }

    fn take_at(&mut self, rate: Rate, now: Instant) -> bool {
        let full = rate.interval.saturating_mul(rate.burst);
        let level = match self.filled {
            Some((before, level, asked)) if before == rate => {
                level.saturating_add(now.saturating_duration_since(asked)).min(full)
            }
            _ => full,
        };
        let left = level.checked_sub(rate.interval);
        self.filled = Some((rate, left.unwrap_or(level), now));
        left.is_some()
    }
}

pub(super) fn parse(mut fields: Fields<'_>) -> Result<Option<Rate>, Problem> {
    let line = fields.line();
    let interval = field(&mut fields, "interval", duration, "a duration, as in 500ms or 1s")?.unwrap_or_default();
    let burst = field(&mut fields, "burst", |text| text.parse().ok(), "a number")?.unwrap_or_default();
    let key = fields.path("burst");
    fields.end()?;
    match (interval, burst) {
        (Duration::ZERO, _) => Ok(None),
        (_, 0) => {
            Err(Problem { line, key, text: "it has to be 1 at least, or no request is ever answered".to_owned() })
        }
        (interval, burst) => Ok(Some(Rate { interval, burst })),
    }
}

fn field<T>(
    fields: &mut Fields<'_>,
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    expected: &str,
) -> Result<Option<T>, Problem> {
    let line = fields.line_of(name).unwrap_or(fields.line());
    let key = fields.path(name);
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let problem = || Problem { line, key, text: format!("it has to be {expected}, and is {text:?}") };
    parse(&text).map(Some).ok_or_else(problem)
}

/// A duration as configurations of Prometheus' tools write it: numbers with units, one after the other, or nanoseconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(nanos) = text.parse() {
        return Some(Duration::from_nanos(nanos));
    }
    let (mut rest, mut total) = (text.strip_prefix('+').unwrap_or(text), Duration::ZERO);
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit() || char == '.').len();
        let (digits, behind) = rest.split_at(number);
        let unit = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_reference_writes_them() {
        for (text, millis) in [("1s", 1000), ("500ms", 500), ("1m30s", 90_000), ("0.25s", 250), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!((duration("0"), duration("1000000")), (Some(Duration::ZERO), Some(Duration::from_millis(1))));
        for text in ["", "s", "1", "-1s", "1x", "1.2.3s", "1s2", "1e400s", "nan", "1 s"] {
            assert_eq!(duration(text).filter(|_| text != "1"), None, "{text}");
        }
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_one_an_interval() {
        let rate = Rate { interval: Duration::from_secs(2), burst: 3 };
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let mut take = |seconds| bucket.take_at(rate, start + Duration::from_secs(seconds));
        assert_eq!([take(0), take(0), take(0), take(0)], [true, true, true, false]);
        assert_eq!([take(1), take(2), take(3), take(4)], [false, true, false, true]);
        assert_eq!([take(100), take(100), take(100), take(100)], [true, true, true, false], "it holds three at most");
    }
}
