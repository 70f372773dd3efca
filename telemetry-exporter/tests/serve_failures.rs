//! A scrape that fails: told by a status while that is possible, by a broken body after.

mod serve_client;

use serve_client::{Client, LONG, chunks, opens, serve, text};
use telemetry_exporter::serve::{Server, Step};

fn is_alive(server: &Server) {
    assert_eq!(Client::connect(server.local_addr()).get("/-/healthy").status, 200);
}

/// Three chunks, then what `end` does.
fn breaks(end: fn() -> Result<Step, telemetry_exporter::serve::ScrapeError>) -> Server {
    serve(opens(move |_| {
        let mut at = 0;
        Ok(chunks(move |buffer| {
            buffer.resize(serve_client::CHUNK, b'x');
            at += 1;
            if at > 3 { end() } else { Ok(Step::More) }
        }))
    }))
}

#[test]
fn an_error_at_the_beginning_is_500_with_its_text() {
    let server = serve(opens(|_| Err("the store is on fire".into())));
    let mut client = Client::connect(server.local_addr());
    let response = client.get("/metrics");
    assert_eq!(response.status, 500);
    assert!(response.text().contains("the store is on fire"));
    assert_eq!(client.get("/-/healthy").status, 200, "the connection goes on");
}

#[test]
fn a_panic_at_the_beginning_is_500() {
    let server = serve(opens(|_| panic!("a planted panic")));
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 500);
    is_alive(&server);
}

#[test]
fn a_panic_in_the_first_chunk_is_500_and_sends_nothing_of_it() {
    let server = serve(opens(|_| {
        Ok(chunks(|buffer| {
            buffer.extend_from_slice(b"half a line");
            panic!("a planted panic")
        }))
    }));
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("half a line"));
    is_alive(&server);
}

#[test]
fn a_panic_after_the_beginning_cuts_the_body() {
    let server = breaks(|| panic!("a planted panic"));
    let mut client = Client::connect(server.local_addr());
    let response = client.get("/metrics");
    assert_eq!(response.status, 200);
    assert!(!response.complete, "a part must not pass for the whole");
    assert!(response.body.len() <= 3 * serve_client::CHUNK);
    is_alive(&server);
}

#[test]
fn an_error_after_the_beginning_cuts_the_body() {
    let server = breaks(|| Err("the store is on fire".into()));
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert_eq!(response.status, 200);
    assert!(!response.complete);
    is_alive(&server);
}

#[test]
fn a_cut_body_without_chunks_is_a_reset_and_no_end() {
    let server = breaks(|| Err("the store is on fire".into()));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /metrics HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.header("content-length")), (200, None));
    assert!(!response.complete, "only the reset tells it from the whole");
}

#[test]
fn a_content_type_that_is_no_header_is_500() {
    struct Odd;
    impl telemetry_exporter::serve::Chunks for Odd {
        fn content_type(&self) -> &'static str {
            "text/plain\r\nX-Injected: yes"
        }
        fn next(&mut self, _: &mut Vec<u8>) -> Result<Step, telemetry_exporter::serve::ScrapeError> {
            Ok(Step::Last)
        }
    }
    let server = serve(opens(|_| Ok(Box::new(Odd))));
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert_eq!((response.status, response.header("x-injected")), (500, None));
}

#[test]
fn a_panic_in_the_drop_of_a_scrape_costs_that_scrape_alone() {
    struct Drops;
    impl Drop for Drops {
        fn drop(&mut self) {
            panic!("a planted panic");
        }
    }
    let server = serve(opens(|scrape| {
        let drops = scrape.query.is_some().then(|| Drops);
        Ok(chunks(move |buffer| {
            let _held = &drops;
            buffer.extend_from_slice(b"one 1\n");
            Ok(Step::Last)
        }))
    }));
    let mut other = Client::connect(server.local_addr());
    assert_eq!(other.get("/metrics").status, 200);
    let mut client = Client::connect(server.local_addr());
    // It is dropped before its last part is sent, so this is told like any other failure.
    assert_eq!(client.get("/metrics?drop").status, 500);
    assert_eq!(client.get("/metrics").status, 200);
    assert_eq!(other.get("/metrics").status, 200);
    server.shutdown(LONG).expect("nothing in flight");
}

#[test]
fn a_thousand_failed_scrapes_leave_every_place_free() {
    let server = serve(opens(|scrape| match scrape.query {
        Some("ok") => Ok(text("one 1\n")),
        _ => Err("no".into()),
    }));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..1000 {
        assert_eq!(client.get("/metrics").status, 500);
    }
    assert_eq!(client.get("/metrics?ok").status, 200);
}
