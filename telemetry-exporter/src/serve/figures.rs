//! What the endpoint says of itself, for those who ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Labels, Sample, Series, Source, Total, Visit};

/// The statuses of the endpoint; the last stands for all others.
const CODES: [u16; 12] = [200, 204, 400, 401, 403, 404, 405, 414, 431, 500, 503, 0];
/// The codings of bodies; the last stands for all others.
const CODINGS: [&str; 4] = ["identity", "gzip", "zstd", "other"];
/// The bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// Why a client made room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    Idle,
    Silent,
    Stalled,
}

/// Why a response was not sent whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The exposition failed, or the client fell too far behind others that shared the body.
    Failed,
    /// The time for the response was over.
    Late,
    /// The client read nothing for too long.
    Stalled,
    /// The client left, or the endpoint was shut down.
    Gone,
}

/// Counts of what an endpoint does: a [`Source`], to be shown with other figures or read by itself.
///
/// | family | labels | is |
/// | --- | --- | --- |
/// | `telemetry.endpoint.requests` | `code` | responses, by status |
/// | `telemetry.endpoint.scrape.duration` | | seconds from the request until the last part of a scrape went to its socket |
/// | `telemetry.endpoint.body` | `encoding` | bytes of the bodies of complete scrapes, as they were sent |
/// | `telemetry.endpoint.scrapes.in_flight` | | bodies that are being made |
/// | `telemetry.endpoint.scrapes.shared` | | scrapes that shared the body of another |
/// | `telemetry.endpoint.connections` | | connections that are open |
/// | `telemetry.endpoint.connections.accepted` | | connections since the beginning |
/// | `telemetry.endpoint.evictions` | `reason` | connections that made room for others: `idle`, `silent`, `stalled` |
/// | `telemetry.endpoint.cuts` | `reason` | responses that were not sent whole: `failed`, `late`, `stalled`, `gone` |
/// | `telemetry.endpoint.accept.failures` | | connections that could not be accepted, for want of descriptors say |
///
/// [`Exporter`](crate::Exporter) shows them on request. Around an exposition of one's own:
///
/// ```
/// use std::sync::Arc;
/// use telemetry_core::Registry;
/// use telemetry_exporter::serve::Figures;
/// use telemetry_exporter::{Format, render};
///
/// let (registry, figures) = (Registry::new(), Arc::new(Figures::default()));
/// registry.source(figures.clone());
/// // let server = Server::builder().figures(&figures).serve(..)?;
/// assert!(render(&registry, Format::Text).contains("\ntelemetry_endpoint_connections 0\n"));
/// ```
#[derive(Debug, Default)]
pub struct Figures {
    requests: [AtomicU64; CODES.len()],
    buckets: [AtomicU64; SECONDS.len() + 1],
    nanos: AtomicU64,
    bytes: [AtomicU64; CODINGS.len()],
    in_flight: AtomicU64,
    shared: AtomicU64,
    connections: AtomicU64,
    accepted: AtomicU64,
    evictions: [AtomicU64; 3],
    cuts: [AtomicU64; 4],
    accept_failures: AtomicU64,
}

/// Adds to a figure, which the endpoint's thread alone does.
fn add(figure: &AtomicU64, count: u64) {
    // Relaxed, here and wherever a figure is read: each is a fact by itself, nothing is published through it, and a reader
    // may miss what is added at the same time.
    figure.fetch_add(count, Ordering::Relaxed);
}

fn read(figure: &AtomicU64) -> u64 {
    figure.load(Ordering::Relaxed)
}

impl Figures {
    pub(super) fn responded(&self, code: u16) {
        let at = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        add(&self.requests[at], 1);
    }

    pub(super) fn scraped(&self, time: Duration, bytes: u64, content_encoding: Option<&str>) {
        let bucket = SECONDS.iter().position(|bound| time.as_secs_f64() <= *bound).unwrap_or(SECONDS.len());
        add(&self.buckets[bucket], 1);
        add(&self.nanos, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let coding = content_encoding.unwrap_or(CODINGS[0]);
        let coding = CODINGS.iter().position(|known| *known == coding).unwrap_or(CODINGS.len() - 1);
        add(&self.bytes[coding], bytes);
    }

    pub(super) fn in_flight(&self, scrapes: usize) {
        // Relaxed: as in `add`.
        self.in_flight.store(scrapes as u64, Ordering::Relaxed);
    }

    pub(super) fn shared(&self) {
        add(&self.shared, 1);
    }

    pub(super) fn connections(&self, open: usize) {
        // Relaxed: as in `add`.
        self.connections.store(open as u64, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub(super) fn accept_failed(&self) {
        add(&self.accept_failures, 1);
    }

    pub(super) fn evicted(&self, reason: Eviction) {
        add(&self.evictions[reason as usize], 1);
    }

    pub(super) fn cut(&self, reason: Cut) {
        add(&self.cuts[reason as usize], 1);
    }
}

impl Source for Figures {
    fn collect(&self, visitor: &mut dyn Visit) {
        let mut show = |name: &str, kind, description: &str, label: &str, values: &[(&str, u64)]| {
            let family = Family::new(format!("telemetry.endpoint.{name}"), kind).description(description);
            let unit = (name == "body").then_some(Unit::Byte);
            let labels: &[&str] = if label.is_empty() { &[] } else { &[label] };
            visitor.family(&family.unit(unit).labels(labels.iter().copied()));
            for (value, count) in values {
                #[allow(clippy::cast_precision_loss)] // What is open at once is far below 2^53.
                let sample = match kind {
                    Kind::LastValue => Sample::Gauge(*count as f64),
                    _ => Sample::Total(Total::U64(*count)),
                };
                let labels = [(label, *value)];
                let labels = if label.is_empty() { &[][..] } else { &labels };
                visitor.series(&Series::new(Labels::from_pairs(labels), sample));
            }
        };
        let (counter, gauge) = (Kind::Counter, Kind::LastValue);
        let codes = CODES.map(|code| if code == 0 { "other".to_owned() } else { code.to_string() });
        // A status that never was has no series: it may be one that this endpoint can't answer with.
        let requests: Vec<_> = codes.iter().map(|code| &**code).zip(self.requests.iter().map(read)).collect();
        let requests: Vec<_> = requests.into_iter().filter(|(code, count)| *count > 0 || *code == "200").collect();
        show("requests", counter, "Responses of the endpoint, by status.", "code", &requests);
        let bytes: Vec<_> =
            CODINGS.into_iter().zip(self.bytes.iter().map(read)).filter(|(_, sent)| *sent > 0).collect();
        show("body", Kind::Sum, "Bodies of complete scrapes, as they were sent.", "encoding", &bytes);
        show("scrapes.in_flight", gauge, "Bodies that are being made.", "", &[("", read(&self.in_flight))]);
        show("scrapes.shared", counter, "Scrapes that shared the body of another.", "", &[("", read(&self.shared))]);
        show("connections", gauge, "Connections that are open.", "", &[("", read(&self.connections))]);
        show("connections.accepted", counter, "Connections that were accepted.", "", &[("", read(&self.accepted))]);
        let evictions = ["idle", "silent", "stalled"].into_iter().zip(self.evictions.iter().map(read));
        let evictions: Vec<_> = evictions.collect();
        show("evictions", counter, "Connections that made room for others.", "reason", &evictions);
        let cuts: Vec<_> = ["failed", "late", "stalled", "gone"].into_iter().zip(self.cuts.iter().map(read)).collect();
        show("cuts", counter, "Responses that were not sent whole.", "reason", &cuts);
        let failures = read(&self.accept_failures);
        show("accept.failures", counter, "Connections that could not be accepted.", "", &[("", failures)]);

        let duration = Family::new("telemetry.endpoint.scrape.duration", Kind::Distribution)
            .description("How long scrapes took, until their last part went to the socket.")
            .unit(Some(Unit::Second));
        visitor.family(&duration);
        let counts: Vec<u64> = self.buckets.iter().map(read).collect();
        let sum = Duration::from_nanos(read(&self.nanos)).as_secs_f64();
        let sample = HistogramSample { bounds: &SECONDS, counts: &counts, sum, exponential: None };
        let labels = Labels::from_pairs(&[]);
        visitor.series(&Series::new(labels, Sample::Histogram(sample)));
    }
}
