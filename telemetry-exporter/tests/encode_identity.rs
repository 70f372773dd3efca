//! A series is the same in every format: a scraper that is served another one does not begin a new series.

mod encode_fixture;
mod protobuf_messages;

use std::collections::BTreeSet;

use encode_fixture::{encoded, show_everything};
use telemetry_core::family::Family;
use telemetry_core::scrape::{Series, Visit};
use telemetry_exporter::encode::Options;
use telemetry_exporter::{Escaping, Format};

/// The samples of a text format: all of a line up to its value, byte for byte. The values of this walk have no space.
fn lines(format: Format, options: Options) -> BTreeSet<String> {
    let body = encoded(format, options, |visitor| show_everything(&mut NotBelowZero { visitor, is_left_out: false }));
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned()).collect()
}

/// Leaves out the histogram of which OpenMetrics has no sum and no count.
struct NotBelowZero<'a> {
    visitor: &'a mut dyn Visit,
    is_left_out: bool,
}

impl Visit for NotBelowZero<'_> {
    fn family(&mut self, family: &Family) {
        self.is_left_out = family.name() == "boiler.temperature";
        if !self.is_left_out {
            self.visitor.family(family);
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        if !self.is_left_out {
            self.visitor.series(series);
        }
    }
}

/// How Prometheus names what it reads from protobuf: as the text formats do, with thresholds in the canonical form.
fn protobuf(options: Options) -> BTreeSet<String> {
    let mut encoder = Format::Protobuf.encoder(options);
    show_everything(&mut NotBelowZero { visitor: &mut encoder.as_mut(), is_left_out: false });
    encoder.finish();
    let families = protobuf_messages::families(&encoder.take());
    let samples = protobuf_messages::values(&families);
    samples
        .into_keys()
        .map(|labels| labels.iter().map(|(name, value)| format!("{name}={value:?};")).collect())
        .collect()
}

/// The same of a line, whose labels stand in another order.
fn named(line: &str) -> String {
    let quoted = |text: &str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned);
    let (before, inner) = line.split_once('{').unwrap_or((line, ""));
    let mut labels = Vec::new();
    if !before.is_empty() {
        labels.push(("__name__".to_owned(), before.to_owned()));
    }
    let mut rest = inner.strip_suffix('}').unwrap_or(inner);
    while !rest.is_empty() {
        // Names of this walk have neither quotes nor separators in them.
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let name = quoted(name).unwrap_or_else(|| name.to_owned());
        let Some(value) = behind.strip_prefix("=\"") else {
            labels.push(("__name__".to_owned(), name));
            rest = behind.trim_start_matches(',');
            continue;
        };
        let mut is_escaped = false;
        let end = value.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let (text, behind) = value.split_at(end.expect("the end of a value"));
        let text = text.replace("\\\\", "\u{1}").replace("\\n", "\n").replace("\\\"", "\"").replace('\u{1}', "\\");
        // Thresholds are compared as numbers there, since protobuf has no texts of them.
        let text =
            if name == "le" || name == "quantile" { format!("{:?}", text.parse::<f64>().unwrap()) } else { text };
        labels.push((name, text));
        rest = behind[1..].trim_start_matches(',');
    }
    labels.sort();
    labels.iter().map(|(name, value)| format!("{name}={value:?};")).collect()
}

/// V4, V5: names, labels and thresholds are the same bytes in both text formats, and the same texts in protobuf, under each
/// escaping that a scraper may ask for.
#[test]
fn a_series_is_the_same_in_every_format() {
    for utf8 in [false, true] {
        for escaping in Escaping::ALL {
            let options = Options::default().utf8_names(utf8).escaping(escaping);
            let text = lines(Format::Text1, options);
            assert!(text.len() > 50, "{}", text.len());
            assert_eq!(lines(Format::Text, options), text, "{options:?}");
            assert_eq!(lines(Format::OpenMetrics, options), text, "{options:?}");
            assert_eq!(lines(Format::OpenMetricsDraft, options), text, "{options:?}");
            // The native histogram is one series in protobuf, as it has to be.
            let text: BTreeSet<String> = text.iter().map(|line| named(line)).filter(|line| !is_native(line)).collect();
            assert_eq!(protobuf(options), text, "{options:?}");
        }
    }
}

fn is_native(line: &str) -> bool {
    line.contains("=\"message") || line.contains("=\"U__message")
}

/// Times of creation add samples, where they are asked for, and change none.
#[test]
fn times_of_creation_change_no_series() {
    let (without, with) = (Options::default(), Options::default().created(true));
    let (plain, created) = (lines(Format::OpenMetrics, without), lines(Format::OpenMetrics, with));
    assert!(created.is_superset(&plain) && created.len() > plain.len());
    assert!(created.difference(&plain).all(|line| line.split('{').next().expect("a name").ends_with("_created")));
    assert_eq!(lines(Format::Text, with), plain, "the text format has none");
}
