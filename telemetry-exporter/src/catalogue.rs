//! The catalogue of events as JSON.
//!
//! ```json
//! {"events":[
//!   {"name":"shop.checkout","origin":"typed","documentation":"A cart was paid.",
//!    "measurements":[{"name":"total","unit":"euros","description":"What was paid."}],
//!    "tags":[{"name":"country","values":null,"description":""}],
//!    "metrics":[{"name":"shop.checkout.count","kind":"counter","unit":null,"measurement":null,"labels":["country"],"help":"A cart was paid."}],
//!    "handlers":[{"id":"telemetry.exporter","pattern":"shop.checkout","lane":null}],
//!    "places":[{"module":"shop::cart","file":"src/cart.rs","line":12}]}],
//!  "conflicts":[],
//!  "orphans":[]}
//! ```
//!
//! Each event, conflict and orphan is a line, the keys of an object come in the order of the alphabet, and what is not known is
//! `null`. A conflict has the `event`, its two `places`, and the `differences` between them;
//! an orphan the name of an `event` that the program does not have, and the `metric` that waits for it.

use serde_json::{Value, json};
use telemetry_core::catalogue::{Catalogue, Conflict, Entry, MetricEntry, Orphan};
use telemetry_core::event::{Location, Origin};
use telemetry_core::handler::Delivery;

/// The catalogue as a JSON object: see the head of this module.
///
/// ```
/// use telemetry_core::catalogue::Catalogue;
/// use telemetry_exporter::catalogue::to_json;
///
/// telemetry_core::emit!("exporter.catalogue.shown");
/// let json = to_json(&Catalogue::of_program().only(["exporter.catalogue.*"])?);
/// assert!(json.starts_with("{\"events\":[\n{"));
/// assert!(json.contains("\"name\":\"exporter.catalogue.shown\""));
/// # Ok::<(), telemetry_core::name::NameError>(())
/// ```
#[must_use]
pub fn to_json(catalogue: &Catalogue) -> String {
    let events = lines(catalogue.events().iter().map(event));
    let conflicts = lines(catalogue.conflicts().iter().map(conflict));
    let orphans = lines(catalogue.orphans().iter().map(orphan));
    format!("{{\"events\":[{events}],\n\"conflicts\":[{conflicts}],\n\"orphans\":[{orphans}]}}\n")
}

fn lines(values: impl Iterator<Item = Value>) -> String {
    let lines: Vec<String> = values.map(|value| format!("\n{value}")).collect();
    lines.join(",")
}

fn event(event: &Entry) -> Value {
    let measurements = event.measurements.iter().map(|field| {
        json!({"name": field.name, "unit": field.unit.map(|unit| unit.plural()), "description": field.description})
    });
    let tags = event
        .tags
        .iter()
        .map(|field| json!({"name": field.name, "values": field.variants, "description": field.description}));
    let metrics = event.metrics.iter().map(metric);
    let handlers = event.handlers.iter().map(|handler| {
        let lane = match &handler.delivery {
            Delivery::Lane(lane) => Some(lane),
            _ => None,
        };
        json!({"id": handler.id, "pattern": handler.pattern.to_string(), "lane": lane})
    });
    let origin = match event.origin {
        Origin::Typed => "typed",
        Origin::Dynamic => "dynamic",
        _ => "ad_hoc",
    };
    json!({
        "name": event.name,
        "origin": origin,
        "documentation": event.documentation,
        "measurements": measurements.collect::<Value>(),
        "tags": tags.collect::<Value>(),
        "metrics": metrics.collect::<Value>(),
        "handlers": handlers.collect::<Value>(),
        "places": event.places.iter().map(place).collect::<Value>(),
    })
}

fn metric(metric: &MetricEntry) -> Value {
    json!({
        "name": metric.name,
        "kind": metric.kind.name(),
        "unit": metric.unit.map(|unit| unit.plural()),
        "measurement": metric.measurement,
        "labels": metric.labels,
        "help": metric.help,
    })
}

fn orphan(orphan: &Orphan) -> Value {
    json!({"event": orphan.event, "metric": metric(&orphan.metric)})
}

fn conflict(conflict: &Conflict) -> Value {
    json!({
        "event": conflict.event,
        "places": [place(&conflict.first), place(&conflict.second)],
        "differences": conflict.differences,
    })
}

fn place(place: &Location) -> Value {
    json!({"module": place.module, "file": place.file, "line": place.line})
}
