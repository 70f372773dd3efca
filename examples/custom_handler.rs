//! A handler that looks nothing up while events arrive: `cargo run --example custom_handler`.
//!
//! A closure `|event: &Event<'_>| ..` is a handler too. A type of its own is asked once for each callsite what it wants of
//! it, so it can refuse the callsite for good, or remember where the fields are that it reads.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry_core::event::Metadata;
use telemetry_core::handler::{Bound, Handler, shared_attachment};
use telemetry_core::{Event, Number, emit};

/// Counts the events, of whatever name, that took longer than they may.
struct Overdue {
    limit: Duration,
    count: AtomicU64,
}

/// The same, bound to one callsite.
struct BoundOverdue {
    handler: Arc<Overdue>,
    /// The position of the measurement that is compared.
    duration: usize,
}

impl Handler for Overdue {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        // A callsite without a duration is refused here: it costs no more than if nobody listened.
        let duration = metadata.measurement("duration")?;
        println!("bound to {}, line {}", metadata.name(), metadata.location().line);
        Some(Arc::new(BoundOverdue { handler: self, duration }))
    }
}

impl Bound for BoundOverdue {
    fn handle(&self, event: &Event<'_>) {
        match event.measurement_at(self.duration) {
            Some(Number::Duration(duration)) if duration > self.handler.limit => {
                // Relaxed: the number is the only fact.
                self.handler.count.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let overdue = Arc::new(Overdue { limit: Duration::from_millis(50), count: AtomicU64::new(0) });
    shared_attachment("overdue", Arc::clone(&overdue) as Arc<dyn Handler>).event("shop.*").attach()?;

    // Three callsites; the second has no duration, and is not bound. Two lines are printed, however many events there are.
    for millis in [10, 60, 80] {
        emit!("shop.search", { duration: Duration::from_millis(millis) }, { term: "mug" });
        emit!("shop.cart.filled", { items: 3_u64 });
        emit!("shop.payment", { duration: Duration::from_millis(millis / 2) });
    }

    let count = overdue.count.load(Ordering::Relaxed);
    println!("{count} events were overdue");
    assert_eq!(count, 2);
    Ok(())
}
