//! A raw client, and expositions made of closures. Each test file uses a part of it.
#![allow(dead_code)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use telemetry_exporter::serve::{Chunks, Exposition, Scrape, ScrapeError, Server, Step};

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(crate) const CHUNK: usize = 64 * 1024;
/// Far beyond what anything here takes; a test that waits for so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

struct Opens<F>(F);

impl<F> Exposition for Opens<F>
where
    F: Fn(&Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> + Send + Sync + 'static,
{
    fn open(&self, scrape: &Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> {
        (self.0)(scrape)
    }
}

struct Nexts<F>(F);

impl<F: FnMut(&mut Vec<u8>) -> Result<Step, ScrapeError> + Send> Chunks for Nexts<F> {
    fn content_type(&self) -> &'static str {
        CONTENT_TYPE
    }
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
        (self.0)(buffer)
    }
}

pub(crate) fn opens<F>(open: F) -> impl Exposition
where
    F: Fn(&Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> + Send + Sync + 'static,
{
    Opens(open)
}

pub(crate) fn chunks(next: impl FnMut(&mut Vec<u8>) -> Result<Step, ScrapeError> + Send + 'static) -> Box<dyn Chunks> {
    Box::new(Nexts(next))
}

/// A body of one chunk.
pub(crate) fn text(text: impl Into<String>) -> Box<dyn Chunks> {
    let text = text.into();
    chunks(move |buffer| {
        buffer.extend_from_slice(text.as_bytes());
        Ok(Step::Last)
    })
}

/// A body of `count` chunks of 64 KiB, each of one letter, the next in the next chunk.
pub(crate) fn letters(count: usize) -> Box<dyn Chunks> {
    let mut at = 0;
    chunks(move |buffer| {
        buffer.resize(CHUNK, letter(at));
        at += 1;
        Ok(if at == count { Step::Last } else { Step::More })
    })
}

pub(crate) fn letter(chunk: usize) -> u8 {
    b'a' + u8::try_from(chunk % 26).expect("below 26")
}

pub(crate) fn serve(exposition: impl Exposition) -> Server {
    Server::bind("127.0.0.1:0", exposition).expect("a free port")
}

/// Serves `one 1` at both targets.
pub(crate) fn serve_one() -> Server {
    serve(opens(|_| Ok(text("one 1\n"))))
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended where its head says; `false` if the connection ended first.
    pub(crate) complete: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| &**value);
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a listener");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream.set_write_timeout(Some(LONG)).expect("a timeout");
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &str) -> &mut Self {
        self.stream.write_all(bytes.as_bytes()).expect("a server that reads");
        self
    }

    pub(crate) fn request(&mut self, method: &str, path: &str) -> &mut Self {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// Asks with one more line in the head.
    pub(crate) fn request_with(&mut self, path: &str, line: &str) -> &mut Self {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{line}\r\n\r\n"))
    }

    pub(crate) fn get_with(&mut self, path: &str, line: &str) -> Response {
        self.request_with(path, line).response()
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path).response()
    }

    /// Reads one response.
    pub(crate) fn response(&mut self) -> Response {
        self.read(true).expect("a response")
    }

    /// Asks, and reads the response, unless the server closes the connection first.
    pub(crate) fn try_get(&mut self, path: &str) -> io::Result<Response> {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        self.read(true)
    }

    /// Reads one response to a `HEAD`.
    pub(crate) fn head(&mut self) -> Response {
        self.read(false).expect("a response")
    }

    /// Whether the server closes the connection without a further byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && matches!(self.fill(), Ok(false))
    }

    /// Reads more; `false` at the end, be it in order or not.
    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut bytes) {
                // A read with a timeout is not begun again by the system, as others are.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(read) => {
                self.unread.extend_from_slice(&bytes[..read]);
                Ok(read > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 2);
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Moves `count` bytes to `body`; `false` if there are fewer.
    fn take(&mut self, count: usize, body: &mut Vec<u8>) -> io::Result<bool> {
        while self.unread.len() < count {
            if !self.fill()? {
                body.append(&mut self.unread);
                return Ok(false);
            }
        }
        body.extend(self.unread.drain(..count));
        Ok(true)
    }

    fn read(&mut self, with_body: bool) -> io::Result<Response> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let status = self.line()?.ok_or_else(ended)?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            let line = self.line()?.ok_or_else(ended)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header");
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new(), complete: true };
        if !with_body || status == 204 {
            return Ok(response);
        }
        if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            response.complete = self.take(length, &mut response.body)?;
        } else if response.header("transfer-encoding") == Some("chunked") {
            response.complete = self.chunked(&mut response.body)?;
        } else {
            // Ends with the connection, in order or by a reset.
            let end = loop {
                let mut byte = [0; 4096];
                match self.stream.read(&mut byte) {
                    Ok(0) => break true,
                    Ok(read) => self.unread.extend_from_slice(&byte[..read]),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break false,
                    Err(error) => return Err(error),
                }
            };
            response.complete = end;
            response.body.append(&mut self.unread);
        }
        Ok(response)
    }

    fn chunked(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let Some(size) = self.line()? else { return Ok(false) };
            let size = usize::from_str_radix(&size, 16).expect("a chunk's size");
            if !self.take(size, body)? {
                return Ok(false);
            }
            let end = self.line()?;
            match end.as_deref() {
                Some("") if size == 0 => return Ok(true),
                Some("") => {}
                None => return Ok(false),
                Some(other) => panic!("{other:?} after a chunk"),
            }
        }
    }
}
