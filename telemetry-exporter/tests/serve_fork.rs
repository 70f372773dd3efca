//! A process that serves, and forks.
#![cfg(target_os = "linux")]

mod serve_client;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serve_client::{Client, LONG};
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;

/// What the child may take, in seconds; then the system kills it, so that one which hangs is seen.
const CHILD_SECONDS: u32 = 60;

fn exporter(registry: &Registry) -> Exporter {
    Exporter::builder().registry(registry).listen("127.0.0.1:0").serve().expect("a free port")
}

fn scrape(exporter: &Exporter) -> String {
    let response = Client::connect(exporter.local_addr()).get_with("/metrics", "Connection: close");
    assert!(response.complete);
    response.text().to_owned()
}

/// Fork: the child has the listening socket, and no thread that serves it. It gives up the endpoint of its parent, in a
/// bounded time, and has one of its own; the parent's goes on.
#[test]
fn a_child_gives_up_the_endpoint_of_its_parent_and_has_its_own() {
    let registry = Registry::new();
    let count = registry.register::<Counter>(counter("fork.count")).unwrap().single().unwrap();
    count.increment();
    let inherited = exporter(&registry);
    assert!(scrape(&inherited).contains("\nfork_total 1\n"));

    let live_on = || {
        let start = Instant::now();
        // SAFETY: as below; the value is the child's, whatever becomes of the parent's.
        let error = unsafe { std::ptr::read(&raw const inherited) }.shutdown(Duration::from_millis(100)).unwrap_err();
        assert_eq!(error, telemetry_exporter::serve::ShutdownError::Stuck);
        assert!(start.elapsed() < LONG / 2);
        count.add(10);
        let own = exporter(&registry);
        assert!(scrape(&own).contains("\nfork_total 11\n"));
        own.shutdown(LONG).expect("nothing is in flight");
    };
    // SAFETY: the child is a process with one thread; no other thread of this test is at work just now, but for the
    // endpoint's, which waits for a client.
    let process = unsafe { libc::fork() };
    if process == 0 {
        // SAFETY: it takes an integer.
        unsafe { libc::alarm(CHILD_SECONDS) };
        let code = if catch_unwind(AssertUnwindSafe(live_on)).is_ok() { 0 } else { 1 };
        // SAFETY: it takes an integer, and runs nothing of the parent's.
        unsafe { libc::_exit(code) };
    }
    assert!(process > 0, "the system can't fork");
    // While the child is there, and when it is gone.
    for _ in 0..10 {
        assert!(scrape(&inherited).contains("\nfork_total 1\n"));
    }
    let mut status = 0;
    // SAFETY: `status` is ours.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child hangs or failed: {status}");
    assert!(scrape(&inherited).contains("\nfork_total 1\n"));
    inherited.shutdown(LONG).expect("the child has taken nothing with it");
}
