//! The example `facade`, from outside: what crates of others record is read back from `/metrics`, by readers of others.

mod programs;

use std::net::SocketAddr;

use programs::example;
use telemetry_testkit::client::{OPENMETRICS, Response, TEXT, get, get_until};
use telemetry_testkit::peer::{self, Parser};
use telemetry_testkit::process::{Ended, Running};

const ANY: &str = "127.0.0.1:0";

fn address(line: &str, path: &str) -> SocketAddr {
    let (_, url) = line.trim_end().split_once("http://").unwrap();
    url.strip_suffix(path).unwrap().parse().unwrap()
}

fn has(body: &str, sample: &str) -> bool {
    body.lines().any(|line| line.starts_with(sample))
}

/// V3, V5, V6: a process, a runtime, a middleware and a layer, none of which knows who serves them.
#[test]
fn what_crates_of_others_record_is_served() {
    let mut program = Running::start(example("facade").args(["--service", ANY, "--listen", ANY]));
    let service = address(&program.line_with("the service"), "/pages/home");
    let listen = address(&program.line_with("its metrics"), "/metrics");
    for page in ["home", "news", "home"] {
        assert_eq!(get(service, &format!("/pages/{page}"), "*/*").unwrap().status, 200);
    }
    let requests = r#"axum_http_requests_total{method="GET",status="200",endpoint="/pages/{page}"} 3"#;
    let wanted = [
        requests,
        "axum_http_requests_pending{",
        r#"axum_http_requests_duration_seconds_bucket{method="GET",status="200",endpoint="/pages/{page}",le="0.005"}"#,
        r#"axum_http_requests_duration_seconds_count{method="GET",status="200",endpoint="/pages/{page}"} 3"#,
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "process_resident_memory_bytes ",
        "process_start_time_seconds ",
        "tokio_workers_count 2",
        "tokio_live_tasks_count ",
        "tokio_total_busy_duration_microseconds_total ",
        "tokio_busy_ratio ",
        r#"page_bytes_total{page="home"} 28"#,
        r#"page_bytes_total{page="news"} 14"#,
        r#"page_visit_total{page="home"} 2"#,
        "page_visit_size_bytes_count 3",
        r#"telemetry_facade_refused_total{reason="name"} 0"#,
    ];
    let text = get_until(listen, "/metrics", TEXT, |Response { status, body, .. }| {
        assert_eq!(*status, 200);
        wanted.iter().all(|sample| has(body, sample))
    });
    // Not promtool: it would complain of names that others chose.
    let openmetrics = get(listen, "/metrics", OPENMETRICS).unwrap();
    for (parser, body) in [(Parser::Text, &text.body), (Parser::OpenMetrics, &openmetrics.body)] {
        let Some(samples) = peer::samples_as_json(parser, body) else { return };
        let samples: Vec<(String, serde_json::Value, String)> = serde_json::from_str(&samples).unwrap();
        assert_eq!(samples.len(), body.lines().filter(|line| !line.starts_with('#')).count());
        let of_middleware = samples.iter().find(|(name, ..)| name == "axum_http_requests_total").unwrap();
        let labels = serde_json::json!({"method": "GET", "status": "200", "endpoint": "/pages/{page}"});
        assert_eq!((&of_middleware.1, of_middleware.2.parse()), (&labels, Ok(3.0)));
    }
}

#[test]
fn it_ends_when_its_time_is_over_and_tells_how_it_is_used() {
    let run = |arguments: &[&str]| Running::start(example("facade").args(arguments)).end();
    let Ended { status, stderr, .. } = run(&["--service", ANY, "--listen", ANY, "--seconds", "1"]);
    assert!(status.success(), "{stderr}");
    let Ended { status, stdout, .. } = run(&["--help"]);
    assert!(status.success());
    for option in ["--service", "--listen", "--seconds", "--help"] {
        assert!(stdout.contains(option), "{option} is not in:\n{stdout}");
    }
    let Ended { status, stderr, .. } = run(&["--listen", "9465"]);
    assert_eq!(status.code(), Some(2));
    assert_eq!(
        stderr,
        "facade: --listen is an IP and a port, as in 127.0.0.1:9465, not \"9465\"; --help tells what there is\n"
    );
}
