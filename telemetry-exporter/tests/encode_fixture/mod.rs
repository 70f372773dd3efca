//! One walk with something of everything, for the tests that compare whole expositions.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    Exemplars, ExponentialSample, HistogramSample, Labels, Sample, Series, SpiralSample, SummarySample, Total, Visit,
};
use telemetry_exporter::encode::Options;
use telemetry_exporter::negotiate::Format;

/// Label values that have broken an exposition somewhere.
pub(crate) const HOSTILE: [&str; 12] = [
    "\"",
    "\\",
    "\n",
    "\\n",
    "\\\"",
    "a\"b\\c\nd\\",
    "\0",
    "\r\n",
    "} 1\nevil_total{",
    "{a=\"b\"}",
    "é😱\u{2028}\u{85}",
    " # EOF ",
];

/// When the series of the walk came to be.
pub(crate) const CREATED: Duration = Duration::new(1_700_000_000, 250_000_000);

/// A series with labels.
pub(crate) fn series<'a>(labels: &'a [(&'a str, &'a str)], sample: Sample<'a>) -> Series<'a> {
    Series { labels: Labels::from_pairs(labels), created: Some(CREATED), sample, exemplars: Exemplars::default() }
}

/// All that `visit` is shown, in `format`.
pub(crate) fn encoded(format: Format, options: Options, visit: impl FnOnce(&mut dyn Visit)) -> String {
    let mut encoder = format.encoder(options);
    visit(&mut encoder.as_mut());
    encoder.finish();
    String::from_utf8(encoder.take()).unwrap()
}

/// Each kind, with units, several series, and values at the limits.
pub(crate) fn show_everything(visitor: &mut dyn Visit) {
    visitor.family(
        &Family::new("http.server.request.stop.count", Kind::Counter)
            .description("Requests that were answered.")
            .labels(["route", "status"]),
    );
    for (route, status, count) in [("/", "200", 1_027), ("/", "500", 3), ("/cart", "200", (1 << 53) + 1)] {
        visitor.series(&series(&[("route", route), ("status", status)], Sample::Total(Total::U64(count))));
    }
    visitor.series(&series(&[("route", ""), ("status", "404")], Sample::Total(Total::U64(1_000_000))));
    visitor.series(&series(&[("otel_metric_overflow", "true")], Sample::Total(Total::U64(7))));

    visitor.family(
        &Family::new("http.server.request.stop.body", Kind::Sum)
            .description("Bytes that were sent.")
            .unit(Some(Unit::Byte)),
    );
    visitor.series(&series(&[], Sample::Total(Total::U64(4_096))));

    visitor.family(
        &Family::new("process.cpu.seconds.total", Kind::Sum)
            .description("Time on a processor.")
            .unit(Some(Unit::Second))
            .labels(["mode"]),
    );
    visitor.series(&series(&[("mode", "user")], Sample::Total(Total::F64(1.2))));
    visitor.series(&series(&[("mode", "system")], Sample::Total(Total::F64(3.0))));

    visitor.family(
        &Family::new("queue.fill", Kind::LastValue)
            .description("How full the queue is.")
            .unit(Some(Unit::Ratio))
            .labels(["queue"]),
    );
    for (queue, value) in [("a", 0.25), ("b", -0.0), ("c", 1e6), ("d", f64::NAN), ("e", f64::INFINITY), ("f", -5e-324)]
    {
        visitor.series(&series(&[("queue", queue)], Sample::Gauge(value)));
    }

    visitor.family(&Family::new("never.seen", Kind::LastValue).description("Has no series."));

    visitor.family(
        &Family::new("http.server.request.stop.duration", Kind::Distribution)
            .description("From the first byte read to the last byte written.")
            .unit(Some(Unit::Second))
            .labels(["route"]),
    );
    let latency =
        HistogramSample { bounds: &[0.005, 0.1, 1.0, 1e6], counts: &[1, 0, 2, 0, 1], sum: 1.2, exponential: None };
    visitor.series(&series(&[("route", "/")], Sample::Histogram(latency)));
    visitor.series(&series(
        &[("route", "/cart")],
        Sample::Histogram(HistogramSample { counts: &[0; 5], sum: 0.0, ..latency }),
    ));

    visitor.family(
        &Family::new("boiler.temperature", Kind::Distribution)
            .description("Degrees, below zero too.")
            .unit(Some(Unit::Other("celsius"))),
    );
    let degrees = HistogramSample { bounds: &[-10.0, 0.0, 10.5], counts: &[1, 1, 1, 0], sum: -12.5, exponential: None };
    visitor.series(&series(&[], Sample::Histogram(degrees)));

    visitor.family(&Family::new("message.size", Kind::Distribution).description("Kept in exponential buckets."));
    let exponential = ExponentialSample {
        schema: 3,
        zero_threshold: 2.938_735_877_055_719e-39,
        zero_count: 1,
        positive: &[(-2, 1), (5, 3)],
        negative: &[],
    };
    let sizes = HistogramSample { bounds: &[], counts: &[5], sum: 7.5, exponential: Some(exponential) };
    visitor.series(&series(&[], Sample::Histogram(sizes)));

    visitor.family(
        &Family::new("payment.wait", Kind::Summary)
            .description("Time until the bank answers.")
            .unit(Some(Unit::Second))
            .labels(["bank"])
            .window(Duration::from_secs(60)),
    );
    let quantiles = [(0.5, 0.25), (0.99, 2.0), (1.0, 1e-5)];
    let wait = SummarySample { count: 9, sum: 4.5, quantiles: &quantiles };
    visitor.series(&series(&[("bank", "acme")], Sample::Summary(wait)));
    let quantiles = [(0.5, f64::NAN), (0.99, f64::NAN), (1.0, f64::NAN)];
    visitor
        .series(&series(&[("bank", "")], Sample::Summary(SummarySample { count: 0, sum: 0.0, quantiles: &quantiles })));

    visitor.family(
        &Family::new("shop.cart.checkout.items", Kind::Spiral)
            .description("Items that were bought.")
            .labels(["country"])
            .window(Duration::from_secs(60)),
    );
    for (country, count, one) in [("de", 12, 2), ("fr", 5, 0)] {
        visitor.series(&series(&[("country", country)], Sample::Spiral(SpiralSample { count, one })));
    }

    visitor.family(
        &Family::new("hostile", Kind::LastValue)
            .description("Help with a \"quote\", a \\ and\na second line.")
            .labels(["text"]),
    );
    for text in HOSTILE {
        visitor.series(&series(&[("text", text)], Sample::Gauge(1.0)));
    }
}
