//! The path of telemetry-core, as the crate that is being compiled has it.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// `::telemetry_core`, or the name that the caller's `Cargo.toml` gives it.
///
/// Where it is no dependency at all, the path is that of the crate's own name, so the compiler says what is missing.
pub(crate) fn core_path() -> TokenStream {
    let name = match crate_name("telemetry-core") {
        Ok(FoundCrate::Name(name)) => name,
        // telemetry-core calls itself by its own name.
        Ok(FoundCrate::Itself) | Err(_) => "telemetry_core".to_owned(),
    };
    let name = Ident::new(&name, Span::call_site());
    quote!(::#name)
}
