//! Clients that send nothing, too slowly, too much, or do not read; and the good one beside them.

mod serve_client;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serve_client::{CHUNK, Client, LONG, chunks, letter, letters, opens, serve, serve_one, text};
use telemetry_exporter::serve::{Exposition, Limits, Server, Step};

const SHORT: Duration = Duration::from_millis(200);
/// Longer than a client waits, so that what it waits for does not come of it.
const LONGER: Duration = Duration::from_secs(60);

fn serve_with(limits: Limits, exposition: impl Exposition) -> Server {
    Server::builder().listen("127.0.0.1:0").limits(limits).serve(exposition).expect("a free port")
}

fn is_served(address: SocketAddr) {
    let response = Client::connect(address).get("/metrics?small");
    assert_eq!((response.status, response.text()), (200, "one 1\n"));
}

/// The same for a client that asks again when it was taken for a silent one, which it is on a machine that lets it wait
/// between connecting and asking.
fn is_served_in_the_end(address: SocketAddr) {
    let answered = (0..100).find_map(|_| Client::connect(address).try_get("/metrics").ok());
    assert_eq!(answered.map(|response| response.status), Some(200));
}

/// 50 MB, or one line for `?small`; counts the chunks that were asked for.
fn large_or_small(asked: &Arc<AtomicUsize>) -> impl Exposition + use<> {
    let asked = asked.clone();
    opens(move |scrape| {
        if scrape.query == Some("small") {
            return Ok(text("one 1\n"));
        }
        let (asked, mut at) = (asked.clone(), 0);
        Ok(chunks(move |buffer| {
            asked.fetch_add(1, SeqCst);
            buffer.resize(CHUNK, letter(at));
            at += 1;
            Ok(if at == 800 { Step::Last } else { Step::More })
        }))
    })
}

/// Whether the server cut the connection, told by a write that fails: a client that does not read sees it no sooner.
fn is_cut(client: &mut Client) -> bool {
    let start = Instant::now();
    while start.elapsed() < LONG {
        match client.stream.write_all(b"x") {
            Ok(()) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        }
    }
    false
}

#[test]
fn a_client_that_never_sends_is_closed() {
    let server = serve_with(Limits::default().head_time(SHORT), opens(|_| Ok(text("one 1\n"))));
    let mut client = Client::connect(server.local_addr());
    assert!(client.is_closed());
    is_served(server.local_addr());
}

#[test]
fn a_client_that_dribbles_its_head_is_closed_in_the_middle() {
    let server = serve_with(Limits::default().head_time(SHORT), opens(|_| Ok(text("one 1\n"))));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /metrics HTTP/1.1\r\nX: ");
    assert!(is_cut(&mut client), "each byte came in time, the head did not");
    is_served(server.local_addr());
}

#[test]
fn the_head_of_a_second_request_has_its_own_time() {
    let limits = Limits::default().head_time(SHORT).idle_time(LONGER);
    let server = serve_with(limits, opens(|_| Ok(text("one 1\n"))));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/metrics").status, 200);
    // Longer than a head may take: between requests it is the idle time that counts.
    std::thread::sleep(2 * SHORT);
    assert_eq!(client.get("/metrics").status, 200);
    client.send("GET /met");
    assert!(client.is_closed());
}

#[test]
fn the_time_of_a_response_ends_with_it_also_where_its_body_is_left_out() {
    let limits = Limits::default().response_time(SHORT);
    let server = serve_with(limits, opens(|_| Ok(letters(4))));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        assert_eq!(client.request("HEAD", "/metrics").head().status, 200);
        std::thread::sleep(2 * SHORT);
        assert!(client.get("/metrics").complete);
        std::thread::sleep(2 * SHORT);
    }
}

#[test]
fn a_connection_that_stays_idle_is_closed() {
    let limits = Limits::default().head_time(LONGER).idle_time(SHORT);
    let server = serve_with(limits, opens(|_| Ok(text("one 1\n"))));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/metrics").status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_does_not_read_is_cut_and_costs_a_few_chunks() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = serve_with(Limits::default().stall_time(2 * SHORT), large_or_small(&asked));
    let mut stalled = Client::connect(server.local_addr());
    stalled.request("GET", "/metrics");
    is_served(server.local_addr());
    assert!(is_cut(&mut stalled));
    is_served(server.local_addr());
    // What the system's buffers take is asked for, and one more; the rest of the 800 never is. Most of it is the
    // client's own buffer, on Linux 6 MB at most.
    assert!(asked.load(SeqCst) < 200, "{asked:?} chunks were made for nobody");
}

#[test]
fn a_client_that_reads_too_slowly_is_cut_at_the_end_of_its_response_time() {
    let asked = Arc::new(AtomicUsize::new(0));
    let limits = Limits::default().stall_time(LONGER).response_time(3 * SHORT);
    let server = serve_with(limits, large_or_small(&asked));
    let mut slow = Client::connect(server.local_addr());
    slow.request("GET", "/metrics");
    let mut bytes = [0; CHUNK];
    let start = Instant::now();
    // It would take minutes at this rate.
    let error = loop {
        assert!(start.elapsed() < LONG, "it is still being served");
        match slow.stream.read(&mut bytes) {
            Ok(0) => panic!("an end in order"),
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    is_served(server.local_addr());
}

#[test]
fn a_client_that_rests_less_than_the_stall_time_gets_everything() {
    let server = serve_with(Limits::default().stall_time(LONGER), opens(|_| Ok(letters(300))));
    let mut client = Client::connect(server.local_addr());
    client.request("GET", "/metrics");
    std::thread::sleep(3 * SHORT);
    let response = client.response();
    assert!(response.complete);
    assert_eq!(response.body.len(), 300 * CHUNK);
}

#[test]
fn a_head_that_is_too_long_is_431() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET /metrics HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(20 * 1024)));
    assert_eq!(client.response().status, 431);
    assert!(client.is_closed());
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET /metrics HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(12 * 1024)));
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_query_that_is_too_long_is_431() {
    let server = serve_one();
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET /metrics?{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(20 * 1024)));
    assert_eq!(client.response().status, 431);
}

#[test]
fn a_head_with_too_many_headers_is_431() {
    let server = serve_one();
    for (count, status) in [(99, 200), (200, 431)] {
        let mut client = Client::connect(server.local_addr());
        client.send(&format!("GET /metrics HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: y\r\n".repeat(count)));
        assert_eq!(client.response().status, status, "{count} headers");
    }
}

#[test]
fn a_scraper_gets_in_while_silent_sockets_hold_every_place() {
    let limits = Limits::default().connections(64).head_time(LONGER);
    let server = serve_with(limits, opens(|_| Ok(text("one 1\n"))));
    let _silent: Vec<Client> = (0..64).map(|_| Client::connect(server.local_addr())).collect();
    for _ in 0..5 {
        is_served(server.local_addr());
    }
}

#[test]
fn a_scraper_gets_in_while_every_other_client_has_stopped_reading() {
    let asked = Arc::new(AtomicUsize::new(0));
    let limits = Limits::default().connections(4).scrapes(4).stall_time(LONGER);
    let server = serve_with(limits, large_or_small(&asked));
    let mut stalled: Vec<Client> = (0..4).map(|_| Client::connect(server.local_addr())).collect();
    for client in &mut stalled {
        client.request("GET", "/metrics");
    }
    is_served(server.local_addr());
}

#[test]
fn seventy_clients_are_all_served_by_sixty_four_places() {
    let limits = Limits::default().connections(64).head_time(LONGER);
    let server = serve_with(limits, opens(|_| Ok(text("one 1\n"))));
    let address = server.local_addr();
    let clients: Vec<_> = (0..70).map(|_| std::thread::spawn(move || is_served_in_the_end(address))).collect();
    for client in clients {
        client.join().expect("a scrape");
    }
    // And all of them open at once: the ones that were served make room for the next.
    let mut open = Vec::new();
    for _ in 0..70 {
        let mut client = Client::connect(address);
        assert_eq!(client.get("/metrics").status, 200);
        open.push(client);
    }
    let mut closed = 0;
    for client in &mut open {
        client.stream.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
        closed += usize::from(client.is_closed());
    }
    assert_eq!(closed, 6, "the oldest made room");
}

#[test]
fn a_client_waits_while_every_place_is_in_use() {
    let limits = Limits::default().connections(1);
    let server = serve_with(limits, opens(|_| Ok(letters(400))));
    let mut first = Client::connect(server.local_addr());
    first.request("GET", "/metrics");
    let mut second = Client::connect(server.local_addr());
    second.request("GET", "/metrics");
    let (first, second) = (first.response(), second.response());
    assert!(first.complete && second.complete);
}

/// A body that has no end, or one line for `?small`.
fn endless_or_small() -> impl Exposition {
    opens(|scrape| {
        Ok(match scrape.query {
            Some("small") => text("one 1\n"),
            _ => chunks(|buffer| {
                buffer.resize(CHUNK, b'x');
                Ok(Step::More)
            }),
        })
    })
}

/// A client that asks for the body without an end and reads it as fast as it can, until it is shut down or cut.
fn read_endlessly(address: SocketAddr) -> (TcpStream, JoinHandle<()>) {
    let mut client = Client::connect(address);
    client.request("GET", "/metrics");
    client.stream.peek(&mut [0]).expect("a response");
    let stream = client.stream.try_clone().expect("a descriptor");
    let reader = std::thread::spawn(move || {
        let mut bytes = vec![0; CHUNK];
        while client.stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
    });
    (stream, reader)
}

#[test]
fn a_scrape_beyond_the_limit_is_503_and_other_pages_are_not() {
    let server = serve_with(Limits::default().scrapes(1), endless_or_small());
    let address = server.local_addr();
    let (endless, reader) = read_endlessly(address);
    let response = Client::connect(address).get("/metrics?small");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(Client::connect(address).get("/").status, 200);
    endless.shutdown(Shutdown::Both).expect("open");
    reader.join().expect("a reader that sees the end");
    let start = Instant::now();
    while Client::connect(address).get("/metrics?small").status != 200 {
        assert!(start.elapsed() < LONG, "the place of a client that left is never freed");
    }
}

#[test]
fn a_scrape_takes_the_place_of_one_whose_client_has_stopped_reading() {
    let limits = Limits::default().scrapes(1).stall_time(LONGER);
    let server = serve_with(limits, endless_or_small());
    let mut stalled = Client::connect(server.local_addr());
    stalled.request("GET", "/metrics");
    stalled.stream.peek(&mut [0]).expect("a response");
    let start = Instant::now();
    while Client::connect(server.local_addr()).get("/metrics?small").status != 200 {
        assert!(start.elapsed() < LONG, "one client keeps all others out");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(is_cut(&mut stalled));
}

#[test]
fn a_large_scrape_does_not_keep_the_thread_to_itself() {
    let server = serve(endless_or_small());
    let (_endless, reader) = read_endlessly(server.local_addr());
    for _ in 0..20 {
        is_served(server.local_addr());
    }
    drop(server);
    reader.join().expect("a reader that sees the end");
}
