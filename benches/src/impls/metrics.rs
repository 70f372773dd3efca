//! `metrics` with `metrics-exporter-prometheus`: macros at the place of use, a recorder for the process.

use std::error::Error;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::case::{Case, Counted, Format, Setup, Store, StoreSetup, each, exposed};
use crate::implementation::{Implementation, Kind};
use crate::tags::{BOUNDS, Draw, Tags};

/// The facade and its exporter.
#[derive(Debug)]
pub struct Metrics;

/// Installs the recorder of the process, as its documentation tells.
fn recorder() -> Result<&'static PrometheusHandle, Box<dyn Error>> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = RECORDER.get() {
        return Ok(handle);
    }
    let handle = PrometheusBuilder::new().set_buckets(&BOUNDS)?.install_recorder()?;
    Ok(RECORDER.get_or_init(|| handle))
}

/// A case with histograms, which keep their samples until the upkeep.
struct Buffered<F> {
    operation: F,
    recorder: &'static PrometheusHandle,
}

impl<F: Fn(&mut Draw) + Send + Sync> Case for Buffered<F> {
    fn run(&self, times: u64, draw: &mut Draw) {
        for _ in 0..times {
            black_box(&self.operation)(draw);
        }
    }

    fn settle(&self) {
        self.recorder.run_upkeep();
    }

    fn counted(&self) -> Counted {
        Counted::Exposition(self.recorder.render())
    }
}

fn buffered(operation: impl Fn(&mut Draw) + Send + Sync + 'static) -> Setup {
    Ok(Some(Box::new(Buffered { operation, recorder: recorder()? })))
}

struct Series<T> {
    touch: T,
    recorder: &'static PrometheusHandle,
}

impl<T: Fn([&str; 3]) + Send + Sync> Store for Series<T> {
    fn touch(&self, labels: [&str; 3]) {
        (self.touch)(labels);
    }

    fn settle(&self) {
        self.recorder.run_upkeep();
    }

    fn render(&self, format: Format) -> Option<String> {
        (format == Format::Text).then(|| self.recorder.render())
    }
}

impl Implementation for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`counter!(\"requests_total\", \"route\" => route.to_owned(), ..)`; what its upkeep does later is not in the figures"
    }

    fn is_global(&self) -> bool {
        true
    }

    fn emit_disabled(&self) -> Setup {
        each(|_| counter!("requests_total", "route" => "/", "status" => "ok").increment(1), || Counted::Nothing)
    }

    fn emit_disabled_two_tags(&self, tags: &'static Tags) -> Setup {
        let count = |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counter!("requests_total", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .increment(1);
        };
        each(count, || Counted::Nothing)
    }

    fn counter_held(&self) -> Setup {
        let recorder = recorder()?;
        let held = counter!("requests_total");
        exposed(move |_| held.increment(1), || recorder.render())
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        let recorder = recorder()?;
        let count = |draw: &mut Draw| {
            let drawn = draw.event(tags);
            counter!("requests_total", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .increment(1);
        };
        exposed(count, || recorder.render())
    }

    fn counter_enum_tags(&self) -> Setup {
        let recorder = recorder()?;
        let count = |draw: &mut Draw| {
            let (route, status, _) = draw.words();
            counter!("requests_total", "route" => route.as_str(), "status" => status.as_str()).increment(1);
        };
        exposed(count, || recorder.render())
    }

    fn histogram_held(&self) -> Setup {
        recorder()?;
        let held = histogram!("latency_seconds");
        buffered(move |draw| held.record(draw.value()))
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        buffered(|draw| {
            let drawn = draw.event(tags);
            histogram!("latency_seconds", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .record(drawn.value);
        })
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        buffered(|draw| {
            let drawn = draw.event(tags);
            counter!("requests_total", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .increment(1);
            histogram!("latency_seconds", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .record(drawn.value);
        })
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        buffered(|draw| {
            let (route, status, value) = draw.words();
            counter!("requests_total", "route" => route.as_str(), "status" => status.as_str()).increment(1);
            histogram!("latency_seconds", "route" => route.as_str(), "status" => status.as_str()).record(value);
        })
    }

    fn gauge_set(&self) -> Setup {
        let recorder = recorder()?;
        let held = gauge!("depth");
        exposed(move |draw| held.set(draw.value()), || recorder.render())
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        buffered(|draw| {
            let drawn = draw.event(tags);
            let start = Instant::now();
            histogram!("latency_seconds", "route" => drawn.route.to_owned(), "status" => drawn.status.to_owned())
                .record(start.elapsed());
        })
    }

    fn counter_series(&self, _series: usize) -> StoreSetup {
        let touch = |[cluster, host, queue]: [&str; 3]| {
            counter!(
                "requests_total",
                "cluster" => cluster.to_owned(), "host" => host.to_owned(), "queue" => queue.to_owned()
            )
            .increment(1);
        };
        Ok(Some(Box::new(Series { touch, recorder: recorder()? })))
    }

    fn histogram_series(&self, _series: usize) -> StoreSetup {
        let touch = |[cluster, host, queue]: [&str; 3]| {
            histogram!(
                "latency_seconds",
                "cluster" => cluster.to_owned(), "host" => host.to_owned(), "queue" => queue.to_owned()
            )
            .record(0.02);
        };
        Ok(Some(Box::new(Series { touch, recorder: recorder()? })))
    }
}
