//! Serves the metrics of `telemetry-core` to Prometheus.

// From a walk to bytes.
pub mod encode;
pub mod name;
pub mod negotiate;
mod number;
