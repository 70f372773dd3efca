//! Any tags, texts and numbers in every format: a strict reader reads back what was shown, and nothing else.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Labels, Sample, Series, SpiralSample, SummarySample, Total};
use telemetry_exporter::encode::Options;
use telemetry_exporter::name::label;
use telemetry_exporter::negotiate::Format;

#[path = "../../telemetry-exporter/tests/encode_reader/mod.rs"]
mod encode_reader;

#[derive(arbitrary::Arbitrary, Debug)]
struct Input<'a> {
    families: Vec<(&'a str, &'a str, Vec<&'a str>, Vec<Row<'a>>)>,
    has_created: bool,
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Row<'a> {
    values: Vec<&'a str>,
    // A label that the family does not know.
    other: Option<(&'a str, &'a str)>,
    number: Number,
}

#[derive(arbitrary::Arbitrary, Clone, Debug)]
enum Number {
    Integer(u64),
    Float(f64),
    Gauge(f64),
    Histogram { bounds: Vec<f64>, counts: Vec<u32>, sum: f64 },
    Summary { quantiles: Vec<(f64, f64)>, count: u64, sum: f64 },
    Spiral { count: u64, one: u64 },
}

impl Number {
    fn kind(&self) -> Kind {
        match self {
            Self::Integer(_) => Kind::Counter,
            Self::Float(_) => Kind::Sum,
            Self::Gauge(_) => Kind::LastValue,
            Self::Histogram { .. } => Kind::Distribution,
            Self::Summary { .. } => Kind::Summary,
            Self::Spiral { .. } => Kind::Spiral,
        }
    }
}

/// What a series is told apart by: its labels that are not empty.
fn identity(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let present = pairs.iter().filter(|(_, value)| !value.is_empty());
    present.map(|(name, value)| (label(name).into_owned(), (*value).to_owned())).collect()
}

fuzz_target!(|input: Input<'_>| {
    let options = Options::default().created(input.has_created);
    for format in [Format::Text, Format::OpenMetrics, Format::Json] {
        let mut encoder = format.encoder(options);
        let mut shown = 0_usize;
        let mut identities = Vec::new();
        for (name, help, labels, rows) in &input.families {
            let Some(first) = rows.first() else { continue };
            let unit = matches!(first.number, Number::Histogram { .. }).then_some(Unit::Second);
            let labels: Vec<&str> = labels.iter().take(8).copied().collect();
            encoder.family(
                &Family::new(*name, first.number.kind()).unit(unit).description(*help).labels(labels.iter().copied()),
            );
            for row in rows.iter().take(8) {
                let mut pairs: Vec<(&str, &str)> = labels.iter().copied().zip(row.values.iter().copied()).collect();
                pairs.extend(row.other);
                let counts: Vec<u64>;
                let sample = match &row.number {
                    Number::Integer(total) => Sample::Total(Total::U64(*total)),
                    Number::Float(total) => Sample::Total(Total::F64(*total)),
                    Number::Gauge(value) => Sample::Gauge(*value),
                    Number::Histogram { bounds, counts: each, sum } => {
                        counts = each.iter().map(|count| u64::from(*count)).collect();
                        Sample::Histogram(HistogramSample { bounds, counts: &counts, sum: *sum, exponential: None })
                    }
                    Number::Summary { quantiles, count, sum } => {
                        Sample::Summary(SummarySample { count: *count, sum: *sum, quantiles })
                    }
                    Number::Spiral { count, one } => Sample::Spiral(SpiralSample { count: *count, one: *one }),
                };
                encoder.series(&Series::new(Labels::from_pairs(&pairs), sample));
                shown += 1;
                identities.push(identity(&pairs));
            }
        }
        encoder.finish();
        let skipped = usize::try_from(encoder.skipped()).expect("a small count");
        assert!(skipped <= shown, "{skipped} of {shown} series were skipped");
        let body = String::from_utf8(encoder.take()).expect("an exposition is UTF-8");

        if format == Format::Json {
            serde_json::from_str::<serde_json::Value>(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
            continue;
        }
        let read = encode_reader::read(&body);
        assert_eq!(read.has_end, format == Format::OpenMetrics);
        if skipped == shown {
            assert!(read.lines.is_empty(), "{body}");
        }
        for line in read.lines {
            let first = line.name.as_bytes()[0];
            assert!(!first.is_ascii_digit(), "{body}");
            line.value.replace("Inf", "inf").parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line:?}"));
            let own: BTreeMap<_, _> =
                line.labels.iter().filter(|(name, _)| !["le", "quantile"].contains(&name.as_str())).collect();
            let is_shown = identities.iter().any(|identity| {
                identity.iter().filter(|(name, _)| !["le", "quantile"].contains(&name.as_str())).eq(own.clone())
            });
            assert!(is_shown, "nobody showed {line:?}");
        }
    }
});
