//! Somebody chooses the value of a tag.

use std::error::Error;
use std::thread;
use std::time::Instant;

use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::{Dispatch, Registry, emit};

use crate::{memory, say};

const THREADS: u64 = 2;
const EACH: u64 = 5_000_000;
/// Until then the limit is reached, and every thread has what it needs.
const WARM_UP: u64 = 50_000;
/// What memory may grow by, in KiB: pages that are touched for the first time.
const FLAT: u64 = 512;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let metrics = [
        counter("attack.request.count").tags(["user"]),
        sum("attack.request.bytes").tags(["user"]),
        distribution("attack.request.took").tags(["user"]),
    ];
    registry.aggregator(metrics)?.attach_to(Dispatch::global(), "metrics")?;
    attack(WARM_UP);
    let (before, start) = (memory("self")?, Instant::now());
    attack(EACH);
    let (after, took) = (memory("self")?, start.elapsed());

    let emitted = THREADS * (WARM_UP + EACH);
    say(format_args!(
        "{} random values on {THREADS} threads: {before} KiB became {after} KiB; {} ns each",
        THREADS * EACH,
        took.as_nanos() / u128::from(EACH),
    ));
    let mut faults = Vec::new();
    if after > before + FLAT {
        faults.push(format!("memory grew from {before} KiB to {after} KiB"));
    }
    let snapshot = registry.snapshot();
    for name in ["attack.request.count", "attack.request.bytes", "attack.request.took"] {
        let family = snapshot.family(name).ok_or("a family is missing")?;
        let total: u64 = family.series.iter().map(|series| of(&series.value)).sum();
        let refused = snapshot.total("telemetry.metric.overflow", &[("metric", name)]).unwrap_or_default();
        say(format_args!("{name}: {} series, {refused} beyond the limit, {total} of {emitted}", family.series.len()));
        if total != emitted {
            faults.push(format!("{name}: {emitted} were emitted, {total} are there"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\nattack: ").into()) }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers below 2^53")]
fn of(value: &ValueSnapshot) -> u64 {
    match value {
        ValueSnapshot::Total(total) => total.to_f64() as u64,
        ValueSnapshot::Histogram { counts, .. } => counts.iter().sum(),
        _ => 0,
    }
}

fn attack(each: u64) {
    thread::scope(|scope| {
        for thread in 1..=THREADS {
            scope.spawn(move || {
                // Xorshift: no value comes twice.
                let mut user = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread ^ each);
                for _ in 0..each {
                    user ^= user << 13;
                    user ^= user >> 7;
                    user ^= user << 17;
                    emit!("attack.request", { bytes: 1_u64, took: 0.5 }, { user });
                }
            });
        }
    });
}
