//! `#[derive(TagValue)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DataEnum, DeriveInput, Error, LitStr};

use crate::attr::{self, Errors};
use crate::core_path::core_path;
use crate::name::Case;

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let case = read_case(input, &mut errors);
    let texts = match &input.data {
        Data::Enum(data) => read_texts(input, data, case, &mut errors),
        Data::Struct(data) => {
            refuse(data.struct_token.span, &mut errors);
            Vec::new()
        }
        Data::Union(data) => {
            refuse(data.union_token.span, &mut errors);
            Vec::new()
        }
    };
    match (errors.into_code(), &input.data) {
        (None, Data::Enum(data)) => expand(input, data, &texts),
        (errors, _) => {
            let fallback = fallback(input);
            quote!(#errors #fallback)
        }
    }
}

fn refuse(keyword: proc_macro2::Span, errors: &mut Errors) {
    let message = "`TagValue` is derived for enums without fields; implement it by hand for another type";
    errors.push(Error::new(keyword, message));
}

fn read_case(input: &DeriveInput, errors: &mut Errors) -> Case {
    let mut rename_all: Option<LitStr> = None;
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("tag")) {
        errors.keep(attr::read_list(attribute, |meta| {
            if meta.path.is_ident("rename_all") {
                return attr::read_text(&meta, &mut rename_all);
            }
            Err(meta.error("unknown argument; an enum takes `#[tag(rename_all = \"...\")]`"))
        }));
    }
    let Some(rename_all) = rename_all else { return Case::default() };
    Case::parse(&rename_all.value()).unwrap_or_else(|| {
        errors.push(Error::new(rename_all.span(), format!("unknown case; write {}", Case::NAMES)));
        Case::default()
    })
}

/// The text of each variant.
fn read_texts(input: &DeriveInput, data: &DataEnum, case: Case, errors: &mut Errors) -> Vec<String> {
    if data.variants.is_empty() {
        errors.push(Error::new(input.ident.span(), "an enum without variants has no value that a tag could have"));
    }
    let mut texts: Vec<String> = Vec::new();
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            let message = "a tag is one of a few texts, so the variants have no fields";
            errors.push(Error::new_spanned(&variant.fields, message));
        }
        let mut rename: Option<LitStr> = None;
        for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("tag")) {
            errors.keep(attr::read_list(attribute, |meta| {
                if meta.path.is_ident("rename") {
                    return attr::read_text(&meta, &mut rename);
                }
                Err(meta.error("unknown argument; a variant takes `#[tag(rename = \"...\")]`"))
            }));
        }
        let span = rename.as_ref().map_or_else(|| variant.ident.span(), LitStr::span);
        let text = rename.map_or_else(|| case.apply(&variant.ident.unraw().to_string()), |text| text.value());
        if text.is_empty() {
            errors.push(Error::new(span, "an empty text is an absent tag; use an `Option` of the enum for that"));
        } else if let Some(at) = texts.iter().position(|before| *before == text) {
            let other = &data.variants[at].ident;
            errors.push(Error::new(span, format!("`{other}` has the text `{text}` already")));
        }
        texts.push(text);
    }
    texts
}

fn expand(input: &DeriveInput, data: &DataEnum, texts: &[String]) -> TokenStream {
    let core = core_path();
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let variants = data.variants.iter().map(|variant| &variant.ident);
    let (indices, count) = (0..texts.len(), texts.len());
    // The array itself is the static: a slice that a static or a constant refers to may have another address in each part
    // of the program, and tags of a closed set are known by the address of their names.
    quote! {
        const _: () = {
            static __TELEMETRY_NAMES: [&::core::primitive::str; #count] = [#(#texts),*];

            #[automatically_derived]
            impl #impl_generics #core::TagValue for #ident #type_generics #where_clause {
                const VARIANTS: ::core::option::Option<&'static [&'static ::core::primitive::str]> =
                    ::core::option::Option::Some(&__TELEMETRY_NAMES);

                #[inline]
                fn value(&self) -> #core::Value<'_> {
                    let index: ::core::primitive::usize = match self {
                        #(Self::#variants { .. } => #indices,)*
                    };
                    #core::Value::Variant(#core::value::Variant::new(index, &__TELEMETRY_NAMES))
                }
            }
        };
    }
}

/// What stands in where there are errors, so that the uses of the type have none.
fn fallback(input: &DeriveInput) -> TokenStream {
    let core = core_path();
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #core::TagValue for #ident #type_generics #where_clause {
            fn value(&self) -> #core::Value<'_> {
                #core::Value::Absent
            }
        }
    }
}
