//! Events that are types: `cargo run --example typed_events`.
//!
//! A library declares what it tells of, with units and descriptions; an application names the fields. A field that is
//! misspelt is a compile error, and what a metric means is said once, where the event is declared.

// A program that is run at a prompt prints.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::{Event, Registry, TagValue, Unit};
use telemetry_exporter::{Format, render};

/// A picture was made smaller.
#[derive(Event)]
#[event(name = "gallery.thumbnail.stop")]
struct ThumbnailStop<'a> {
    /// Time spent on one picture.
    #[measurement]
    duration: Duration,
    /// Size of the thumbnail.
    #[measurement(unit = "kibibyte")]
    size: Option<u64>,
    #[tag]
    encoding: Encoding,
    #[tag]
    album: &'a str,
}

/// A tag whose values are known before the first event.
#[derive(Clone, Copy, TagValue)]
enum Encoding {
    Jpeg,
    #[tag(rename = "lossless")]
    Png,
}

fn main() -> Result<(), Box<dyn Error>> {
    // Nobody listens: the closure is not called, and the event is not made.
    ThumbnailStop::emit_with(|| unreachable!("nobody listens"));

    let registry = Registry::new();
    let aggregator = registry.aggregator([
        counter(ThumbnailStop::EVENT).tags([ThumbnailStop::ENCODING, ThumbnailStop::ALBUM]),
        distribution(ThumbnailStop::DURATION).tags([ThumbnailStop::ENCODING]),
        // Measured in KiB, exposed in bytes.
        sum(ThumbnailStop::SIZE).tags([ThumbnailStop::ENCODING]).unit(Unit::Byte),
    ])?;
    aggregator.attach("metrics")?;

    let album = String::from("summer");
    let milliseconds = Duration::from_millis;
    ThumbnailStop { duration: milliseconds(4), size: Some(12), encoding: Encoding::Jpeg, album: &album }.emit();
    ThumbnailStop { duration: milliseconds(9), size: Some(30), encoding: Encoding::Png, album: &album }.emit();
    // An `Option` that is `None` is no measurement: the sum skips the event, and counts that it did.
    ThumbnailStop { duration: milliseconds(1), size: None, encoding: Encoding::Png, album: &album }.emit();

    let text = render(&registry, Format::Text);
    println!("{text}");
    for line in [
        "# HELP gallery_thumbnail_stop_duration_seconds Time spent on one picture.",
        r#"gallery_thumbnail_stop_total{encoding="lossless",album="summer"} 2"#,
        r#"gallery_thumbnail_stop_size_bytes_total{encoding="jpeg"} 12288"#,
        r#"telemetry_metric_skipped_total{metric="gallery.thumbnail.stop.size",reason="missing"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    Ok(())
}
