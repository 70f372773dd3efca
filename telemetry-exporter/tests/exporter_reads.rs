//! Metrics that are read when somebody scrapes: they come out, and hold up nobody.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use telemetry_core::metric::{last_value, sum};
use telemetry_core::{Dispatch, Registry, Unit, source};
use telemetry_exporter::{Exporter, Format, render};
use telemetry_testkit::client::{LONG, OPENMETRICS, TEXT, get};

fn serve(registry: &Registry) -> Exporter {
    Exporter::builder().registry(registry).dispatch(&Dispatch::new()).listen("127.0.0.1:0").serve().unwrap()
}

fn has(body: &str, line: &str) -> bool {
    body.lines().any(|found| found == line)
}

#[test]
fn metrics_that_are_read_come_out_in_every_format() {
    let registry = Registry::new();
    let bytes = last_value("pool.bytes").unit(Unit::Byte).tags(["pool"]).description("In \"use\".");
    let bytes = source::gauges(bytes, |series| series.set(["a\"b"], 1_500)).timeout(LONG);
    bytes.register(&registry).unwrap().keep();
    let waited = source::counter(sum("pool.waited").unit(Unit::Second), || Duration::from_millis(250)).timeout(LONG);
    waited.register(&registry).unwrap().keep();
    let exporter = serve(&registry);
    for (accept, bytes) in [(TEXT, "1500"), (OPENMETRICS, "1500.0")] {
        let body = get(exporter.local_addr(), "/metrics", accept).unwrap().body;
        assert!(has(&body, &format!("pool_bytes{{pool=\"a\\\"b\"}} {bytes}")), "{body}");
        assert!(has(&body, "pool_waited_seconds_total 0.25"), "{body}");
        assert!(has(&body, "telemetry_metric_unread_total{metric=\"pool.bytes\",reason=\"late\"} 0"), "{body}");
    }
    assert!(has(&render(&registry, Format::Text), "pool_waited_seconds_total 0.25"));
    let json = get(exporter.local_addr(), "/metrics.json", "*/*").unwrap().body;
    assert!(json.contains("\"name\":\"pool.bytes\""), "{json}");
}

/// The endpoint's thread does not wait: others are answered while a scrape waits for what hangs.
#[test]
fn a_metric_that_hangs_holds_up_no_other_client() {
    let registry = Registry::new();
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let hangs = move || {
        let _ = begin.send(());
        let _ = released.recv();
        1
    };
    source::gauge("hangs", hangs).timeout(LONG).register(&registry).unwrap().keep();
    source::gauge("steady", || 7).timeout(LONG).register(&registry).unwrap().keep();
    let exporter = serve(&registry);
    let address = exporter.local_addr();
    let scrape = std::thread::spawn(move || get(address, "/metrics", TEXT).unwrap());
    begun.recv_timeout(LONG).unwrap();
    for _ in 0..3 {
        assert_eq!(get(address, "/-/healthy", "*/*").unwrap().body, "ok");
    }
    let one = get(address, "/metrics?name[]=steady", TEXT).unwrap().body;
    assert!(has(&one, "steady 7") && !scrape.is_finished(), "{one}");
    drop(release);
    let body = scrape.join().unwrap().body;
    assert!(has(&body, "hangs 1") && has(&body, "steady 7"), "{body}");
}

/// A scrape has no more time for it than half of what it has.
#[test]
fn a_metric_that_hangs_is_left_out_in_time() {
    let registry = Registry::new();
    let (release, released) = mpsc::channel::<()>();
    let hangs = source::gauge("hangs", move || released.recv().is_err()).timeout(Duration::from_millis(200));
    hangs.register(&registry).unwrap().keep();
    let exporter = serve(&registry);
    let response = get(exporter.local_addr(), "/metrics", TEXT).unwrap();
    assert_eq!(response.status, 200);
    assert!(
        has(&response.body, "telemetry_metric_unread_total{metric=\"hangs\",reason=\"late\"} 1"),
        "{}",
        response.body
    );
    assert!(!response.body.contains("\nhangs "), "{}", response.body);
    drop(release);
    let begun = Instant::now();
    while !has(&get(exporter.local_addr(), "/metrics", TEXT).unwrap().body, "hangs 1") {
        assert!(begun.elapsed() < LONG, "it is read again");
    }
}

#[test]
fn a_metric_that_is_not_asked_for_is_not_read() {
    let registry = Registry::new();
    let reads = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&reads);
    source::gauge("counted", move || read.fetch_add(1, SeqCst)).timeout(LONG).register(&registry).unwrap().keep();
    let exporter = serve(&registry);
    get(exporter.local_addr(), "/metrics?name[]=other", TEXT).unwrap();
    assert_eq!(reads.load(SeqCst), 0);
    let body = get(exporter.local_addr(), "/metrics?name[]=counted", TEXT).unwrap().body;
    assert!(has(&body, "counted 0"), "{body}");
}
