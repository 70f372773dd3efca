//! `?name[]=`, and the limits of what a query may be.

mod serve_client;

use std::sync::Arc;

use serve_client::Client;
use telemetry_core::Registry;
use telemetry_core::family::{Family, Kind};
use telemetry_core::instrument::{Counter, Gauge, Histogram};
use telemetry_core::metric::{counter, distribution, last_value};
use telemetry_core::scrape::{Labels, Sample, Series, Source, Visit};
use telemetry_exporter::Exporter;
use telemetry_exporter::serve::Limits;

struct Pool;

impl Source for Pool {
    fn collect(&self, visitor: &mut dyn Visit) {
        for name in ["pool.size", "pool.idle"] {
            visitor.family(&Family::new(name, Kind::LastValue));
            visitor.series(&Series::new(Labels::from_pairs(&[]), Sample::Gauge(1.0)));
        }
    }
}

fn exporter() -> Exporter {
    let registry = Registry::new();
    let jobs = registry.register::<Counter>(counter("jobs.done").tags(["queue"])).expect("a metric");
    jobs.with(["mail"]).expect("a series").increment();
    jobs.with(["web"]).expect("a series").increment();
    registry.register::<Gauge>(last_value("jobs.queued")).expect("a metric").single().expect("no labels").set(2.0);
    let took = registry.register::<Histogram>(distribution("jobs.took")).expect("a metric");
    took.single().expect("no labels").record(0.5);
    let builder = Exporter::builder().registry(&registry).listen("127.0.0.1:0").source(Arc::new(Pool));
    builder.limits(Limits::default().query_bytes(4096)).serve().expect("a free port")
}

/// The names of the families that are answered with.
fn families(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[test]
fn only_the_families_asked_for_are_answered_with() {
    let exporter = exporter();
    let mut client = Client::connect(exporter.local_addr());
    for (query, expected) in [
        ("name[]=jobs_done_total", &["jobs_done_total"][..]),
        ("name[]=jobs.done", &["jobs_done_total"]),
        ("name%5B%5D=jobs_queued&name[]=jobs_done_total", &["jobs_done_total", "jobs_queued"]),
        ("a=b&name[]=jobs_took_bucket&c", &["jobs_took"]),
        ("name[]=pool_idle", &["pool_idle"]),
        ("name[]=telemetry_metric_skipped_total", &["telemetry_metric_skipped_total"]),
        ("name[]=telemetry_source_failures_total", &["telemetry_source_failures_total"]),
        ("name[]=nobody&name[]=%FF", &[]),
    ] {
        let response = client.get(&format!("/metrics?{query}"));
        assert_eq!((response.status, families(response.text())), (200, expected.to_vec()), "{query}");
    }
    let all = client.get("/metrics");
    let filtered = client.get("/metrics?name[]=jobs_done_total");
    assert!(all.text().contains(filtered.text()), "what is left is as it was");
    assert!(families(all.text()).len() > 6);
}

#[test]
fn every_format_is_filtered() {
    let exporter = exporter();
    let mut client = Client::connect(exporter.local_addr());
    let openmetrics = client.get_with("/metrics?name[]=jobs_queued", "Accept: application/openmetrics-text");
    assert_eq!(families(openmetrics.text()), ["jobs_queued"]);
    assert!(openmetrics.text().ends_with("jobs_queued 2.0\n# EOF\n"));
    let json = client.get("/metrics.json?name[]=jobs_queued");
    assert!(json.text().contains("jobs.queued") && !json.text().contains("jobs.done"), "{}", json.text());
}

#[test]
fn a_query_that_is_too_much_is_400_or_414_and_says_why() {
    let exporter = exporter();
    let mut client = Client::connect(exporter.local_addr());
    for (query, status, text) in [
        ("name[]=".to_owned(), 400, "empty"),
        ("name[]=a&".repeat(257), 400, "more than 256 names"),
        (format!("name[]={}", "x".repeat(2000)), 400, "longer than 1024 bytes"),
        (format!("name[]={}", "x".repeat(5000)), 414, "longer than 4096 bytes"),
    ] {
        let response = client.get(&format!("/metrics?{query}"));
        assert_eq!(response.status, status, "{}", response.text());
        assert!(response.text().contains(text), "{}", response.text());
    }
    assert_eq!(client.get("/metrics").status, 200, "the connection goes on");
}
