//! When a job is due: whole periods after it was added, fewer of them while it fails. Times are a clock's.

use std::time::Duration;

/// The times at which one job is due.
#[derive(Debug)]
pub(super) struct Schedule {
    period: Duration,
    /// The most periods between two runs.
    most: u32,
    // Invariant: the first time, and whole periods behind it.
    due: Duration,
    failures: u32,
}

impl Schedule {
    /// Due at once, at most `most` periods apart.
    pub(super) const fn new(period: Duration, most: u32, now: Duration) -> Self {
        Self { period, most, due: now, failures: 0 }
    }

    pub(super) const fn due(&self) -> Duration {
        self.due
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// A due time has come: the next is the first that lies ahead. Gives how many passed in between.
    pub(super) fn pass(&mut self, now: Duration) -> u64 {
        let missed = self.periods_until(now);
        self.put_off(missed + 1);
        missed
    }

    pub(super) const fn succeed(&mut self) {
        self.failures = 0;
    }

    /// The run that `pass` was for has failed, or a later part of the same failure is over: the next is so many periods
    /// ahead of now as there were failures in a row, twice as many for each.
    pub(super) fn fail(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let wait = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX).min(self.most);
        // `due` is the first time ahead of the run already, unless the run took longer.
        let ahead = if now >= self.due { self.periods_until(now) + 1 } else { 0 };
        self.put_off(ahead + u64::from(wait) - 1);
    }

    /// How many whole periods lie between the due time and `now`.
    fn periods_until(&self, now: Duration) -> u64 {
        let late = now.saturating_sub(self.due).as_nanos();
        u64::try_from(late / self.period.as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn put_off(&mut self, periods: u64) {
        let nanos = self.period.as_nanos().saturating_mul(u128::from(periods));
        // 584 years are as good as never.
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.saturating_add(wait);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn schedule() -> Schedule {
        Schedule::new(at(10), 32, at(5))
    }

    /// Poller: no drift, whatever the lateness of each run.
    #[test]
    fn due_times_do_not_drift() {
        let mut schedule = schedule();
        for (tick, late) in [0, 9, 3, 7, 0].into_iter().enumerate() {
            let due = at(5 + 10 * tick as u64);
            assert_eq!(schedule.due(), due);
            assert!(!schedule.is_due(due - Duration::from_nanos(1)) && schedule.is_due(due));
            assert_eq!(schedule.pass(due + at(late)), 0);
        }
    }

    /// Poller: what passed while the process slept is told and not made up for.
    #[test]
    fn periods_that_passed_are_missed() {
        let mut schedule = schedule();
        assert_eq!(schedule.pass(at(5 + 47)), 4);
        assert_eq!(schedule.due(), at(5 + 50));
        assert_eq!(schedule.pass(at(5 + 50)), 0);
    }

    /// Poller: back-off doubles up to its end, and one success ends it; due times stay whole periods.
    #[test]
    fn failures_double_the_wait_until_a_success() {
        let mut schedule = schedule();
        let mut now = at(5);
        for periods in [2, 4, 8, 16, 32, 32, 32] {
            assert_eq!(schedule.pass(now), 0);
            schedule.fail(now + at(1));
            assert_eq!(schedule.due(), now + at(10) * periods);
            now = schedule.due();
        }
        schedule.pass(now);
        schedule.succeed();
        assert_eq!(schedule.due(), now + at(10));
        schedule.pass(now + at(10));
        schedule.fail(now + at(10));
        assert_eq!(schedule.due(), now + at(30), "it begins anew");
    }

    #[test]
    fn a_run_that_took_long_waits_from_its_end() {
        let mut schedule = schedule();
        schedule.pass(at(5));
        schedule.fail(at(5 + 34));
        assert_eq!(schedule.due(), at(5 + 50));
    }

    #[test]
    fn very_many_failures_and_very_long_periods_do_not_overflow() {
        let mut schedule = Schedule::new(Duration::MAX, u32::MAX, at(0));
        (0..100).for_each(|_| schedule.fail(at(1)));
        assert_eq!(schedule.pass(Duration::MAX), 0);
        let mut schedule = Schedule::new(Duration::from_nanos(1), u32::MAX, at(0));
        schedule.pass(Duration::MAX);
        (0..100).for_each(|_| schedule.fail(at(1)));
    }
}
