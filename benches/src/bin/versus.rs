//! Measures ours, other libraries and the limits of the machine, interleaved, and checks every count: see `--help`.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

use telemetry_benches::arguments::{Arguments, HELP};
use telemetry_benches::cases::{self, Definition, Shape};
use telemetry_benches::heap::Heap;
use telemetry_benches::implementation::Implementation;
use telemetry_benches::impls::{self, LEFT_OUT};
use telemetry_benches::measure::{Pace, measure};
use telemetry_benches::row::Row;
use telemetry_benches::{plot, table};

#[global_allocator]
static HEAP: Heap = Heap;

/// Arguments were wrong.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let (cases, implementations) = (cases::all(), impls::all());
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let arguments = match Arguments::read(std::env::args().skip(1), &names, &known(&cases, &implementations)) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("versus: {fault}");
            return ExitCode::from(WRONG);
        }
    };
    if arguments.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if arguments.list {
        list(&cases, &implementations);
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<&Definition> =
        cases.iter().filter(|case| arguments.cases.is_empty() || arguments.cases.contains(&case.name)).collect();
    if arguments.worker {
        return work(chosen[0], implementations, &arguments);
    }
    match run(&chosen, &arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The names that `--impl` takes.
fn known<'a>(cases: &'a [Definition], implementations: &'a [Box<dyn Implementation>]) -> Vec<&'a str> {
    let variants = cases.iter().flat_map(|case| match &case.shape {
        Shape::Pattern(pattern) => pattern.variants.iter().map(|variant| variant.name).collect(),
        _ => Vec::new(),
    });
    implementations.iter().map(|one| one.name()).chain(variants).collect()
}

fn list(cases: &[Definition], implementations: &[Box<dyn Implementation>]) {
    println!("Cases:");
    cases.iter().for_each(|case| println!("  {:34} {}", case.name, case.about));
    println!("\nImplementations:");
    implementations.iter().for_each(|one| println!("  {:22} {:7} {}", one.name(), one.kind().name(), one.about()));
    println!("\nLeft out:");
    LEFT_OUT.iter().for_each(|(name, reason)| println!("  {name:22} {reason}"));
}

/// Measures one case in this process, and hands the rows to the parent, a line for each.
fn work(case: &Definition, implementations: Vec<Box<dyn Implementation>>, arguments: &Arguments) -> ExitCode {
    let wanted = |name: &str| {
        arguments.implementations.is_empty() || arguments.implementations.iter().any(|wanted| wanted == name)
    };
    let outcome = measure(case, implementations, wanted, pace(arguments));
    outcome.rows.iter().for_each(|row| println!("{}", row.to_message()));
    outcome.faults.iter().for_each(|fault| eprintln!("versus: {}: {fault}", case.name));
    if outcome.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const fn pace(arguments: &Arguments) -> Pace {
    if arguments.quick { Pace::QUICK } else { Pace::WHOLE }
}

/// Measures each case in a process of its own, so that what one leaves behind in the heap or installs for its whole
/// process is not there for the next. False when something was wrong.
fn run(cases: &[&Definition], arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let (mut all, mut is_right) = (Vec::new(), true);
    for case in cases {
        let mut command = Command::new(&program);
        command.args(["--worker", "--case", &case.name]).stdout(Stdio::piped()).stderr(Stdio::inherit());
        if arguments.quick {
            command.arg("--quick");
        }
        for name in &arguments.implementations {
            command.args(["--impl", name]);
        }
        let output = command.spawn()?.wait_with_output()?;
        if !output.status.success() {
            is_right = false;
            eprintln!("versus: {}: the measurement failed ({})", case.name, output.status);
        }
        let rows = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| {
                serde_json::from_str(line).ok().and_then(|message| Row::from_message(&message)).ok_or(line.to_owned())
            })
            .collect::<Result<Vec<Row>, String>>()
            .map_err(|line| format!("{}: a row that can't be read: {line}", case.name))?;
        if !rows.is_empty() {
            println!("{}", table::table(&case.name, &case.about, &rows).trim_end());
        }
        all.extend(rows);
    }
    if let Some(file) = &arguments.json {
        let rows: Vec<String> = all.iter().map(|row| format!("  {}", row.to_json())).collect();
        std::fs::write(file, format!("[\n{}\n]\n", rows.join(",\n")))
            .map_err(|error| format!("the rows can't be written to {}: {error}", file.display()))?;
    }
    if let Some(file) = &arguments.svg {
        plot::draw(&all, file)
            .map_err(|error| format!("the drawing can't be written to {}: {error}", file.display()))?;
    }
    Ok(is_right)
}
