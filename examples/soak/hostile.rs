//! Clients that are slow, silent, or gone: a crowd of them, each of which comes again when it is thrown out.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: crowd\r\n\r\n";
/// How long they wait between two of what they do.
const REST: Duration = Duration::from_millis(200);

/// What clients do to an endpoint.
#[derive(Clone, Copy)]
enum Fault {
    /// Connects, and says nothing.
    Silent,
    /// Sends its head a byte at a time.
    Dribbling,
    /// Asks, and never reads.
    Deaf,
    /// Asks, and reads a little at a time.
    Slow,
    /// Asks, and is gone.
    Gone,
}

const FAULTS: [Fault; 5] = [Fault::Silent, Fault::Dribbling, Fault::Deaf, Fault::Slow, Fault::Gone];

/// A crowd, on threads of its own.
pub(crate) struct Crowd {
    is_over: Arc<AtomicBool>,
    connected: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// As many as `size`, of all kinds.
    pub(crate) fn around(endpoint: SocketAddr, size: usize) -> Self {
        let (is_over, connected) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let attackers = FAULTS.map(|fault| {
            let (is_over, connected) = (Arc::clone(&is_over), Arc::clone(&connected));
            thread::spawn(move || attack(endpoint, fault, size / FAULTS.len(), &connected, &is_over))
        });
        Self { is_over, connected, threads: attackers.into() }
    }

    /// Sends it away, and tells how often one of it has connected.
    pub(crate) fn leave(self) -> u64 {
        // Relaxed, here and elsewhere: nothing is published with it.
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client");
        }
        self.connected.load(Ordering::Relaxed)
    }
}

fn attack(endpoint: SocketAddr, fault: Fault, number: usize, connected: &AtomicU64, is_over: &AtomicBool) {
    let mut clients: Vec<Option<TcpStream>> = (0..number).map(|_| None).collect();
    while !is_over.load(Ordering::Relaxed) {
        for client in &mut clients {
            if client.as_mut().is_none_or(|stream| !goes_on(fault, stream)) && !is_over.load(Ordering::Relaxed) {
                *client = begin(endpoint, fault);
                connected.fetch_add(u64::from(client.is_some()), Ordering::Relaxed);
            }
        }
        thread::sleep(REST);
    }
}

fn begin(endpoint: SocketAddr, fault: Fault) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&endpoint, Duration::from_secs(1)).ok()?;
    // One that waits would keep the others from being hostile.
    stream.set_nonblocking(true).ok()?;
    if !matches!(fault, Fault::Silent | Fault::Dribbling) {
        stream.write_all(REQUEST).ok()?;
    }
    Some(stream)
}

/// Does what such a client does next; false when the endpoint has closed.
fn goes_on(fault: Fault, stream: &mut TcpStream) -> bool {
    let is_there = |result: std::io::Result<usize>| match result {
        Ok(size) => size > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    match fault {
        Fault::Silent => is_there(stream.read(&mut [0; 64])),
        Fault::Dribbling => is_there(stream.write(b"x")),
        Fault::Deaf => stream.take_error().is_ok_and(|error| error.is_none()),
        Fault::Slow => is_there(stream.read(&mut [0; 16 * 1024])),
        Fault::Gone => false,
    }
}
