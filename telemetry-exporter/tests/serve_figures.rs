//! What the endpoint says of itself, when it is asked to.

mod serve_client;

use std::time::{Duration, Instant};

use serve_client::{Client, LONG};
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;
use telemetry_exporter::serve::Limits;

fn exporter(limits: Limits, shown: bool) -> Exporter {
    let registry = Registry::new();
    let series = registry.register::<Counter>(counter("figures").tags(["n"]).limit(60_000)).expect("a metric");
    for n in 0..60_000 {
        series.with([n.to_string().as_str()]).expect("a series").increment();
    }
    let builder = Exporter::builder().registry(&registry).listen("127.0.0.1:0").limits(limits);
    builder.endpoint_figures(shown).serve().expect("a free port")
}

/// The sample whose line starts so, once it is `expected`.
fn comes(exporter: &Exporter, sample: &str, expected: f64) {
    let start = Instant::now();
    loop {
        let body = Client::connect(exporter.local_addr()).get("/metrics?name[]=telemetry_endpoint_requests_total&name[]=telemetry_endpoint_cuts_total&name[]=telemetry_endpoint_evictions_total&name[]=telemetry_endpoint_scrapes_in_flight&name[]=telemetry_endpoint_connections&name[]=telemetry_endpoint_scrape_duration_seconds&name[]=telemetry_endpoint_body_bytes_total");
        let of_sample = |line: &str| line.strip_prefix(&format!("telemetry_endpoint_{sample} "))?.parse::<f64>().ok();
        let value = body.text().lines().find_map(of_sample);
        if value.is_some_and(|value| value.to_bits() == expected.to_bits()) {
            return;
        }
        assert!(start.elapsed() < LONG, "{sample} is {value:?}, not {expected}:\n{}", body.text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn figures_are_not_there_unless_they_are_asked_for() {
    let exporter = exporter(Limits::default(), false);
    assert!(!Client::connect(exporter.local_addr()).get("/metrics").text().contains("telemetry_endpoint"));
}

#[test]
fn requests_are_counted_by_status() {
    let exporter = exporter(Limits::default(), true);
    let mut client = Client::connect(exporter.local_addr());
    for path in ["/", "/-/healthy", "/nowhere", "/metrics?name[]="] {
        client.get(path);
    }
    client.request("POST", "/").response();
    Client::connect(exporter.local_addr()).send("no request\r\n\r\n").response();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    Client::connect(exporter.local_addr()).send(&long).response();
    for (code, count) in [(404, 1.0), (400, 2.0), (405, 1.0), (431, 1.0)] {
        comes(&exporter, &format!("requests_total{{code=\"{code}\"}}"), count);
    }
}

#[test]
fn scrapes_are_counted_with_their_size_and_duration() {
    let exporter = exporter(Limits::default(), true);
    let plain = Client::connect(exporter.local_addr()).get("/metrics");
    comes(&exporter, "scrape_duration_seconds_count", 1.0);
    #[allow(clippy::cast_precision_loss)] // Far below 2^53.
    let plain_bytes = plain.body.len() as f64;
    // The scrape that tells is complete after it has told, and the first of these came before.
    let body = Client::connect(exporter.local_addr()).get("/metrics?name[]=telemetry_endpoint_body_bytes_total");
    let sent = body
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("telemetry_endpoint_body_bytes_total{encoding=\"identity\"} "));
    assert!(sent.expect("a sum").parse::<f64>().expect("a number") > plain_bytes);
    comes(&exporter, "scrapes_in_flight", 1.0);
}

#[test]
fn a_response_that_is_cut_is_counted_by_its_reason() {
    let limits = Limits::default().stall_time(Duration::from_millis(200));
    let exporter = exporter(limits, true);
    // More is to be sent than buffers take.
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(exporter.local_addr());
        for _ in 0..40 {
            client.request("GET", "/metrics");
        }
        silent.push(client);
    }
    comes(&exporter, "cuts_total{reason=\"stalled\"}", 2.0);
    let mut gone = Client::connect(exporter.local_addr());
    for _ in 0..40 {
        gone.request("GET", "/metrics");
    }
    gone.stream.peek(&mut [0]).expect("a response");
    drop(gone);
    comes(&exporter, "cuts_total{reason=\"gone\"}", 1.0);
}

#[test]
fn a_connection_that_makes_room_is_counted_by_its_reason() {
    let exporter = exporter(Limits::default().connections(2), true);
    let _silent: Vec<Client> = (0..2).map(|_| Client::connect(exporter.local_addr())).collect();
    comes(&exporter, "evictions_total{reason=\"silent\"}", 1.0);
}
