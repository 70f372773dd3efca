//! The shop: products, their stock, orders, and payments.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use telemetry_core::instrument;

use crate::dice;
use crate::events::{OrderPlaced, Provider, StockChanged};

/// What comes when a product is sold out.
const DELIVERY: u32 = 200;

#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    cents: u32,
    left: AtomicU32,
}

/// Why there is no order.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The quantity is no number, or too high.
    Quantity,
    SoldOut,
    Payment(PaymentError),
}

/// Why there is no payment.
#[derive(Debug)]
pub(crate) enum PaymentError {
    Declined,
    Unreachable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quantity => "the body of an order is a number from 1 to 100",
            Self::SoldOut => "sold out; more is on its way",
            Self::Payment(PaymentError::Declined) => "the payment was declined",
            Self::Payment(PaymentError::Unreachable) => "the payment provider can't be reached",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Shop {
    products: [Product; 3],
}

impl Shop {
    /// A shop with full shelves.
    pub(crate) fn open() -> Self {
        let product = |(name, cents)| Product { name, cents, left: AtomicU32::new(0) };
        let shop = Self { products: [("mug", 950), ("shirt", 2_400), ("poster", 1_250)].map(product) };
        shop.products.iter().for_each(|product| product.put(DELIVERY));
        shop
    }

    pub(crate) fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.iter()
    }

    pub(crate) fn product(&self, name: &str) -> Option<&Product> {
        self.products().find(|product| product.name == name)
    }
}

impl Product {
    /// Takes the pieces from the shelf, has them paid, and puts them back if they are not.
    pub(crate) async fn order(&self, quantity: &str) -> Result<f64, Refusal> {
        let items = quantity.trim().parse().ok().filter(|items| (1..=100).contains(items)).ok_or(Refusal::Quantity)?;
        if !self.take(items) {
            self.put(DELIVERY);
            return Err(Refusal::SoldOut);
        }
        let provider = if dice::roll(3) == 0 { Provider::Globex } else { Provider::Acme };
        if let Err(error) = charge(provider, self.cents * items).await {
            self.put(items);
            return Err(Refusal::Payment(error));
        }
        let revenue = f64::from(self.cents * items) / 100.0;
        OrderPlaced { items, revenue, product: self.name }.emit();
        Ok(revenue)
    }

    pub(crate) fn price(&self) -> f64 {
        f64::from(self.cents) / 100.0
    }

    fn take(&self, items: u32) -> bool {
        // Relaxed, here and below: the number is the only fact.
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(items));
        let Ok(before) = taken else { return false };
        StockChanged { left: before - items, product: self.name }.emit();
        true
    }

    fn put(&self, items: u32) {
        let before = self.left.fetch_add(items, Ordering::Relaxed);
        StockChanged { left: before + items, product: self.name }.emit();
    }
}

/// Stands for a call to a payment provider. Each call is a span: `shop.payment.start`, then `shop.payment.stop` with
/// its duration and with `outcome="error"` for an `Err`, or with `outcome="cancelled"` for a customer who hung up.
#[instrument("shop.payment", tags(provider))]
async fn charge(provider: Provider, cents: u32) -> Result<(), PaymentError> {
    let (typical, at_worst) = match provider {
        Provider::Acme => (Duration::from_millis(20), Duration::from_millis(100)),
        Provider::Globex => (Duration::from_millis(60), Duration::from_millis(400)),
    };
    tokio::time::sleep(dice::pause(if dice::roll(10) == 0 { at_worst } else { typical })).await;
    match dice::roll(50) {
        0 => Err(PaymentError::Unreachable),
        1..=3 => Err(PaymentError::Declined),
        // Too much for most cards.
        _ if cents > 100_000 => Err(PaymentError::Declined),
        _ => Ok(()),
    }
}
