//! Bodies that are compressed for clients that ask for it, and for nobody else.

mod serve_client;

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serve_client::{CHUNK, Client, LONG, Response, chunks, letters, opens, serve, text};
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::compress::Coding;
use telemetry_exporter::serve::{Server, Step};
use telemetry_exporter::{Exporter, Format, render};
use telemetry_testkit::peer;

/// Bytes that don't compress.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()[0]
    }
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let (mut decoder, mut plain) = (flate2::read::GzDecoder::new(body), Vec::new());
    decoder.read_to_end(&mut plain).expect("gzip");
    let mut with_all_members = Vec::new();
    MultiGzDecoder::new(body).read_to_end(&mut with_all_members).expect("gzip");
    assert_eq!(plain.len(), with_all_members.len(), "readers of one member see all of it");
    plain
}

fn gzip(client: &mut Client, path: &str) -> Response {
    let response = client.get_with(path, "Accept-Encoding: gzip");
    assert!(response.complete);
    assert_eq!((response.status, response.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
    response
}

/// An exporter with enough series for many chunks.
fn exporter(series: u32) -> Exporter {
    let registry = Registry::new();
    let requests = counter("requests").tags(["path"]).limit(series);
    let requests = registry.register::<Counter>(requests).expect("a metric");
    for n in 0..series {
        requests.with([format!("/resource/{n}").as_str()]).expect("a series").add(u64::from(n));
    }
    Exporter::builder().registry(&registry).listen("127.0.0.1:0").serve().expect("a free port")
}

#[test]
fn what_is_unzipped_is_what_others_get() {
    let exporter = exporter(20_000);
    let mut client = Client::connect(exporter.local_addr());
    for path in ["/metrics", "/metrics.json"] {
        let plain = client.get(path);
        assert_eq!(plain.header("content-encoding"), None);
        assert!(plain.body.len() > 8 * CHUNK, "many chunks");
        let zipped = gzip(&mut client, path);
        assert!(zipped.body.len() * 5 < plain.body.len(), "{} of {}", zipped.body.len(), plain.body.len());
        assert_eq!(unzipped(&zipped.body), plain.body);
    }
}

#[test]
fn equal_bodies_are_equal_when_they_are_compressed() {
    let server = serve(opens(|_| Ok(letters(9))));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(gzip(&mut client, "/metrics").body, gzip(&mut client, "/metrics").body);
}

#[test]
fn bodies_of_every_size_are_whole() {
    let server = serve(opens(|scrape| {
        let size: usize = scrape.query.and_then(|size| size.parse().ok()).expect("a size");
        // Without a pattern that compresses, and in steps of all sizes, none among them.
        let (mut left, mut noise) = (size, Noise(1));
        Ok(chunks(move |buffer| {
            let part = left.min(usize::from(noise.next()) * 1000);
            buffer.extend((0..part).map(|_| noise.next()));
            left -= part;
            Ok(if left == 0 { Step::Last } else { Step::More })
        }))
    }));
    let mut client = Client::connect(server.local_addr());
    for size in [1024, 1025, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1_000_003] {
        let plain = client.get(&format!("/metrics?{size}"));
        assert_eq!(plain.body.len(), size);
        assert!(unzipped(&gzip(&mut client, &format!("/metrics?{size}")).body) == plain.body, "{size}");
    }
}

#[test]
fn a_small_body_is_sent_as_it_is() {
    let server = serve(opens(|scrape| Ok(text("x".repeat(if scrape.query.is_some() { 0 } else { 1023 })))));
    let mut client = Client::connect(server.local_addr());
    for (path, length) in [("/metrics", "1023"), ("/metrics?empty", "0")] {
        let response = client.get_with(path, "Accept-Encoding: gzip");
        assert_eq!((response.header("content-encoding"), response.header("content-length")), (None, Some(length)));
        assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
    }
}

#[test]
fn nobody_gets_what_they_did_not_ask_for() {
    let server = serve(opens(|_| Ok(letters(2))));
    let mut client = Client::connect(server.local_addr());
    for header in ["X: gzip", "Accept-Encoding: gzip;q=0", "Accept-Encoding: identity", "Accept-Encoding: br, deflate"]
    {
        let response = client.get_with("/metrics", header);
        assert_eq!((response.header("content-encoding"), response.body.len()), (None, 2 * CHUNK), "{header}");
    }
    let response = client.get_with("/metrics", "Accept-Encoding: br\r\nAccept-Encoding: gzip, gzip");
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(unzipped(&response.body).len(), 2 * CHUNK, "one layer of it");
}

#[test]
fn an_endpoint_without_codings_compresses_nothing() {
    let builder = Server::builder().listen("127.0.0.1:0").codings([]);
    let server = builder.serve(opens(|_| Ok(letters(2)))).expect("a free port");
    let response = Client::connect(server.local_addr()).get_with("/metrics", "Accept-Encoding: gzip");
    assert_eq!((response.header("content-encoding"), response.body.len()), (None, 2 * CHUNK));
}

#[test]
fn head_says_of_a_compressed_body_what_get_does() {
    let server = serve(opens(|_| Ok(letters(1))));
    let mut client = Client::connect(server.local_addr());
    let get = gzip(&mut client, "/metrics");
    let head = client.send("HEAD /metrics HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n").head();
    for name in ["content-encoding", "content-length", "vary", "content-type"] {
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
    assert_eq!(client.get("/-/healthy").status, 200);
}

#[test]
fn a_compressed_body_that_fails_is_cut() {
    let server = serve(opens(|_| {
        let (mut at, mut noise) = (0, Noise(1));
        Ok(chunks(move |buffer| {
            at += 1;
            buffer.extend((0..CHUNK).map(|_| noise.next()));
            if at > 6 { Err("the store is on fire".into()) } else { Ok(Step::More) }
        }))
    }));
    let response = Client::connect(server.local_addr()).get_with("/metrics", "Accept-Encoding: gzip");
    assert_eq!((response.status, response.complete), (200, false));
    server.shutdown(LONG).expect("nothing in flight");
}

#[test]
fn what_is_rendered_can_be_compressed_by_hand() {
    let exporter = exporter(1000);
    let body = render(exporter.registry(), Format::OpenMetrics);
    let coding = Coding::negotiate(Some(b"gzip"), &[Coding::Gzip, Coding::Identity]);
    let zipped = coding.compress(body.as_bytes()).expect("memory");
    assert_eq!(unzipped(&zipped), body.as_bytes());
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_is_read_back_by_its_own_library() {
    let exporter = exporter(20_000);
    let mut client = Client::connect(exporter.local_addr());
    let plain = client.get("/metrics.json");
    let response = client.get_with("/metrics.json", "Accept-Encoding: gzip, zstd");
    assert_eq!((response.header("content-encoding"), response.complete), (Some("zstd"), true));
    assert!(zstd::decode_all(&*response.body).expect("zstd") == plain.body);
}

#[test]
fn curl_reads_a_compressed_body_as_the_plain_one() {
    let Some(mut curl) = peer::curl() else { return };
    let exporter = exporter(5_000);
    let url = format!("http://{}/metrics.json", exporter.local_addr());
    let plain = peer::answer(curl.args(["--silent", "--show-error", &url]), "");
    let mut compressed = peer::curl().expect("it was there");
    let compressed = peer::answer(compressed.args(["--silent", "--show-error", "--compressed", &url]), "");
    assert!(plain.status.success() && compressed.status.success(), "{compressed:?}");
    assert!(!plain.stdout.is_empty() && plain.stdout == compressed.stdout);
}

/// What a scrape of a part only would cost: figures that are missing and nobody knows. Each client that is cut says so.
#[test]
fn curl_notices_a_body_that_a_deadline_cuts() {
    let Some(_) = peer::curl() else { return };
    // It goes on until the deadline.
    let server = serve(opens(|_| {
        let mut noise = Noise(1);
        Ok(chunks(move |buffer| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            buffer.extend((0..CHUNK).map(|_| noise.next()));
            Ok(Step::More)
        }))
    }));
    let url = format!("http://{}/metrics", server.local_addr());
    for version in ["--http1.0", "--http1.1"] {
        for more in [&[][..], &["--compressed"]] {
            let mut curl = peer::curl().expect("it was there");
            curl.args(["--silent", "--show-error", "--output", "/dev/null", version, "--max-time", "20"]);
            curl.args(["--header", "X-Prometheus-Scrape-Timeout-Seconds: 1", &url]).args(more);
            let output = peer::answer(&mut curl, "");
            let code = output.status.code().expect("an exit");
            // 18 is "partial file", 56 "failure in receiving"; 28 would be curl's own patience.
            assert!([18, 56].contains(&code), "{version} {more:?}: {output:?}");
        }
    }
}
