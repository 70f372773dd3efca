//! Five hundred clients that mean no good, in every way at once, and the scraper beside them.
//!
//! A process of its own, so that its memory and descriptors are the endpoint's and nobody else's.
#![cfg(target_os = "linux")]

mod serve_client;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use serve_client::{Client, LONG};
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;
use telemetry_exporter::serve::Limits;

/// How many of each kind there are.
const EACH: usize = 100;
/// Of 200 bytes each: more than the system buffers for a client that does not read.
const SERIES: u32 = 20_000;

/// What is not good about a client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Connects, and says nothing.
    Silent,
    /// Sends a byte of its head now and then.
    Dribbling,
    /// Asks for everything, and reads nothing.
    NeverReading,
    /// Asks, closes its half, and reads nothing.
    HalfClosed,
    /// Asks, reads the beginning, and resets the connection.
    Resetting,
}

const FAULTS: [Fault; 5] = [Fault::Silent, Fault::Dribbling, Fault::NeverReading, Fault::HalfClosed, Fault::Resetting];

/// A client with a fault; `None` when the endpoint had no place for it. Errors are what it deserves.
fn begin(fault: Fault, address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n";
    match fault {
        Fault::Silent => {}
        Fault::Dribbling => stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").ok()?,
        Fault::NeverReading => stream.write_all(request).ok()?,
        Fault::HalfClosed => {
            stream.write_all(request).ok()?;
            stream.shutdown(Shutdown::Write).ok()?;
        }
        Fault::Resetting => {
            stream.write_all(request).ok()?;
            stream.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
            let mut bytes = [0; 100];
            let _ = stream.read(&mut bytes);
            // What is not read makes the close a reset.
            return None;
        }
    }
    Some(stream)
}

/// What a line of `/proc/self/status` says, in its unit.
fn status(key: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}

#[test]
fn five_hundred_hostile_clients_keep_no_scraper_out_and_leave_nothing_behind() {
    let registry = Registry::new();
    let series = registry.register::<Counter>(counter("hostile").tags(["n"]).limit(SERIES)).expect("a metric");
    for n in 0..SERIES {
        series.with([format!("{n:0>180}").as_str()]).expect("a series").increment();
    }
    let limits = Limits::default()
        .head_time(Duration::from_secs(1))
        .idle_time(Duration::from_secs(1))
        .stall_time(Duration::from_secs(1))
        .response_time(LONG);
    let exporter = Exporter::builder().registry(&registry).listen("127.0.0.1:0").limits(limits);
    let exporter = exporter.endpoint_figures(true).serve().expect("a free port");
    let address = exporter.local_addr();
    let good = || Client::connect(address).get_with("/metrics", "Accept-Encoding: gzip\r\nConnection: close");
    for _ in 0..3 {
        assert!(good().complete);
    }
    let (memory, files, threads) = (status("VmRSS:"), descriptors(), status("Threads:"));

    let is_over = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = FAULTS
        .map(|fault| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                let mut clients: Vec<Option<TcpStream>> = (0..EACH).map(|_| begin(fault, address)).collect();
                // Whoever is thrown out comes again.
                while !is_over.load(SeqCst) {
                    for client in &mut clients {
                        let is_gone = match (fault, &mut *client) {
                            (Fault::Dribbling, Some(stream)) => stream.write_all(b"x").is_err(),
                            (Fault::Resetting, _) | (_, None) => true,
                            (_, Some(stream)) => stream.take_error().is_ok_and(|error| error.is_some()),
                        };
                        if is_gone && !is_over.load(SeqCst) {
                            *client = begin(fault, address);
                        }
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            })
        })
        .into();

    let (start, mut served, mut refused, mut most) = (Instant::now(), 0, 0, 0);
    while start.elapsed() < Duration::from_secs(2) || served < 4 {
        assert!(start.elapsed() < 3 * LONG, "{served} scrapes were served, {refused} refused");
        let response = good();
        // In a crowd a scrape may be sent back, and told when to come again; never half served, never left alone.
        match response.status {
            200 => {
                assert!(response.complete, "a good scrape was cut");
                served += 1;
            }
            503 => {
                assert_eq!(response.header("retry-after"), Some("1"));
                refused += 1;
                thread::sleep(Duration::from_millis(20));
            }
            other => panic!("{other}: {}", response.text()),
        }
        most = most.max(status("VmRSS:"));
    }
    is_over.store(true, SeqCst);
    for attacker in attackers {
        attacker.join().expect("an attacker");
    }
    // Bounded by the limits: 64 connections, 8 bodies, 16 MiB that are shared.
    assert!(most < memory + 64 * 1024, "{memory} KiB became {most} KiB");

    let start = Instant::now();
    loop {
        assert!(good().complete);
        let (files_now, threads_now, memory_now) = (descriptors(), status("Threads:"), status("VmRSS:"));
        if files_now <= files + 1 && threads_now <= threads && memory_now < memory + 24 * 1024 {
            break;
        }
        assert!(
            start.elapsed() < LONG,
            "left behind: {files} files became {files_now}, {threads} threads {threads_now}, {memory} KiB {memory_now}"
        );
        thread::sleep(Duration::from_millis(50));
    }
    exporter.shutdown(LONG).expect("nothing is in flight");
}
