//! Any bytes sent to a real endpoint: it answers in HTTP or closes, and serves the next client.
#![no_main]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use telemetry_core::Registry;
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_exporter::Exporter;

const GOOD: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

struct Endpoint {
    _exporter: Exporter,
    path: PathBuf,
}

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("telemetry-fuzz-{}.sock", std::process::id()));
    let registry = Registry::new();
    let series = registry.register::<Counter>(counter("good").tags(["n"])).expect("a metric");
    for n in 0..100 {
        series.with([n.to_string().as_str()]).expect("a series").increment();
    }
    let exporter = Exporter::builder().registry(&registry).endpoint_figures(true);
    let exporter = exporter.listen(format!("unix:{}", path.display())).serve().expect("a free path");
    Endpoint { _exporter: exporter, path }
});

/// Sends everything, says that this is all, and reads until the endpoint closes.
fn ask(request: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(&ENDPOINT.path).expect("the endpoint listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    stream.set_write_timeout(Some(Duration::from_secs(20))).expect("a time");
    // It may have closed already, having read enough.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the endpoint does not close"),
    }
    answer
}

fuzz_target!(|request: &[u8]| {
    let answer = ask(request);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    // Whatever it was, the next one is served. Once in a while, since it takes longer than the rest.
    if request.len() % 16 == 0 {
        let answer = ask(GOOD);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    }
});
