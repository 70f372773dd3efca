//! Everything that can be measured, one file for each library.
//!
//! To add one: write `impls/NAME.rs` with a type that implements [`Implementation`], and name it in [`all`].

use crate::implementation::Implementation;

pub mod facade;
pub mod fastmetrics;
pub mod limits;
pub mod measured;
pub mod metrics;
pub mod metriken;
pub mod opentelemetry;
pub mod ours;
pub mod prometheus;
pub mod prometheus_client;
pub mod tracing;

/// All of them, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Box<dyn Implementation>> {
    vec![
        Box::new(ours::Ours),
        Box::new(ours::OursStreamed),
        Box::new(ours::OursHeld),
        Box::new(facade::Facade),
        Box::new(metrics::Metrics),
        Box::new(prometheus::Prometheus),
        Box::new(prometheus::PrometheusHeld),
        Box::new(prometheus::PrometheusLocal),
        Box::new(prometheus_client::PrometheusClient),
        Box::new(opentelemetry::OpenTelemetry),
        Box::new(opentelemetry::OpenTelemetryBound),
        Box::new(measured::Measured),
        Box::new(fastmetrics::Fastmetrics),
        Box::new(metriken::Metriken),
        Box::new(metriken::MetrikenSharded),
        Box::new(tracing::Tracing),
        Box::new(limits::Loop),
        Box::new(limits::LoadBranch),
        Box::new(limits::DrawAlone),
        Box::new(limits::TlsCell),
        Box::new(limits::TlsWord),
        Box::new(limits::AtomicAdd),
        Box::new(limits::AtomicStore),
        Box::new(limits::InstantNow),
        Box::new(limits::Print),
        Box::new(limits::Channel),
        Box::new(limits::Text),
    ]
}

/// Libraries that are not measured, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("measured 0.1", "needs Rust 1.98; 0.0.25 is measured instead"),
    ("metrique", "writes one record for each unit of work and keeps no totals that a scraper could read"),
    (
        "metriken with tags",
        "has no way from tags to a series: its families give out handles, and each call makes a new member",
    ),
];
