//! `#[derive(Event)]`.

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::attr::Errors;

mod ast;
mod expand;
mod fallback;
mod valid;

pub(crate) use valid::bad_event_name;

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let event = ast::Event::read(input, &mut errors);
    valid::check(&event, &mut errors);
    match errors.into_code() {
        None => expand::expand(&event),
        Some(errors) => {
            let fallback = fallback::expand(&event);
            quote::quote!(#errors #fallback)
        }
    }
}
