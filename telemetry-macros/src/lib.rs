//! The derives and attributes of `telemetry-core`.

use proc_macro::TokenStream;

/// Derives an event.
#[proc_macro_derive(Event, attributes(event, measurement, tag))]
pub fn derive_event(_: TokenStream) -> TokenStream {
    TokenStream::new()
}

/// Derives a tag value.
#[proc_macro_derive(TagValue, attributes(tag))]
pub fn derive_tag_value(_: TokenStream) -> TokenStream {
    TokenStream::new()
}

/// Makes a span of a function.
#[proc_macro_attribute]
pub fn instrument(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}
