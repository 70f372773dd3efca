//! From the bind to the end of the thread.

mod serve_client;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serve_client::{CHUNK, Client, LONG, chunks, letters, opens, serve, serve_one, text};
use telemetry_exporter::serve::{Address, ServeError, Server, ShutdownError, Step};

fn one() -> impl telemetry_exporter::serve::Exposition {
    opens(|_| Ok(text("one 1\n")))
}

fn is_send_and_sync<T: Send + Sync + 'static>(_: &T) {}

#[test]
fn a_server_can_be_kept_anywhere() {
    let server = serve_one();
    is_send_and_sync(&server);
    assert!(format!("{server:?}").contains(&server.local_addr().to_string()));
}

#[test]
fn the_default_address_is_loopback() {
    let address: SocketAddr = Address::default().to_string().parse().expect("an address");
    assert!(address.ip().is_loopback());
}

#[test]
fn an_address_can_be_given_as_text_as_a_pair_or_as_it_is() {
    let socket: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let text = String::from("127.0.0.1:0");
    let addresses: [Address; 5] =
        ["127.0.0.1:0".into(), text.into(), socket.into(), ([127, 0, 0, 1], 0).into(), "localhost:0".into()];
    for address in addresses {
        let server = Server::bind(address, one()).expect("a free port");
        assert_ne!(server.local_addr().port(), 0);
        assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 200);
    }
}

#[test]
fn version_6_is_served_where_the_machine_has_it() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = Server::bind("[::1]:0", one()).expect("a free port");
    assert!(server.local_addr().is_ipv6());
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").text(), "one 1\n");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_the_address() {
    let first = serve_one();
    let taken = first.local_addr();
    let error = Server::bind(taken, one()).expect_err("it is taken");
    assert!(matches!(&error, ServeError::Taken { address, .. } if *address == taken), "{error:?}");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(Client::connect(taken).get("/metrics").status, 200, "the first is not harmed");
    first.shutdown(LONG).expect("nothing in flight");
    let _second = Server::bind(taken, one()).expect("it is free again");
}

/// A runtime may not be dropped within another; that of the endpoint that can't be is given up instead.
#[test]
fn a_port_that_is_taken_is_an_error_within_a_runtime_too() {
    let first = serve_one();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let error = runtime.block_on(async { Server::bind(first.local_addr(), one()).expect_err("it is taken") });
    assert!(matches!(error, ServeError::Taken { .. }), "{error:?}");
}

#[test]
fn text_that_is_no_address_is_an_error_that_names_it() {
    for bad in ["", "here", "127.0.0.1", ":9464", "127.0.0.1:99999", "127.0.0.1:-1", "[::1:80", "http://127.0.0.1:80"] {
        let error = Server::bind(bad, one()).expect_err("no address");
        assert!(matches!(&error, ServeError::Address { text, .. } if text == bad), "{bad:?}: {error:?}");
        assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
    }
}

#[test]
fn an_address_of_another_machine_is_an_error_that_names_it() {
    // Set aside for documentation, so no interface has it.
    let error = Server::bind("192.0.2.1:9464", one()).expect_err("not ours");
    assert!(matches!(error, ServeError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("192.0.2.1:9464"), "{error}");
}

#[test]
fn a_shutdown_lets_a_response_in_flight_finish() {
    let server = serve(opens(|_| Ok(letters(400))));
    let address = server.local_addr();
    let mut client = Client::connect(address);
    client.request("GET", "/metrics");
    // The status is there, so the response has begun; most of it waits for this client.
    let mut first = [0; 1];
    client.stream.peek(&mut first).expect("a response");
    let shutdown = std::thread::spawn(move || server.shutdown(LONG));
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(start.elapsed() < LONG, "it still accepts");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!shutdown.is_finished(), "a response is in flight");
    let response = client.response();
    assert!(response.complete);
    assert_eq!(response.body.len(), 400 * CHUNK);
    assert_eq!(shutdown.join().expect("no panic"), Ok(()));
    assert!(client.is_closed());
}

#[test]
fn a_shutdown_cuts_what_is_in_flight_at_the_end_of_the_grace() {
    let server = serve(opens(|_| Ok(letters(400))));
    let mut client = Client::connect(server.local_addr());
    client.request("GET", "/metrics");
    client.stream.peek(&mut [0]).expect("a response");
    let cut = server.shutdown(Duration::from_millis(100));
    assert_eq!(cut, Err(ShutdownError::Cut { responses: 1 }));
    assert!(!client.response().complete);
}

#[test]
fn a_shutdown_does_not_wait_for_silent_and_idle_clients() {
    let server = serve_one();
    let mut silent = Client::connect(server.local_addr());
    let mut idle = Client::connect(server.local_addr());
    assert_eq!(idle.get("/metrics").status, 200);
    let start = Instant::now();
    assert_eq!(server.shutdown(2 * LONG), Ok(()));
    assert!(start.elapsed() < LONG);
    assert!(silent.is_closed() && idle.is_closed());
}

#[test]
fn a_drop_stops_the_server_and_frees_the_port() {
    let server = serve_one();
    let address = server.local_addr();
    let mut idle = Client::connect(address);
    assert_eq!(idle.get("/metrics").status, 200);
    drop(server);
    assert!(idle.is_closed());
    TcpStream::connect(address).expect_err("nobody listens");
}

#[test]
fn a_drop_cuts_a_response_that_nobody_reads() {
    let server = serve(opens(|_| Ok(letters(800))));
    let mut client = Client::connect(server.local_addr());
    client.request("GET", "/metrics");
    client.stream.peek(&mut [0]).expect("a response");
    drop(server);
    assert!(!client.response().complete);
}

#[test]
fn the_exposition_is_dropped_with_the_server() {
    let held = Arc::new(());
    let server = serve(opens({
        let held = held.clone();
        move |_| {
            let held = held.clone();
            Ok(chunks(move |buffer| {
                let _held = &held;
                buffer.resize(CHUNK, b'x');
                Ok(Step::More)
            }))
        }
    }));
    let mut client = Client::connect(server.local_addr());
    client.request("GET", "/metrics");
    client.stream.peek(&mut [0]).expect("a response");
    assert!(Arc::strong_count(&held) >= 3, "the test, the exposition, a scrape");
    drop(server);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_server_may_be_dropped_by_what_it_serves() {
    let own: Arc<Mutex<Option<Server>>> = Arc::default();
    let server = serve(opens({
        let own = own.clone();
        move |_| {
            drop(own.lock().expect("no panic").take());
            Ok(text("last 1\n"))
        }
    }));
    let address = server.local_addr();
    *own.lock().expect("no panic") = Some(server);
    assert_eq!(Client::connect(address).get("/metrics").text(), "last 1\n");
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(start.elapsed() < LONG, "it still accepts");
    }
}

#[test]
fn an_exposition_that_does_not_return_is_left_behind_and_told() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = serve(opens(move |_| {
        // An error says that the test is over.
        let _ = released.lock().expect("no panic").recv();
        Ok(text(""))
    }));
    let mut client = Client::connect(server.local_addr());
    client.request("GET", "/metrics");
    // Nothing tells when the request has arrived; a shutdown before that would be in order.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.shutdown(Duration::ZERO), Err(ShutdownError::Stuck));
    drop(release);
}

#[test]
fn a_hundred_servers_leave_no_thread_and_no_descriptor() {
    fn count(folder: &str) -> Option<usize> {
        Some(std::fs::read_dir(folder).ok()?.count())
    }
    // The other tests of this file have servers too, so the count is of many.
    let before = count("/proc/self/fd").zip(count("/proc/self/task"));
    for _ in 0..100 {
        let server = serve_one();
        assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 200);
    }
    let after = count("/proc/self/fd").zip(count("/proc/self/task"));
    if let (Some((files, threads)), Some((files_after, threads_after))) = (before, after) {
        assert!(files_after < files + 90, "{files} files became {files_after}");
        assert!(threads_after < threads + 90, "{threads} threads became {threads_after}");
    }
}
