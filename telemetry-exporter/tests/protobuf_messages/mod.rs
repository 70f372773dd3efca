//! The messages of `io.prometheus.client`, for a reader that others wrote.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub(crate) r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    pub(crate) unit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(crate) gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub(crate) summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub(crate) histogram: Option<Histogram>,
    #[prost(int64, optional, tag = "6")]
    pub(crate) timestamp_ms: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Gauge {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Counter {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "2")]
    pub(crate) exemplar: Option<Exemplar>,
    #[prost(message, optional, tag = "3")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) timestamp: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Quantile {
    #[prost(double, optional, tag = "1")]
    pub(crate) quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub(crate) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(crate) zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(crate) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) negative_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "10")]
    pub(crate) negative_delta: Vec<i64>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    pub(crate) positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub(crate) created_timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    pub(crate) exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub(crate) offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(crate) length: Option<u32>,
}

/// The messages of a body, in their order.
pub(crate) fn messages(mut body: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !body.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut body).unwrap());
    }
    families
}

/// The families of a body: messages that follow each other under one name are one.
pub(crate) fn families(body: &[u8]) -> Vec<MetricFamily> {
    let mut families: Vec<MetricFamily> = Vec::new();
    for mut message in messages(body) {
        match families.iter_mut().find(|family| family.name == message.name) {
            None => families.push(message),
            Some(family) => {
                assert_eq!((&family.help, family.r#type, &family.unit), (&message.help, message.r#type, &message.unit));
                family.metric.append(&mut message.metric);
            }
        }
    }
    families
}

/// The samples of a body as the text formats would have them, native histograms left out: names, labels and values.
pub(crate) fn values(families: &[MetricFamily]) -> BTreeMap<BTreeMap<String, String>, f64> {
    let mut values = BTreeMap::new();
    for family in families {
        for metric in &family.metric {
            let mut add = |suffix: &str, more: Option<(&str, f64)>, value: f64| {
                let labels = metric.labels().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                let more = more.map(|(name, value)| (name.to_owned(), format!("{value:?}")));
                let name = [("__name__".to_owned(), format!("{}{suffix}", family.name()))];
                let labels = labels.chain(more).chain(name).collect();
                assert!(values.insert(labels, value).is_none(), "a sample is there twice");
            };
            if let Some(counter) = &metric.counter {
                add("", None, counter.value());
            } else if let Some(gauge) = &metric.gauge {
                add("", None, gauge.value());
            } else if let Some(summary) = &metric.summary {
                for at in &summary.quantile {
                    add("", Some(("quantile", at.quantile())), at.value());
                }
                add("_sum", None, summary.sample_sum());
                add("_count", None, float(summary.sample_count()));
            } else if let Some(histogram) = metric.histogram.as_ref().filter(|histogram| !histogram.is_native()) {
                for bucket in histogram.bucket.iter().filter(|bucket| bucket.upper_bound() < f64::INFINITY) {
                    add("_bucket", Some(("le", bucket.upper_bound())), float(bucket.cumulative_count()));
                }
                add("_bucket", Some(("le", f64::INFINITY)), float(histogram.sample_count()));
                add("_sum", None, histogram.sample_sum());
                add("_count", None, float(histogram.sample_count()));
            }
        }
    }
    values
}

#[allow(clippy::cast_precision_loss)] // Readers have floats.
fn float(count: u64) -> f64 {
    count as f64
}

impl Metric {
    /// The labels, which stand in the order of their names.
    pub(crate) fn labels(&self) -> BTreeMap<&str, &str> {
        let text = |text: &'_ Option<String>| text.clone().unwrap();
        assert!(self.label.is_sorted_by(|one, next| text(&one.name) < text(&next.name)), "{:?}", self.label);
        self.label.iter().map(|pair| (pair.name.as_deref().unwrap(), pair.value.as_deref().unwrap())).collect()
    }
}

impl Histogram {
    /// Index and count of the exponential buckets that are not empty, above zero and below.
    pub(crate) fn native(&self) -> [Vec<(i32, u64)>; 2] {
        [(&self.positive_span, &self.positive_delta), (&self.negative_span, &self.negative_delta)]
            .map(|(spans, deltas)| absolute(spans, deltas))
    }

    /// Whether a reader takes it for one with exponential buckets.
    pub(crate) fn is_native(&self) -> bool {
        !self.positive_span.is_empty()
            || !self.negative_span.is_empty()
            || self.zero_threshold.is_some_and(|threshold| threshold > 0.0)
            || self.zero_count.is_some_and(|count| count > 0)
    }
}

fn absolute(spans: &[BucketSpan], deltas: &[i64]) -> Vec<(i32, u64)> {
    let (mut index, mut count, mut deltas) = (0, 0_i64, deltas.iter());
    let mut buckets = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        assert!(at == 0 || span.offset() > 1, "{spans:?}: an empty bucket is shorter than a span");
        index += span.offset();
        for _ in 0..span.length() {
            count += deltas.next().expect("a count for each bucket");
            assert!(count >= 0);
            if count > 0 {
                buckets.push((index, count.cast_unsigned()));
            }
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None, "a bucket for each count");
    buckets
}
