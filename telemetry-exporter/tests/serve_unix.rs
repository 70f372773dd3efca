//! A socket of this machine: where it is, who may connect, and what becomes of its file.
#![cfg(unix)]

mod secure;
mod serve_client;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use secure::Folder;
use serve_client::{CHUNK, chunks, letters, opens, text};
use telemetry_exporter::serve::{Access, Address, ServeError, Server, Step, UnixSocket, UnixSocketError};

fn serve(address: impl Into<Address>) -> Result<Server, ServeError> {
    Server::bind(
        address,
        opens(|scrape| if scrape.query == Some("large") { Ok(letters(40)) } else { Ok(text("one 1\n")) }),
    )
}

fn get(path: &Path, target: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("a listener");
    stream.set_read_timeout(Some(serve_client::LONG)).expect("a timeout");
    write!(stream, "GET {target} HTTP/1.0\r\n\r\n").expect("a server that reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    response
}

fn refusal(address: impl Into<Address>) -> UnixSocketError {
    match serve(address) {
        Err(ServeError::Unix(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_socket_is_scraped_and_its_file_is_gone_afterwards() {
    let folder = Folder::new();
    let path = folder.path("m.sock");
    let server = serve(format!("unix:{}", path.display())).unwrap();
    assert_eq!(server.local_path(), Some(&*path));
    assert_eq!(server.local_addr().port(), 0);
    let response = get(&path, "/metrics");
    assert!(response.starts_with("HTTP/1.0 200") && response.ends_with("\r\n\r\none 1\n"), "{response}");
    let response = get(&path, "/metrics?large");
    assert!(response.len() > 40 * CHUNK, "{}", response.len());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing lies beside it");
    server.shutdown(Duration::from_secs(5)).unwrap();
    assert!(!path.exists());
}

/// A socket has no reset, so the missing end is all that tells.
#[test]
fn a_body_that_fails_has_no_end() {
    let folder = Folder::new();
    let path = folder.path("m.sock");
    let fails = opens(|_| {
        let mut is_first = true;
        Ok(chunks(move |buffer| {
            buffer.resize(CHUNK, b'a');
            if std::mem::take(&mut is_first) { Ok(Step::More) } else { Err("the store is on fire".into()) }
        }))
    });
    let _server = Server::bind(format!("unix:{}", path.display()), fails).unwrap();
    let mut stream = UnixStream::connect(&path).expect("a listener");
    stream.set_read_timeout(Some(serve_client::LONG)).expect("a timeout");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").expect("a server that reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200") && response.len() > CHUNK, "{} bytes", response.len());
    assert!(!response.ends_with("0\r\n\r\n"), "it looks whole");
}

#[test]
fn curl_scrapes_a_socket() {
    let Some(mut curl) = telemetry_testkit::peer::curl() else { return };
    let folder = Folder::new();
    let path = folder.path("m.sock");
    let _server = serve(UnixSocket::new(&path)).unwrap();
    let output = curl.args(["-sS", "--unix-socket"]).arg(&path).arg("http://localhost/metrics").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one 1\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_permissions_are_those_that_were_told() {
    let folder = Folder::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (open, told) = (folder.path("a.sock"), folder.path("b.sock"));
    let _servers = (serve(UnixSocket::new(&open)).unwrap(), serve(UnixSocket::new(&told).mode(0o600)).unwrap());
    assert_eq!((mode(&open), mode(&told)), (0o660, 0o600));
}

#[test]
fn a_socket_that_a_killed_process_left_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("m.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the system does not remove it");
    let _server = serve(UnixSocket::new(&path)).unwrap();
    assert!(get(&path, "/metrics").ends_with("one 1\n"));
}

#[test]
fn a_socket_in_use_is_taken() {
    let folder = Folder::new();
    let path = folder.path("m.sock");
    let _server = serve(UnixSocket::new(&path)).unwrap();
    let error = refusal(UnixSocket::new(&path));
    assert!(matches!(&error, UnixSocketError::Taken { path: told, .. } if *told == path), "{error:?}");
    assert!(error.to_string().contains("choose another path"), "{error}");
    assert!(get(&path, "/metrics").ends_with("one 1\n"), "the first still serves");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let path = folder.write("m.sock", "precious");
    assert!(matches!(refusal(UnixSocket::new(&path)), UnixSocketError::NoSocket { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_place_that_cannot_be_is_told() {
    let folder = Folder::new();
    assert!(matches!(refusal(UnixSocket::new(folder.path("no/m.sock"))), UnixSocketError::Folder { .. }));
    assert!(matches!(refusal(UnixSocket::new(folder.path(&"x".repeat(120)))), UnixSocketError::Long { .. }));
    assert!(matches!(refusal("unix:"), UnixSocketError::Bind { .. }));
    assert!(refusal("unix:").to_string().contains("write one, as in unix:/"), "{}", refusal("unix:"));
}

#[test]
fn the_file_of_a_successor_is_not_removed() {
    let folder = Folder::new();
    let path = folder.path("m.sock");
    let first = serve(UnixSocket::new(&path)).unwrap();
    fs::rename(&path, folder.path("aside.sock")).unwrap();
    let _second = serve(UnixSocket::new(&path)).unwrap();
    drop(first);
    assert!(get(&path, "/metrics").ends_with("one 1\n"));
}

#[test]
fn clients_of_a_socket_are_of_no_network() {
    let folder = Folder::new();
    let path = folder.path("m.sock");
    let exposition = opens(|_| Ok(text("one 1\n")));
    let _server = Server::builder()
        .listen(UnixSocket::new(&path))
        .access(Access::new().allow("10.0.0.0/8"))
        .serve(exposition)
        .unwrap();
    assert!(get(&path, "/metrics").ends_with("one 1\n"));
}
