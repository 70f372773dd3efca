//! Attributes: doc comments, and lists of `key = "text"`.

use proc_macro2::TokenStream;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitStr, Meta, Result};

/// Errors, gathered so that all are reported at once.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or `None` with the error kept.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// The errors as code; `None` when there are none.
    pub(crate) fn into_code(self) -> Option<TokenStream> {
        self.0.map(|error| error.to_compile_error())
    }
}

/// The first paragraph of the doc comment, on one line.
pub(crate) fn description(attributes: &[Attribute]) -> String {
    let text = documentation(attributes);
    text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The whole doc comment, without what it is indented by and without empty lines around it.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let texts = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let is_blank = |line: &&str| line.trim().is_empty();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let indented = text.lines().filter(|line| !is_blank(line)).map(indent).min().unwrap_or(0);
    let lines = text.lines().map(|line| line.get(indented..).unwrap_or_default().trim_end());
    let lines: Vec<&str> = lines.skip_while(is_blank).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Reads `#[name]` or `#[name(..)]`, giving each key to `read`.
pub(crate) fn read_list(attribute: &Attribute, read: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    match &attribute.meta {
        Meta::Path(_) => Ok(()),
        Meta::List(_) => attribute.parse_nested_meta(read),
        Meta::NameValue(pair) => {
            let name = pair.path.get_ident().map(ToString::to_string).unwrap_or_default();
            Err(Error::new_spanned(pair, format!("write `#[{name}(..)]`")))
        }
    }
}

/// Reads `= "text"` behind a key that may stand once.
pub(crate) fn read_text(meta: &ParseNestedMeta<'_>, into: &mut Option<LitStr>) -> Result<()> {
    let text: LitStr = meta.value()?.parse()?;
    if into.is_some() {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        return Err(meta.error(format!("`{key}` is there twice")));
    }
    *into = Some(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use syn::{DeriveInput, parse_quote};

    use super::*;

    #[test]
    fn a_doc_comment_is_kept_whole_and_its_first_paragraph_is_the_description() {
        let input: DeriveInput = parse_quote! {
            ///
            /// A cart
            /// was paid.
            ///
            /// - an indented
            ///   list
            ///
            struct Paid;
        };
        assert_eq!(documentation(&input.attrs), "A cart\nwas paid.\n\n- an indented\n  list");
        assert_eq!(description(&input.attrs), "A cart was paid.");
        let block: DeriveInput = parse_quote! {
            /** A cart.

            More.
            */
            struct Paid;
        };
        assert_eq!(description(&block.attrs), "A cart.");
        let none: DeriveInput = parse_quote!(
            struct Paid;
        );
        assert_eq!((documentation(&none.attrs), description(&none.attrs)), (String::new(), String::new()));
    }
}
