//! The code of an event.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Generics, LitStr, parse_quote_spanned};

use super::ast::{Event, Field, Role};
use super::valid::UNITS;
use crate::core_path::core_path;
use crate::generics;

pub(crate) fn expand(event: &Event<'_>) -> TokenStream {
    let core = core_path();
    let (ident, vis) = (&event.input.ident, &event.input.vis);
    let name = event.name.as_ref().map(LitStr::value).unwrap_or_default();
    let (description, documentation) = (&event.description, &event.documentation);
    let generics = &event.input.generics;

    let measurement_fields = event.measurements().map(|field| {
        let (name, unit, description) = (field.name(), unit(field, &core), &field.description);
        quote!(#core::event::MeasurementField { name: #name, unit: #unit, description: #description })
    });
    let tag_fields = event.tags().map(|field| {
        let (name, variants, description) = (field.name(), variants(field, generics, &core), &field.description);
        quote!(#core::event::TagField { name: #name, variants: #variants, description: #description })
    });
    let numbers = event.measurements().map(|field| call(field, &quote!(#core::Measurement), "number"));
    let values = event.tags().map(|field| call(field, &quote!(#core::TagValue), "value"));
    let constants = constants(event, &name, &core);

    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let bounded = bounded(event, &core);
    let (_, _, bounded_where) = bounded.split_for_impl();

    quote! {
        const _: () = {
            static __TELEMETRY_METADATA: #core::event::Metadata = #core::event::Metadata::new(
                #name,
                #description,
                &[#(#measurement_fields),*],
                &[#(#tag_fields),*],
                #core::event::Origin::Typed,
                #core::event::Location {
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: ::core::line!(),
                },
            )
            .documented(#documentation);
            static __TELEMETRY_CALLSITE: #core::Callsite = #core::Callsite::new(&__TELEMETRY_METADATA);
            #core::__private::inventory::submit! { &__TELEMETRY_CALLSITE }

            #[automatically_derived]
            #[allow(dead_code, unreachable_pub)]
            impl #impl_generics #ident #type_generics #where_clause {
                /// This event, to be named where a metric is defined.
                #vis const EVENT: #core::typed::EventRef = #core::typed::EventRef::new(&__TELEMETRY_METADATA);
                #constants

                /// Whether anybody listens: one relaxed load and a branch.
                #[inline]
                #[must_use]
                #vis fn is_wanted() -> ::core::primitive::bool {
                    __TELEMETRY_CALLSITE.is_wanted()
                }
            }

            #[automatically_derived]
            #[allow(dead_code, unreachable_pub)]
            impl #impl_generics #ident #type_generics #bounded_where {
                /// Emits the event.
                #[inline]
                #vis fn emit(&self) {
                    if __TELEMETRY_CALLSITE.is_wanted() {
                        __TELEMETRY_CALLSITE.emit(&[#(#numbers),*], &[#(#values),*]);
                    }
                }

                /// Makes the event and emits it, if anybody listens.
                #[inline]
                #vis fn emit_with(event: impl ::core::ops::FnOnce() -> Self) {
                    if __TELEMETRY_CALLSITE.is_wanted() {
                        event().emit();
                    }
                }
            }

            #[automatically_derived]
            impl #impl_generics #core::TypedEvent for #ident #type_generics #where_clause {
                const NAME: &'static ::core::primitive::str = #name;

                #[inline]
                fn callsite() -> &'static #core::Callsite {
                    &__TELEMETRY_CALLSITE
                }
            }
        };
    }
}

/// A constant for each field.
fn constants(event: &Event<'_>, event_name: &str, core: &TokenStream) -> TokenStream {
    let vis = &event.input.vis;
    let constants = event.fields.iter().map(|field| {
        let (constant, name) = (field.constant(), field.name());
        match &field.role {
            Role::Measurement { .. } => {
                let path = format!("{event_name}.{name}");
                let (unit, doc) = (unit(field, core), format!("The measurement `{path}`."));
                quote! {
                    #[doc = #doc]
                    #vis const #constant: #core::typed::MeasurementRef =
                        #core::typed::MeasurementRef::new(#path, #event_name, #name, #unit);
                }
            }
            Role::Tag => {
                let doc = format!("The tag `{name}` of `{event_name}`.");
                quote! {
                    #[doc = #doc]
                    #vis const #constant: #core::typed::TagRef = #core::typed::TagRef::new(#event_name, #name);
                }
            }
        }
    });
    constants.collect()
}

/// `<Type as Trait>::method(&self.field)`, blamed on the type.
fn call(field: &Field<'_>, of: &TokenStream, method: &str) -> TokenStream {
    let (ident, ty, method) = (field.ident, field.ty, format_ident!("{method}"));
    quote_spanned!(at(field)=> <#ty as #of>::#method(&self.#ident))
}

/// Where the type of `field` is written, but as code of a macro: lints leave it alone.
fn at(field: &Field<'_>) -> Span {
    Span::call_site().located_at(field.ty.span())
}

/// The generics of the struct, and for each field whose type they decide, that it can be what it is.
fn bounded(event: &Event<'_>, core: &TokenStream) -> Generics {
    let mut bounded = event.input.generics.clone();
    for field in &event.fields {
        let ty = field.ty;
        if !generics::mentions(ty.to_token_stream(), &event.input.generics) {
            continue;
        }
        let of = match field.role {
            Role::Measurement { .. } => quote!(#core::Measurement),
            Role::Tag => quote!(#core::TagValue),
        };
        bounded.make_where_clause().predicates.push(parse_quote_spanned!(at(field)=> #ty: #of));
    }
    bounded
}

fn unit(field: &Field<'_>, core: &TokenStream) -> TokenStream {
    let declared = match &field.role {
        Role::Measurement { unit: Some(unit) } => unit.value(),
        Role::Measurement { unit: None } if field.is_duration() => "second".to_owned(),
        _ => return quote!(::core::option::Option::None),
    };
    let unit = match UNITS.iter().find(|(name, _)| *name == declared) {
        Some((_, variant)) => format_ident!("{variant}").into_token_stream(),
        None => {
            let noun = Literal::string(&declared);
            quote!(Other(#noun))
        }
    };
    quote!(::core::option::Option::Some(#core::Unit::#unit))
}

/// The values that a tag can have, as far as a static can know: a type that depends on a parameter is many types.
fn variants(field: &Field<'_>, generics: &Generics, core: &TokenStream) -> TokenStream {
    let ty = field.ty.to_token_stream();
    let is_one_type = !generics::mentions(ty.clone(), generics);
    match generics::with_static_lifetimes(ty).filter(|_| is_one_type) {
        Some(ty) => quote_spanned!(at(field)=> <#ty as #core::TagValue>::VARIANTS),
        None => quote!(::core::option::Option::None),
    }
}
