//! Events that are types, and tags that are enums.
#![cfg(feature = "derive")]

mod seen;

use std::borrow::Cow;
use std::time::Duration;

use seen::Recorder;
use telemetry_core::event::{Origin, TagField};
use telemetry_core::{Event, Measurement, Number, TagValue, TypedEvent, Unit};

/// A request was answered,
/// whatever the answer.
///
/// This paragraph is for readers of the source.
#[derive(Event)]
#[event(name = "typed.request.stop")]
struct RequestStop<'a> {
    /// From the first byte read
    /// to the last byte written.
    #[measurement]
    duration: Duration,
    #[measurement(unit = "byte", rename = "body_size")]
    body: Option<u64>,
    #[measurement(unit = "orders")]
    orders: u8,
    /// The pattern, not the path.
    #[tag]
    route: &'a str,
    #[tag]
    cache: Option<Cache>,
    #[tag]
    r#type: Cow<'a, str>,
    #[tag(rename = "status")]
    code: u16,
    #[event(skip)]
    _connection: &'a [u8],
}

#[derive(Clone, Copy, TagValue)]
#[allow(dead_code)] // `Hit` is there to be listed.
enum Cache {
    Hit,
    StaleHit,
    #[tag(rename = "none")]
    Miss,
}

fn request(route: &str) -> RequestStop<'_> {
    RequestStop {
        duration: Duration::from_millis(20),
        body: Some(1_200),
        orders: 2,
        route,
        cache: Some(Cache::StaleHit),
        r#type: Cow::Borrowed("json"),
        code: 200,
        _connection: &[],
    }
}

/// T3: a typed event arrives with its fields, in the order declared.
#[test]
fn a_typed_event_carries_its_fields() {
    let route = String::from("/carts");
    let (seen, ()) = Recorder::during("typed.request.*", || {
        assert!(RequestStop::is_wanted());
        request(&route).emit();
        RequestStop { body: None, cache: None, ..request(&route) }.emit();
    });
    assert_eq!(seen[0].name, "typed.request.stop");
    assert_eq!(
        seen[0].measurements,
        [
            ("duration", Number::Duration(Duration::from_millis(20))),
            ("body_size", Number::U64(1_200)),
            ("orders", Number::U64(2))
        ]
    );
    assert_eq!(seen[0].tags(), "route=/carts cache=stale_hit type=json status=200");
    assert_eq!(seen[1].measurement("body_size"), None);
    assert_eq!(seen[1].tags(), "route=/carts type=json status=200");
}

/// T16: an event that nobody wants is not even made.
#[test]
fn an_event_is_made_only_when_somebody_listens() {
    #[derive(Event)]
    #[event(name = "typed.lazy")]
    struct Lazy {}

    assert!(!Lazy::is_wanted());
    Lazy::emit_with(|| unreachable!("nobody listens"));
    Lazy {}.emit();
    let (seen, ()) = Recorder::during("typed.lazy", || Lazy::emit_with(|| Lazy {}));
    assert_eq!(seen.len(), 1);
}

/// V6: a metric knows units, descriptions and the values of closed sets before the first event.
#[test]
fn the_metadata_says_what_the_type_says() {
    let metadata = RequestStop::callsite().metadata();
    assert_eq!(RequestStop::NAME, "typed.request.stop");
    assert_eq!(metadata.name(), RequestStop::NAME);
    assert_eq!(metadata.description(), "A request was answered, whatever the answer.");
    assert_eq!(metadata.origin(), Origin::Typed);
    assert!(metadata.location().file.ends_with("typed.rs"));

    let measurements = metadata.measurements();
    assert_eq!(measurements[0].description, "From the first byte read to the last byte written.");
    assert_eq!(
        measurements.iter().map(|field| field.unit).collect::<Vec<_>>(),
        [Some(Unit::Second), Some(Unit::Byte), Some(Unit::Other("orders"))]
    );
    let cache = Some(&["hit", "stale_hit", "none"][..]);
    assert_eq!(
        metadata.tags(),
        [
            TagField { name: "route", variants: None, description: "The pattern, not the path." },
            TagField { name: "cache", variants: cache, description: "" },
            TagField { name: "type", variants: None, description: "" },
            TagField { name: "status", variants: None, description: "" },
        ]
    );
}

/// M8: what a metric takes in place of texts.
#[test]
fn references_name_the_event_and_its_fields() {
    assert_eq!(RequestStop::EVENT.name(), "typed.request.stop");
    assert_eq!(RequestStop::EVENT.metadata().tags().len(), 4);
    assert_eq!(RequestStop::BODY.path(), "typed.request.stop.body_size");
    assert_eq!(RequestStop::BODY.event(), "typed.request.stop");
    assert_eq!(RequestStop::BODY.name(), "body_size");
    assert_eq!(RequestStop::BODY.unit(), Some(Unit::Byte));
    assert_eq!(RequestStop::DURATION.unit(), Some(Unit::Second));
    assert_eq!(RequestStop::ORDERS.unit(), Some(Unit::Other("orders")));
    assert_eq!(RequestStop::TYPE.name(), "type");
    assert_eq!(RequestStop::CODE.event(), "typed.request.stop");

    let texts: [&str; 3] = [RequestStop::EVENT.into(), RequestStop::DURATION.into(), RequestStop::ROUTE.into()];
    assert_eq!(texts, ["typed.request.stop", "typed.request.stop.duration", "route"]);
    assert_eq!(String::from(RequestStop::CACHE), "cache");
    assert_eq!(format!("{:>6}", RequestStop::CODE), "status");
    assert_eq!(RequestStop::EVENT.as_ref(), RequestStop::NAME);
}

/// The types of a generic struct share one callsite; a parameter needs to be a tag only where it is emitted.
#[derive(Event)]
#[event(name = "typed.sent")]
struct Sent<'a, T, M, const N: usize>
where
    T: Clone,
{
    #[measurement]
    size: M,
    #[tag]
    target: &'a T,
    #[tag]
    fixed: Fixed<N>,
    #[tag]
    cache: Cache,
    #[tag]
    flag: &'a bool,
}

struct Fixed<const N: usize>;

impl<const N: usize> TagValue for Fixed<N> {
    fn value(&self) -> telemetry_core::Value<'_> {
        telemetry_core::Value::U64(N as u64)
    }
}

#[test]
fn a_generic_event_has_one_callsite() {
    fn send<T: TagValue + Clone, M: Measurement>(target: &T, size: M) {
        Sent { size, target, fixed: Fixed::<3>, cache: Cache::Miss, flag: &true }.emit();
    }
    let (seen, ()) = Recorder::during("typed.sent", || {
        send(&"a", 1u8);
        send(&7u64, Duration::from_secs(2));
    });
    assert_eq!(seen[0].tags(), "target=a fixed=3 cache=none flag=true");
    assert_eq!(seen[1].tags(), "target=7 fixed=3 cache=none flag=true");
    assert_eq!(seen[1].measurement("size"), Some(Number::Duration(Duration::from_secs(2))));

    type One = Sent<'static, u8, u8, 1>;
    type Other = Sent<'static, String, f64, 2>;
    assert!(std::ptr::eq(One::callsite(), Other::callsite()));
    assert_eq!(One::SIZE.path(), "typed.sent.size");
    let variants: Vec<_> = One::callsite().metadata().tags().iter().map(|field| field.variants).collect();
    assert_eq!(variants, [None, None, Cache::VARIANTS, bool::VARIANTS]);
}

/// Every typed event of a program is known before the first is emitted.
#[test]
fn typed_events_are_known_without_an_emission() {
    #[derive(Event)]
    #[event(name = "typed.never")]
    struct Never;

    assert_eq!(telemetry_core::callsites().filter(|site| site.metadata().name() == Never::NAME).count(), 1);
    Never.emit();
}

#[test]
fn every_unit_has_its_name() {
    #[derive(Event)]
    #[event(name = "typed.units")]
    struct Units {
        #[measurement(unit = "nanosecond")]
        a: u8,
        #[measurement(unit = "microsecond")]
        b: u8,
        #[measurement(unit = "millisecond")]
        c: u8,
        #[measurement(unit = "minute")]
        d: Duration,
        #[measurement(unit = "kilobyte")]
        e: u8,
        #[measurement(unit = "megabyte")]
        f: u8,
        #[measurement(unit = "kibibyte")]
        g: u8,
        #[measurement(unit = "mebibyte")]
        h: u8,
        #[measurement(unit = "ratio")]
        i: f64,
        #[measurement(unit = "percent")]
        j: f64,
        #[measurement]
        k: Option<std::time::Duration>,
        #[measurement]
        l: u8,
    }
    let units: Vec<_> = Units::EVENT.metadata().measurements().iter().map(|field| field.unit).collect();
    use Unit::{
        Kibibyte, Kilobyte, Mebibyte, Megabyte, Microsecond, Millisecond, Minute, Nanosecond, Percent, Ratio, Second,
    };
    let named =
        [Nanosecond, Microsecond, Millisecond, Minute, Kilobyte, Megabyte, Kibibyte, Mebibyte, Ratio, Percent, Second];
    assert_eq!(units, named.map(Some).into_iter().chain([None]).collect::<Vec<_>>());
}

#[test]
fn an_enum_is_one_of_its_texts() {
    #[derive(TagValue)]
    #[tag(rename_all = "SCREAMING_SNAKE_CASE")]
    enum Level {
        NotSet,
        High(),
        #[tag(rename = "very low")]
        Low {},
    }
    let all = [Level::NotSet, Level::High(), Level::Low {}];
    assert_eq!(all.iter().map(|level| level.value().to_string()).collect::<Vec<_>>(), ["NOT_SET", "HIGH", "very low"]);
    let telemetry_core::Value::Variant(variant) = all[1].value() else { panic!("an enum is a variant") };
    assert_eq!(variant.index(), 1);
    assert_eq!(Some(variant.names()), Level::VARIANTS);
}
