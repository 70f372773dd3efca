//! Serves the metrics of `telemetry-core` to Prometheus.
