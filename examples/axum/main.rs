//! An axum application that is watched: `cargo run --release --example axum`, then open the URLs that it prints.
//!
//! One layer tells of all requests, by the template of their path; the metrics are a route of the application.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../arguments.rs"]
mod arguments;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use arguments::Arguments;
use axum::Router;
use axum::extract::{MatchedPath, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use telemetry_core::http::{ServerLayer, server};
use telemetry_exporter::Exporter;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::read("A small axum application, with its metrics as one of its routes.");
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let metrics = Exporter::builder().metrics(server::metrics()).source(server::active_requests()).service()?;

    let app = Router::new()
        .route("/products/{name}", get(product))
        .route("/orders", post(order))
        .layer(ServerLayer::new().route_from(MatchedPath::as_str))
        // Behind the layer, which tells of the routes before it: a scrape is no traffic.
        .route_service("/metrics", metrics);

    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("--listen: can't listen on {}: {error}; choose another port", arguments.listen))?;
    let address = listener.local_addr()?;
    println!("try it   curl http://{address}/products/tea; curl -d 3 http://{address}/orders");
    println!("metrics  http://{address}/metrics");
    axum::serve(listener, app).with_graceful_shutdown(async move { arguments.end().await }).await?;
    Ok(())
}

async fn product(Path(name): Path<String>) -> Result<String, StatusCode> {
    tokio::time::sleep(Duration::from_millis(3)).await;
    if name == "tea" { Ok(format!("{name} 4.50\n")) } else { Err(StatusCode::NOT_FOUND) }
}

async fn order(quantity: String) -> (StatusCode, String) {
    match quantity.trim().parse::<u32>() {
        Ok(quantity) => (StatusCode::CREATED, format!("{quantity} on their way\n")),
        Err(_) => (StatusCode::BAD_REQUEST, "how many?\n".to_owned()),
    }
}
