//! What the application makes of the events: it can be decided anew without a change to the shop.

use std::error::Error;

use telemetry_core::TagValue;
use telemetry_core::instrument::{Buckets, Exponential};
use telemetry_core::metric::{Metric, counter, distribution, last_value, spiral, sum, summary};

use crate::events::{OrderPlaced, Provider, RequestStop, StockChanged};

/// One of every kind, and more.
pub(crate) fn definitions() -> Result<Vec<Metric>, Box<dyn Error>> {
    Ok(vec![
        // Requests: how many, how fast, how large.
        counter(RequestStop::EVENT).tags([RequestStop::ROUTE, RequestStop::METHOD, RequestStop::STATUS]),
        distribution(RequestStop::DURATION).tags([RequestStop::ROUTE]).buckets(Buckets::latency()),
        sum(RequestStop::BODY).tags([RequestStop::ROUTE]),
        // The same measurement once more, under a name of its own: in five wide buckets, and in exponential ones, whose
        // bounds are 9 % apart.
        distribution(RequestStop::BODY)
            .name("http.server.response.size")
            .tags([RequestStop::ROUTE])
            .buckets(Buckets::exponential(16.0, 4.0, 5)?)
            .exponential(Exponential::default()),
        // Business: the total since the start and that of the last minute, money, and the newest level of the stock.
        spiral(OrderPlaced::ITEMS).tags([OrderPlaced::PRODUCT]),
        sum(OrderPlaced::REVENUE).tags([OrderPlaced::PRODUCT]),
        last_value(StockChanged::LEFT).name("shop.stock").tags([StockChanged::PRODUCT]),
        // Payments: a span that `#[instrument]` made. All outcomes are there at zero, before the first payment.
        counter("shop.payment.stop.count")
            .description("Payments that ended, in what way.")
            .tags(["provider", "outcome"])
            .values("provider", Provider::VARIANTS.unwrap_or_default().iter().copied())
            .values("outcome", ["ok", "error", "cancelled"]),
        summary("shop.payment.stop.duration")
            .description("How long payments took, over the last minute.")
            .tags(["provider"])
            .quantiles([0.5, 0.9, 0.99]),
    ])
}
