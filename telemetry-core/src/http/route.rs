//! The template of a path.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The template that the path of a request matched, such as `/products/{name}`: the tag `http.route`.
///
/// Paths themselves are without number, so only whoever matched one can say. A router puts this into the extensions of
/// the request, if it stands before the layer, or of the response, if it stands behind:
///
/// ```
/// use telemetry_core::http::Route;
///
/// let mut response = http::Response::new("sugar");
/// response.extensions_mut().insert(Route::from_static("/products/{name}"));
/// ```
///
/// A router with an extension of its own needs none of this: see [`ServerLayer::route_from`](super::ServerLayer::route_from).
#[derive(Clone, PartialEq, Eq)]
pub struct Route(Form);

#[derive(Clone)]
enum Form {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Route {
    /// A template that the program has; cloning it costs nothing.
    #[must_use]
    pub const fn from_static(template: &'static str) -> Self {
        Self(Form::Static(template))
    }

    /// A template that is made at run time; clones share it.
    #[must_use]
    pub fn new<'a>(template: impl Into<Cow<'a, str>>) -> Self {
        Self(Form::Shared(Arc::from(template.into())))
    }

    /// The template.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Static(template) => template,
            Form::Shared(template) => template,
        }
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        Route(self.clone()).as_str() == Route(other.clone()).as_str()
    }
}

impl Eq for Form {}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.as_str()).finish()
    }
}
