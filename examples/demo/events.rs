//! What the shop tells of itself.
//!
//! Nothing here knows of metrics. While nobody listens to an event, it isn't even made.

use std::time::Duration;

use telemetry_core::{Event, TagValue};

/// A request was answered.
#[derive(Event)]
#[event(name = "http.server.request.stop")]
pub(crate) struct RequestStop {
    /// From the head of the request to the answer that is ready to be sent.
    #[measurement]
    pub(crate) duration: Duration,
    /// The body of the answer.
    #[measurement(unit = "byte")]
    pub(crate) body: u64,
    /// The template of the path: the paths themselves are without number.
    #[tag]
    pub(crate) route: &'static str,
    #[tag]
    pub(crate) method: &'static str,
    #[tag]
    pub(crate) status: u16,
}

/// An order was paid for.
#[derive(Event)]
#[event(name = "shop.order.placed")]
pub(crate) struct OrderPlaced {
    /// Pieces that were bought.
    #[measurement(unit = "items")]
    pub(crate) items: u32,
    /// What was paid for them.
    #[measurement(unit = "euros")]
    pub(crate) revenue: f64,
    #[tag]
    pub(crate) product: &'static str,
}

/// There is more or less of a product than before.
#[derive(Event)]
#[event(name = "shop.stock.changed")]
pub(crate) struct StockChanged {
    /// Pieces that can be bought.
    #[measurement(unit = "items")]
    pub(crate) left: u32,
    #[tag]
    pub(crate) product: &'static str,
}

/// Who moves the money: a tag of `shop.payment`, the span around each payment.
#[derive(Clone, Copy, Debug, TagValue)]
pub(crate) enum Provider {
    Acme,
    Globex,
}
