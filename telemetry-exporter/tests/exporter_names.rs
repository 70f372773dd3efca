//! The names that an exporter gives to scrapers that ask for them in different ways, and those that it refuses.

use telemetry_core::family::Kind;
use telemetry_core::instrument::{Counter, Gauge, StateSet};
use telemetry_core::metric::{Metric, counter, distribution, last_value, state_set};
use telemetry_core::{Dispatch, Registry, emit};
use telemetry_exporter::{Builder, Exporter, ExporterError};
use telemetry_testkit::client::get;

fn builder() -> Builder {
    Exporter::builder().dispatch(&Dispatch::new()).listen("127.0.0.1:0")
}

fn gauge(name: &str) -> Metric {
    last_value(name).event("names.some.event").measurement("x")
}

/// V4: each scraper gets names that it can read, and is told which; caches are told what the answer depends on.
#[test]
fn names_are_escaped_as_each_scraper_asks() {
    let dispatch = Dispatch::new();
    let errors = counter("names.server.errors.count").tag_as("status", "http.status");
    let exporter = builder().dispatch(&dispatch).metric(errors).utf8_names(true).serve().unwrap();
    dispatch.run(|| emit!("names.server.errors", {}, { status: 500_u16 }));

    for (accept, content_type, line) in [
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            r#"{"names.server.errors_total","http.status"="500"} 1"#,
        ),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            r#"{"names.server.errors_total","http.status"="500"} 1"#,
        ),
        (
            "text/plain;version=1.0.0;escaping=values",
            "text/plain; version=1.0.0; charset=utf-8; escaping=values",
            r#"U__names_2e_server_2e_errors__total{U__http_2e_status="500"} 1"#,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=dots",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots",
            r#"names_dot_server_dot_errors__total{http_dot_status="500"} 1"#,
        ),
        (
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/plain; version=0.0.4; charset=utf-8",
            r#"names_server_errors_total{http_status="500"} 1"#,
        ),
        ("image/png", "text/plain; version=0.0.4; charset=utf-8", r#"names_server_errors_total{http_status="500"} 1"#),
    ] {
        let answer = get(exporter.local_addr(), "/metrics", accept).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(content_type), "{accept}");
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
        assert!(answer.body.lines().any(|own| own == line), "{accept}: {}", answer.body);
    }
}

/// V4: an exporter that was not told otherwise has plain names for everybody.
#[test]
fn names_are_plain_unless_told_otherwise() {
    let registry = Registry::new();
    let exporter = builder().registry(&registry).serve().unwrap();
    let jobs = registry.register::<Counter>(counter("names.jobs.done").tags(["queue.name"])).unwrap();
    jobs.with(["mail"]).unwrap().increment();
    for accept in
        ["*/*", "text/plain;version=1.0.0;escaping=allow-utf-8", "application/openmetrics-text;escaping=values"]
    {
        let answer = get(exporter.local_addr(), "/metrics", accept).unwrap();
        assert!(answer.body.contains("\nnames_jobs_done_total{queue_name=\"mail\"} 1\n"), "{}", answer.body);
    }
}

/// `target_info` and `build_info` say what the process and its build are, in each format as it has it.
#[test]
fn the_process_and_its_build_are_described() {
    let about = || {
        builder()
            .resource([("service.name", "shop")])
            .resource([("service.instance.id", String::from("eu \"7\""))])
            .build_info([("version", "1.2.3")])
    };
    let exporter = about().serve().unwrap();
    let ask = |exporter: &Exporter, accept| get(exporter.local_addr(), "/metrics", accept).unwrap().body;
    let text = ask(&exporter, "*/*");
    let target = "# HELP target_info The process that exposes these metrics.\n# TYPE target_info gauge\n\
                  target_info{service_name=\"shop\",service_instance_id=\"eu \\\"7\\\"\"} 1\n";
    assert!(text.contains(target), "{text}");
    assert!(text.contains("\n# TYPE build_info gauge\nbuild_info{version=\"1.2.3\"} 1\n"), "{text}");
    let openmetrics = ask(&exporter, "application/openmetrics-text");
    assert!(
        openmetrics.contains("# TYPE target info\n") && openmetrics.contains("# TYPE build info\n"),
        "{openmetrics}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&get(exporter.local_addr(), "/metrics.json", "*/*").unwrap().body).unwrap();
    let families = json["families"].as_array().unwrap();
    let target = families.iter().find(|family| family["name"] == "target").unwrap();
    assert_eq!(target["series"][0]["labels"]["service.name"], "shop");

    let exporter = about().utf8_names(true).serve().unwrap();
    let utf8 = ask(&exporter, "text/plain;version=1.0.0;escaping=allow-utf-8");
    assert!(
        utf8.contains("\ntarget_info{\"service.name\"=\"shop\",\"service.instance.id\"=\"eu \\\"7\\\"\"} 1\n"),
        "{utf8}"
    );
}

fn refused(builder: Builder) -> String {
    match builder.serve().unwrap_err() {
        ExporterError::Metric(error) => error.to_string(),
        other => panic!("{other}"),
    }
}

/// V4: metrics that would meet, under whatever escaping can be asked for, keep the exporter from being built. The error
/// names both, and what to do.
#[test]
fn names_that_would_meet_are_refused_when_the_exporter_is_built() {
    for utf8 in [false, true] {
        for (first, second, exposed) in [
            (gauge("names.a"), gauge("names_a"), "names_a"),
            (gauge("names_a_sum"), distribution("names.a").event("x"), "names_a_sum"),
            (counter("names.a").event("x"), gauge("names_a_total"), "names_a_total"),
            (counter("names.a").event("x"), gauge("names.a_created"), "names"),
        ] {
            let names = [format!("{first:?}"), format!("{second:?}")];
            let message = refused(builder().metrics([first, second]).utf8_names(utf8));
            assert!(message.contains(exposed) && message.contains("give one of them another name"), "{message}");
            for name in names {
                let name = name.split('"').nth(1).unwrap();
                assert!(message.contains(&format!("{name:?}")), "{message}");
            }
        }
        let message =
            refused(builder().metric(gauge("names.a").tag_as("b", "x.y").tag_as("c", "x_y")).utf8_names(utf8));
        assert!(message.contains("its labels \"x.y\" and \"x_y\" would both be exposed as \"x_y\""), "{message}");
        let message = refused(builder().resource([("a.b", "1"), ("a_b", "2")]).utf8_names(utf8));
        assert!(message.contains("\"target\"") && message.contains("\"a.b\" and \"a_b\""), "{message}");
        let message = refused(builder().metric(gauge("target_info")).resource([("a", "1")]).utf8_names(utf8));
        assert!(message.contains("\"target\" would both be exposed as \"target_info\""), "{message}");
    }

    // What becomes the same only where a scraper asks for it says so.
    let message = refused(builder().metrics([gauge("names.b"), gauge("names_b")]).utf8_names(true));
    assert!(message.contains("escaped as \"underscores\""), "{message}");
    let message = refused(builder().metrics([gauge("names.b"), gauge("U__names_2e_b")]).utf8_names(true));
    assert!(message.contains("escaped as \"values\""), "{message}");
    let exporter = builder().metrics([gauge("names.b"), gauge("U__names_2e_b")]).serve();
    drop(exporter.expect("without UTF-8 names nothing begins with `U__` but what is called so"));
}

/// V4: what one scraper's names are another's, of another metric, meets for neither of them.
#[test]
fn names_that_stay_apart_under_each_escaping_are_accepted() {
    // Escaped with `dots` the first is `names__a__b`, which the second is with `underscores`.
    drop(builder().metrics([gauge("names_a_b"), gauge("names__a__b")]).utf8_names(true).serve().unwrap());
}

/// V4: the same of what is registered when the exporter serves already.
#[test]
fn names_that_would_meet_are_refused_later_too() {
    let registry = Registry::new();
    let _exporter = builder().registry(&registry).utf8_names(true).serve().unwrap();
    registry.register::<Gauge>(last_value("names.a")).unwrap();
    let error = registry.register::<Gauge>(last_value("names_a")).unwrap_err();
    assert!(error.to_string().contains("\"names.a\""), "{error}");
    let state = state_set("names.pool", ["up"]).tags(["names.pool"]);
    let error = registry.register::<StateSet>(state).unwrap_err();
    assert!(error.to_string().contains("both be exposed as \"names.pool\""), "{error}");
    assert_eq!(registry.snapshot().families()[0].family.kind(), Kind::LastValue);
}
