//! A supervisor ends the process while a client is in the midst of its scrape.
#![cfg(unix)]

mod serve_client;

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serve_client::{CHUNK, Client, LONG, letters, opens, serve};
use telemetry_testkit::process::Running;

const NAME: &str = "a_process_that_is_told_to_end_finishes_a_slow_scrape_first";
/// Set in the process that serves.
const CHILD: &str = "TELEMETRY_TEST_SERVES_UNTIL_A_SIGNAL";
const CHUNKS: usize = 300;

#[test]
fn a_process_that_is_told_to_end_finishes_a_slow_scrape_first() {
    if std::env::var_os(CHILD).is_some() {
        return serve_until_a_signal();
    }
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    let mut program = Running::start(command.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1"));
    let line = program.line_with("serving at ");
    let address: SocketAddr = line.rsplit(' ').next().expect("a word").trim().parse().expect("an address");

    let mut slow = Client::connect(address);
    slow.request("GET", "/metrics");
    // The response has begun, and most of it waits for this client.
    slow.stream.peek(&mut [0]).expect("a response");
    program.signal("TERM");
    program.line_with("ending");
    std::thread::sleep(Duration::from_millis(300));
    let response = slow.response();
    assert!(response.complete, "the scrape was cut");
    assert_eq!(response.body.len(), CHUNKS * CHUNK);
    let ended = program.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("all was sent"), "{}", ended.stdout);
}

fn serve_until_a_signal() {
    let say = |line: &str| writeln!(std::io::stdout(), "{line}").expect("a reader");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let server = runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a signal");
        let server = serve(opens(|_| Ok(letters(CHUNKS))));
        say(&format!("serving at {}", server.local_addr()));
        terminate.recv().await;
        server
    });
    say("ending");
    server.shutdown(LONG).expect("the client reads");
    say("all was sent");
}
