//! Attacks a store and an endpoint, and tells what that costs: `ci/attack`.
//!
//! | file | |
//! | --- | --- |
//! | `values.rs` | somebody chooses the value of a tag, ten million times |
//! | `crowd.rs` | five hundred hostile clients stand around an endpoint that has a hundred thousand series |

mod crowd;
#[path = "../soak/hostile.rs"]
mod hostile;
mod values;

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

const HELP: &str = "\
Attacks a store and an endpoint, and tells what that costs. It fails where that is too much.

Usage: attack values   ten million values of a tag
       attack crowd    five hundred hostile clients";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["values"] => values::run(),
        ["crowd"] => crowd::run(),
        [crowd::ENDPOINT] => crowd::serve(),
        ["--help" | "-h"] => {
            say(HELP);
            Ok(())
        }
        _ => {
            let _ = writeln!(io::stderr(), "attack: it takes `values` or `crowd`; --help tells what they do");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "attack: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a process has in memory, in KiB.
fn memory(process: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the system does not tell")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Prints a line at once, also into a pipe.
fn say(line: impl Display) {
    // Who reads may be gone.
    let _ = writeln!(io::stdout(), "{line}");
    let _ = io::stdout().flush();
}
