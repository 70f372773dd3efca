//! `#[instrument]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Block, Error, Expr, FnArg, GenericArgument, LitStr, Pat, PathArguments, Result, ReturnType, Signature,
    Token, Type, Visibility, parenthesized, parse_quote, parse2,
};

use crate::attr::Errors;
use crate::core_path::core_path;
use crate::name;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let function = errors.keep(parse2::<Function>(item.clone()));
    let arguments = errors.keep(read_arguments(arguments));
    if let (Some(function), Some(arguments)) = (&function, &arguments) {
        check(function, arguments, &mut errors);
    }
    match (errors.into_code(), function, arguments) {
        (None, Some(function), Some(arguments)) => write(function, &arguments),
        // The item as it was, so that its uses have no errors.
        (errors, ..) => quote!(#errors #item),
    }
}

/// A function or a method, with its body.
struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: Block,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let not_a_function = |at| Error::new(at, "`#[instrument]` goes on a function or a method");
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let start = input.span();
        let signature: Signature = input.parse().map_err(|_| not_a_function(start))?;
        if let Some(semicolon) = input.parse::<Option<Token![;]>>()? {
            return Err(Error::new(semicolon.span, "there is no body to instrument; put it on the implementation"));
        }
        // The inner attributes of a body are those of the function.
        let mut attributes = attributes;
        let content;
        let brace_token = syn::braced!(content in input);
        attributes.extend(content.call(Attribute::parse_inner)?);
        let body = Block { brace_token, stmts: content.call(Block::parse_within)? };
        Ok(Self { attributes, visibility, signature, body })
    }
}

/// `"name", tags(a, b = expression)`
struct Arguments {
    name: LitStr,
    tags: Punctuated<Tag, Token![,]>,
}

struct Tag {
    ident: Ident,
    value: Option<Expr>,
}

const FORM: &str = "write the name of the span, as in `#[instrument(\"shop.payment\", tags(provider))]`";

fn read_arguments(arguments: TokenStream) -> Result<Arguments> {
    if arguments.is_empty() {
        return Err(Error::new(Span::call_site(), FORM));
    }
    parse2(arguments)
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.parse::<LitStr>().map_err(|error| Error::new(error.span(), FORM))?;
        let mut tags: Option<Punctuated<Tag, Token![,]>> = None;
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let unknown = "unknown argument; behind the name there may be `tags(name, other = expression)`";
            let key = input.call(Ident::parse_any).map_err(|error| Error::new(error.span(), unknown))?;
            if key != "tags" {
                return Err(Error::new(key.span(), unknown));
            }
            if tags.is_some() {
                return Err(Error::new(key.span(), "`tags` is there twice"));
            }
            let content;
            parenthesized!(content in input);
            tags = Some(content.parse_terminated(Tag::parse, Token![,])?);
        }
        if !input.is_empty() {
            return Err(input.error("write a comma between arguments"));
        }
        Ok(Self { name, tags: tags.unwrap_or_default() })
    }
}

impl Parse for Tag {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let ident = input.call(Ident::parse_any)?;
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        Ok(Self { ident, value })
    }
}

fn check(function: &Function, arguments: &Arguments, errors: &mut Errors) {
    let signature = &function.signature;
    if let Some(token) = &signature.constness {
        errors.push(Error::new(token.span, "a `const fn` can't be instrumented: it can't emit events"));
    }
    if let Some(fault) = name::fault(&arguments.name.value()) {
        errors.push(crate::event::bad_event_name(&arguments.name, fault));
    }
    let mut parameters = Vec::new();
    for input in &signature.inputs {
        if let FnArg::Typed(input) = input {
            bound_names(&input.pat, &mut parameters);
        }
    }
    let mut seen: Vec<String> = Vec::new();
    for tag in &arguments.tags {
        let name = tag.ident.unraw().to_string();
        if tag.value.is_none() && !parameters.iter().any(|parameter| **parameter == tag.ident) {
            let message = format!(
                "`{name}` is not a parameter of `{}`; name one, or write `{name} = <expression>`",
                signature.ident
            );
            errors.push(Error::new(tag.ident.span(), message));
        }
        if ["outcome", "kind", "message"].contains(&name.as_str()) {
            errors.push(Error::new(tag.ident.span(), format!("a span has a tag `{name}` of its own")));
        } else if let Some(fault) = name::fault(&name) {
            errors.push(Error::new(tag.ident.span(), format!("`{name}` is not the name of a tag: {fault}")));
        } else if seen.contains(&name) {
            errors.push(Error::new(tag.ident.span(), format!("there is a tag named `{name}` already")));
        }
        seen.push(name);
    }
}

/// The variables that a pattern binds.
fn bound_names<'p>(pattern: &'p Pat, names: &mut Vec<&'p Ident>) {
    match pattern {
        Pat::Ident(pattern) => {
            names.push(&pattern.ident);
            if let Some((_, inner)) = &pattern.subpat {
                bound_names(inner, names);
            }
        }
        Pat::Tuple(pattern) => pattern.elems.iter().for_each(|element| bound_names(element, names)),
        Pat::TupleStruct(pattern) => pattern.elems.iter().for_each(|element| bound_names(element, names)),
        Pat::Struct(pattern) => pattern.fields.iter().for_each(|field| bound_names(&field.pat, names)),
        Pat::Slice(pattern) => pattern.elems.iter().for_each(|element| bound_names(element, names)),
        Pat::Reference(pattern) => bound_names(&pattern.pat, names),
        Pat::Paren(pattern) => bound_names(&pattern.pat, names),
        Pat::Type(pattern) => bound_names(&pattern.pat, names),
        _ => {}
    }
}

fn write(function: Function, Arguments { name, tags }: &Arguments) -> TokenStream {
    let core = core_path();
    let Function { attributes, visibility, signature, body } = function;
    let tags = tags.iter().map(|Tag { ident, value }| match value {
        Some(value) => quote!(#ident: #value),
        None => quote!(#ident),
    });
    // Located where the user wrote something, but code of a macro: lints leave it alone.
    let at_name = Span::call_site().located_at(name.span());
    let at_body = Span::call_site().located_at(body.span());
    let span = quote_spanned!(at_name=> #core::span!(#name, { #(#tags),* }));
    let output = match &signature.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => without_impl(ty),
    };
    // By autoref: an `Outcome` judges itself, anything else is no error.
    let judge = quote! {
        |__telemetry_value| {
            #[allow(unused_imports)]
            use #core::__private::{JudgedByOutcome as _, JudgedOk as _};
            (&#core::__private::Judge(__telemetry_value)).is_error()
        }
    };
    let call = if signature.asyncness.is_some() {
        // An `async` block has no place for its type, and `?` needs it: the branch that never runs gives it.
        quote_spanned! {at_body=>
            #span.instrument_as(
                async move {
                    #[allow(unreachable_code, unused_variables, clippy::all, clippy::pedantic, clippy::nursery)]
                    if false {
                        let __telemetry_output: #output = loop {};
                        return __telemetry_output;
                    }
                    #body
                },
                #judge,
            ).await
        }
    } else {
        quote_spanned!(at_body=> #span.run_as(move |__telemetry_stop| -> #output #body, #judge))
    };
    quote! {
        #(#attributes)*
        #visibility #signature {
            #call
        }
    }
}

/// The type, with `_` where it says `impl ..`, which only a signature may.
fn without_impl(ty: &Type) -> Type {
    let mut ty = ty.clone();
    erase_impl(&mut ty);
    ty
}

fn erase_impl(ty: &mut Type) {
    match ty {
        Type::ImplTrait(_) => *ty = Type::Infer(syn::TypeInfer { underscore_token: Token![_](ty.span()) }),
        Type::Array(array) => erase_impl(&mut array.elem),
        Type::Group(group) => erase_impl(&mut group.elem),
        Type::Paren(paren) => erase_impl(&mut paren.elem),
        Type::Reference(reference) => erase_impl(&mut reference.elem),
        Type::Slice(slice) => erase_impl(&mut slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase_impl),
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                    for argument in &mut arguments.args {
                        if let GenericArgument::Type(ty) = argument {
                            erase_impl(ty);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}
