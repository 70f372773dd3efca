//! What stands in for an event that has errors, so that the uses of it have none.

use proc_macro2::TokenStream;
use quote::quote;

use super::ast::{Event, Role};
use crate::core_path::core_path;

pub(crate) fn expand(event: &Event<'_>) -> TokenStream {
    let core = core_path();
    let (ident, vis) = (&event.input.ident, &event.input.vis);
    let (impl_generics, type_generics, where_clause) = event.input.generics.split_for_impl();

    let mut seen = vec!["EVENT".to_owned()];
    let constants = event.fields.iter().filter_map(|field| {
        let constant = field.constant();
        if seen.contains(&constant.to_string()) {
            return None;
        }
        seen.push(constant.to_string());
        let reference = match field.role {
            Role::Measurement { .. } => quote!(MeasurementRef),
            Role::Tag => quote!(TagRef),
        };
        Some(quote!(#vis const #constant: #core::typed::#reference = ::core::panic!();))
    });

    quote! {
        #[automatically_derived]
        #[allow(dead_code, missing_docs, unreachable_pub)]
        impl #impl_generics #ident #type_generics #where_clause {
            #vis const EVENT: #core::typed::EventRef = ::core::panic!();
            #(#constants)*

            #vis fn is_wanted() -> ::core::primitive::bool {
                false
            }

            #vis fn emit(&self) {}

            #vis fn emit_with(_: impl ::core::ops::FnOnce() -> Self) {}
        }

        #[automatically_derived]
        impl #impl_generics #core::TypedEvent for #ident #type_generics #where_clause {
            const NAME: &'static ::core::primitive::str = "";

            fn callsite() -> &'static #core::Callsite {
                ::core::panic!()
            }
        }
    }
}
