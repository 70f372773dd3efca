//! A process that has no descriptor left: the listener pauses, does not spin, and recovers.
#![cfg(target_os = "linux")]

mod serve_client;

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serve_client::{Client, LONG, serve_one};

const NAME: &str = "a_process_without_descriptors_is_scraped_again_when_it_has_some";
/// Set in the process that has few of them.
const CHILD: &str = "TELEMETRY_TEST_FEW_DESCRIPTORS";

#[test]
fn a_process_without_descriptors_is_scraped_again_when_it_has_some() {
    if std::env::var_os(CHILD).is_some() {
        return run_out_and_recover();
    }
    // The limit is the process's, so the test runs itself in another.
    let program = std::env::current_exe().expect("this test");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(program)
        .arg(NAME)
        .env(CHILD, "1")
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

fn run_out_and_recover() {
    let server = serve_one();
    // The thread names itself, surely before it answers.
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 200);
    let clock = server_clock();
    let mut files = Vec::new();
    // For a while, until the server has closed the connection of the first scrape.
    for _ in 0..20 {
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // One for the client's end; the server's end has none.
    files.pop();
    let waiting = TcpStream::connect(server.local_addr()).expect("the system accepts");
    let before = ticks(&clock);
    std::thread::sleep(Duration::from_secs(1));
    let spent = ticks(&clock) - before;
    // A second of spinning is 100 ticks.
    assert!(spent < 30, "the listener spun for {spent} ticks");
    drop((files, waiting));
    let start = Instant::now();
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 200);
    assert!(start.elapsed() < LONG);
}

/// What tells the processor time of the server's thread; opened while there are descriptors.
fn server_clock() -> File {
    let threads = fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let server = threads
        .map(|thread| thread.path())
        .find(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim_end() == "telemetry-serve"));
    File::open(server.expect("the server's thread").join("stat")).expect("its clock")
}

/// The processor time in ticks of 10 ms.
fn ticks(clock: &File) -> u64 {
    let mut line = [0; 1024];
    let read = clock.read_at(&mut line, 0).expect("the clock");
    let line = String::from_utf8_lossy(&line[..read]);
    // The name may contain anything; after it the state is the third field of the line, and user and system time are
    // the 14th and the 15th.
    let (_, rest) = line.rsplit_once(')').expect("a name");
    rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
