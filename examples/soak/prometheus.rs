//! A Prometheus that scrapes the process each second, and what it has seen.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use telemetry_testkit::client::{LONG, free_address, get};
use telemetry_testkit::process::Running;

/// The server; it and its data are gone when this is dropped.
pub(crate) struct Prometheus {
    address: SocketAddr,
    // Dropped in this order: the program, then its files.
    _program: Running,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed now lies among the system's temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Prometheus {
    pub(crate) fn start(mut program: Command, target: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let folder = Folder(std::env::temp_dir().join(format!("telemetry-soak-{}", std::process::id())));
        fs::create_dir_all(&folder.0)?;
        let file = folder.0.join("prometheus.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: soak, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(&file, config)?;
        let address = free_address();
        program
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--query.timeout=10m")
            .arg("--query.max-samples=500000000")
            .arg("--log.level=error");
        let server = Self { address, _program: Running::start(&mut program), _folder: folder };
        let start = Instant::now();
        while !get(server.address, "/-/ready", "*/*").is_ok_and(|answer| answer.status == 200) {
            if start.elapsed() > LONG {
                return Err("Prometheus does not become ready".into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// What was seen in a range, such as `600s`.
    pub(crate) fn report(&self, range: &str) -> Result<Report, Box<dyn Error>> {
        let number = |query: String| self.number(&query);
        // One name after the other, since Prometheus refuses a function over several whose series then are the same.
        let mut resets = Vec::new();
        for name in self.counters()? {
            let count = number(format!("sum(resets({name}[{range}]))"))?;
            resets.push((name, count));
        }
        Ok(Report {
            scrapes: number(format!("count_over_time(up[{range}])"))?,
            failed: number(format!("count_over_time(up[{range}]) - sum_over_time(up[{range}])"))?,
            slowest: number(format!("max_over_time(scrape_duration_seconds[{range}])"))?,
            usual: number(format!("quantile_over_time(0.99, scrape_duration_seconds[{range}])"))?,
            samples: number(format!("max_over_time(scrape_samples_scraped[{range}])"))?,
            added: number(format!("sum_over_time(scrape_series_added[{range}])"))?,
            resets,
        })
    }

    /// The names of everything that only grows.
    fn counters(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let data = self.ask("/api/v1/label/__name__/values")?;
        let names = data.as_array().ok_or("no names")?.iter().filter_map(Value::as_str);
        let grows = |name: &&str| ["_total", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        Ok(names.filter(grows).map(str::to_owned).collect())
    }

    fn number(&self, query: &str) -> Result<f64, Box<dyn Error>> {
        let data = self.ask(&format!("/api/v1/query?query={}", encoded(query)))?;
        let value = data["result"][0]["value"][1].as_str().ok_or_else(|| format!("{query} has no answer"))?;
        Ok(value.parse()?)
    }

    fn ask(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        let answer = get(self.address, path, "application/json")?;
        if answer.status != 200 {
            return Err(format!("{path}: {}", answer.body).into());
        }
        let mut answer: Value = serde_json::from_str(&answer.body)?;
        Ok(answer["data"].take())
    }
}

/// A text as a part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        // Writing to a text does not fail.
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => write!(encoded, "{}", char::from(byte)),
            _ => write!(encoded, "%{byte:02X}"),
        };
    }
    encoded
}

/// What Prometheus has seen.
pub(crate) struct Report {
    scrapes: f64,
    failed: f64,
    slowest: f64,
    usual: f64,
    samples: f64,
    added: f64,
    resets: Vec<(String, f64)>,
}

impl Report {
    fn all_resets(&self) -> f64 {
        self.resets.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn faults(&self, length: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        if self.failed > 0.0 {
            faults.push(format!("{} of {} scrapes failed", self.failed, self.scrapes));
        }
        if self.scrapes < length.as_secs_f64() * 0.9 - 5.0 {
            faults.push(format!("there were {} scrapes in {length:?}", self.scrapes));
        }
        for (name, count) in self.resets.iter().filter(|(_, count)| *count > 0.0) {
            faults.push(format!("{name} went back {count} times"));
        }
        if self.resets.is_empty() {
            faults.push("no counter was stored".to_owned());
        }
        faults
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scrapes, {} failed; the slowest {:.3} s, 99 % within {:.3} s; up to {} samples; {} series came; \
             {} counters with {} resets",
            self.scrapes,
            self.failed,
            self.slowest,
            self.usual,
            self.samples,
            self.added,
            self.resets.len(),
            self.all_resets(),
        )
    }
}
