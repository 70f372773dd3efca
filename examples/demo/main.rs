//! A small shop over HTTP that can be watched: `cargo run --release --example demo`, then open the URLs that it prints.
//!
//! | file | |
//! | --- | --- |
//! | `events.rs` | what the shop tells of itself, whoever listens |
//! | `metrics.rs` | what the application makes of it |
//! | `handlers.rs` | who else listens: one handler inline, one on a lane |
//! | `shop.rs` | products, stock, orders, payments: it emits |
//! | `service.rs` | the shop over HTTP: it emits, too |
//! | `traffic.rs` | customers, so that there is something to see |

mod arguments;
mod dice;
mod events;
mod handlers;
mod metrics;
mod service;
mod shop;
mod traffic;

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use telemetry_core::Registry;
use telemetry_exporter::Exporter;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal;

use arguments::{Arguments, HELP, Request};
use service::Service;
use shop::Shop;

/// How long what is under way may take when the demo ends.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Help) => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(error);
            return ExitCode::from(2);
        }
    };
    match Runtime::new().map_err(Box::from).and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let exporter = Exporter::builder()
        .registry(&registry)
        .metrics(metrics::definitions()?)
        .title("The demo shop")
        .listen(arguments.listen)
        .serve()
        .map_err(|error| format!("--listen: {error}"))?;
    let service = Service::new(Shop::open(), &registry)?;
    let slowest = handlers::slowest_request()?;
    let log = handlers::log_of_failures()?;

    let listener = TcpListener::bind(arguments.service)
        .await
        .map_err(|error| format!("--service: can't listen on {}: {error}; choose another port", arguments.service))?;
    let address = listener.local_addr()?;
    let end = end(arguments.seconds)?;

    say(format_args!("the shop     http://{address}/products"));
    say(format_args!("its metrics  http://{}/metrics", exporter.local_addr()));
    match arguments.seconds {
        Some(seconds) => say(format_args!("ends after {seconds} s; Ctrl-C ends it before")),
        None => say("Ctrl-C ends it"),
    }

    let customers = arguments.traffic.then(|| traffic::customers(address));
    let end_of_traffic = async {
        end.await;
        drop(customers);
    };
    service.serve(listener, end_of_traffic).await;

    // What waits in the lane is delivered, and the exporter goes last: it can be asked until all is counted.
    log.shutdown(GRACE)?;
    let connections = registry.snapshot().total("http.server.connections", &[]).unwrap_or_default();
    say(format_args!("{connections} connections; the slowest request took {:?}", slowest.duration()));
    exporter.shutdown(GRACE)?;
    Ok(())
}

/// What a process exits with that was asked twice to end, and did not finish what was under way.
const INTERRUPTED: i32 = 130;

/// Ends with the time, with Ctrl-C, or when a supervisor asks for it; from this call on, no signal kills the process, but
/// who asks a second time is not made to wait.
fn end(seconds: Option<u64>) -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let (mut interrupt, mut terminate) = {
        use signal::unix::{SignalKind, signal};
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    Ok(async move {
        let time = async {
            match seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        #[cfg(unix)]
        tokio::select! {
            () = time => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(unix)]
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(INTERRUPTED);
        });
        #[cfg(not(unix))]
        tokio::select! {
            () = time => {}
            _ = signal::ctrl_c() => {}
        }
    })
}

/// Prints a line. Unlike `println!` it doesn't panic when nobody reads any more.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(error: impl Display) {
    let _ = writeln!(io::stderr(), "demo: {error}");
}
