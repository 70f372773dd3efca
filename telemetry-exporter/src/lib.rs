//! Serves the metrics of `telemetry-core` to Prometheus.
//!
//! ```text
//! Registry --- Scrape: families, series, samples ---> Encoder ---> 64 KiB at a time ---> Server, on its own thread
//!                                                     text, OpenMetrics, protobuf, JSON  GET /metrics
//! ```
//!
//! - **Exporter**: definitions, an aggregator and an endpoint in one builder: [`Exporter`].
//! - **Encoder**: turns a walk into the bytes of one format: [`encode::Encoder`].
//! - **Names**: what a family is called in an exposition: [`name::Names`].
//! - **Negotiation**: which format a scraper gets, and names that it can read: [`negotiate::negotiate`].
//! - **Catalogue**: the events of the program as JSON: [`catalogue::to_json`].
//! - **Compression**: gzip for clients that take it: [`compress::Coding`].
//! - **Server**: an HTTP endpoint over anything that can be scraped: [`serve::Server`].
//!
//! ```
//! use std::io::{Read, Write};
//! use telemetry_core::emit;
//! use telemetry_core::metric::counter;
//! use telemetry_exporter::Exporter;
//!
//! let exporter = Exporter::builder()
//!     .metric(counter("shop.checkout.count").tags(["country"]))
//!     .listen("127.0.0.1:0")
//!     .serve()?;
//! emit!("shop.checkout", {}, { country: "de" });
//!
//! let mut client = std::net::TcpStream::connect(exporter.local_addr())?;
//! client.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
//! let mut response = String::new();
//! client.read_to_string(&mut response)?;
//! assert!(response.contains("\nshop_checkout_total{country=\"de\"} 1\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Which thread does the work?** The endpoint's own: it walks, encodes and sends. The application needs no async
//! runtime. To serve from a server of your own, take a `MetricsService` (feature `tower`), call [`render`], or drive a
//! [`Scrape`](telemetry_core::registry::Scrape) with an encoder step by step.
//!
//! **Consistency.** What a scrape may see is said on the front page of `telemetry-core`. A response that cannot be
//! finished is cut with a reset of the connection, so nobody takes a part of it for the whole.
//!
//! # Features
//!
//! - `gzip` (default), `zstd`: compressed bodies.
//! - `auth`, `tls`, `web-config`: who may ask, and over what; see [`serve`].
//! - `openmetrics2`: OpenMetrics 2.0, for scrapers that ask for that version.
//! - `tower`: `MetricsService`, a `tower` service to be mounted in a server of the application's own.

#![cfg_attr(docsrs, feature(doc_cfg))]

// From a walk to bytes.
pub mod compress;
pub mod encode;
mod filter;
pub mod name;
pub mod negotiate;
mod number;

// What can be emitted.
pub mod catalogue;

// From bytes to a client.
mod about;
mod exporter;
mod exposed;
mod own;
mod recording;
pub mod serve;
mod sources;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

pub use encode::Options;
pub use exporter::{Builder, Exporter, ExporterError, render, render_bytes, render_to};
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub use exporter::{MetricsBody, MetricsService};
pub use name::Escaping;
pub use negotiate::Format;

/// The documents of the repository: what they show is compiled and run.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    mod readme {}

    #[doc = include_str!("../../docs/guide.md")]
    mod guide {}

    #[doc = include_str!("../../docs/architecture.md")]
    mod architecture {}

    #[doc = include_str!("../../docs/exposition.md")]
    mod exposition {}

    #[cfg(feature = "tower")]
    #[doc = include_str!("../../docs/http.md")]
    mod http {}

    #[doc = include_str!("../../docs/native-histograms.md")]
    mod native_histograms {}

    #[doc = include_str!("../../docs/facade.md")]
    mod facade {}

    #[doc = include_str!("../../docs/names.md")]
    mod names {}

    #[doc = include_str!("../../docs/testing.md")]
    mod testing {}

    #[doc = include_str!("../../docs/endpoint.md")]
    mod endpoint {}

    #[cfg(feature = "web-config")]
    #[doc = include_str!("../../docs/securing.md")]
    mod securing {}
}
