//! Memory, descriptors and threads of a process, over time.

use std::fmt;
use std::fs;
use std::io;
use std::time::Duration;

/// What a process holds at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at: Duration,
    memory_kib: u64,
    pub(crate) descriptors: u64,
    threads: u64,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, descriptors, threads, .. } = self;
        write!(f, "{memory_kib} KiB, {descriptors} descriptors, {threads} threads")
    }
}

/// A process, and what it held whenever it was looked at.
pub(crate) struct Vitals {
    process: u32,
    readings: Vec<Reading>,
}

impl Vitals {
    pub(crate) fn of(process: u32) -> Self {
        Self { process, readings: Vec::new() }
    }

    /// Looks at the process.
    pub(crate) fn read(&mut self, at: Duration) -> io::Result<Reading> {
        let folder = format!("/proc/{}", self.process);
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let missing = || io::Error::other(format!("{folder}/status does not tell"));
        let reading = Reading {
            at,
            memory_kib: field("VmRSS:").ok_or_else(missing)?,
            descriptors: fs::read_dir(format!("{folder}/fd"))?.count() as u64,
            threads: field("Threads:").ok_or_else(missing)?,
        };
        self.readings.push(reading);
        Ok(reading)
    }

    pub(crate) fn newest(&self) -> String {
        self.readings.last().map(Reading::to_string).unwrap_or_default()
    }

    /// From after the part of the run that is for warming up: the first fifth, and the last.
    fn ends(&self, warm_up: f64) -> (&[Reading], &[Reading]) {
        let end = self.readings.last().map_or(Duration::ZERO, |reading| reading.at);
        let from = self.readings.partition_point(|reading| reading.at < end.mul_f64(warm_up));
        let warm = &self.readings[from..];
        let fifth = warm.len().div_ceil(5);
        (&warm[..fifth], &warm[warm.len() - fifth..])
    }

    /// In words.
    pub(crate) fn range(&self, warm_up: f64) -> String {
        let (first, last) = self.ends(warm_up);
        let most = |of: fn(&Reading) -> u64| self.readings.iter().map(of).max().unwrap_or(0);
        format!(
            "median memory {} KiB after the warm-up, {} KiB at the end, at most {} KiB; at most {} descriptors, {} threads",
            median(first),
            median(last),
            most(|reading| reading.memory_kib),
            most(|reading| reading.descriptors),
            most(|reading| reading.threads),
        )
    }

    /// What did not stay as it was; `after` is how many descriptors there are when all clients have left.
    pub(crate) fn faults(&self, warm_up: f64, after: u64) -> Vec<String> {
        let (first, last) = self.ends(warm_up);
        let (before, now) = (median(first), median(last));
        let mut faults = Vec::new();
        // The allocator's own ups and downs.
        if now > before + (before / 20).max(2_048) {
            faults.push(format!("memory grew from {before} KiB to {now} KiB"));
        }
        // The server's own, and a connection or two of Prometheus.
        if after > 24 {
            faults.push(format!("{after} descriptors are left when the clients are gone"));
        }
        faults
    }
}

fn median(readings: &[Reading]) -> u64 {
    let mut sorted: Vec<u64> = readings.iter().map(|reading| reading.memory_kib).collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
