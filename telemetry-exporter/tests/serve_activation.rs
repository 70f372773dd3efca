//! Sockets that are passed to a process when it starts: descriptor 3, and variables that tell of it.
#![cfg(unix)]

mod serve_client;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use serve_client::{Client, opens, text};
use telemetry_exporter::serve::{ActivationError, Address, ServeError, Server};

const NAME: &str = "a_passed_socket_is_served";
/// Set in the process that is passed a socket: where it listens.
const CHILD: &str = "TELEMETRY_TEST_ACTIVATED";

fn serve(address: impl Into<Address>) -> Result<Server, ServeError> {
    Server::bind(address, opens(|_| Ok(text("one 1\n"))))
}

#[test]
fn a_passed_socket_is_served() {
    if let Ok(address) = std::env::var(CHILD) {
        return serve_what_was_passed(&address);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It comes as the standard input, which the shell moves; it then becomes the program, with the same process id.
    let script = "exec env LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=metrics:other \"$0\" --exact \"$1\" --nocapture \
                  3<&0 4</dev/null 0</dev/null";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(CHILD, address.to_string())
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A client that was there before the server is served, too: the socket listens all the time.
    let response = Client::connect(address).get("/metrics");
    assert_eq!((response.status, response.text()), (200, "one 1\n"));
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

fn serve_what_was_passed(address: &str) {
    match serve("systemd:unheard-of") {
        Err(ServeError::Activation(ActivationError::Name { passed, .. })) => assert_eq!(passed, ["metrics", "other"]),
        other => panic!("{other:?}"),
    }
    // The second is no socket, so not all can be served.
    match serve("systemd") {
        Err(ServeError::Activation(ActivationError::NotListening { fd: 4, .. })) => {}
        other => panic!("{other:?}"),
    }
    let server = serve("systemd:metrics").unwrap();
    assert_eq!(server.local_addr().to_string(), address);
    let response = Client::connect(server.local_addr()).get("/metrics");
    assert_eq!(response.status, 200);
    // The socket is the manager's: another server of the process can take it again, and so ask for the first client.
    drop(server);
    let server = serve("systemd:metrics").unwrap();
    assert_eq!(Client::connect(server.local_addr()).get("/metrics").status, 200);
    // What this process starts has no part in it.
    let script = "[ -S /dev/fd/3 ] && echo held || echo free";
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "free\n");
}

#[test]
fn a_process_that_was_passed_nothing_is_told_what_to_do() {
    let error = serve("systemd").unwrap_err();
    assert!(matches!(error, ServeError::Activation(ActivationError::Nothing)), "{error:?}");
    assert!(error.to_string().contains("LISTEN_FDS"), "{error}");
}
