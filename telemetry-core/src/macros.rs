//! `emit!` and `span!`, and the constant functions that they expand to.
//!
//! Everything that can be wrong with an event is found while its static is evaluated, so at compile time: the name by
//! [`crate::name::fault`], fields of the same name by [`checked`].
//!
//! Hygiene: paths go through `$crate` or `::core`, statics live in a block of their own that no expression of the
//! caller is part of, and what the caller's expressions can see are local variables, which macros keep apart.

use crate::event::{MeasurementField, Metadata, TagField};
use crate::name;
use crate::unit::Unit;

/// Emits an event: a name, measurements, tags.
///
/// When nobody listens, this is one relaxed load: no expression is evaluated. Otherwise each expression is evaluated
/// once, in the order written, and borrowed until every handler has returned.
///
/// ```
/// use telemetry_core::emit;
///
/// let (country, bytes) = ("de", 1_500u64);
/// emit!("shop.opened");
/// emit!("shop.cart.checkout", { total: 12.5, items: 3u64 }, { country, paid: true });
/// emit!("shop.cart.export", { bytes => Byte, orders: 3u64 => Other("orders") });
/// emit!("shop.cart.abandoned", {}, { country });
/// ```
///
/// - The first braces hold measurements: anything that is a [`Measurement`](crate::Measurement). `=> Unit` names a
///   variant of [`Unit`](crate::Unit).
/// - The second braces hold tags: anything that is a [`TagValue`](crate::TagValue).
/// - A name alone stands for the variable of that name. A field whose name is a keyword is written as it is
///   (`type: kind`), a variable in the raw form (`r#type`).
///
/// A bad name is refused by the compiler, and so are two fields of one name:
///
/// ```compile_fail
/// telemetry_core::emit!("shop..opened");
/// ```
#[macro_export]
macro_rules! emit {
    (
        $name:expr
        $(, { $($measurement:ident $(: $number:expr)? $(=> $unit:ident $(($noun:literal))?)?),* $(,)? }
            $(, { $($tag:ident $(: $value:expr)?),* $(,)? })?
        )?
        $(,)?
    ) => {{
        let callsite = $crate::__callsite!(
            $name,
            &[$($($crate::__private::measurement(
                ::core::stringify!($measurement),
                $crate::__unit!($($unit $(($noun))?)?),
            )),*)?],
            &[$($($($crate::__private::tag(::core::stringify!($tag))),*)?)?],
        );
        if callsite.is_wanted() {
            callsite.emit(
                &[$($($crate::Measurement::number(&$crate::__value!($measurement $(, $number)?))),*)?],
                &[$($($($crate::TagValue::value(&$crate::__value!($tag $(, $value)?))),*)?)?],
            );
        }
    }};
    ($($other:tt)*) => {
        ::core::compile_error!(
            "write the name, then measurements, then tags: emit!(\"a.name\", { size: 3u64 => Byte }, { country: \"de\" })"
        )
    };
}

/// Makes a [`Span`](crate::span::Span): what happens between a start and a stop.
///
/// A span named `shop.payment` emits `shop.payment.start`, then either `shop.payment.stop` or
/// `shop.payment.exception`. When nobody listens to any of the three, this is three relaxed loads: no expression is
/// evaluated, and the span does nothing.
///
/// ```
/// use telemetry_core::span;
///
/// # fn charge() -> Result<u64, String> { Ok(3) }
/// # fn main() -> Result<(), String> {
/// let attempt = 1u8;
/// let cents = span!("shop.payment", { provider: "acme", attempt }).run(|| charge())?;
/// assert_eq!(cents, 3);
/// # Ok(()) }
/// ```
///
/// Tags are evaluated once, where `span!` stands, and kept until the span ends: a reference is kept as it is, anything
/// else is copied, so the span of a task that is spawned takes `name.clone()` or `name` rather than `&name`.
///
/// What is known at the end only is declared behind `stop:`, measurements and then tags, and set by the body; what
/// stays unset is absent. A tag that is declared again overrides the one of the start:
///
/// ```
/// use telemetry_core::span;
///
/// let rows = span!("shop.import", { source: "csv" }, stop: { rows, size => Byte }, { format }).run_with(|stop| {
///     stop.rows.set(1_000u64);
///     stop.format.set("v2");
///     1_000
/// });
/// assert_eq!(rows, 1_000);
/// ```
#[macro_export]
macro_rules! span {
    (
        $name:expr
        $(, { $($tag:ident $(: $value:expr)?),* $(,)? })?
        $(, stop: { $($measurement:ident $(=> $unit:ident $(($noun:literal))?)?),* $(,)? }
            $(, { $($extra:ident),* $(,)? })?
        )?
        $(,)?
    ) => {{
        let sites = $crate::__span_sites!(
            $name,
            [$($($tag)*)?],
            [$($($measurement ($crate::__unit!($($unit $(($noun))?)?)))*)?],
            [$($($($extra)*)?)?],
        );
        let wanted = sites.is_wanted();
        let extras = $crate::__extras!(wanted, [$($($measurement)*)?], [$($($($extra)*)?)?]);
        if wanted {
            #[allow(unused_imports)]
            use $crate::__private::{HeldByCopy as _, HeldByReference as _};
            $crate::span::Span::live(
                sites,
                [$($((&$crate::__private::Hold::new(&$crate::__value!($tag $(, $value)?))).hold()),*)?],
                extras,
            )
        } else {
            $crate::span::Span::idle(sites, extras)
        }
    }};
    ($($other:tt)*) => {
        ::core::compile_error!(
            "write the name, then tags, then what the stop adds: \
             span!(\"a.name\", { country: \"de\" }, stop: { size => Byte }, { status })"
        )
    };
}

/// The static callsite of an event that a macro names, as an expression of type `&'static Callsite`.
#[doc(hidden)]
#[macro_export]
macro_rules! __callsite {
    ($name:expr, $measurements:expr, $tags:expr $(,)?) => {{
        static METADATA: $crate::event::Metadata = $crate::__private::checked($crate::event::Metadata::new(
            $name,
            "",
            $measurements,
            $tags,
            $crate::event::Origin::AdHoc,
            $crate::event::Location {
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
            },
        ));
        static CALLSITE: $crate::Callsite = $crate::Callsite::new(&METADATA);
        $crate::__private::inventory::submit! { &CALLSITE }
        &CALLSITE
    }};
}

/// The three callsites of a span, as an expression of type `&'static Sites`.
#[doc(hidden)]
#[macro_export]
macro_rules! __span_sites {
    ($name:expr, [$($tag:ident)*], [$($measurement:ident ($unit:expr))*], [$($extra:ident)*] $(,)?) => {{
        const TAGS: &[$crate::event::TagField] = &[$($crate::__private::tag(::core::stringify!($tag))),*];
        const EXTRAS: &[$crate::event::TagField] = &[$($crate::__private::tag(::core::stringify!($extra))),*];
        const AT_STOP: ::core::primitive::usize = $crate::__private::count_at_stop(TAGS, EXTRAS);
        const AT_EXCEPTION: ::core::primitive::usize = TAGS.len() + 2;
        static SITES: $crate::__private::Sites = $crate::__private::Sites::new(
            $crate::__callsite!(::core::concat!($name, ".start"), &[$crate::__private::SYSTEM_TIME], TAGS),
            $crate::__callsite!(
                ::core::concat!($name, ".stop"),
                &[
                    $crate::__private::DURATION,
                    $($crate::__private::measurement(::core::stringify!($measurement), $unit)),*
                ],
                &$crate::__private::tags_at_stop::<AT_STOP>(TAGS, EXTRAS),
            ),
            $crate::__callsite!(
                ::core::concat!($name, ".exception"),
                &[$crate::__private::DURATION],
                &$crate::__private::tags_at_exception::<AT_EXCEPTION>(TAGS),
            ),
            &$crate::__private::places_of_extras::<{ EXTRAS.len() }>(TAGS, EXTRAS),
        );
        &SITES
    }};
}

/// What a span adds to its stop: a struct with a field for each, so that a name that was not declared is a compile
/// error at the name.
#[doc(hidden)]
#[macro_export]
macro_rules! __extras {
    ($wanted:ident, [], []) => { () };
    ($wanted:ident, [$($measurement:ident)*], [$($extra:ident)*]) => {{
        struct StopFields {
            $($measurement: $crate::span::StopMeasurement,)*
            $($extra: $crate::span::StopTag,)*
        }
        impl $crate::span::Extras for StopFields {
            fn measurements(&self) -> impl ::core::iter::Iterator<Item = ::core::option::Option<$crate::Number>> {
                ::core::iter::IntoIterator::into_iter([$(self.$measurement.number()),*])
            }

            fn tags(&self) -> impl ::core::iter::Iterator<Item = $crate::Value<'_>> {
                ::core::iter::IntoIterator::into_iter([$(self.$extra.value()),*])
            }
        }
        StopFields {
            $($measurement: $crate::span::StopMeasurement::new($wanted),)*
            $($extra: $crate::span::StopTag::new($wanted),)*
        }
    }};
}

/// The expression of a field; the variable of its name where none is written.
#[doc(hidden)]
#[macro_export]
macro_rules! __value {
    ($name:ident) => {
        $name
    };
    ($name:ident, $value:expr) => {
        $value
    };
}

/// The unit of a measurement, if one is declared.
#[doc(hidden)]
#[macro_export]
macro_rules! __unit {
    () => {
        ::core::option::Option::None
    };
    ($unit:ident $(($noun:literal))?) => {
        ::core::option::Option::Some($crate::Unit::$unit $(($noun))?)
    };
}

/// A measurement that a macro names.
#[must_use]
pub const fn measurement(name: &'static str, unit: Option<Unit>) -> MeasurementField {
    MeasurementField { name: plain(name), unit, description: "" }
}

/// A tag that a macro names; its type, and with it the set of its values, is not known there.
#[must_use]
pub const fn tag(name: &'static str) -> TagField {
    TagField { name: plain(name), variants: None, description: "" }
}

/// The name behind a raw identifier.
const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Gives `metadata` back when it is that of a possible event.
///
/// # Panics
///
/// When the name is not that of an event, or two measurements, or two tags, have one name: at compile time, as the
/// macros call this in the initialiser of a static.
#[must_use]
pub const fn checked(metadata: Metadata) -> Metadata {
    if let Some(fault) = name::fault(metadata.name()) {
        fail(&[
            "`",
            metadata.name(),
            "` is not the name of an event: ",
            fault,
            "; write segments of letters, digits and `_`, joined by dots, as in `http.request.stop`",
        ]);
    }
    let measurements = metadata.measurements();
    let mut at = 0;
    while at < measurements.len() {
        check_field(measurements[at].name);
        let mut before = 0;
        while before < at {
            if same(measurements[before].name, measurements[at].name) {
                fail(&["the event `", metadata.name(), "` has two measurements named `", measurements[at].name, "`"]);
            }
            before += 1;
        }
        at += 1;
    }
    let tags = metadata.tags();
    let mut at = 0;
    while at < tags.len() {
        check_field(tags[at].name);
        if position(tags, tags[at].name) < at {
            fail(&["the event `", metadata.name(), "` has two tags named `", tags[at].name, "`"]);
        }
        at += 1;
    }
    metadata
}

const fn check_field(field: &str) {
    if let Some(fault) = name::fault(field) {
        fail(&["`", field, "` is not the name of a field: ", fault]);
    }
}

/// Where `name` stands among `tags`; their number when it does not.
pub(crate) const fn position(tags: &[TagField], name: &str) -> usize {
    let mut at = 0;
    while at < tags.len() && !same(tags[at].name, name) {
        at += 1;
    }
    at
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Panics with the pieces joined: a constant can't format, so they are copied into one text.
const fn fail(pieces: &[&str]) -> ! {
    let mut text = [0; 512];
    let mut length = 0;
    let mut piece = 0;
    while piece < pieces.len() {
        let bytes = pieces[piece].as_bytes();
        let mut at = 0;
        while at < bytes.len() && length < text.len() {
            text[length] = bytes[at];
            length += 1;
            at += 1;
        }
        piece += 1;
    }
    match std::str::from_utf8(text.split_at(length).0) {
        Ok(text) => panic!("{}", text),
        // Cut within a character: the text was longer than the room for it.
        Err(_) => panic!("a name is not valid, and too long to be shown"),
    }
}
