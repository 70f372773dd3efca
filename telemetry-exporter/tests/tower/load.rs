//! An axum server under load: what the layers count of it, on both sides, is exact.

mod server;
mod traffic;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use telemetry_core::http::{client, server as of_server};
use telemetry_exporter::Exporter;
use telemetry_testkit::client::{LONG, OPENMETRICS, get, get_until};
use telemetry_testkit::peer::{Parser, samples_as_json};
use tokio::runtime;

use traffic::{CONNECTIONS, Kind, REQUESTS};

/// Samples of the exposition, as a strict parser reads them.
struct Samples(Vec<(String, BTreeMap<String, String>, f64)>);

impl Samples {
    /// Python's parser reads what was served; `None` if it is missing.
    fn read(body: &str) -> Option<Self> {
        let json = samples_as_json(Parser::OpenMetrics, body)?;
        let samples: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let sample = |sample: &serde_json::Value| {
            let labels = sample[1].as_object().unwrap().iter();
            let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            (sample[0].as_str().unwrap().to_owned(), labels, sample[2].as_str().unwrap().parse().unwrap())
        };
        Some(Self(samples.iter().map(sample).collect()))
    }

    /// The sum over the series that have these labels; an empty value is a label that is absent.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &BTreeMap<String, String>, label: &(&str, &str)| {
            own.get(label.0).map_or("", |value| value) == label.1
        };
        let selected = self.0.iter().filter(|(own, of, _)| own == name && labels.iter().all(|label| has(of, label)));
        selected.map(|(_, _, value)| value).sum()
    }
}

#[test]
fn ten_thousand_requests_are_counted_exactly() {
    let exporter = Exporter::builder().metrics(of_server::metrics()).metrics(client::metrics()).id("load");
    let metrics = exporter.source(of_server::active_requests()).source(client::active_requests()).service().unwrap();
    silence_handlers();

    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(server::start(metrics.clone()));
    let sent = runtime.block_on(traffic::send(server.address, &server.arrived));
    assert_eq!(sent.values().map(|sent| sent.requests).sum::<u64>(), REQUESTS);
    assert_eq!(sent.iter().filter(|(kind, _)| kind.fails()).map(|(_, sent)| sent.requests).sum::<u64>(), REQUESTS / 10);

    // The server finds out about clients that have gone a moment later. The scrape itself passes beside the layer.
    let is_idle = |body: &str| {
        let mut gauges = body.lines().filter(|line| line.contains("_active_requests{"));
        gauges.clone().count() >= 2 && gauges.all(|line| line.ends_with(" 0.0") || line.ends_with(" 0"))
    };
    let body = get_until(server.address, "/metrics", OPENMETRICS, |response| is_idle(&response.body)).body;
    check_snapshot(&metrics.registry().snapshot());
    let Some(samples) = Samples::read(&body) else { return };

    for side in ["server", "client"] {
        let count =
            |labels: &[(&str, &str)]| samples.sum(&format!("http_{side}_request_duration_seconds_count"), labels);
        let stopped = if side == "server" { REQUESTS - sent[&Kind::Panics].requests } else { REQUESTS };
        assert_eq!(count(&[]), stopped as f64, "{side}");
        assert_eq!(samples.sum(&format!("http_{side}_active_requests"), &[]), 0.0);
        assert_eq!(samples.sum("telemetry_metric_overflow_total", &[]), 0.0);
        assert_eq!(samples.sum("telemetry_metric_skipped_total", &[]), 0.0);
        assert_eq!(count(&[("network_protocol_version", "1.0")]), 0.0);
    }

    for (kind, sent) in &sent {
        let expected = kind.expected();
        // Of the server's side, which knows the route.
        let status = expected.status.map_or(String::new(), |status| status.to_string());
        let labels = [
            ("http_route", expected.route),
            ("http_request_method", expected.method),
            ("http_response_status_code", status.as_str()),
            ("error_type", expected.server_error),
            ("url_scheme", "http"),
        ];
        let of = |name: &str| samples.sum(&format!("http_server_{name}"), &labels);
        if *kind == Kind::Panics {
            let exceptions = [labels[0], labels[1], labels[4]];
            assert_eq!(samples.sum("http_server_request_exceptions_total", &exceptions), sent.requests as f64);
            assert_eq!(of("request_duration_seconds_count"), 0.0);
            continue;
        }
        assert_eq!(of("request_duration_seconds_count"), sent.requests as f64, "{kind:?}");
        assert_eq!(of("request_body_size_bytes_count"), sent.requests as f64, "{kind:?}");
        assert_eq!(of("request_body_size_bytes_sum"), sent.request_bytes as f64, "{kind:?}");
        assert_eq!(of("response_body_size_bytes_sum"), sent.response_bytes as f64, "{kind:?}");
    }

    // The client's side, which knows the host instead.
    let port = server.address.port().to_string();
    let of_client = |name: &str, more: &[(&str, &str)]| {
        let host = [("server_address", "127.0.0.1"), ("server_port", port.as_str())];
        samples.sum(&format!("http_client_{name}"), &[&host[..], more].concat())
    };
    assert_eq!(of_client("request_duration_seconds_count", &[]), REQUESTS as f64);
    let total = |of: fn(&traffic::Sent) -> u64| sent.values().map(of).sum::<u64>() as f64;
    assert_eq!(of_client("request_body_size_bytes_sum", &[]), total(|sent| sent.request_bytes));
    assert_eq!(of_client("response_body_size_bytes_sum", &[]), total(|sent| sent.response_bytes));
    for (error, kind) in
        [("cancelled", Kind::Never), ("hung up", Kind::Panics), ("500", Kind::Fails), ("404", Kind::Unknown)]
    {
        assert_eq!(
            of_client("request_duration_seconds_count", &[("error_type", error)]),
            sent[&kind].requests as f64,
            "{error}"
        );
    }
    // Sixteen connections at first, and one more for each that was cut.
    assert!(server.connections() >= CONNECTIONS);

    // A last look: nothing comes afterwards.
    let again = get(server.address, "/metrics", OPENMETRICS).unwrap().body;
    let buckets =
        |body: &str| body.lines().filter(|line| line.starts_with("http_")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(buckets(&again), buckets(&body));
}

/// Without a parser of others: the same totals, as the registry has them.
fn check_snapshot(snapshot: &telemetry_core::snapshot::Snapshot) {
    use telemetry_core::snapshot::ValueSnapshot;
    let family = snapshot.family("http.server.request.duration").unwrap();
    let counts = family.series.iter().map(|series| match &series.value {
        ValueSnapshot::Histogram { counts, .. } => counts.iter().sum::<u64>(),
        other => panic!("{other:?}"),
    });
    let panics = snapshot.family("http.server.request.exceptions").unwrap();
    let panics = panics.series.iter().map(|series| match series.value {
        ValueSnapshot::Total(total) => total.to_f64() as u64,
        ref other => panic!("{other:?}"),
    });
    assert_eq!(counts.sum::<u64>() + panics.sum::<u64>(), REQUESTS);
}

/// Handlers that are to panic do it without a word; whatever else panics says so.
fn silence_handlers() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&server::PANIC) {
            before(panic);
        }
    }));
}

/// Waits until `is_so`.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}
