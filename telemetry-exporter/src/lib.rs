//! Serves the metrics of `telemetry-core` to Prometheus.

pub mod serve;
