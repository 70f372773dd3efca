//! What a type says in a place where the parameters of its struct don't exist: in a static.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::{GenericParam, Generics};

/// Whether `tokens` name a type or constant parameter, or `Self`, which stands for all of them.
///
/// By token, so another thing of a parameter's name counts too: that costs a bound that was not needed, no more.
pub(crate) fn mentions(tokens: TokenStream, generics: &Generics) -> bool {
    let is_parameter = |ident: &Ident| {
        ident == "Self"
            || generics.params.iter().any(|parameter| match parameter {
                GenericParam::Type(parameter) => parameter.ident == *ident,
                GenericParam::Const(parameter) => parameter.ident == *ident,
                GenericParam::Lifetime(_) => false,
            })
    };
    any(tokens, &is_parameter)
}

fn any(tokens: TokenStream, test: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => test(&ident),
        TokenTree::Group(group) => any(group.stream(), test),
        _ => false,
    })
}

/// The same type with `'static` for each lifetime; `None` where it binds lifetimes of its own (`for<'a> ..`).
pub(crate) fn with_static_lifetimes(tokens: TokenStream) -> Option<TokenStream> {
    if any(tokens.clone(), &|ident| ident == "for") {
        return None;
    }
    let mut in_lifetime = false;
    let replaced = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(ident) if in_lifetime => {
            in_lifetime = false;
            Some(TokenTree::Ident(Ident::new("static", ident.span())))
        }
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), with_static_lifetimes(group.stream())?);
            inner.set_span(group.span());
            Some(TokenTree::Group(inner))
        }
        TokenTree::Punct(punct) => {
            in_lifetime = punct.as_char() == '\'';
            Some(TokenTree::Punct(punct))
        }
        token => Some(token),
    });
    replaced.collect()
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    use super::*;

    #[test]
    fn lifetimes_become_static_at_every_depth() {
        let tokens = with_static_lifetimes(quote!(Option<&'a Cow<'b, [&'a str; 2]>>)).unwrap();
        assert_eq!(tokens.to_string(), quote!(Option<&'static Cow<'static, [&'static str; 2]>>).to_string());
        assert!(with_static_lifetimes(quote!(Box<dyn for<'x> Fn(&'x str)>)).is_none());
    }

    #[test]
    fn parameters_are_found_at_every_depth() {
        let generics: Generics = parse_quote!(<'a, T, const N: usize>);
        assert!(mentions(quote!(Option<(u8, T)>), &generics));
        assert!(mentions(quote!([u8; N]), &generics));
        assert!(mentions(quote!(Box<Self>), &generics));
        assert!(!mentions(quote!(&'a str), &generics));
    }
}
