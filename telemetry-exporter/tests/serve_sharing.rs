//! Scrapes that ask for the same at the same time share one body, and wait for nobody.

mod serve_client;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serve_client::{CHUNK, Client, LONG, chunks, opens};
use telemetry_core::Registry;
use telemetry_core::scrape::{Sample, Series, Source, Total, Visit};
use telemetry_exporter::serve::{Exposition, Figures, Limits, Server, Step};

/// Bodies of `count` chunks; each says in every byte which walk it is of, and takes `time` for a chunk.
fn walks(begun: &Arc<AtomicUsize>, count: usize, time: Duration) -> impl Exposition + use<> {
    let begun = Arc::clone(begun);
    opens(move |_| {
        let walk = begun.fetch_add(1, SeqCst);
        let mut at = 0;
        Ok(chunks(move |buffer| {
            thread::sleep(time);
            buffer.resize(CHUNK, b'a' + u8::try_from(walk % 26).expect("below 26"));
            at += 1;
            Ok(if at == count { Step::Last } else { Step::More })
        }))
    })
}

fn serve_with(limits: Limits, exposition: impl Exposition) -> Server {
    Server::builder().listen("127.0.0.1:0").limits(limits).serve(exposition).expect("a free port")
}

/// The bodies of as many clients, who ask at the same time.
fn at_once(address: SocketAddr, clients: usize, path: impl Fn(usize) -> &'static str) -> Vec<serve_client::Response> {
    let start = Arc::new(Barrier::new(clients));
    let clients: Vec<_> = (0..clients)
        .map(|number| {
            let (path, start) = (path(number), Arc::clone(&start));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                start.wait();
                client.get(path)
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().expect("a scrape")).collect()
}

/// The value of a figure.
fn figure(figures: &Arc<Figures>, name: &str, label: &str) -> u64 {
    struct Find<'a>(&'a str, &'a str, bool, u64);
    impl Visit for Find<'_> {
        fn family(&mut self, family: &telemetry_core::family::Family) {
            self.2 = family.name() == format!("telemetry.endpoint.{}", self.0);
        }
        fn series(&mut self, series: &Series<'_>) {
            let is_it = self.1.is_empty() || series.labels.iter().any(|(_, value)| value == self.1);
            if let (true, true, Sample::Total(Total::U64(count))) = (self.2, is_it, series.sample) {
                self.3 = count;
            }
        }
    }
    let mut find = Find(name, label, false, 0);
    figures.collect(&mut find);
    find.3
}

#[test]
fn sixty_clients_at_once_are_served_by_few_walks_and_each_body_is_of_one() {
    let (begun, figures) = (Arc::new(AtomicUsize::new(0)), Arc::new(Figures::default()));
    let exposition = walks(&begun, 12, Duration::from_millis(2));
    let server = Server::builder().listen("127.0.0.1:0").figures(&figures).serve(exposition).expect("a free port");
    let responses = at_once(server.local_addr(), 60, |_| "/metrics");
    for response in &responses {
        assert_eq!((response.status, response.complete, response.body.len()), (200, true, 12 * CHUNK));
        assert!(response.body.iter().all(|byte| *byte == response.body[0]), "a body of two walks");
    }
    let begun = begun.load(SeqCst);
    assert!(begun <= 8, "{begun} walks for 60 clients");
    assert_eq!(figure(&figures, "scrapes.shared", ""), 60 - begun as u64);
}

#[test]
fn scrapes_that_ask_for_different_things_share_nothing() {
    let begun = Arc::new(AtomicUsize::new(0));
    let server = serve_with(Limits::default(), walks(&begun, 12, Duration::from_millis(2)));
    let paths = ["/metrics", "/metrics.json", "/metrics?a", "/metrics?b"];
    let responses = at_once(server.local_addr(), 4, |number| paths[number]);
    assert_eq!(begun.load(SeqCst), 4);
    let mut walks: Vec<u8> = responses.iter().map(|response| response.body[0]).collect();
    walks.sort_unstable();
    assert_eq!(walks, b"abcd");
}

#[test]
fn nothing_is_shared_where_no_bytes_may_be() {
    let begun = Arc::new(AtomicUsize::new(0));
    let limits = Limits::default().shared_bytes(0);
    let server = serve_with(limits, walks(&begun, 6, Duration::from_millis(2)));
    at_once(server.local_addr(), 6, |_| "/metrics");
    assert_eq!(begun.load(SeqCst), 6);
}

/// A client's two scrapes in a row: the second must not be older than the first, or a counter would go back.
#[test]
fn nobody_joins_a_body_that_was_begun_before_another_was_completed() {
    let begun = Arc::new(AtomicUsize::new(0));
    let server = serve_with(Limits::default().scrapes(64), walks(&begun, 6, Duration::from_millis(3)));
    let address = server.local_addr();
    let clients: Vec<_> = (0..6_u32)
        .map(|number| {
            thread::spawn(move || {
                let mut client = Client::connect(address);
                thread::sleep(Duration::from_millis(u64::from(number) * 7));
                let mut walks = Vec::new();
                for _ in 0..20 {
                    walks.push(client.get("/metrics").body[0]);
                }
                walks
            })
        })
        .collect();
    let mut all = 0;
    for client in clients {
        // The letters are counted round and round.
        for pair in client.join().expect("scrapes").windows(2) {
            let steps = (26 + i32::from(pair[1]) - i32::from(pair[0])) % 26;
            assert!((1..20).contains(&steps), "walk {} after walk {}", char::from(pair[1]), char::from(pair[0]));
            all += 1;
        }
    }
    assert!(begun.load(SeqCst) < all, "some were shared");
}

#[test]
fn a_slow_client_does_not_slow_those_that_share_its_body() {
    let begun = Arc::new(AtomicUsize::new(0));
    // More than the system buffers for a client that reads nothing.
    let limits = Limits::default().stall_time(3 * LONG).response_time(3 * LONG).shared_bytes(1 << 30);
    let server = serve_with(limits, walks(&begun, 400, Duration::ZERO));
    let address = server.local_addr();
    let mut slow = Client::connect(address);
    slow.request("GET", "/metrics");
    let start = Instant::now();
    let mut fast = Client::connect(address).get("/metrics");
    assert!(fast.complete && fast.body.len() == 400 * CHUNK);
    assert!(start.elapsed() < LONG);
    fast.body.clear();
    // And the slow one gets all of it in its own time.
    let response = slow.response();
    assert!(response.complete && response.body.len() == 400 * CHUNK);
}

#[test]
fn a_client_too_far_behind_is_cut_and_the_next_such_body_is_not_shared() {
    let (begun, figures) = (Arc::new(AtomicUsize::new(0)), Arc::new(Figures::default()));
    let limits = Limits::default().stall_time(3 * LONG).response_time(3 * LONG).shared_bytes(4 * CHUNK);
    let exposition = walks(&begun, 500, Duration::from_micros(500));
    let builder = Server::builder().listen("127.0.0.1:0").limits(limits).figures(&figures);
    let server = builder.serve(exposition).expect("a free port");
    let address = server.local_addr();
    // Both ask while the server is busy with neither.
    let (mut slow, mut fast) = (Client::connect(address), Client::connect(address));
    slow.request("GET", "/metrics");
    fast.request("GET", "/metrics");
    let response = fast.response();
    assert!(response.complete && response.body.len() == 500 * CHUNK, "{}", response.body.len());
    if figure(&figures, "scrapes.shared", "") == 0 {
        // The second came later than a mebibyte of the first; there is nothing to see.
        return;
    }
    assert!(!slow.response().complete, "it was left behind");
    assert_eq!(figure(&figures, "cuts", "failed"), 1);

    let (mut slow, mut fast) = (Client::connect(address), Client::connect(address));
    slow.request("GET", "/metrics");
    fast.request("GET", "/metrics");
    assert!(fast.response().complete);
    assert!(slow.response().complete, "it has a body of its own now");
    assert_eq!(figure(&figures, "scrapes.shared", ""), 1);
}

#[test]
fn a_body_goes_on_for_those_who_joined_when_its_first_client_leaves() {
    let begun = Arc::new(AtomicUsize::new(0));
    let server = serve_with(Limits::default(), walks(&begun, 14, Duration::from_millis(5)));
    let address = server.local_addr();
    for _ in 0..5 {
        let (mut first, mut second) = (Client::connect(address), Client::connect(address));
        first.request("GET", "/metrics");
        second.request("GET", "/metrics");
        first.stream.read_exact(&mut [0; 100]).expect("a beginning");
        drop(first);
        let response = second.response();
        assert!(response.complete && response.body.len() == 14 * CHUNK);
    }
    assert!(begun.load(SeqCst) < 10, "some were shared");
}

#[test]
fn an_error_in_a_shared_body_is_everybodys() {
    let server = serve_with(
        Limits::default(),
        opens(|_| {
            let mut at = 0;
            Ok(chunks(move |buffer| {
                thread::sleep(Duration::from_millis(5));
                buffer.resize(CHUNK, b'x');
                at += 1;
                if at == 8 { Err("the store is on fire".into()) } else { Ok(Step::More) }
            }))
        }),
    );
    for response in at_once(server.local_addr(), 4, |_| "/metrics") {
        assert_eq!((response.status, response.complete), (200, false));
    }
    assert_eq!(Client::connect(server.local_addr()).get("/-/healthy").status, 200);
}

#[test]
fn clients_of_an_exporter_at_once_get_equal_bodies_that_add_up() {
    use telemetry_core::instrument::Counter;
    use telemetry_core::metric::counter;
    let registry = Registry::new();
    let series = registry.register::<Counter>(counter("shared").tags(["n"]).limit(30_000)).expect("a metric");
    for n in 0..30_000 {
        series.with([n.to_string().as_str()]).expect("a series").increment();
    }
    let exporter = telemetry_exporter::Exporter::builder().registry(&registry).listen("127.0.0.1:0");
    let exporter = exporter.serve().expect("a free port");
    for response in at_once(exporter.local_addr(), 32, |_| "/metrics") {
        assert!(response.complete, "{}", response.status);
        assert_eq!(response.text().lines().filter(|line| line.starts_with("shared_total{")).count(), 30_000);
    }
}

#[test]
fn a_client_that_joins_and_never_reads_costs_the_others_nothing() {
    let begun = Arc::new(AtomicUsize::new(0));
    let limits = Limits::default().stall_time(Duration::from_millis(300));
    let server = serve_with(limits, walks(&begun, 300, Duration::ZERO));
    let address = server.local_addr();
    let mut silent: Vec<Client> = (0..20).map(|_| Client::connect(address)).collect();
    for client in &mut silent {
        client.request("GET", "/metrics");
    }
    for _ in 0..5 {
        assert!(Client::connect(address).get("/metrics").complete);
    }
    let start = Instant::now();
    while silent.iter_mut().any(|client| client.stream.write_all(b"x").is_ok()) {
        assert!(start.elapsed() < LONG, "they are never cut");
        thread::sleep(Duration::from_millis(20));
    }
}
