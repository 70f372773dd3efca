//! Whatever the texts are, a reader gets them back.

mod encode_fixture;
mod encode_reader;

use std::collections::BTreeMap;

use encode_fixture::{HOSTILE, encoded, series, show_everything};
use encode_reader::{Line, read};
use proptest::prelude::*;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Sample, Total};
use telemetry_exporter::encode::Options;
use telemetry_exporter::negotiate::Format;

fn not_empty(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = labels.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A text with many of the characters that matter.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec!['"', '\\', '\n', 'n', '\r', '\0', '{', '}', ',', '=', ' ', '#', 'é', '😱']);
    prop::collection::vec(prop_oneof![special, any::<char>()], 0..40).prop_map(|chars| chars.into_iter().collect())
}

const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

proptest! {
    /// V5: labels, counts and descriptions come back as they went in, in a row of the family and in one with other labels.
    #[test]
    fn every_text_comes_back(rows in prop::collection::vec((text(), text(), text(), any::<u64>()), 1..8), help in text()) {
        for format in FORMATS {
            let body = encoded(format, Options::default(), |visitor| {
                visitor.family(&Family::new("x", Kind::Sum).description(help.as_str()).labels(["a", "b.c", "d"]));
                for (a, b, d, count) in &rows {
                    visitor.series(&series(&[("a", a), ("b.c", b), ("d", d)], Sample::Total(Total::U64(*count))));
                    visitor.series(&series(&[("other", a)], Sample::Total(Total::U64(*count))));
                }
            });
            let read = read(&body);
            prop_assert_eq!(read.has_end, format == Format::OpenMetrics);
            let name = if format == Format::Text { "x_total" } else { "x" };
            prop_assert_eq!(&read.types[name], "counter");
            prop_assert_eq!(read.help.get(name), (!help.is_empty()).then_some(&help));

            let expected = rows.iter().flat_map(|(a, b, d, count)| {
                [not_empty(&[("a", a), ("b_c", b), ("d", d)]), not_empty(&[("other", a)])]
                    .map(|labels| Line { name: "x_total".to_owned(), labels, value: count.to_string() })
            });
            prop_assert_eq!(read.lines, expected.collect::<Vec<_>>());
        }
    }

    /// V2, V5: the same for a histogram, whose buckets end in all there are.
    #[test]
    fn every_text_comes_back_from_a_histogram(a in text(), counts in prop::collection::vec(0_u64..1_000, 4)) {
        for format in FORMATS {
            let bounds = [0.5, 1.0, 2.5];
            let body = encoded(format, Options::default(), |visitor| {
                visitor.family(&Family::new("x", Kind::Distribution).labels(["a"]));
                let histogram = HistogramSample { bounds: &bounds, counts: &counts, sum: 1.5, exponential: None };
                visitor.series(&series(&[("a", &a)], Sample::Histogram(histogram)));
            });
            let mut count = 0;
            let mut expected = Vec::new();
            for (in_bucket, le) in counts.iter().zip(["0.5", "1.0", "2.5", "+Inf"]) {
                count += in_bucket;
                let labels = not_empty(&[("a", &a), ("le", le)]);
                expected.push(Line { name: "x_bucket".to_owned(), labels, value: count.to_string() });
            }
            for (suffix, value) in [("_sum", "1.5".to_owned()), ("_count", count.to_string())] {
                expected.push(Line { name: format!("x{suffix}"), labels: not_empty(&[("a", &a)]), value });
            }
            prop_assert_eq!(read(&body).lines, expected);
        }
    }

    /// V4, V5: whatever the names of metric and label, the body has the form of one.
    #[test]
    fn every_name_becomes_a_legal_one(name in text(), label in text(), value in text()) {
        for format in FORMATS {
            let body = encoded(format, Options::default(), |visitor| {
                visitor.family(&Family::new(name.as_str(), Kind::LastValue).labels([label.as_str()]));
                visitor.series(&series(&[(&label, &value)], Sample::Gauge(0.5)));
            });
            let lines = read(&body).lines;
            // What becomes `__…` is a label of Prometheus' own, and costs its series.
            if telemetry_exporter::name::label(&label).starts_with("__") {
                prop_assert_eq!(lines.len(), 0);
                continue;
            }
            prop_assert_eq!(lines.len(), 1);
            prop_assert!(!lines[0].name.starts_with(|c: char| c.is_ascii_digit()));
            prop_assert_eq!(lines[0].labels.values().next().map_or("", String::as_str), &value);
        }
    }
}

/// V5: the walk that the golden files record is readable to the last line.
#[test]
fn the_recorded_walk_is_readable() {
    for format in FORMATS {
        let read = read(&encoded(format, Options::default(), show_everything));
        let hostile = read.lines.iter().filter(|line| line.name == "hostile");
        assert!(hostile.map(|line| line.labels["text"].as_str()).eq(HOSTILE));
    }
}
