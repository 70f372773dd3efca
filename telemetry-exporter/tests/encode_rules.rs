//! What an encoder leaves out, keeps together, and survives.

mod encode_fixture;

use std::time::Duration;

use encode_fixture::{encoded, series, show_everything};
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{HistogramSample, Sample, Series, SpiralSample, SummarySample, Total, Visit};
use telemetry_exporter::encode::{CHUNK, Encoder, Options};
use telemetry_exporter::negotiate::Format;

const ALL: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Json];

fn body_and_skipped(format: Format, visit: impl FnOnce(&mut dyn Visit)) -> (String, u64) {
    let mut encoder = format.encoder(Options::default());
    visit(&mut encoder.as_mut());
    encoder.finish();
    (String::from_utf8(encoder.take()).unwrap(), encoder.skipped())
}

/// An exposition of nothing is whole, too.
#[test]
fn an_empty_walk_has_its_end() {
    assert_eq!(body_and_skipped(Format::Text, |_| ()), (String::new(), 0));
    assert_eq!(body_and_skipped(Format::OpenMetrics, |_| ()), ("# EOF\n".to_owned(), 0));
    assert_eq!(body_and_skipped(Format::Json, |_| ()), ("{\"families\":[]}\n".to_owned(), 0));
}

/// The end is written once, and nothing behind it.
#[test]
fn nothing_comes_behind_the_end() {
    for format in ALL {
        let mut encoder = format.encoder(Options::default());
        encoder.finish();
        let body = encoder.take();
        encoder.finish();
        encoder.family(&Family::new("late", Kind::LastValue));
        encoder.series(&series(&[], Sample::Gauge(1.0)));
        encoder.finish();
        assert_eq!(encoder.take(), b"", "{format:?} behind {body:?}");
        assert_eq!(encoder.skipped(), 1);
    }
}

/// The bytes don't depend on when they are taken.
#[test]
fn taking_the_bytes_between_two_series_changes_nothing() {
    struct Drained<'a>(&'a mut dyn Encoder, Vec<u8>);

    impl Visit for Drained<'_> {
        fn family(&mut self, family: &Family) {
            self.0.family(family);
            self.1.append(self.0.buffer_mut());
        }

        fn series(&mut self, series: &Series<'_>) {
            self.0.series(series);
            self.1.extend(self.0.take());
        }
    }

    for format in ALL {
        let mut encoder = format.encoder(Options::default());
        let mut drained = Drained(encoder.as_mut(), Vec::new());
        show_everything(&mut drained);
        let mut body = drained.1;
        encoder.finish();
        body.extend(encoder.take());
        assert!(String::from_utf8(body).unwrap() == encoded(format, Options::default(), show_everything), "{format:?}");
    }
}

/// The metadata of a family come with its first series that can be written, and not without.
#[test]
fn a_family_of_which_nothing_is_written_is_not_mentioned() {
    let (body, skipped) = body_and_skipped(Format::OpenMetrics, |visitor| {
        visitor.family(&Family::new("empty", Kind::Counter));
        visitor.family(&Family::new("bad", Kind::Sum));
        visitor.series(&series(&[], Sample::Total(Total::F64(f64::NAN))));
        visitor.family(&Family::new("mixed", Kind::Sum));
        visitor.series(&series(&[], Sample::Total(Total::F64(-1.0))));
        visitor.series(&series(&[("a", "b")], Sample::Total(Total::F64(1.0))));
    });
    assert_eq!(body, "# TYPE mixed counter\nmixed_total{a=\"b\"} 1.0\n# EOF\n");
    assert_eq!(skipped, 2);
}

/// V3: what OpenMetrics refuses in a total, the text format shows.
#[test]
fn the_text_format_shows_totals_that_openmetrics_refuses() {
    let show = |visitor: &mut dyn Visit| {
        visitor.family(&Family::new("x", Kind::Sum));
        for value in [f64::NAN, -1.0, f64::INFINITY] {
            visitor.series(&series(&[], Sample::Total(Total::F64(value))));
        }
    };
    let (body, skipped) = body_and_skipped(Format::Text, show);
    assert_eq!((body.as_str(), skipped), ("# TYPE x_total counter\nx_total NaN\nx_total -1\nx_total +Inf\n", 0));
    let (body, skipped) = body_and_skipped(Format::OpenMetrics, show);
    assert_eq!((body.as_str(), skipped), ("# TYPE x counter\nx_total +Inf\n# EOF\n", 2));
}

/// V3: a sum that OpenMetrics refuses costs the sum, and the count that comes only with it, but not the rest.
#[test]
fn a_sum_that_is_no_total_is_left_out() {
    for sum in [f64::NAN, -0.5] {
        let (body, skipped) = body_and_skipped(Format::OpenMetrics, |visitor| {
            visitor.family(&Family::new("h", Kind::Distribution));
            let histogram = HistogramSample { bounds: &[1.0], counts: &[2, 1], sum, exponential: None };
            visitor.series(&series(&[], Sample::Histogram(histogram)));
            visitor.family(&Family::new("s", Kind::Summary));
            let quantiles = [(0.1, -0.5), (0.9, 2.0), (1.5, 3.0)];
            visitor.series(&series(&[], Sample::Summary(SummarySample { count: 3, sum, quantiles: &quantiles })));
        });
        let expected = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 3\n\
                        # TYPE s summary\ns{quantile=\"0.9\"} 2.0\ns_count 3\n# EOF\n";
        assert_eq!((body.as_str(), skipped), (expected, 0));
    }
}

/// V2: OpenMetrics has no sum of a histogram that counts below zero, whatever the sum is; the text format has.
#[test]
fn a_histogram_with_bounds_below_zero_has_no_sum_in_openmetrics() {
    let show = |visitor: &mut dyn Visit| {
        visitor.family(&Family::new("h", Kind::Distribution));
        let histogram = HistogramSample { bounds: &[-1.0], counts: &[0, 1], sum: 2.5, exponential: None };
        visitor.series(&series(&[], Sample::Histogram(histogram)));
    };
    let buckets = "# TYPE h histogram\nh_bucket{le=\"-1.0\"} 0\nh_bucket{le=\"+Inf\"} 1\n";
    assert_eq!(body_and_skipped(Format::OpenMetrics, show), (format!("{buckets}# EOF\n"), 0));
    assert_eq!(body_and_skipped(Format::Text, show), (format!("{buckets}h_sum 2.5\nh_count 1\n"), 0));
}

/// V2: a histogram whose bounds are none, or not as many as its counts ask for, is skipped.
#[test]
fn a_histogram_with_bad_bounds_is_skipped() {
    let cases: [(&[f64], &[u64]); 6] = [
        (&[1.0], &[1]),
        (&[], &[]),
        (&[2.0, 1.0], &[0, 0, 0]),
        (&[1.0, 1.0], &[0, 0, 0]),
        (&[f64::NAN], &[0, 0]),
        (&[f64::INFINITY], &[0, 0]),
    ];
    for format in [Format::Text, Format::OpenMetrics] {
        let (body, skipped) = body_and_skipped(format, |visitor| {
            visitor.family(&Family::new("h", Kind::Distribution));
            for (bounds, counts) in cases {
                let histogram = HistogramSample { bounds, counts, sum: 0.0, exponential: None };
                visitor.series(&series(&[], Sample::Histogram(histogram)));
            }
        });
        assert_eq!(body.replace("# EOF\n", ""), "");
        assert_eq!(skipped, cases.len() as u64);
    }
}

/// V2: bounds belong to the sample, so they may change from one series to the next, and so may those of the same address.
#[test]
fn each_histogram_has_its_own_bounds() {
    let mut bounds = vec![1.0];
    let (body, _) = body_and_skipped(Format::Text, |visitor| {
        visitor.family(&Family::new("h", Kind::Distribution).labels(["a"]));
        for (a, bound) in [("1", 0.0), ("2", -0.0), ("3", 0.0), ("4", 5.0)] {
            bounds[0] = bound;
            let histogram = HistogramSample { bounds: &bounds, counts: &[1, 0], sum: 0.0, exponential: None };
            visitor.series(&series(&[("a", a)], Sample::Histogram(histogram)));
        }
    });
    for line in ["a=\"1\",le=\"0.0\"", "a=\"2\",le=\"-0.0\"", "a=\"3\",le=\"0.0\"", "a=\"4\",le=\"5.0\""] {
        assert!(body.contains(line), "{line} in {body}");
    }
}

/// A sample that is not of its family's kind is skipped.
#[test]
fn a_sample_of_another_kind_is_skipped() {
    for format in [Format::Text, Format::OpenMetrics] {
        let (body, skipped) = body_and_skipped(format, |visitor| {
            visitor.series(&series(&[], Sample::Gauge(1.0)));
            visitor.family(&Family::new("x", Kind::Counter));
            visitor.series(&series(&[], Sample::Gauge(1.0)));
            visitor.series(&series(&[], Sample::Spiral(SpiralSample { count: 1, one: 1 })));
        });
        assert_eq!((body.replace("# EOF\n", "").as_str(), skipped), ("", 3));
    }
}

/// V4: of two families of one name that come up at scrape time, the first is written.
#[test]
fn a_family_whose_name_is_taken_is_skipped() {
    for format in [Format::Text, Format::OpenMetrics] {
        let (body, skipped) = body_and_skipped(format, |visitor| {
            for (name, value) in [("a.b", 1.0), ("c", 2.0), ("a_b", 3.0)] {
                visitor.family(&Family::new(name, Kind::LastValue));
                visitor.series(&series(&[], Sample::Gauge(value)));
                visitor.series(&series(&[("x", "y")], Sample::Gauge(value)));
            }
        });
        assert_eq!(body.matches("# TYPE").count(), 2, "{body}");
        assert!(!body.contains('3'), "{body}");
        assert_eq!(skipped, 2);
    }
}

/// V4, V5: labels that become one, or one of the encoder's own, are skipped with their series.
#[test]
fn labels_that_become_one_cost_their_series() {
    let histogram = HistogramSample { bounds: &[], counts: &[1], sum: 0.0, exponential: None };
    let summary = SummarySample { count: 1, sum: 0.0, quantiles: &[] };
    for format in [Format::Text, Format::OpenMetrics] {
        let (body, skipped) = body_and_skipped(format, |visitor| {
            visitor.family(&Family::new("g", Kind::LastValue));
            visitor.series(&series(&[("a.b", "1"), ("a_b", "2")], Sample::Gauge(1.0)));
            visitor.family(&Family::new("g2", Kind::LastValue).labels(["a.b", "a_b"]));
            visitor.series(&series(&[("a.b", "1"), ("a_b", "2")], Sample::Gauge(1.0)));
            visitor.family(&Family::new("h", Kind::Distribution));
            visitor.series(&series(&[("le", "1")], Sample::Histogram(histogram)));
            visitor.family(&Family::new("h2", Kind::Distribution).labels(["le"]));
            visitor.series(&series(&[("le", "1")], Sample::Histogram(histogram)));
            visitor.family(&Family::new("s", Kind::Summary));
            visitor.series(&series(&[("quantile", "1")], Sample::Summary(summary)));
        });
        assert_eq!((body.replace("# EOF\n", "").as_str(), skipped), ("", 5));
    }
}

/// A spiral is two families, and their lines are not mixed; a window far beyond a chunk comes whole.
#[test]
fn the_gauge_of_a_spiral_stands_behind_its_counter() {
    let rows = 3_000;
    for format in [Format::Text, Format::OpenMetrics] {
        let (body, _) = body_and_skipped(format, |visitor| {
            visitor.family(&Family::new("x", Kind::Spiral).labels(["row"]).window(Duration::from_secs(60)));
            for row in 0..rows {
                let row_text = row.to_string();
                let labels = [("row", row_text.as_str()), ("more", "")];
                let labels = if row % 2 == 0 { &labels[..1] } else { &labels };
                visitor.series(&series(labels, Sample::Spiral(SpiralSample { count: row + 1, one: row })));
            }
            visitor.family(&Family::new("next", Kind::LastValue));
            visitor.series(&series(&[], Sample::Gauge(1.0)));
        });
        assert!(body.len() > CHUNK);
        let names =
            body.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(['{', ' ']).next().unwrap());
        let mut order: Vec<&str> = names.collect();
        assert_eq!(order.len() as u64, 2 * rows + 1);
        order.dedup();
        assert_eq!(order, ["x_total", "x_window60s", "next"]);
        assert!(body.contains("\nx_window60s{row=\"2999\"} 2999\n"));
    }
}

/// V8: when a series came to be is exact, and said of what can start anew alone.
#[test]
fn created_times_are_exact() {
    for (created, text) in [
        (Duration::new(1_700_000_000, 1), "1700000000.000000001"),
        (Duration::new(1_700_000_000, 120_000_000), "1700000000.12"),
        (Duration::ZERO, "0.0"),
    ] {
        let body = encoded(Format::OpenMetrics, Options::default().created(true), |visitor| {
            visitor.family(&Family::new("x", Kind::Counter).labels(["a"]));
            let one = series(&[("a", "")], Sample::Total(Total::U64(1)));
            visitor.series(&Series { created: Some(created), ..one });
            visitor.series(&Series { created: None, ..series(&[("a", "1")], Sample::Total(Total::U64(1))) });
            visitor.family(&Family::new("g", Kind::LastValue));
            visitor.series(&series(&[], Sample::Gauge(1.0)));
        });
        let expected = format!(
            "# TYPE x counter\nx_total 1\nx_created {text}\nx_total{{a=\"1\"}} 1\n# TYPE g gauge\ng 1.0\n# EOF\n"
        );
        assert_eq!(body, expected);
    }
}
