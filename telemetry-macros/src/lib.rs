//! The derives and attributes of `telemetry-core`, which exports them: depend on that crate, not on this one.
//!
//! The derive of an event is a pipeline: read the input (`event/ast.rs`, with `attr.rs`), refuse what can't be meant
//! (`valid.rs`), write the code (`expand.rs`). Where something was refused, the errors come with an implementation that
//! does nothing (`fallback.rs`), so that the compiler doesn't report every use of the type too. The others do the same
//! in one file each.
//!
//! Paths in what is written are absolute (`::core`, and the name that the caller's `Cargo.toml` has for telemetry-core):
//! nothing depends on what the caller imported or shadowed.

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod attr;
mod core_path;
mod event;
mod generics;
mod instrument;
mod name;
mod tag_value;

/// Makes a struct an event: gives it `emit`, and a constant for the event and for each of its fields.
///
/// ```
/// use std::time::Duration;
/// use telemetry_core::Event;
///
/// /// A request was answered.
/// #[derive(Event)]
/// #[event(name = "http.server.request.stop")]
/// pub struct RequestStop<'a> {
///     /// From the first byte read to the last byte written.
///     #[measurement]
///     pub duration: Duration,
///     #[measurement(unit = "byte")]
///     pub body: u64,
///     #[tag]
///     pub route: &'a str,
///     #[tag(rename = "status")]
///     pub code: u16,
///     /// Not part of the event.
///     #[event(skip)]
///     pub internal: (),
/// }
///
/// let event = RequestStop { duration: Duration::from_millis(3), body: 1_200, route: "/", code: 200, internal: () };
/// event.emit();
/// RequestStop::emit_with(|| unreachable!("nobody listens, so the event is not made"));
///
/// assert_eq!(RequestStop::BODY.path(), "http.server.request.stop.body");
/// assert_eq!(RequestStop::CODE.name(), "status");
/// assert!(!RequestStop::is_wanted());
/// ```
///
/// On the struct:
/// - `#[event(name = "...")]`, the name of the event, is required. The first paragraph of the doc comment becomes the
///   description.
///
/// On each field one of:
/// - `#[measurement]`, for a type that is a `Measurement`. `unit = "..."` is one of `nanosecond`, `microsecond`,
///   `millisecond`, `second`, `minute`, `byte`, `kilobyte`, `megabyte`, `kibibyte`, `mebibyte`, `ratio`, `percent`, or
///   any other plural noun, as `"orders"`. A `Duration` is in seconds unless it says otherwise.
/// - `#[tag]`, for a type that is a `TagValue`.
/// - `#[event(skip)]`, for what is not part of the event.
///
/// `rename = "..."` gives a measurement or tag another name than its field. A doc comment becomes its description.
///
/// The constants (`EVENT`, and each field's name in capitals) are what metrics take in place of texts; they and the
/// methods are as visible as the struct. The types of a generic struct share one callsite; its constants are reached
/// through any of them: `Sent::<u8>::SIZE`.
#[proc_macro_derive(Event, attributes(event, measurement, tag))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    event::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes an enum without fields the value of a tag: the name of the variant, in snake case.
///
/// ```
/// use telemetry_core::TagValue;
///
/// #[derive(TagValue)]
/// #[tag(rename_all = "kebab-case")]
/// enum Cache {
///     Hit,
///     StaleHit,
///     #[tag(rename = "none")]
///     Miss,
/// }
///
/// assert_eq!(Cache::StaleHit.value(), "stale-hit");
/// assert_eq!(Cache::VARIANTS, Some(&["hit", "stale-hit", "none"][..]));
/// ```
///
/// `rename_all` is one of `snake_case`, `kebab-case`, `SCREAMING_SNAKE_CASE`, `lowercase` and `PascalCase`. As all
/// values are known beforehand, metrics over typed events with such tags find their series by position rather than by hash,
/// and the catalogue of events lists them.
#[proc_macro_derive(TagValue, attributes(tag))]
pub fn derive_tag_value(input: TokenStream) -> TokenStream {
    tag_value::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes each call of a function a span.
///
/// ```
/// use telemetry_core::instrument;
///
/// struct Card { amount: u64 }
///
/// #[instrument("shop.payment", tags(provider, amount = card.amount))]
/// fn charge(provider: &str, card: &Card) -> Result<u64, String> {
///     if card.amount == 0 {
///         return Err(format!("nothing to charge with {provider}"));
///     }
///     Ok(card.amount)
/// }
///
/// assert_eq!(charge("acme", &Card { amount: 3 }), Ok(3));
/// ```
///
/// The span emits `shop.payment.start`, then `shop.payment.stop` with the tag `outcome`, or `shop.payment.exception`
/// when the function panics. The outcome is `error` when the function returns `Err`, or another `Outcome` that is an
/// error; what a generic function returns is judged only where its bounds say that it is one.
///
/// In `tags`, a name alone stands for the parameter of that name; `name = expression` may use all parameters. Tags are
/// evaluated before the body, and only when somebody listens.
///
/// An `async fn` is a span from its first poll to its end; dropped before, its outcome is `cancelled`. A function that
/// is not `async` itself but returns a future is a span while it makes that future.
#[proc_macro_attribute]
pub fn instrument(arguments: TokenStream, item: TokenStream) -> TokenStream {
    instrument::expand(arguments.into(), item.into()).into()
}
