//! A client of HTTP that knows just enough to ask an endpoint.

use std::fmt::Display;
use std::io::{self, Error, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Far beyond what anything here takes; a test that waits for so long has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// What text 0.0.4 is asked for with.
pub const TEXT: &str = "text/plain;version=0.0.4";
/// What OpenMetrics is asked for with.
pub const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The lines of the head below the status.
    head: String,
    /// The body, whole.
    pub body: String,
}

impl Response {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Asks for `path`, accepting what `accept` says.
///
/// # Errors
///
/// When the server can't be reached, says nothing for [`LONG`], or ends before its answer does.
pub fn get(address: impl Into<SocketAddr>, path: &str, accept: &str) -> io::Result<Response> {
    let address = address.into();
    let mut stream = TcpStream::connect_timeout(&address, LONG)?;
    stream.set_read_timeout(Some(LONG))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// Asks again and again until the answer is as `is_as_wanted` says, and gives it.
///
/// # Panics
///
/// When the server can't be asked, or no such answer comes for [`LONG`].
pub fn get_until(
    address: impl Into<SocketAddr>,
    path: &str,
    accept: &str,
    is_as_wanted: impl Fn(&Response) -> bool,
) -> Response {
    let (address, deadline) = (address.into(), Instant::now() + LONG);
    loop {
        let response = get(address, path, accept).unwrap_or_else(|error| panic!("{address}{path}: {error}"));
        if is_as_wanted(&response) {
            return response;
        }
        assert!(Instant::now() < deadline, "what is wanted of {address}{path} does not come:\n{}", response.body);
        thread::sleep(Duration::from_millis(50));
    }
}

fn parse(bytes: &[u8]) -> io::Result<Response> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| bad("the head has no end"))?;
    let (head, body) = (utf8(&bytes[..end])?, &bytes[end + 4..]);
    let (line, head) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| bad(format_args!("no status in {line:?}")))?;
    let response = Response { status, head: head.to_owned(), body: String::new() };
    let body = match (response.header("transfer-encoding"), response.header("content-length")) {
        (Some("chunked"), _) => join_chunks(body)?,
        (_, Some(length)) if length != body.len().to_string() => {
            return Err(bad(format_args!("a body of {} bytes instead of {length}", body.len())));
        }
        _ => body.to_vec(),
    };
    Ok(Response { body: utf8(&body)?, ..response })
}

fn join_chunks(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let cut = || bad("the body was cut");
        let end = rest.windows(2).position(|two| two == b"\r\n").ok_or_else(cut)?;
        let size = usize::from_str_radix(&utf8(&rest[..end])?, 16).map_err(bad)?;
        let chunk = rest.get(end + 2..end + 2 + size).ok_or_else(cut)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size + 2..).ok_or_else(cut)?;
    }
}

fn utf8(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(bad)
}

fn bad(what: impl Display) -> Error {
    Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// An address of loopback that nobody listens on just now.
///
/// # Panics
///
/// When the system has none.
#[must_use]
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has a free port")
}
