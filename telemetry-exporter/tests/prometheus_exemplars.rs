//! A real Prometheus stores the exemplars of a process, and gives them back as they are.

mod prometheus_server;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use prometheus_server::Prometheus;
use telemetry_core::exemplar::Sampler;
use telemetry_core::instrument::{Buckets, Exponential};
use telemetry_core::metric::{Metric, counter, distribution, sum};
use telemetry_core::snapshot::ValueSnapshot;
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
                let histogram = match &series.value {
                    ValueSnapshot::Histogram { bounds, exponential: None, .. } => Some(bounds),
                    // A native histogram is a series of its own, without `le`.
                    _ => None,
                };
                if let Some(bounds) = histogram {
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

/// What a Prometheus that asks in its own way has stored, after two scrapes, is what the process holds of `definitions`.
fn check_stored(mut program: Command, features: &str, definitions: impl FnOnce(&Sampler) -> Vec<Metric>, count: usize) {
    program.arg(format!("--enable-feature={features}"));
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
    let exporter = Exporter::builder()
        .registry(&registry)
        .dispatch(&dispatch)
        .metrics(definitions(&traces))
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
    assert_eq!(held.len(), count, "{held:#?}");

    let prometheus = Prometheus::start(program, &[("shop", exporter.local_addr())]);
    while prometheus.scrapes_of("shop") < 2 {
        prometheus.pause();
    }
    assert_eq!(stored(&prometheus), held);
    assert_eq!(prometheus.query("min_over_time(up{job=\"shop\"}[1h])")[0].1, 1.0);
}

fn totals_and_a_distribution(traces: &Sampler) -> Vec<Metric> {
    let buckets = Buckets::new([0.005, 0.3, 1.0]).unwrap();
    vec![
        counter("stored.request.count").tags(["route"]).exemplars(traces),
        sum("stored.request.body").unit(Unit::Byte).exemplars(traces),
        distribution("stored.request.took").tags(["route"]).buckets(buckets).exemplars(traces),
    ]
}

/// Four buckets and one total for two routes, and one total more.
const TOTALS_AND_BUCKETS: usize = 11;

#[test]
fn prometheus_stores_the_exemplars_that_the_process_holds() {
    let Some(program) = telemetry_testkit::peer::prometheus() else { return };
    check_stored(program, "exemplar-storage", totals_and_a_distribution, TOTALS_AND_BUCKETS);
}

/// With native histograms it asks for protobuf, and there the exemplars of a classic histogram are read too.
#[test]
fn prometheus_stores_the_exemplars_of_protobuf() {
    let Some(program) = telemetry_testkit::peer::prometheus() else { return };
    check_stored(program, "exemplar-storage,native-histograms", totals_and_a_distribution, TOTALS_AND_BUCKETS);
}

#[test]
fn prometheus_3_stores_the_exemplars_of_native_histograms() {
    let Some(program) = telemetry_testkit::peer::prometheus_3() else { return };
    let definitions = |traces: &Sampler| {
        let native = distribution("stored.native").event("stored.request").measurement("took").tags(["route"]);
        let mut metrics = totals_and_a_distribution(traces);
        metrics.push(native.exponential(Exponential::default()).exemplars(traces));
        metrics
    };
    // A native histogram keeps one for values of like size: here three for each route.
    check_stored(program, "exemplar-storage,native-histograms", definitions, TOTALS_AND_BUCKETS + 6);
}
