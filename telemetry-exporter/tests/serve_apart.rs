//! An application that is too busy to answer anything.

mod serve_client;

use std::sync::mpsc;
use std::thread;

use serve_client::{Client, LONG};
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;

/// The endpoint needs none of the application's threads: it was started within a runtime whose only thread then blocks,
/// and while all others wait for a lock, or spin.
#[test]
fn an_application_that_blocks_every_thread_is_scraped() {
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let application = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let registry = Registry::new();
            registry.register::<Counter>(counter("busy")).unwrap().single().unwrap().increment();
            let exporter = Exporter::builder().registry(&registry).listen("127.0.0.1:0").serve().expect("a free port");
            tell.send(exporter.local_addr()).expect("the test");
            // A future that blocks: nothing else of the runtime runs.
            let _ = ended.recv();
        });
    });
    let address = told.recv().expect("an address");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for _ in 0..3 {
            let mut client = Client::connect(address);
            client.stream.set_read_timeout(Some(LONG)).expect("a time");
            let response = client.get_with("/metrics", "Connection: close");
            assert!(response.complete && response.text().contains("\nbusy_total 1\n"));
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    end.send(()).expect("the application");
    application.join().expect("the application");
}
