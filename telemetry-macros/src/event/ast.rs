//! The struct behind an event, as it was written.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericArgument, LitStr, PathArguments, Type};

use crate::attr::{self, Errors};

/// An event that is to be derived; what could not be read is missing, and reported.
pub(crate) struct Event<'i> {
    pub(crate) input: &'i DeriveInput,
    // `None` when it is missing, which is reported.
    pub(crate) name: Option<LitStr>,
    pub(crate) description: String,
    pub(crate) documentation: String,
    pub(crate) fields: Vec<Field<'i>>,
}

/// A field that is part of the event.
pub(crate) struct Field<'i> {
    pub(crate) ident: &'i Ident,
    pub(crate) ty: &'i Type,
    pub(crate) role: Role,
    pub(crate) rename: Option<LitStr>,
    pub(crate) description: String,
}

#[derive(Clone)]
pub(crate) enum Role {
    Measurement { unit: Option<LitStr> },
    Tag,
}

impl<'i> Event<'i> {
    pub(crate) fn read(input: &'i DeriveInput, errors: &mut Errors) -> Self {
        let mut name = None;
        for attribute in &input.attrs {
            if attribute.path().is_ident("event") {
                errors.keep(attr::read_list(attribute, |meta| {
                    if meta.path.is_ident("name") {
                        return attr::read_text(&meta, &mut name);
                    }
                    Err(meta.error("unknown argument; a struct takes `#[event(name = \"...\")]`"))
                }));
            } else if attribute.path().is_ident("measurement") || attribute.path().is_ident("tag") {
                errors.push(Error::new_spanned(attribute, "this attribute goes on a field"));
            }
        }

        let mut fields = Vec::new();
        match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(named) => {
                    fields.extend(named.named.iter().filter_map(|field| Field::read(field, errors)));
                }
                Fields::Unit => {}
                Fields::Unnamed(unnamed) => {
                    errors
                        .push(Error::new(unnamed.span(), "the fields of an event have names; write `struct X { .. }`"));
                }
            },
            Data::Enum(data) => {
                let message = "an event is a struct; derive a struct for each variant, or `TagValue` for a tag";
                errors.push(Error::new(data.enum_token.span, message));
            }
            Data::Union(data) => errors.push(Error::new(data.union_token.span, "an event is a struct")),
        }

        let (description, documentation) = (attr::description(&input.attrs), attr::documentation(&input.attrs));
        Self { input, name, description, documentation, fields }
    }

    pub(crate) fn measurements(&self) -> impl Iterator<Item = &Field<'i>> {
        self.fields.iter().filter(|field| matches!(field.role, Role::Measurement { .. }))
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &Field<'i>> {
        self.fields.iter().filter(|field| matches!(field.role, Role::Tag))
    }
}

impl<'i> Field<'i> {
    /// `None` when the field is skipped, or its role is not known, which is reported.
    fn read(field: &'i syn::Field, errors: &mut Errors) -> Option<Self> {
        // Called for named fields only.
        let ident = field.ident.as_ref()?;
        let (mut roles, mut skip, mut rename, mut unit) = (Vec::new(), false, None, None);
        for attribute in &field.attrs {
            let path = attribute.path();
            if path.is_ident("measurement") {
                roles.push((Role::Measurement { unit: None }, attribute));
                errors.keep(attr::read_list(attribute, |meta| {
                    if meta.path.is_ident("unit") {
                        attr::read_text(&meta, &mut unit)
                    } else if meta.path.is_ident("rename") {
                        attr::read_text(&meta, &mut rename)
                    } else {
                        Err(meta.error("unknown argument; a measurement takes `unit = \"...\"` and `rename = \"...\"`"))
                    }
                }));
            } else if path.is_ident("tag") {
                roles.push((Role::Tag, attribute));
                errors.keep(attr::read_list(attribute, |meta| {
                    if meta.path.is_ident("rename") {
                        attr::read_text(&meta, &mut rename)
                    } else {
                        Err(meta.error("unknown argument; a tag takes `rename = \"...\"`"))
                    }
                }));
            } else if path.is_ident("event") {
                errors.keep(attr::read_list(attribute, |meta| {
                    if meta.path.is_ident("skip") {
                        skip = true;
                        return Ok(());
                    }
                    Err(meta.error("unknown argument; a field takes `#[event(skip)]`"))
                }));
            }
        }

        let mut roles = roles.into_iter();
        let Some((mut role, _)) = roles.next() else {
            if !skip {
                let message =
                    format!("say what `{ident}` is: `#[measurement]`, `#[tag]`, or `#[event(skip)]` to leave it out");
                errors.push(Error::new(ident.span(), message));
            }
            return None;
        };
        for (_, attribute) in roles {
            errors.push(Error::new_spanned(attribute, "a field is one measurement or one tag"));
        }
        if skip {
            errors.push(Error::new(ident.span(), "a field that is part of the event can't be skipped"));
        }
        if let Role::Measurement { unit: slot } = &mut role {
            *slot = unit;
        }
        Some(Self { ident, ty: &field.ty, role, rename, description: attr::description(&field.attrs) })
    }

    /// Its name in the event.
    pub(crate) fn name(&self) -> String {
        self.rename.as_ref().map_or_else(|| self.ident.unraw().to_string(), LitStr::value)
    }

    /// Where its name is written.
    pub(crate) fn name_span(&self) -> Span {
        self.rename.as_ref().map_or_else(|| self.ident.span(), LitStr::span)
    }

    /// The constant that stands for it.
    pub(crate) fn constant(&self) -> Ident {
        Ident::new(&self.ident.unraw().to_string().to_uppercase(), self.ident.span())
    }

    /// Whether the type is `Duration`, or an `Option` or a reference of it, by its last word: a macro sees no more.
    pub(crate) fn is_duration(&self) -> bool {
        fn is_duration(ty: &Type) -> bool {
            match ty {
                Type::Reference(reference) => is_duration(&reference.elem),
                Type::Group(group) => is_duration(&group.elem),
                Type::Paren(paren) => is_duration(&paren.elem),
                Type::Path(path) => path.path.segments.last().is_some_and(|segment| match &segment.arguments {
                    PathArguments::AngleBracketed(arguments) if segment.ident == "Option" => {
                        arguments.args.iter().any(|argument| match argument {
                            GenericArgument::Type(ty) => is_duration(ty),
                            _ => false,
                        })
                    }
                    _ => segment.ident == "Duration",
                }),
                _ => false,
            }
        }
        is_duration(self.ty)
    }
}
