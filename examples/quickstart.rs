//! One event, three metrics, one endpoint: `cargo run --release --example quickstart`, then open the URL that it prints.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use telemetry_core::emit;
use telemetry_core::metric::{counter, distribution, spiral};
use telemetry_exporter::Exporter;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The application decides what becomes a metric.
    let exporter = Exporter::builder()
        .metric(counter("shop.cart.checkout.count").tags(["country"]))
        .metric(distribution("shop.cart.checkout.amount").tags(["country"]))
        .metric(spiral("shop.cart.checkout.items"))
        .listen("127.0.0.1:9464")
        .serve()?;
    println!("http://{}/metrics", exporter.local_addr());

    // A library says what happens; when nobody listens, this is one load and a branch.
    for cart in 0_u32.. {
        let country = if cart % 3 == 0 { "de" } else { "fr" };
        emit!("shop.cart.checkout", { amount: 12.5, items: 3_u64 }, { country, paid: true });
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
