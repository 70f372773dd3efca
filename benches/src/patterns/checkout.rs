//! A shop's checkout: two measurements and two tags, of which a counter, a histogram and a sliding window are made.

use telemetry_core::emit;
use telemetry_core::metric::spiral;

use super::{Pattern, Variant};
use crate::case::Expected;
use crate::implementation::Kind;
use crate::impls::ours::{emitting, latency, requests};
use crate::tags::Tags;

const EVENT: &str = "bench.checkout";

pub(super) fn pattern() -> Pattern {
    Pattern {
        name: "pattern_checkout",
        about: "an event with 2 measurements and 2 tags; the last variant keeps a sliding window beside",
        expected: Expected { tags: Some(Tags::few), counter: true, histogram: true, ..Expected::default() },
        variants: vec![
            Variant {
                name: "ours",
                kind: Kind::Ours,
                setup: || {
                    emitting(
                        [requests(EVENT).tags(["route", "status"]), latency(EVENT).tags(["route", "status"])],
                        |draw| {
                            let drawn = draw.event(Tags::few());
                            emit!("bench.checkout", { duration: drawn.value, items: 3_u64 }, { route: drawn.route, status: drawn.status });
                        },
                    )
                },
            },
            Variant {
                name: "ours-with-spiral",
                kind: Kind::Ours,
                setup: || {
                    let window = spiral("items").event("bench.checkout.windowed").measurement("items");
                    let event = "bench.checkout.windowed";
                    emitting(
                        [requests(event).tags(["route", "status"]), latency(event).tags(["route", "status"]), window],
                        |draw| {
                            let drawn = draw.event(Tags::few());
                            emit!(
                                "bench.checkout.windowed",
                                { duration: drawn.value, items: 3_u64 },
                                { route: drawn.route, status: drawn.status }
                            );
                        },
                    )
                },
            },
        ],
    }
}
