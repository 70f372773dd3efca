//! The demo, from outside: its command line, its metrics, its end.

mod programs;

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use programs::example;
use telemetry_testkit::client::{OPENMETRICS, Response, TEXT, free_address, get, get_until};
use telemetry_testkit::peer::{self, Parser};
use telemetry_testkit::process::{Ended, Running};

/// A port that is free, as the program is to find it.
const ANY: &str = "127.0.0.1:0";

fn demo(arguments: &[&str]) -> Command {
    let mut command = example("demo");
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Ended {
    Running::start(&mut demo(arguments)).end()
}

/// A demo that runs, and where it is.
struct Demo {
    program: Running,
    service: SocketAddr,
    listen: SocketAddr,
}

impl Demo {
    fn start(more: &[&str]) -> Self {
        let mut program = Running::start(demo(&["--service", ANY, "--listen", ANY]).args(more));
        let service = address(&program.line_with("the shop"), "/products");
        let listen = address(&program.line_with("its metrics"), "/metrics");
        Self { program, service, listen }
    }

    fn scrape(&self, accept: &str) -> Response {
        get(self.listen, "/metrics", accept).unwrap()
    }

    /// Scrapes until there is a sample of each of these.
    fn scrape_until(&self, samples: &[&str]) -> Response {
        let is_there = |body: &str, sample: &&str| body.contains(&format!("\n{sample}"));
        get_until(self.listen, "/metrics", TEXT, |Response { status, body, .. }| {
            assert_eq!(*status, 200);
            samples.iter().all(|sample| is_there(body, sample))
        })
    }
}

/// The address in the URL that a line ends in.
fn address(line: &str, path: &str) -> SocketAddr {
    let (_, url) = line.trim_end().split_once("http://").unwrap();
    url.strip_suffix(path).unwrap().parse().unwrap()
}

/// The value of the sample whose line starts with `series`.
fn value(body: &str, series: &str) -> Option<f64> {
    let line = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn it_tells_how_it_is_used() {
    for option in ["--help", "-h"] {
        let Ended { status, stdout, stderr } = run(&[option]);
        assert!(status.success() && stderr.is_empty(), "{stderr}");
        for option in ["--service", "--listen", "--seconds", "--no-traffic", "--help"] {
            assert!(stdout.contains(option), "{option} is not in:\n{stdout}");
        }
    }
}

#[test]
fn a_wrong_argument_is_named_and_the_exit_code_is_2() {
    for (arguments, complaint) in [
        (&["--port", "80"][..], r#"there is no option "--port""#),
        (&["extra"], r#"there is no option "extra""#),
        (&["--no-traffic=yes"], r#"there is no option "--no-traffic=yes""#),
        (&["--seconds"], "--seconds needs a value"),
        (&["--seconds", "soon"], r#"--seconds is a whole number, not "soon""#),
        (&["--seconds=-1"], r#"--seconds is a whole number, not "-1""#),
        (&["--listen", "9464"], r#"--listen is an IP and a port, as in 127.0.0.1:8080, not "9464""#),
        (&["--service=here:80"], r#"--service is an IP and a port, as in 127.0.0.1:8080, not "here:80""#),
    ] {
        let Ended { status, stdout, stderr } = run(arguments);
        assert_eq!(status.code(), Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stderr, format!("demo: {complaint}; --help tells what there is\n"));
        assert_eq!(stdout, "");
    }
}

#[test]
fn a_taken_port_is_named_and_the_exit_code_is_1() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    for (option, free) in [("--listen", "--service"), ("--service", "--listen")] {
        let Ended { status, stderr, .. } = run(&[option, &taken, free, ANY, "--seconds", "60"]);
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with(&format!("demo: {option}: ")), "{stderr}");
        assert!(stderr.contains(&taken) && stderr.contains("another port"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// The addresses are those that it is given.
#[test]
fn it_listens_where_it_is_told() {
    let (service, listen) = (free_address(), free_address());
    let arguments = ["--no-traffic".to_owned(), format!("--service={service}"), format!("--listen={listen}")];
    let mut program = Running::start(example("demo").args(arguments));
    assert_eq!(address(&program.line_with("the shop"), "/products"), service);
    assert_eq!(address(&program.line_with("its metrics"), "/metrics"), listen);
    assert_eq!(get(service, "/products", "*/*").unwrap().status, 200);
    assert_eq!(get(listen, "/metrics", TEXT).unwrap().status, 200);
}

/// `--seconds`: it has traffic of its own, and ends by itself.
#[test]
fn it_ends_when_its_time_is_over() {
    let demo = Demo::start(&["--seconds", "2"]);
    demo.scrape_until(&[r#"http_server_request_stop_total{route="/products""#]);
    let ended = demo.program.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.contains("the slowest request took"), "{}", ended.stdout);
}

/// Both signals end it gracefully, and free its ports.
#[cfg(unix)]
#[test]
fn a_signal_ends_it_gracefully() {
    for signal in ["INT", "TERM"] {
        let demo = Demo::start(&[]);
        demo.program.signal(signal);
        let ended = demo.program.end();
        assert_eq!(ended.status.code(), Some(0), "SIG{signal}: {}", ended.stderr);
        assert!(ended.stdout.contains("the slowest request took"), "{}", ended.stdout);
        assert!(get(demo.listen, "/metrics", TEXT).is_err());
    }
}

/// What is under way is waited for, but not by whoever asks twice.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_it_at_once() {
    use std::io::Write;
    let demo = Demo::start(&["--no-traffic"]);
    let mut order = std::net::TcpStream::connect(demo.service).unwrap();
    order.write_all(b"POST /products/mug/orders HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n").unwrap();
    let is_answering = |body: &str| value(body, "http_server_requests_in_flight") == Some(1.0);
    get_until(demo.listen, "/metrics", TEXT, |response| is_answering(&response.body));
    demo.program.signal("TERM");
    // The first is being obeyed when nobody is let in any more.
    let start = std::time::Instant::now();
    while std::net::TcpStream::connect(demo.service).is_ok() {
        assert!(start.elapsed() < telemetry_testkit::client::LONG, "it still accepts");
    }
    demo.program.signal("TERM");
    assert_eq!(demo.program.end().status.code(), Some(130));
}

/// T14, V6, X6: without traffic, a request is counted as what it was, and by every kind of metric.
#[test]
fn what_a_client_does_is_what_is_counted() {
    let demo = Demo::start(&["--no-traffic"]);
    let body = demo.scrape(TEXT).body;
    assert!(!body.contains("http_server_request_stop_total{"), "{body}");
    assert_eq!(value(&body, r#"shop_payment_stop_total{provider="acme",outcome="ok"}"#), Some(0.0));
    assert_eq!(value(&body, r#"shop_stock_items{product="mug"}"#), Some(200.0));
    assert_eq!(value(&body, "http_server_requests_in_flight"), Some(0.0));

    assert!(get(demo.service, "/products", "*/*").unwrap().body.contains("mug 9.50\n"));
    assert_eq!(get(demo.service, "/products/mug", "*/*").unwrap().body, "9.50\n");
    assert_eq!(get(demo.service, "/products/teapot", "*/*").unwrap().status, 404);
    assert_eq!(get(demo.service, "/a/b/c?d=e", "*/*").unwrap().status, 404);

    let body = demo.scrape(TEXT).body;
    let count = |route: &str, status: u16| {
        value(&body, &format!(r#"http_server_request_stop_total{{route="{route}",method="GET",status="{status}"}}"#))
    };
    assert_eq!(count("/products", 200), Some(1.0));
    assert_eq!(count("/products/{name}", 200), Some(1.0));
    assert_eq!(count("/products/{name}", 404), Some(1.0));
    assert_eq!(count("none", 404), Some(1.0));
    assert_eq!(value(&body, r#"http_server_request_stop_duration_seconds_count{route="/products/{name}"}"#), Some(2.0));
    assert_eq!(value(&body, "http_server_connections_total"), Some(4.0));
    assert_eq!(value(&body, r#"telemetry_lane_cast_total{lane="log"}"#), Some(4.0));
}

/// V2, V3, V5: readers that others wrote take what the demo serves, when every kind of metric has values.
#[test]
fn readers_of_others_take_what_it_serves() {
    let demo = Demo::start(&[]);
    let text = demo.scrape_until(&[
        r#"http_server_request_stop_total{route="none""#,
        "shop_order_placed_items_window60s{",
        "shop_payment_stop_duration_seconds{",
        "shop_stock_items{",
        "http_server_response_size_bytes_bucket{",
        "http_server_connections_total ",
    ]);
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    peer::check_metrics(&text.body);
    let openmetrics = demo.scrape(OPENMETRICS);
    assert_eq!(openmetrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));

    for (parser, body) in [(Parser::Text, &text.body), (Parser::OpenMetrics, &openmetrics.body)] {
        let Some(samples) = peer::samples_as_json(parser, body) else { return };
        let samples: Vec<(String, serde_json::Value, String)> = serde_json::from_str(&samples).unwrap();
        assert_eq!(samples.len(), body.lines().filter(|line| !line.starts_with('#')).count());
    }
}
