//! The macros of `metrics`, with our recorder and our exporter.

use metrics::{counter, gauge, histogram, with_local_recorder};
use telemetry_core::Registry;
use telemetry_core::facade::{Recorder, Shape};
use telemetry_core::instrument::Buckets;
use telemetry_exporter::{Format as Exposition, render};

use crate::case::{Format, Setup, StoreSetup, exposed, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{Draw, Tags};

/// Ours behind the facade.
#[derive(Debug)]
pub struct Facade;

/// A recorder of its own for each case: the process may have but one, and that is the peer's.
fn recorder(limit: usize) -> (Recorder, Registry) {
    let registry = Registry::new();
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let shape = Shape::new().buckets(Buckets::latency()).limit(limit);
    (Recorder::builder(&registry).shape("*", shape).build(), registry)
}

/// Runs each operation with the recorder of the case, which is found in the thread as the peer's is in the process.
fn recorded(limit: usize, operation: impl Fn(&mut Draw) + Send + Sync + 'static) -> Setup {
    let (recorder, registry) = recorder(limit);
    exposed(move |draw| with_local_recorder(&recorder, || operation(draw)), move || render(&registry, Exposition::Text))
}

impl Implementation for Facade {
    fn name(&self) -> &'static str {
        "ours-facade"
    }

    fn kind(&self) -> Kind {
        Kind::Ours
    }

    fn about(&self) -> &'static str {
        "`counter!(..)` of the crate metrics, our recorder; the labels are made as for the peer `metrics`"
    }

    fn counter_held(&self) -> Setup {
        let (recorder, registry) = recorder(1);
        let held = with_local_recorder(&recorder, || counter!("requests_total"));
        exposed(move |_| held.increment(1), move || render(&registry, Exposition::Text))
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        recorded(tags.iter().count() + 1, |draw| {
            let drawn = draw.event(tags);
            counter!("requests_total", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .increment(1);
        })
    }

    fn counter_enum_tags(&self) -> Setup {
        recorded(1_000, |draw| {
            let (route, status, _) = draw.words();
            counter!("requests_total", "route" => route.as_str(), "status" => status.as_str()).increment(1);
        })
    }

    fn histogram_held(&self) -> Setup {
        let (recorder, registry) = recorder(1);
        let held = with_local_recorder(&recorder, || histogram!("latency_seconds"));
        exposed(move |draw| held.record(draw.value()), move || render(&registry, Exposition::Text))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        recorded(tags.iter().count() + 1, |draw| {
            let drawn = draw.event(tags);
            histogram!("latency_seconds", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .record(drawn.value);
        })
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        recorded(tags.iter().count() + 1, |draw| {
            let drawn = draw.event(tags);
            counter!("requests_total", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .increment(1);
            histogram!("latency_seconds", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .record(drawn.value);
        })
    }

    fn gauge_set(&self) -> Setup {
        let (recorder, registry) = recorder(1);
        let held = with_local_recorder(&recorder, || gauge!("depth"));
        exposed(move |draw| held.set(draw.value()), move || render(&registry, Exposition::Text))
    }

    fn counter_series(&self, series: usize) -> StoreSetup {
        let (recorder, registry) = recorder(series + 1);
        let touch = move |[cluster, host, queue]: [&str; 3]| {
            with_local_recorder(&recorder, || {
                counter!(
                    "requests_total",
                    "cluster" => cluster.to_owned(), "host" => host.to_owned(), "queue" => queue.to_owned()
                )
                .increment(1);
            });
        };
        stored(touch, move |format| {
            Some(match format {
                Format::Text => render(&registry, Exposition::Text),
                Format::OpenMetrics => render(&registry, Exposition::OpenMetrics),
            })
        })
    }
}
