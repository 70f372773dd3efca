//! A process that has no descriptor left: the listener pauses, does not spin, and recovers.
#![cfg(target_os = "linux")]

mod serve_client;

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
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
    // Opened while there are descriptors: the server takes each one that is given back.
    let stat = server_stat();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // One for the client's end; the server's end has none.
    files.pop();
    let waiting = TcpStream::connect(server.local_addr()).expect("the system accepts");
    let before = ticks(&stat);
    std::thread::sleep(Duration::from_secs(1));
    let after = ticks(&stat);
    // A second of spinning is 100 ticks.
    assert!(after - before < 30, "the listener spun for {} ticks", after - before);
    drop((files, waiting));
    let start = Instant::now();
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 200);
    assert!(start.elapsed() < LONG);
}

/// What the system tells of the server's thread, which gives itself its name when it begins to run.
fn server_stat() -> File {
    let is_server = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|stat| stat.contains("(telemetry-serve)"));
    let start = Instant::now();
    while start.elapsed() < LONG {
        let threads = fs::read_dir("/proc/self/task").expect("Linux").flatten();
        if let Some(path) = threads.map(|thread| thread.path().join("stat")).find(is_server) {
            return File::open(path).expect("the thread runs");
        }
    }
    panic!("the server has no thread");
}

/// The processor time of a thread, in ticks of 10 ms.
fn ticks(stat: &File) -> u64 {
    let mut bytes = [0; 1024];
    let length = stat.read_at(&mut bytes, 0).expect("the thread runs");
    let stat = std::str::from_utf8(&bytes[..length]).expect("text");
    let (_, rest) = stat.rsplit_once(')').expect("the name stands in brackets");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The 14th and 15th of the line, user and system; the state is the third and the first here.
    fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks")
}
