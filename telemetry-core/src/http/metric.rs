//! What the ready definitions of both sides share: buckets and labels.

use crate::instrument::Buckets;
use crate::metric::Metric;
use crate::typed::TagRef;
use crate::unit::Unit;

/// The bounds that OpenTelemetry's conventions give for the duration of a request, in seconds.
const DURATIONS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// For sizes the conventions give none: no body at all, then fourfold from 64 bytes to 64 MiB.
const SIZES: [f64; 12] = [
    0.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

pub(super) fn of_duration(metric: Metric, tags: &[TagRef]) -> Metric {
    labelled(metric.unit(Unit::Second).buckets(buckets(DURATIONS)), tags)
}

pub(super) fn of_size(metric: Metric, tags: &[TagRef]) -> Metric {
    labelled(metric.unit(Unit::Byte).buckets(buckets(SIZES)), tags)
}

/// The metric with these tags as labels: `http.route` as `http_route`.
pub(super) fn labelled(metric: Metric, tags: &[TagRef]) -> Metric {
    tags.iter().fold(metric, |metric, tag| metric.tag_as(tag, tag.name().replace('.', "_")))
}

fn buckets<const N: usize>(bounds: [f64; N]) -> Buckets {
    Buckets::new(bounds).expect("the bounds are finite and ascend")
}
