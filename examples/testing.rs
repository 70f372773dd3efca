//! How an application tests what it emits: `cargo run --example testing`, or read its two tests.
//!
//! A dispatcher of one's own sees the events of its scope and no others, so tests don't disturb each other, however many
//! run at once.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use telemetry_core::metric::{counter, spiral};
use telemetry_core::scrape::SpiralSample;
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::{Clock, Dispatch, Event, Number, Registry, emit};

/// What is tested.
fn check_out(country: &str, items: u64) {
    if items > 0 {
        emit!("shop.checkout", { items }, { country });
    }
}

/// The events themselves: attached to a dispatcher of the test, a closure keeps what it needs of them.
fn a_cart_with_items_is_checked_out() -> Result<(), Box<dyn Error>> {
    let dispatch = Dispatch::new();
    let (sender, seen) = mpsc::channel();
    dispatch.attach("seen", "shop.*", move |event: &Event<'_>| {
        let country = event.tag("country").map(|value| value.to_string());
        let _ = sender.send((event.name(), event.measurement("items"), country));
    })?;

    dispatch.run(|| check_out("de", 3));
    dispatch.run(|| check_out("de", 0));
    check_out("fr", 1); // Outside of the scope, so not seen.

    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen, [("shop.checkout", Some(Number::U64(3)), Some("de".to_owned()))]);
    println!("{seen:?}");
    Ok(())
}

/// What metrics make of the events: a registry on a clock that moves when the test says so.
fn the_last_minute_is_forgotten_after_a_minute() -> Result<(), Box<dyn Error>> {
    let (clock, hands) = Clock::manual();
    let (registry, dispatch) = (Registry::with_clock(clock), Dispatch::new());
    let metrics = [counter("shop.checkout.count").tags(["country"]), spiral("shop.checkout.items")];
    registry.aggregator(metrics)?.attach_to(&dispatch, "metrics")?;

    // The dispatcher goes wherever it is carried; what is emitted there is counted when the thread was joined.
    let carried = dispatch.clone();
    std::thread::spawn(move || carried.run(|| check_out("fr", 2))).join().map_err(|_| "the thread panicked")?;
    dispatch.run(|| check_out("de", 3));

    let snapshot = registry.snapshot();
    assert_eq!(snapshot.total("shop.checkout.count", &[("country", "fr")]), Some(1.0));
    assert_eq!(snapshot.total("shop.checkout.count", &[("country", "it")]), None);
    assert_eq!(snapshot.total("shop.checkout.items", &[]), Some(5.0));

    let items = || registry.snapshot().sample("shop.checkout.items", &[]).cloned();
    assert_eq!(items(), Some(ValueSnapshot::Spiral(SpiralSample { count: 5, one: 5 })));
    hands.advance(Duration::from_secs(61));
    assert_eq!(items(), Some(ValueSnapshot::Spiral(SpiralSample { count: 5, one: 0 })));
    println!("{:?}", items());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    a_cart_with_items_is_checked_out()?;
    the_last_minute_is_forgotten_after_a_minute()
}
