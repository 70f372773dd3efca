//! A process that may not have the memory that its exposition would fill is scraped all the same.
#![cfg(target_os = "linux")]

mod serve_client;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serve_client::{CHUNK, LONG};
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;

const NAME: &str = "an_exposition_larger_than_the_memory_that_is_left_is_served_whole";
/// Set in the process that has little memory.
const CHILD: &str = "TELEMETRY_TEST_LITTLE_MEMORY";
const SERIES: u32 = 60_000;
/// What each series is in each format, at least.
const BYTES: usize = 500;
/// What the process may take beyond what it has: less than one exposition.
const LEFT: u64 = 24 << 20;

/// V7: the walk is written in chunks: eight clients at once, which read in turn, in each format, compressed and plain, have
/// their 30 MB each out of 24 MiB.
#[test]
fn an_exposition_larger_than_the_memory_that_is_left_is_served_whole() {
    if std::env::var_os(CHILD).is_some() {
        return serve_with_little_memory();
    }
    // The limit is the process's, so the test runs itself in another.
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    let output = command.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").output().expect("this test");
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

fn serve_with_little_memory() {
    let registry = Registry::new();
    let series = registry.register::<Counter>(counter("large").tags(["n"]).limit(SERIES)).expect("a metric");
    for n in 0..SERIES {
        series.with([format!("{n:0>BYTES$}").as_str()]).expect("a series").increment();
    }
    let exporter = Exporter::builder().registry(&registry).listen("127.0.0.1:0").serve().expect("a free port");
    let address = exporter.local_addr();
    // What is made once is made now.
    let mut first = begin(address, "Accept: text/plain");
    while !first.step() {}

    let now = virtual_memory() + LEFT;
    let limit = libc::rlimit { rlim_cur: now, rlim_max: now };
    // SAFETY: `limit` is ours, and is only read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    let protobuf = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let mut clients: Vec<(bool, Reading)> = ["Accept: text/plain", "Accept: application/openmetrics-text", protobuf]
        .into_iter()
        .flat_map(|accept| [accept.to_owned(), format!("{accept}\r\nAccept-Encoding: gzip")])
        .chain(["User-Agent: one".to_owned(), "User-Agent: another".to_owned()])
        .map(|head| (head.contains("gzip"), begin(address, &head)))
        .collect();
    let mut left = clients.len();
    while left > 0 {
        for (_, client) in &mut clients {
            if !client.is_over && client.step() {
                left -= 1;
            }
        }
    }
    for (is_compressed, client) in &clients {
        assert_eq!(client.end, *b"\r\n0\r\n\r\n", "it was cut after {} bytes", client.count);
        assert!(*is_compressed || client.count > SERIES as usize * BYTES, "{} bytes", client.count);
    }
    exporter.shutdown(LONG).expect("nothing is in flight");
}

/// A client in the midst of a body, of which it keeps the end.
struct Reading {
    stream: TcpStream,
    count: usize,
    end: [u8; 7],
    is_over: bool,
}

fn begin(address: SocketAddr, head: &str) -> Reading {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{head}\r\n\r\n").expect("a reader");
    Reading { stream, count: 0, end: [0; 7], is_over: false }
}

impl Reading {
    /// Reads some of the body; true when that was all.
    fn step(&mut self) -> bool {
        let mut bytes = [0; CHUNK];
        let read = self.stream.read(&mut bytes).expect("a body that goes on");
        let last = bytes[..read].iter().skip(read.saturating_sub(self.end.len()));
        for byte in last {
            self.end.rotate_left(1);
            self.end[6] = *byte;
        }
        self.count += read;
        self.is_over = read == 0;
        self.is_over
    }
}

/// What the process has of addresses, in bytes: what the limit is of.
fn virtual_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a line");
    1024 * line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("a number")
}
