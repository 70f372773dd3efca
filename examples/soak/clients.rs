//! Scrapers beside Prometheus, which are killed at random.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use telemetry_testkit::peer;

use crate::hostile::Crowd;

/// How many hostile clients there are beside the scrapers.
const CROWD: usize = 30;

/// What came of them.
#[derive(Default)]
pub(crate) struct Seen {
    scraped: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    killed: AtomicU64,
    hostile: AtomicU64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [scraped, refused, failed, killed, hostile] =
            [&self.scraped, &self.refused, &self.failed, &self.killed, &self.hostile]
                .map(|count| count.load(Ordering::Relaxed));
        write!(
            f,
            "two scrapers were served {scraped} times, told to come later {refused} times, failed {failed} times, \
             killed {killed} times; {hostile} connections of {CROWD} hostile clients"
        )
    }
}

/// Two scrapers and a crowd.
pub(crate) struct Clients {
    is_over: Arc<AtomicBool>,
    seen: Arc<Seen>,
    scrapers: Vec<JoinHandle<()>>,
    crowd: Crowd,
}

impl Clients {
    pub(crate) fn start(endpoint: SocketAddr) -> Result<Self, Box<dyn Error>> {
        peer::curl().ok_or("curl is missing; ci/peers installs it")?;
        let (is_over, seen) = (Arc::<AtomicBool>::default(), Arc::<Seen>::default());
        let scraper = |number| {
            let (is_over, seen) = (Arc::clone(&is_over), Arc::clone(&seen));
            thread::spawn(move || scrape_each_second(endpoint, number, &seen, &is_over))
        };
        let scrapers = (1..=2).map(scraper).collect();
        Ok(Self { is_over, seen, scrapers, crowd: Crowd::around(endpoint, CROWD) })
    }

    pub(crate) fn stop(self) -> Arc<Seen> {
        // Relaxed, here and elsewhere: nothing is published with it, nor with the counts.
        self.is_over.store(true, Ordering::Relaxed);
        for scraper in self.scrapers {
            scraper.join().expect("a scraper");
        }
        self.seen.hostile.store(self.crowd.leave(), Ordering::Relaxed);
        self.seen
    }
}

/// A scraper that is a process of its own each time, and is killed in one of four cases.
fn scrape_each_second(endpoint: SocketAddr, number: u64, seen: &Seen, is_over: &AtomicBool) {
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number);
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let Some(mut curl) = peer::curl() else { return };
        curl.args(["--silent", "--fail", "--compressed", "--max-time", "10", "--write-out", "%{http_code}"]);
        curl.args(["--output", "/dev/null"]).arg(format!("http://{endpoint}/metrics"));
        let child = curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let count = match child {
            Ok(mut child) if dice.is_multiple_of(4) => {
                thread::sleep(Duration::from_micros(dice % 60_000));
                // It may have ended before.
                let _ = child.kill();
                let _ = child.wait();
                &seen.killed
            }
            Ok(child) => match child.wait_with_output() {
                Ok(output) if output.status.success() => &seen.scraped,
                Ok(output) if output.stdout == b"503" => &seen.refused,
                _ => &seen.failed,
            },
            Err(_) => &seen.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
    }
}
