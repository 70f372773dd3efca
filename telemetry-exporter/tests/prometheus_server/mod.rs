//! A Prometheus server of a test's own, asked over its API. Each test file uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use telemetry_testkit::client::{LONG, free_address, get};
use telemetry_testkit::process::Running;

/// Samples of one series, the oldest first: when in milliseconds, and the value.
pub(crate) type History = Vec<(u64, f64)>;

/// How often it scrapes.
const INTERVAL: Duration = Duration::from_secs(1);

/// A server that scrapes each target under the name of a job; it and its data are gone when this is dropped.
pub(crate) struct Prometheus {
    address: SocketAddr,
    // Dropped in this order: the program, then its files.
    _program: Running,
    _folder: Folder,
}

impl Prometheus {
    pub(crate) fn start(program: Command, targets: &[(&str, SocketAddr)]) -> Self {
        let targets: Vec<_> = targets.iter().map(|(job, target)| (*job, *target, String::new())).collect();
        Self::start_with(program, &targets)
    }

    /// The same, with settings of each job beside its target.
    pub(crate) fn start_with(mut program: Command, targets: &[(&str, SocketAddr, String)]) -> Self {
        let (address, folder) = (free_address(), Folder::new());
        let seconds = INTERVAL.as_secs();
        let mut config =
            format!("global:\n  scrape_interval: {seconds}s\n  scrape_timeout: {seconds}s\nscrape_configs:\n");
        for (job, target, settings) in targets {
            writeln!(config, "  - job_name: {job}\n    static_configs:\n      - targets: [\"{target}\"]").unwrap();
            for line in settings.lines() {
                writeln!(config, "    {line}").unwrap();
            }
        }
        let file = folder.0.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        program
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let server = Self { address, _program: Running::start(&mut program), _folder: folder };
        server.wait("it to be ready", |server| {
            get(server.address, "/-/ready", "*/*").is_ok_and(|answer| answer.status == 200)
        });
        server
    }

    /// The newest sample of each series that a query selects, native histograms left out: its labels and its value.
    pub(crate) fn query(&self, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let values = self.newest(query, "value").into_iter();
        values.map(|(labels, value)| (labels, value.as_str().unwrap().parse().unwrap())).collect()
    }

    /// The newest native histogram of each series that a query selects.
    pub(crate) fn histograms(&self, query: &str) -> Vec<(BTreeMap<String, String>, Value)> {
        self.newest(query, "histogram")
    }

    fn newest(&self, query: &str, kind: &str) -> Vec<(BTreeMap<String, String>, Value)> {
        let data = self.ask(&format!("/api/v1/query?query={}", encoded(query)));
        let series = data["result"].as_array().unwrap().iter().filter(|series| series.get(kind).is_some());
        let series = series.map(|series| {
            let labels = series["metric"].as_object().unwrap().iter();
            let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            (labels, series[kind][1].clone())
        });
        series.collect()
    }

    /// All samples of the last hour of each series that a query selects; the value of a native histogram is its count.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Milliseconds since 1970.
    pub(crate) fn history(&self, query: &str) -> Vec<(BTreeMap<String, String>, History)> {
        let data = self.ask(&format!("/api/v1/query?query={}", encoded(&format!("{query}[1h]"))));
        let sample = |sample: &Value| {
            let value = sample[1].get("count").unwrap_or(&sample[1]);
            let millis = (sample[0].as_f64().unwrap() * 1e3).round() as u64;
            (millis, value.as_str().unwrap().parse().unwrap())
        };
        let series = data["result"].as_array().unwrap().iter().map(|series| {
            let labels = series["metric"].as_object().unwrap().iter();
            let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            let kind = if series.get("histograms").is_some() { "histograms" } else { "values" };
            (labels, series[kind].as_array().unwrap().iter().map(sample).collect())
        });
        series.collect()
    }

    /// The exemplars of the last hour and the next, of each series that a query selects.
    pub(crate) fn exemplars(&self, query: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (start, end) = (now - 3_600, now + 3_600);
        self.ask(&format!("/api/v1/query_exemplars?query={}&start={start}&end={end}", encoded(query)))
    }

    /// The unit that a job told of a metric; empty when it told none.
    pub(crate) fn unit_of(&self, job: &str, metric: &str) -> String {
        let target = encoded(&format!("{{job=\"{job}\"}}"));
        let data = self.ask(&format!("/api/v1/targets/metadata?match_target={target}&metric={metric}"));
        data[0]["unit"].as_str().unwrap().to_owned()
    }

    /// Why the last scrape of a job was refused; empty when it was not.
    pub(crate) fn last_error_of(&self, job: &str) -> String {
        let targets = self.ask("/api/v1/targets");
        let mut targets = targets["activeTargets"].as_array().unwrap().iter();
        let target = targets.find(|target| target["scrapePool"] == job).unwrap();
        target["lastError"].as_str().unwrap().to_owned()
    }

    /// How many scrapes of a job were stored.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A small count.
    pub(crate) fn scrapes_of(&self, job: &str) -> u64 {
        self.query(&format!("count_over_time(up{{job=\"{job}\"}}[1h])")).first().map_or(0, |(_, count)| *count as u64)
    }

    /// Waits until a job was scraped that began after `moment`, since the Unix epoch.
    pub(crate) fn wait_for_scrape_after(&self, job: &str, moment: Duration) {
        self.wait("another scrape", |server| {
            let newest = server.query(&format!("timestamp(up{{job=\"{job}\"}})"));
            newest.first().is_some_and(|(_, time)| *time > moment.as_secs_f64())
        });
    }

    /// Lets it scrape.
    pub(crate) fn pause(&self) {
        thread::sleep(INTERVAL / 2);
    }

    fn ask(&self, path: &str) -> Value {
        let answer = get(self.address, path, "application/json").unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let mut answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["status"], "success");
        answer["data"].take()
    }

    fn wait(&self, what: &str, mut is_there: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !is_there(self) {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A text as a part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}

/// A folder that is gone with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Relaxed: each gets another number, and that is all.
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("telemetry-prometheus-{process}-{number}"));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed now is the system's to remove: it lies among its temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Stands before an endpoint and asks it for one format, whatever it is asked for itself: not every Prometheus can be
/// told which format to ask for.
pub(crate) struct Relay {
    address: SocketAddr,
    content_types: Arc<Mutex<BTreeSet<String>>>,
}

impl Relay {
    pub(crate) fn to(endpoint: SocketAddr, accept: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, content_types) = (listener.local_addr().unwrap(), Arc::<Mutex<BTreeSet<_>>>::default());
        let seen = Arc::clone(&content_types);
        // Ends with the process; nobody connects when the server is gone.
        thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let answer = get(endpoint, "/metrics", accept).unwrap();
                let content_type = answer.header("content-type").unwrap().to_owned();
                // A client that is gone asks again.
                let _ = relay(client, answer.status, &content_type, &answer.body);
                seen.lock().unwrap().insert(content_type);
            }
        });
        Self { address, content_types }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The content types of the answers so far.
    pub(crate) fn content_types(&self) -> Vec<String> {
        self.content_types.lock().unwrap().iter().cloned().collect()
    }
}

/// Reads one request and answers it.
fn relay(client: TcpStream, status: u16, content_type: &str, body: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} Relayed\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
