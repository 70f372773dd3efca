//! The rows that events make become the same bytes as the same labels given one by one.
//!
//! The two go different ways through the encoders: a row is copied piece by piece, and at once where it is known that
//! nothing needs escaping.

mod encode_fixture;

use encode_fixture::HOSTILE;
use telemetry_core::family::Family;
use telemetry_core::metric::{counter, distribution, last_value, spiral, summary};
use telemetry_core::scrape::{Labels, Series, Visit};
use telemetry_core::{Clock, Dispatch, Registry, emit};
use telemetry_exporter::encode::{Encoder, Options};
use telemetry_exporter::negotiate::Format;

/// Passes on what it is shown, with the labels of each series given one by one.
struct OneByOne<'a> {
    encoder: &'a mut dyn Encoder,
    names: Vec<String>,
    keeps_empty: bool,
    rows: usize,
}

impl Visit for OneByOne<'_> {
    fn family(&mut self, family: &Family) {
        self.names = family.label_names().iter().map(ToString::to_string).collect();
        self.encoder.family(family);
    }

    fn series(&mut self, series: &Series<'_>) {
        self.rows += usize::from(series.labels.is_row());
        let pairs: Vec<(&str, &str)> = if self.keeps_empty && series.labels.is_row() {
            self.names.iter().map(String::as_str).zip(series.labels.values()).collect()
        } else {
            series.labels.iter().collect()
        };
        self.encoder.series(&Series { labels: Labels::from_pairs(&pairs), ..*series });
    }
}

const OTHERS: [&str; 3] = ["", "clean", "\n"];

/// A registry with series of each of `values`, before and behind what is empty, clean, or in need of escaping.
fn filled(values: &[&str]) -> Registry {
    let (clock, _) = Clock::manual();
    let (registry, dispatch) = (Registry::with_clock(clock), Dispatch::new());
    let tags = ["first", "second"];
    let metrics = [
        counter("rows.seen.count").tags(tags),
        // Its rows come to be in another order, and one of them is that of the overflow.
        counter("rows.some").event("rows.seen").measurement("count").tags(tags).limit(7),
        last_value("rows.seen.level").tags(["second", "first"]),
        distribution("rows.seen.size").tags(tags),
        summary("rows.summary").event("rows.seen").measurement("size").tags(["first"]),
        spiral("rows.seen.items").tags(tags),
        counter("rows.all").event("rows.seen").measurement("count"),
    ];
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "rows").unwrap();
    let _scope = dispatch.enter();
    for value in values {
        for other in OTHERS {
            emit!("rows.seen", { level: 0.5, size: 3_u8, items: 2_u8 }, { first: value, second: other });
            emit!("rows.seen", { level: 0.5, size: 3_u8, items: 2_u8 }, { second: value, first: other });
        }
    }
    registry
}

/// V5, V7: clean, in need of escaping, empty, and of lengths about those at which a row is written another way.
#[test]
fn a_row_of_events_is_encoded_as_its_labels_one_by_one() {
    let long: Vec<String> = [15, 16, 17, 32, 33, 253, 254, 255, 256, 4_094, 4_095, 10_000]
        .into_iter()
        .flat_map(|length| ["x".repeat(length), format!("{}\"", "x".repeat(length - 1))])
        .collect();
    let values: Vec<&str> =
        ["", "clean", "a b", "é"].into_iter().chain(HOSTILE).chain(long.iter().map(String::as_str)).collect();
    let registry = filled(&values);

    for format in [Format::Text, Format::OpenMetrics, Format::Json] {
        for options in [Options::default(), Options::default().created(true)] {
            let mut rows = format.encoder(options);
            registry.scrape().run(&mut &mut *rows);
            rows.finish();
            let expected = rows.take();
            for keeps_empty in [false, true] {
                let mut encoder = format.encoder(options);
                let mut visitor = OneByOne { encoder: &mut *encoder, names: Vec::new(), keeps_empty, rows: 0 };
                registry.scrape().run(&mut visitor);
                assert!(visitor.rows > 4 * values.len() * OTHERS.len(), "{} rows", visitor.rows);
                encoder.finish();
                let one_by_one = encoder.take();
                let lines = expected.split(|byte| *byte == b'\n').zip(one_by_one.split(|byte| *byte == b'\n'));
                for (row, pairs) in lines {
                    assert_eq!(String::from_utf8_lossy(row), String::from_utf8_lossy(pairs), "{format:?}");
                }
                assert!(expected == one_by_one, "{format:?} with {options:?}, empty ones kept: {keeps_empty}");
            }
        }
    }
}
