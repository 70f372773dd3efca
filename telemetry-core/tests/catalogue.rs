//! The catalogue: what is declared is known before anything runs, and what does not agree is found out.
#![cfg(feature = "test-util")]
// Declared to be known, not to be used.
#![allow(dead_code)]

use std::time::Duration;

use telemetry_core::catalogue::Catalogue;
use telemetry_core::event::Origin;
use telemetry_core::handler::{Delivery, attachment};
use telemetry_core::lane::Lane;
use telemetry_core::metric::{counter, distribution, sum};
use telemetry_core::{
    Dispatch, DynamicEvent, Event, Registry, TagValue, Unit, assert_catalogue, emit, instrument, span,
};

/// How a parcel goes.
#[derive(TagValue)]
enum Speed {
    Slow,
    Express,
}

/// A parcel left the house.
///
/// It may come back: | see `listed.parcel.returned`.
#[derive(Event)]
#[event(name = "listed.parcel.sent")]
struct ParcelSent<'a> {
    /// From the order
    /// to the door.
    ///
    /// Not shown.
    #[measurement]
    took: Duration,
    /// With the box.
    #[measurement(unit = "byte")]
    weight: u64,
    #[tag]
    carrier: &'a str,
    /// How it | goes.
    #[tag]
    speed: Speed,
}

fn never_called() {
    emit!("listed.parcel.returned", { value: 3.5, took: Duration::ZERO => Second }, { carrier: "post" });
    emit!("listed.parcel.returned", { value: 3.5 => Other("euros") }, { reason: "late" });
    span!("listed.sorting", { hall: 3 }).run(|| ());
}

#[instrument("listed.loading", tags(gate))]
fn load(gate: u8) {}

mod elsewhere {
    use telemetry_core::{Event, emit};

    /// One meaning.
    #[derive(Event)]
    #[event(name = "clash.types")]
    struct One {
        #[measurement(unit = "byte")]
        size: u64,
        #[tag]
        only_here: bool,
    }

    /// Another meaning.
    #[derive(Event)]
    #[event(name = "clash.types")]
    struct Other {
        #[measurement(unit = "second")]
        size: u64,
        #[measurement]
        only_there: u64,
    }

    #[derive(Event)]
    #[event(name = "clash.mixed")]
    struct Typed {
        #[measurement(unit = "byte")]
        size: u64,
    }

    /// Said once.
    #[derive(Event)]
    #[event(name = "agreed.types")]
    struct Same {
        #[tag]
        kind: bool,
    }

    #[derive(Event)]
    #[event(name = "agreed.types")]
    struct SameAgain {
        #[tag]
        kind: bool,
    }

    fn never_called() {
        emit!("clash.mixed", { size: 3 => Kibibyte }, { more: true });
        emit!("clash.units", { size: 3 => Byte });
        emit!("clash.units", { other: 3 });
        emit!("clash.units", { size: 3 => Second });
        emit!("agreed.units", { size: 3 => Byte }, { a: 1 });
        emit!("agreed.units", { size: 3 => Kibibyte }, { b: 1 });
        emit!("agreed.units", { size: 3 });
        emit!("agreed.types", {}, { kind: true });
        emit!("agreed.types");
    }
}

fn listed() -> Catalogue {
    Catalogue::of_program().only(["listed.*"]).unwrap()
}

/// T15 and beyond: nothing above was ever called.
#[test]
fn events_are_known_that_nobody_has_emitted() {
    let catalogue = listed();
    let names: Vec<&str> = catalogue.events().iter().map(|event| event.name).collect();
    assert_eq!(
        names,
        [
            "listed.loading.exception",
            "listed.loading.start",
            "listed.loading.stop",
            "listed.parcel.returned",
            "listed.parcel.sent",
            "listed.sorting.exception",
            "listed.sorting.start",
            "listed.sorting.stop",
        ]
    );
    let sent = catalogue.event("listed.parcel.sent").unwrap();
    assert_eq!(sent.origin, Origin::Typed);
    assert_eq!(sent.documentation, "A parcel left the house.\n\nIt may come back: | see `listed.parcel.returned`.");
    assert_eq!(sent.measurements[0].description, "From the order to the door.");
    assert_eq!(sent.measurements[1].unit, Some(Unit::Byte));
    assert_eq!(sent.tags[1].variants, Some(&["slow", "express"][..]));
    assert_eq!((sent.places.len(), sent.places[0].module), (1, module_path!()));
    assert!(sent.places[0].file.ends_with("tests/catalogue.rs"));

    let returned = catalogue.event("listed.parcel.returned").unwrap();
    assert_eq!((returned.origin, returned.places.len()), (Origin::AdHoc, 2));
    let measurements: Vec<_> = returned.measurements.iter().map(|field| (field.name, field.unit)).collect();
    assert_eq!(measurements, [("value", Some(Unit::Other("euros"))), ("took", Some(Unit::Second))]);
    assert!(returned.tags.iter().map(|field| field.name).eq(["carrier", "reason"]));
    assert!(Catalogue::of_program().event("telemetry.handler.failure").is_some());
}

#[test]
fn metrics_and_handlers_stand_with_their_events() {
    let (registry, dispatch) = (Registry::new(), Dispatch::new());
    let metrics = [
        counter("listed.parcel.sent.count").tags(["carrier"]),
        distribution("listed.parcel.sent.took").tag_as("speed", "how"),
        sum("parcels.value").event("listed.parcel.returned").measurement("value").description("Lost."),
        counter("not.listed.count"),
        // There, if not in the catalogue that is looked at.
        counter("clash.types.count"),
    ];
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let lane = Lane::builder("audit").build().unwrap();
    attachment("audit", |_: &Event<'_>| {}).event("listed.parcel.*").lane(&lane).attach_to(&dispatch).unwrap();
    registry.gauge_fn("listed.parcel.sent", || 1).unwrap().keep();

    let catalogue = listed().registry(&registry).dispatch(&dispatch);
    let orphans: Vec<_> = catalogue.orphans().iter().map(|orphan| (&*orphan.event, &*orphan.metric.name)).collect();
    assert_eq!(orphans, [("not.listed", "not.listed.count")]);
    let sent = catalogue.event("listed.parcel.sent").unwrap();
    let metrics: Vec<_> = sent
        .metrics
        .iter()
        .map(|metric| (metric.name.as_str(), metric.measurement.as_deref(), &metric.labels[0][..]))
        .collect();
    assert_eq!(
        metrics,
        [("listed.parcel.sent.count", None, "carrier"), ("listed.parcel.sent.took", Some("took"), "how")]
    );
    assert_eq!(sent.metrics[1].unit, Some(Unit::Second));
    let handlers: Vec<_> = sent.handlers.iter().map(|handler| (handler.id.as_str(), &handler.delivery)).collect();
    assert_eq!(handlers, [("metrics", &Delivery::Inline), ("audit", &Delivery::Lane("audit".to_owned()))]);
    let returned = catalogue.event("listed.parcel.returned").unwrap();
    assert_eq!((returned.metrics[0].help.as_str(), returned.handlers.len()), ("Lost.", 2));
    assert!(catalogue.event("listed.sorting.stop").unwrap().handlers.is_empty());
    assert_eq!(
        catalogue.only(["listed.parcel.sent"]).unwrap().to_markdown(),
        "\
## `listed.parcel.sent`

A parcel left the house.

It may come back: | see `listed.parcel.returned`.

| measurement | unit | meaning |
| --- | --- | --- |
| `took` | seconds | From the order to the door. |
| `weight` | bytes | With the box. |

| tag | values | meaning |
| --- | --- | --- |
| `carrier` | | |
| `speed` | `slow`, `express` | How it \\| goes. |

| metric | kind | labels |
| --- | --- | --- |
| `listed.parcel.sent.count` | counter | `carrier` |
| `listed.parcel.sent.took` | distribution | `how` |

| handler | listens to | runs |
| --- | --- | --- |
| `metrics` | `listed.parcel.sent` | inline |
| `audit` | `listed.parcel.*` | lane `audit` |

From `catalogue`.
"
    );
}

/// Two places that declare one event differently are found, and both are told.
#[test]
fn places_that_do_not_agree_are_told() {
    let clash = |name: &str| Catalogue::of_program().only([name]).unwrap().check().unwrap_err();
    let types = clash("clash.types");
    let [conflict] = types.conflicts() else { panic!("{types}") };
    assert!(conflict.first.line < conflict.second.line);
    assert_eq!(
        conflict.differences,
        [
            "only the first has the tag `only_here`",
            "only the second has the measurement `only_there`",
            "the measurement `size` is in bytes and in seconds",
            "it is said to be \"One meaning.\" and \"Another meaning.\"",
        ]
    );
    let text = types.to_string();
    for place in [&conflict.first, &conflict.second] {
        assert!(text.contains(&format!("tests/catalogue.rs:{} in catalogue::elsewhere", place.line)), "{text}");
    }
    assert!(text.ends_with("or give one of the events another name"), "{text}");

    let mixed = clash("clash.mixed");
    assert_eq!(mixed.conflicts()[0].differences, ["the type does not have the tag `more`"]);
    let units = clash("clash.units");
    assert_eq!(
        units.conflicts()[0].differences,
        ["the measurement `size` is in bytes and in seconds, which do not convert"]
    );
    assert_eq!(Catalogue::of_program().only(["clash.*"]).unwrap().conflicts().len(), 3);
    Catalogue::of_program().only(["agreed.*", "listed.*", "telemetry.*"]).unwrap().check().unwrap();
}

/// T1: a pattern that is none is refused.
#[test]
fn a_bad_pattern_is_refused() {
    assert!(Catalogue::of_program().only(["listed..parcel"]).is_err());
    assert!(Catalogue::of_program().only(["nothing.of.this.name"]).unwrap().events().is_empty());
    assert_eq!(Catalogue::of_program().only([""; 0]).unwrap().to_markdown(), "No events.\n");
}

/// What is made at run time is no part of the program, unless it is asked for.
#[test]
fn dynamic_events_are_listed_when_they_are_asked_for() {
    DynamicEvent::new("dynamic.made", &[("size", Some(Unit::Byte))], &["kind"]).unwrap();
    assert!(Catalogue::of_program().event("dynamic.made").is_none());
    let catalogue = Catalogue::with_dynamic();
    let made = catalogue.event("dynamic.made").unwrap();
    assert_eq!((made.origin, made.measurements[0].unit), (Origin::Dynamic, Some(Unit::Byte)));
}

/// The page of this project's own events, those of all features.
#[cfg(feature = "metrics")]
#[test]
fn the_page_shows_our_own_events() {
    assert_catalogue!("../docs/events.md", Catalogue::of_program().only(["telemetry.*"]).unwrap());
}

#[test]
#[should_panic(expected = "the event \"clash.units\" is declared differently at")]
fn a_page_of_events_that_clash_is_refused() {
    assert_catalogue!("../docs/events.md", Catalogue::of_program().only(["clash.units"]).unwrap());
}
