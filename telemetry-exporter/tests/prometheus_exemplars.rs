//! A real Prometheus stores the exemplars of a process, and gives them back as they are.

mod prometheus_server;

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_server::Prometheus;
use telemetry_core::exemplar::Sampler;
use telemetry_core::instrument::Buckets;
use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::{Dispatch, Registry, Unit, emit};
use telemetry_exporter::Exporter;
use telemetry_exporter::name::Names;

/// Of each exemplar the series that it stands at, its own labels, its value, and when in milliseconds.
type Stored = Vec<(BTreeMap<String, String>, BTreeMap<String, String>, f64, u64)>;

/// What the process holds, in the order of its series.
fn held(registry: &Registry) -> Stored {
    let mut held = Stored::new();
    for family in registry.snapshot().families() {
        let names = Names::new(&family.family);
        for series in &family.series {
            for exemplar in &series.exemplars {
                let mut labels = series.labels.clone();
                labels.insert("__name__".to_owned(), names.main().into_owned());
                if let telemetry_core::snapshot::ValueSnapshot::Histogram { bounds, .. } = &series.value {
                    let bound = bounds.iter().copied().find(|bound| exemplar.value <= *bound).unwrap_or(f64::INFINITY);
                    labels.insert("__name__".to_owned(), format!("{}_bucket", names.base()));
                    labels.insert("le".to_owned(), threshold(bound));
                }
                let millis = u64::try_from(exemplar.timestamp.as_millis()).unwrap();
                held.push((labels, exemplar.labels.clone(), exemplar.value, millis));
            }
        }
    }
    held.sort_by(|a, b| a.partial_cmp(b).unwrap());
    held
}

/// The same of what is stored.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Milliseconds since 1970.
fn stored(prometheus: &Prometheus) -> Stored {
    let texts = |labels: &serde_json::Value| -> BTreeMap<String, String> {
        let labels = labels.as_object().unwrap().iter();
        labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    let mut stored = Stored::new();
    for series in prometheus.exemplars("{job=\"shop\"}").as_array().unwrap() {
        let mut labels = texts(&series["seriesLabels"]);
        labels.remove("job");
        labels.remove("instance");
        if let Some(le) = labels.get_mut("le") {
            *le = threshold(le.parse().unwrap());
        }
        for exemplar in series["exemplars"].as_array().unwrap() {
            let value = exemplar["value"].as_str().unwrap().parse().unwrap();
            let millis = (exemplar["timestamp"].as_f64().unwrap() * 1e3).round() as u64;
            stored.push((labels.clone(), texts(&exemplar["labels"]), value, millis));
        }
    }
    stored.sort_by(|a, b| a.partial_cmp(b).unwrap());
    stored
}

fn threshold(value: f64) -> String {
    format!("{value:?}")
}

#[test]
fn prometheus_stores_the_exemplars_that_the_process_holds() {
    let Some(mut program) = telemetry_testkit::peer::prometheus() else { return };
    program.arg("--enable-feature=exemplar-storage");
    // The first of each bucket stays, so that what is stored does not depend on when it was scraped.
    let traces = Sampler::new(|exemplar| {
        let trace = exemplar.event().and_then(|event| event.tag("trace"));
        let Some(trace) = trace.and_then(|trace| trace.to_string().parse().ok()) else { return };
        exemplar.trace(trace, u64::MAX);
        // Nothing to escape: Prometheus 2.42 keeps the escapes of an exemplar's labels as they are written.
        exemplar.label("text", "é {a=b}, # 1");
    });
    let traces = traces.every(Duration::MAX);
    let (registry, dispatch) = (Registry::new(), Dispatch::new());
    let buckets = Buckets::new([0.005, 0.3, 1.0]).unwrap();
    let exporter = Exporter::builder()
        .registry(&registry)
        .dispatch(&dispatch)
        .metric(counter("stored.request.count").tags(["route"]).exemplars(&traces))
        .metric(sum("stored.request.body").unit(Unit::Byte).exemplars(&traces))
        .metric(distribution("stored.request.took").tags(["route"]).buckets(buckets).exemplars(&traces))
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    dispatch.run(|| {
        for (at, millis) in [5_u32, 300, 301, 2_000, 1_999].into_iter().enumerate() {
            for route in ["/", "/größe \"\\\n"] {
                let took = Duration::from_millis(millis.into());
                emit!("stored.request", { took, body: millis }, { route, trace: at + 1 });
            }
        }
    });
    let held = held(&registry);
    // Four buckets and one total for two routes, and one total more.
    assert_eq!(held.len(), 11, "{held:#?}");

    let prometheus = Prometheus::start(program, &[("shop", exporter.local_addr())]);
    while prometheus.scrapes_of("shop") < 2 {
        prometheus.pause();
    }
    assert_eq!(stored(&prometheus), held);
    assert_eq!(prometheus.query("min_over_time(up{job=\"shop\"}[1h])")[0].1, 1.0);
}
