//! Each example does what its first lines say.

mod programs;

use std::net::{SocketAddr, TcpListener};

use programs::example;
use telemetry_testkit::client::{OPENMETRICS, TEXT, get, get_until};
use telemetry_testkit::process::{Ended, Running};

fn run(name: &str) -> Ended {
    let ended = Running::start(&mut example(name)).end();
    assert!(ended.status.success(), "{name}: {}", ended.stderr);
    assert_eq!(ended.stderr, "", "{name}");
    ended
}

/// T3: positions are resolved once, and what is found there is right.
#[test]
fn a_custom_handler_is_bound_once_for_each_callsite() {
    let printed = run("custom_handler").stdout;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 3, "{printed}");
    assert!(lines[0].starts_with("bound to shop.search, line "));
    assert!(lines[1].starts_with("bound to shop.payment, line "));
    assert_eq!(lines[2], "2 events were overdue");
}

/// M34, V6: units, descriptions and missing measurements of typed events arrive in the exposition.
#[test]
fn typed_events_become_metrics() {
    let printed = run("typed_events").stdout;
    assert!(printed.contains("\ngallery_thumbnail_stop_size_bytes_total{encoding=\"lossless\"} 30720\n"), "{printed}");
}

/// X6: a test of an application sees what that emits, and nothing else.
#[test]
fn tests_of_an_application_see_what_it_emits() {
    let printed = run("testing").stdout;
    assert!(printed.contains(r#"[("shop.checkout", Some(U64(3)), Some("de"))]"#), "{printed}");
}

/// One event makes three metrics; where the port is taken, the program says so, and what to do.
#[test]
fn the_quickstart_serves_or_says_why_not() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9464));
    // Whoever has the port, we or another: the quickstart has not.
    let other = TcpListener::bind(address);
    let ended = Running::start(&mut example("quickstart")).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    let complaint = "Error: 127.0.0.1:9464 is taken by another listener; stop it or choose another port";
    assert!(ended.stderr.starts_with(complaint), "{}", ended.stderr);

    let Ok(other) = other else { return };
    drop(other);
    let mut quickstart = Running::start(&mut example("quickstart"));
    assert_eq!(quickstart.line_with("http://").trim(), "http://127.0.0.1:9464/metrics");
    let lines = [
        "shop_cart_checkout_total{country=",
        "shop_cart_checkout_amount_bucket{",
        "shop_cart_checkout_items_window60s ",
    ];
    get_until(address, "/metrics", TEXT, |response| {
        lines.iter().all(|line| response.body.contains(&format!("\n{line}")))
    });
}

/// An address that was printed behind `http://`.
fn address_in(line: &str) -> SocketAddr {
    let rest = line.split("http://").nth(1).unwrap_or_else(|| panic!("no URL in {line:?}"));
    rest.split('/')
        .next()
        .and_then(|address| address.trim().parse().ok())
        .unwrap_or_else(|| panic!("no address in {line:?}"))
}

fn serving(name: &str) -> Running {
    Running::start(example(name).args(["--listen", "127.0.0.1:0", "--seconds", "60"]))
}

/// Requests are told of by the template of their path, and a scrape is none of them.
#[test]
fn the_axum_application_shows_its_requests() {
    let mut running = serving("axum");
    let address = address_in(&running.line_with("metrics"));
    for (path, status) in [("/products/tea", 200), ("/products/milk", 404), ("/nothing", 404)] {
        assert_eq!(get(address, path, "*/*").expect(path).status, status, "{path}");
    }
    let expected = r#"{http_request_method="GET",url_scheme="http",http_route="/products/{name}",http_response_status_code="200",network_protocol_version="1.1"} 1"#;
    let metrics = get_until(address, "/metrics", TEXT, |response| {
        response.body.contains(&format!("http_server_request_duration_seconds_count{expected}\n"))
    });
    assert!(!metrics.body.contains("/metrics") && !metrics.body.contains("tea"), "{}", metrics.body);
    assert!(metrics.body.contains("http_server_active_requests{"), "{}", metrics.body);
}

/// Both sides of the same requests are counted.
#[test]
fn the_hyper_server_and_its_client_count_the_same() {
    let mut running = serving("hyper_server");
    let address = address_in(&running.line_with("metrics"));
    get_until(address, "/metrics", TEXT, |response| {
        ["http_server_response_body_size_bytes_count{", "http_client_response_body_size_bytes_count{"].iter().all(
            |line| {
                let mut lines = response.body.lines().filter(|found| found.starts_with(line));
                lines.any(|found| found.contains(r#"http_response_status_code="404""#))
            },
        )
    });
}

#[test]
fn the_servers_tell_what_there_is_and_what_is_wrong() {
    for name in ["axum", "hyper_server"] {
        let help = Running::start(example(name).arg("--help")).end();
        assert!(
            help.status.success() && help.stdout.contains("--listen") && help.stdout.contains("--seconds"),
            "{name}"
        );
        for (words, complaint) in [
            (&["--listen", "here"][..], "--listen is an IP and a port, as in 127.0.0.1:8080, not \"here\""),
            (&["--seconds"], "--seconds needs a value"),
            (&["--port"], "there is no option \"--port\""),
        ] {
            let ended = Running::start(example(name).args(words)).end();
            assert_eq!(ended.status.code(), Some(2), "{name}");
            assert!(ended.stderr.starts_with(complaint), "{name}: {}", ended.stderr);
        }
        let ended = Running::start(example(name).args(["--listen", "127.0.0.1:0", "--seconds", "0"])).end();
        assert!(ended.status.success(), "{name}: {}", ended.stderr);
    }
}

/// A port that somebody else has costs a message with the address and what to do, not a dump.
#[test]
fn a_taken_port_is_told_by_the_servers() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    for (name, options) in [
        ("axum", &["--listen"][..]),
        ("hyper_server", &["--listen"]),
        ("demo", &["--listen", "--service"]),
        ("facade", &["--listen", "--service"]),
    ] {
        for option in options {
            let mut program = example(name);
            // The other address is free.
            options.iter().filter(|other| other != &option).for_each(|other| _ = program.args([*other, "127.0.0.1:0"]));
            let ended = Running::start(program.args([*option, &address, "--seconds", "60"])).end();
            assert_eq!(ended.status.code(), Some(1), "{name} {option}: {}", ended.stdout);
            for part in [&*address, "choose another port"] {
                assert!(ended.stderr.contains(part), "{name} {option}: {}", ended.stderr);
            }
        }
    }
}

#[test]
fn the_programs_for_long_runs_tell_what_there_is() {
    for (name, wrong) in
        [("attack", &["everything"][..]), ("attack", &[]), ("soak", &["--minutes", "-1"]), ("soak", &["-v"])]
    {
        let help = Running::start(example(name).arg("--help")).end();
        assert!(help.status.success() && help.stdout.contains(&format!("Usage: {name}")), "{}", help.stdout);
        let ended = Running::start(example(name).args(wrong)).end();
        assert_eq!(ended.status.code(), Some(2), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help tells"), "{name}: {}", ended.stderr);
    }
}

/// Spans become events, their fields labels, and the trace of OpenTelemetry an exemplar; what is emitted is logged.
#[test]
fn a_program_that_traces_has_metrics_of_its_spans() {
    let mut tracing = Running::start(&mut example("tracing"));
    let line = tracing.line_with("http://");
    let address: SocketAddr = line.trim().trim_start_matches("http://").trim_end_matches("/metrics").parse().unwrap();
    let lines = [
        "web_request_duration_seconds_bucket{route=\"/checkout\",status=\"200\",le=\"0.1\"} ",
        "web_request_duration_seconds_bucket{route=\"/checkout\",status=\"402\",le=\"0.1\"} ",
        "shop_checkout_total{country=\"de\",tenant=\"acme\"} ",
        "shop_checkout_total{country=\"de\",tenant=\"globex\"} ",
        "log_warning_total{level=\"WARN\",target=\"tracing\"} ",
    ];
    let has_trace = |line: &str| {
        let trace = line.split_once(" # {trace_id=\"").and_then(|(_, rest)| rest.split_once("\",span_id=\""));
        trace.is_some_and(|(trace, _)| trace.len() == 32 && trace.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    get_until(address, "/metrics", OPENMETRICS, |response| {
        let found = |start: &&str| response.body.lines().find(|line| line.starts_with(start));
        lines.iter().all(|line| found(line).is_some())
            // The span that has just closed, and the one around an event.
            && response.body.lines().any(|line| line.starts_with("web_request_duration_seconds_bucket{") && has_trace(line))
            && lines[2..4].iter().all(|line| has_trace(found(line).unwrap_or_default()))
    });
    assert!(tracing.line_with("shop.checkout country=").contains("INFO request{"));
}
