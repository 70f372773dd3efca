//! Emits along one path so many times, for `ci/instructions`, which counts the instructions of [`measured_loop`] alone.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use telemetry_benches::case::{Case, Setup};
use telemetry_benches::implementation::Implementation;
use telemetry_benches::impls::ours::Ours;
use telemetry_benches::tags::{Draw, Tags};
use telemetry_core::handler::attachment;
use telemetry_core::lane::Lane;
use telemetry_core::{Event, emit};

/// A path, and what sets it up.
type Path = (&'static str, fn() -> Setup);

const PATHS: &[Path] = &[
    ("disabled", || Ours.emit_disabled()),
    ("counter_held", || Ours.counter_held()),
    ("histogram_held", || Ours.histogram_held()),
    ("no_op_closure", no_op_closure),
    ("two_tags", || Ours.counter_two_tags(Tags::few())),
    ("two_tags_and_histogram", || Ours.counter_and_histogram_two_tags(Tags::few())),
    ("enum_tags", || Ours.counter_enum_tags()),
    ("lane_cast", lane_cast),
];

/// What is counted. Never inlined, so that its name is there to be found.
#[inline(never)]
fn measured_loop(case: &dyn Case, times: u64, draw: &mut Draw) {
    case.run(times, draw);
}

fn no_op_closure() -> Setup {
    attachment("bench", |event: &Event<'_>| {
        black_box(event);
    })
    .event("bench.closure")
    .attach()?;
    telemetry_benches::case::each(
        |draw| {
            let drawn = draw.event(Tags::few());
            emit!(
                "bench.closure",
                { duration: drawn.value, size: 3_u64 },
                { route: drawn.route, status: drawn.status }
            );
        },
        || telemetry_benches::case::Counted::Nothing,
    )
}

/// The worker stands still while events are cast: its handler waits for a lock, so that no emission finds it asleep and
/// has to wake it, but for the first.
fn lane_cast() -> Setup {
    let lane = Lane::builder("bench").capacity(1 << 18).build()?;
    let gate = Arc::new(Mutex::new(()));
    let waiting = Arc::clone(&gate);
    attachment("bench", move |_: &Event<'_>| drop(waiting.lock().unwrap_or_else(PoisonError::into_inner)))
        .event("bench.lane")
        .lane(&lane)
        .attach()?;
    Ok(Some(Box::new(Cast { lane, gate })))
}

struct Cast {
    lane: Lane,
    gate: Arc<Mutex<()>>,
}

impl Case for Cast {
    fn run(&self, times: u64, draw: &mut Draw) {
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..times {
            let drawn = draw.event(Tags::few());
            emit!("bench.lane", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
        }
    }

    fn counted(&self) -> telemetry_benches::case::Counted {
        telemetry_benches::case::Counted::Total(self.lane.stats().cast - self.lane.stats().dropped)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            PATHS.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        [path, times] => match (PATHS.iter().find(|(name, _)| *name == path), times.parse()) {
            (Some((_, setup)), Ok(times)) => match emit_along(*setup, times) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("instructions: {path}: {error}");
                    ExitCode::FAILURE
                }
            },
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    let names: Vec<&str> = PATHS.iter().map(|(name, _)| *name).collect();
    eprintln!("instructions: write a path and how often: {} (or --list)", names.join(", "));
    ExitCode::from(2)
}

fn emit_along(setup: fn() -> Setup, times: u64) -> Result<(), Box<dyn Error>> {
    let case = setup()?.ok_or("there is no such path")?;
    let mut draw = Draw::seeded(1);
    // Every series is there, and every page touched, before anything is counted.
    case.run(5_000, &mut draw);
    measured_loop(black_box(&*case), black_box(times), &mut draw);
    Ok(())
}
