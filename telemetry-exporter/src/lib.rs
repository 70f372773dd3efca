//! Serves the metrics of `telemetry-core` to Prometheus.

// From a walk to bytes.
pub mod encode;
pub mod name;
pub mod negotiate;
mod number;

// From bytes to a client.
mod exporter;
mod own;
pub mod serve;

pub use encode::Options;
pub use exporter::{Builder, Exporter, ExporterError, render};
pub use negotiate::Format;
