//! `emit!` and `span!`, and the constant functions that they expand to.
//!
//! Everything that can be wrong with an event is found while its static is evaluated, so at compile time: see
//! [`constant`].
//!
//! Hygiene: paths go through `$crate` or `::core`, statics live in a block of their own that no expression of the
//! caller is part of, and what the caller's expressions can see are local variables, which macros keep apart.

pub(crate) mod constant;

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
            checked(),
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
    ($check:ident($($shared:expr)?), $name:expr, $measurements:expr, $tags:expr $(,)?) => {{
        static METADATA: $crate::event::Metadata = $crate::__private::$check(
            $($shared,)?
            $crate::event::Metadata::new(
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
            ),
        );
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
        const MEASUREMENTS: &[$crate::event::MeasurementField] = &[
            $crate::__private::DURATION,
            $($crate::__private::measurement(::core::stringify!($measurement), $unit)),*
        ];
        const AT_STOP: ::core::primitive::usize = $crate::__private::count_at_stop(TAGS, EXTRAS);
        const AT_EXCEPTION: ::core::primitive::usize = TAGS.len() + 2;
        const _: () = $crate::__private::check_room(AT_STOP, AT_EXCEPTION, MEASUREMENTS.len());
        static SITES: $crate::__private::Sites = $crate::__private::Sites::new(
            $crate::__callsite!(checked(), ::core::concat!($name, ".start"), &[$crate::__private::SYSTEM_TIME], TAGS),
            $crate::__callsite!(
                checked_end(TAGS.len()),
                ::core::concat!($name, ".stop"),
                MEASUREMENTS,
                &$crate::__private::tags_at_stop::<AT_STOP>(TAGS, EXTRAS),
            ),
            $crate::__callsite!(
                checked_end(TAGS.len()),
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
