//! Hostile clients stand around an endpoint that has much to tell.

use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;
use telemetry_testkit::client::{TEXT, get};
use telemetry_testkit::process::Running;

use crate::hostile::Crowd;
use crate::{memory, say};

/// What starts this program as the process that is attacked.
pub(crate) const ENDPOINT: &str = "endpoint";
const SERIES: u32 = 100_000;
const CROWD: usize = 500;
const SCRAPES: usize = 200;
/// A scrape that takes longer fails with Prometheus' usual settings.
const TOO_LONG: Duration = Duration::from_secs(10);

/// The process that is attacked.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let series = registry.register::<Counter>(counter("attack.served").tags(["customer", "region"]).limit(SERIES))?;
    for n in 0..SERIES {
        series.with([format!("customer-{n}").as_str(), "eu-central-1"])?.add(u64::from(n));
    }
    let exporter = Exporter::builder().registry(&registry).listen("127.0.0.1:0").serve()?;
    say(format_args!("serving {} {}", std::process::id(), exporter.local_addr()));
    loop {
        thread::park();
    }
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let mut process = Running::start(Command::new(std::env::current_exe()?).arg(ENDPOINT));
    let line = process.line_with("serving");
    let [_, id, address] = line.split_whitespace().collect::<Vec<_>>()[..] else { return Err(line.into()) };
    let endpoint: SocketAddr = address.parse()?;

    let alone = Scrapes::of(endpoint);
    let before = memory(id)?;
    say(format_args!("{SERIES} series, alone:               {alone}; {before} KiB"));
    let crowd = Crowd::around(endpoint, CROWD);
    thread::sleep(Duration::from_secs(1));
    let among = Scrapes::of(endpoint);
    let after = memory(id)?;
    let connected = crowd.leave();
    say(format_args!(
        "{SERIES} series, {CROWD} hostile clients: {among}; {after} KiB; {connected} connections of theirs"
    ));

    let mut faults = Vec::new();
    if among.broken > 0 || alone.broken > 0 {
        faults.push(format!("{} scrapes were cut or failed", among.broken + alone.broken));
    }
    if among.quantile(0.99) > TOO_LONG {
        faults.push(format!("99 % of the scrapes take {:?}", among.quantile(0.99)));
    }
    // 256 connections, 8 bodies, 16 MiB that are shared: see docs/endpoint.md.
    if after > before + 64 * 1024 {
        faults.push(format!("{before} KiB became {after} KiB"));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\nattack: ").into()) }
}

/// Scrapes by somebody who means well, one after the other.
struct Scrapes {
    /// How long each took, from the first try to the last byte, in order.
    took: Vec<Duration>,
    refused: usize,
    broken: usize,
}

impl Scrapes {
    fn of(endpoint: SocketAddr) -> Self {
        let mut scrapes = Self { took: Vec::new(), refused: 0, broken: 0 };
        for _ in 0..SCRAPES {
            let start = Instant::now();
            loop {
                match get(endpoint, "/metrics", TEXT) {
                    Ok(response) if response.status == 200 => break,
                    // Told to come again.
                    Ok(response) if response.status == 503 => scrapes.refused += 1,
                    _ => scrapes.broken += 1,
                }
                if start.elapsed() > TOO_LONG {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
            scrapes.took.push(start.elapsed());
        }
        scrapes.took.sort_unstable();
        scrapes
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "hundreds")]
    fn quantile(&self, quantile: f64) -> Duration {
        self.took[((self.took.len() - 1) as f64 * quantile) as usize]
    }
}

impl std::fmt::Display for Scrapes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most, all] = [0.5, 0.99, 1.0].map(|quantile| self.quantile(quantile).as_secs_f64());
        write!(
            f,
            "{} scrapes, median {half:.3} s, 99 % within {most:.3} s, all within {all:.3} s, {} told to come again",
            self.took.len(),
            self.refused,
        )
    }
}
