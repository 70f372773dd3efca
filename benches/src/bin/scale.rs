//! Measures how the cost of an event grows: see `--help`.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use telemetry_benches::heap::Heap;
use telemetry_benches::scale::{CURVES, Curve, Measured, Pace, draw};

#[global_allocator]
static HEAP: Heap = Heap;

const HELP: &str = "\
Measures how the cost of an event grows.

Usage: cargo run --release -p telemetry-benches --bin scale -- [OPTIONS]

Options:
  --quick       Less of everything, and noisy
  --curve NAME  Only this curve; may be repeated
  --json FILE   Writes the points: curve, grows, x, value, least, most, unit
  --svg FILE    Draws the curves
  --list        Lists the curves
  --help        Shows this
";

#[derive(Default)]
struct Arguments {
    quick: bool,
    curves: Vec<&'static Curve>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    list: bool,
    help: bool,
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut read = Arguments::default();
    while let Some(argument) = arguments.next() {
        let mut value = |what: &str| {
            let value = arguments.next().filter(|value| !value.starts_with("--"));
            value.ok_or_else(|| format!("{argument} needs {what} behind it"))
        };
        match argument.as_str() {
            "--quick" => read.quick = true,
            "--list" => read.list = true,
            "--help" | "-h" => read.help = true,
            "--json" => read.json = Some(value("a file")?.into()),
            "--svg" => read.svg = Some(value("a file")?.into()),
            "--curve" => {
                let name = value("the name of a curve")?;
                let known = CURVES.iter().find(|curve| curve.name == name);
                read.curves.push(known.ok_or_else(|| format!("there is no curve {name:?}; --list lists all"))?);
            }
            _ => return Err(format!("there is no argument {argument:?}; --help lists all")),
        }
    }
    if read.curves.is_empty() {
        read.curves.extend(&CURVES);
    }
    Ok(read)
}

fn main() -> ExitCode {
    let arguments = match read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("scale: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if arguments.list {
        CURVES.iter().for_each(|curve| println!("{:<10} {}", curve.name, curve.about));
        return ExitCode::SUCCESS;
    }
    let pace = if arguments.quick { Pace::QUICK } else { Pace::WHOLE };
    let mut measured = Vec::new();
    for curve in &arguments.curves {
        let curve = curve.run(pace);
        println!("{}", curve.to_table());
        measured.push(curve);
    }
    match write(&arguments, &measured) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Arguments, measured: &[Measured]) -> Result<(), Box<dyn Error>> {
    if let Some(file) = &arguments.json {
        let rows: Vec<_> = measured.iter().flat_map(Measured::to_json).collect();
        std::fs::write(file, serde_json::to_string_pretty(&rows)? + "\n")
            .map_err(|error| format!("{} can't be written: {error}", file.display()))?;
    }
    if let Some(file) = &arguments.svg {
        draw(measured, file).map_err(|error| format!("{} can't be written: {error}", file.display()))?;
    }
    Ok(())
}
