//! What each path and method is answered with.

mod serve_client;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serve_client::{CONTENT_TYPE, Client, chunks, letter, letters, opens, serve, serve_one, text};
use telemetry_exporter::serve::{Server, Step, Target};

#[test]
fn metrics_are_served_with_status_200_and_the_headers_of_a_scrape() {
    let server = serve_one();
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), "one 1\n");
    assert_eq!(response.header("content-type"), Some(CONTENT_TYPE));
    assert_eq!(response.header("content-length"), Some("6"));
    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn a_scrape_sees_its_target_headers_and_query() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = serve(opens({
        let seen = seen.clone();
        move |scrape| {
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let query = scrape.query.map(str::to_owned);
            let row = (scrape.target, owned(scrape.accept), owned(scrape.accept_encoding), query);
            seen.lock().expect("no panic").push(row);
            Ok(text(""))
        }
    }));
    let mut client = Client::connect(server.local_addr());
    client.send(
        "GET /metrics?name[]=a&b HTTP/1.1\r\nHost: t\r\nAccept: x;q=1\r\nAccept: y\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    assert_eq!(client.get("/metrics.json").status, 200);
    let seen = seen.lock().expect("no panic");
    let first = (Target::Metrics, Some(b"x;q=1,y".to_vec()), Some(b"gzip".to_vec()), Some("name[]=a&b".to_owned()));
    assert_eq!(*seen, [first, (Target::Json, None, None, None)]);
}

#[test]
fn an_empty_exposition_is_a_scrape_with_status_200_and_length_0() {
    let server = serve(opens(|_| Ok(text(""))));
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert_eq!((response.status, response.header("content-length")), (200, Some("0")));
    assert_eq!(response.header("content-type"), Some(CONTENT_TYPE));
}

#[test]
fn the_content_encoding_of_a_body_is_told() {
    struct Gzip;
    impl telemetry_exporter::serve::Chunks for Gzip {
        fn content_type(&self) -> &'static str {
            CONTENT_TYPE
        }
        fn content_encoding(&self) -> Option<&'static str> {
            Some("gzip")
        }
        fn next(&mut self, _: &mut Vec<u8>) -> Result<Step, telemetry_exporter::serve::ScrapeError> {
            Ok(Step::Last)
        }
    }
    let server = serve(opens(|_| Ok(Box::new(Gzip))));
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").header("content-encoding"), Some("gzip"));
}

#[test]
fn the_landing_page_links_to_every_other_page() {
    let exposition = opens(|_| Ok(text("")));
    let server = Server::builder().listen(([127, 0, 0, 1], 0)).title("shop <1>").serve(exposition).expect("a port");
    let response = Client::connect(server.local_addr()).get("/");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for part in [
        "href=\"/metrics\"",
        "href=\"/metrics.json\"",
        "href=\"/-/healthy\"",
        "shop &lt;1&gt;",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(response.text().contains(part), "{part} in {}", response.text());
    }
}

#[test]
fn health_is_ok_in_plain_text_whatever_the_exposition_does() {
    let server = serve(opens(|_| Err("no".into())));
    let response = Client::connect(server.local_addr()).get("/-/healthy");
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn an_unknown_path_is_404_for_every_method() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    for path in ["/metric", "/metrics/", "/-/ready", "//metrics", "/favicon.ico"] {
        assert_eq!(client.get(path).status, 404, "{path}");
        assert_eq!(client.request("POST", path).response().status, 404, "{path}");
    }
}

#[test]
fn other_methods_are_405_and_told_which_are_allowed() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    for path in ["/", "/metrics", "/metrics.json", "/-/healthy"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
            let response = client.request(method, path).response();
            assert_eq!(
                (response.status, response.header("allow")),
                (405, Some("GET, HEAD, OPTIONS")),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn options_tells_the_methods_without_a_scrape() {
    let server = serve(opens(|_| panic!("no scrape was asked for")));
    let mut client = Client::connect(server.local_addr());
    for path in ["/", "/metrics", "/metrics.json", "/-/healthy", "*"] {
        let response = client.request("OPTIONS", path).response();
        assert_eq!((response.status, response.header("allow")), (204, Some("GET, HEAD, OPTIONS")), "{path}");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    for path in ["/", "/metrics", "/metrics.json", "/-/healthy", "/nothing"] {
        let mut get = client.get(path);
        let mut head = client.request("HEAD", path).head();
        // The seconds may have changed in between.
        for response in [&mut get, &mut head] {
            response.headers.retain(|(name, _)| name != "date");
        }
        assert_eq!((get.status, get.headers), (head.status, head.headers), "{path}");
        assert!(!get.body.is_empty());
    }
}

#[test]
fn head_of_a_long_exposition_tells_no_length_and_the_connection_goes_on() {
    let server = serve(opens(|_| Ok(letters(4))));
    let mut client = Client::connect(server.local_addr());
    let head = client.request("HEAD", "/metrics").head();
    assert_eq!((head.status, head.header("content-length")), (200, None));
    assert_eq!(client.get("/metrics").body.len(), 4 * serve_client::CHUNK);
}

#[test]
fn a_long_exposition_is_sent_in_chunks_and_whole() {
    let server = serve(opens(|_| Ok(letters(100))));
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert!(response.complete);
    assert_eq!((response.status, response.header("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(response.body.len(), 100 * serve_client::CHUNK);
    for (at, part) in response.body.chunks(serve_client::CHUNK).enumerate() {
        assert!(part.iter().all(|byte| *byte == letter(at)), "chunk {at}");
    }
}

#[test]
fn empty_steps_in_the_middle_and_at_the_end_are_no_end() {
    let server = serve(opens(|_| {
        let mut at = 0;
        Ok(chunks(move |buffer| {
            at += 1;
            if at % 3 == 0 {
                buffer.extend_from_slice(b"x\n");
            }
            Ok(if at == 20 { Step::Last } else { Step::More })
        }))
    }));
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert!(response.complete);
    assert_eq!(response.text(), "x\n".repeat(6));
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    for _ in 0..50 {
        assert_eq!(client.get("/metrics").text(), "one 1\n");
        assert_eq!(client.get("/-/healthy").text(), "ok");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = serve(opens(|scrape| {
        Ok(match scrape.query {
            Some("long") => letters(5),
            other => text(other.unwrap_or_default()),
        })
    }));
    let mut client = Client::connect(server.local_addr());
    for query in ["1", "long", "2", "long", "3"] {
        client.request("GET", &format!("/metrics?{query}"));
    }
    for query in ["1", "long", "2", "long", "3"] {
        let response = client.response();
        assert!(response.complete);
        match query {
            "long" => assert_eq!(response.body.len(), 5 * serve_client::CHUNK),
            other => assert_eq!(response.text(), other),
        }
    }
}

#[test]
fn a_client_that_closes_its_half_gets_the_whole_response() {
    let server = serve(opens(|_| Ok(letters(400))));
    let mut client = Client::connect(server.local_addr());
    client.request("GET", "/metrics");
    client.stream.shutdown(std::net::Shutdown::Write).expect("open");
    let response = client.response();
    assert!(response.complete);
    assert_eq!(response.body.len(), 400 * serve_client::CHUNK);
    assert!(client.is_closed());
}

#[test]
fn http_1_0_gets_its_body_without_chunks_and_the_close() {
    let server = serve(opens(|_| Ok(letters(3))));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /metrics HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert!(response.complete);
    assert_eq!((response.status, response.header("transfer-encoding")), (200, None));
    assert_eq!(response.body.len(), 3 * serve_client::CHUNK);
}

#[test]
fn a_request_for_a_close_is_answered_and_closed() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    client.send("GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "one 1\n");
    assert!(client.is_closed());
}

#[test]
fn a_client_that_sends_a_body_reads_its_answer_before_the_close() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    client.send("POST /metrics HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
    // The answer is on its way before the body is, and the server wants none of it.
    client.stream.peek(&mut [0]).expect("an answer");
    for _ in 0..10 {
        client.send(&"x".repeat(10_000));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.response().status, 405);
}

#[test]
fn what_is_no_request_is_400() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    client.send("\x16\x03\x01 this is no request\r\n\r\n");
    assert_eq!(client.response().status, 400);
    assert!(client.is_closed());
}

#[test]
fn an_exposition_that_is_later_than_its_scraper_waits_is_503() {
    let server = serve(opens(|_| {
        std::thread::sleep(Duration::from_millis(100));
        Ok(text("late 1\n"))
    }));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /metrics HTTP/1.1\r\nHost: t\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.02\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
}
