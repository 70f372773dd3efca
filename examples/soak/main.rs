//! Watches a process being scraped for a long time, under everything that clients do to it: `ci/soak --minutes 30`.
//!
//! | file | |
//! | --- | --- |
//! | `target.rs` | the process that is watched: it emits and serves |
//! | `prometheus.rs` | a Prometheus that scrapes it each second, and what that has seen |
//! | `clients.rs` | other scrapers, which are killed at random |
//! | `hostile.rs` | clients that are slow, silent or gone |
//! | `vitals.rs` | memory, descriptors and threads of the process, and whether they stay as they are |

mod clients;
mod hostile;
mod prometheus;
mod target;
mod vitals;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use telemetry_testkit::client::{TEXT, get};
use telemetry_testkit::peer;
use telemetry_testkit::process::Running;

use clients::Clients;
use prometheus::Prometheus;
use vitals::Vitals;

/// What starts this program as the process that is watched.
const TARGET: &str = "target";
/// Until then the process has met everything once, and has the memory that it needs.
const WARM_UP: f64 = 0.3;

const HELP: &str = "\
Watches a process being scraped, under everything that clients do to it. It needs `prometheus`.

Usage: soak [OPTIONS]

  --minutes NUMBER  how long, parts of a minute too [1]
  --help            this";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [TARGET] => target::run(),
        [] => soak(1.0),
        ["--minutes", minutes] => match minutes.parse() {
            Ok(minutes) if minutes > 0.0 && f64::is_finite(minutes) => soak(minutes),
            _ => return refuse(format_args!("--minutes is a number above 0, not {minutes:?}")),
        },
        ["--help" | "-h"] => {
            say(HELP);
            Ok(())
        }
        _ => return refuse(format_args!("it takes `--minutes NUMBER` and nothing else")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(complaint: impl Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "soak: {complaint}; --help tells what there is");
    ExitCode::from(2)
}

fn soak(minutes: f64) -> Result<(), Box<dyn Error>> {
    let prometheus = peer::prometheus().ok_or("prometheus is missing; ci/peers installs it")?;
    let mut target = Running::start(Command::new(std::env::current_exe()?).arg(TARGET));
    let process: u32 = last_word(&target.line_with("process")).parse()?;
    let endpoint: SocketAddr = last_word(&target.line_with("serving")).parse()?;
    let prometheus = Prometheus::start(prometheus, endpoint)?;
    let clients = Clients::start(endpoint)?;
    say(format_args!("{minutes} minutes of process {process} at http://{endpoint}/metrics"));

    let length = Duration::from_secs_f64(minutes * 60.0);
    let (start, mut vitals, mut told) = (Instant::now(), Vitals::of(process), 0);
    while start.elapsed() < length {
        vitals.read(start.elapsed())?;
        let minute = start.elapsed().as_secs() / 60;
        if minute > told {
            told = minute;
            say(format_args!("{minute:>4} min  {}", vitals.newest()));
        }
        thread::sleep(Duration::from_secs(1));
    }

    let seen = clients.stop();
    // All writers end, and the totals stand still.
    target.signal("TERM");
    let emitted = target.line_with("emitted");
    let body = get(endpoint, "/metrics", TEXT)?;
    let range = format!("{}s", length.as_secs());
    let report = prometheus.report(&range)?;
    // One sees what the clients leave behind when they are gone.
    thread::sleep(Duration::from_secs(2));
    let after = Vitals::of(process).read(length)?.descriptors;

    say(format_args!("clients      {seen}"));
    say(format_args!("prometheus   {report}"));
    say(format_args!("the process  {}", vitals.range(WARM_UP)));
    for name in ["cut", "rejected", "evicted"] {
        for line in body.body.lines().filter(|line| line.starts_with(&format!("telemetry_endpoint_{name}"))) {
            say(format_args!("its endpoint {line}"));
        }
    }
    let mut faults = report.faults(length);
    faults.extend(vitals.faults(WARM_UP, after));
    faults.extend(count_faults(&emitted, &body.body));
    target.signal("TERM");
    let ended = target.end();
    if !ended.status.success() {
        faults.push(format!("the process ended with {}: {}", ended.status, ended.stderr));
    }
    if faults.is_empty() {
        say("held");
        return Ok(());
    }
    Err(faults.join("\nsoak: ").into())
}

/// Where the totals that are served are not what was emitted: `emitted NAME=N NAME=N`.
fn count_faults(emitted: &str, body: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, count) in emitted.split_whitespace().filter_map(|word| word.split_once('=')) {
        let lines = body.lines().filter(|line| line.starts_with(&format!("{name}_total")));
        let total: f64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        say(format_args!("counted      {name}: {total} of {count}"));
        if count.parse() != Ok(total) {
            faults.push(format!("{name}: {count} were emitted, {total} are served"));
        }
    }
    if faults.is_empty() && !emitted.contains('=') {
        faults.push(format!("the process does not tell what it emitted: {emitted}"));
    }
    faults
}

fn last_word(line: &str) -> &str {
    line.split_whitespace().next_back().unwrap_or_default()
}

/// Prints a line at once, also into a pipe.
fn say(line: impl Display) {
    // Who reads may be gone.
    let _ = writeln!(io::stdout(), "{line}");
    let _ = io::stdout().flush();
}
