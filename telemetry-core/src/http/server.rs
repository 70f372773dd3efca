//! The layer of servers, what it tells of requests, and the metrics that are made of it.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Extensions, Request, Response, StatusCode};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::Event;
use crate::metric::{Metric, counter, distribution};
use crate::scrape::Source;
use crate::value::Value;

use super::active::{Active, Shared};
use super::body::{RequestBody, ResponseBody};
use super::exchange::{Exchange, Side, Stop, sealed};
use super::future::{ErrorType, ResponseFuture, TypeName};
use super::method::{Known, Methods};
use super::metric::{labelled, of_duration, of_size};
use super::protocol::{Outcome, Scheme, Version};
use super::route::Route;

static ACTIVE: LazyLock<Active> = LazyLock::new(|| Active::new("http.server.active_requests"));

/// A request has arrived at a server.
#[derive(Debug, Event)]
#[event(name = "http.server.request.start")]
#[non_exhaustive]
pub struct RequestStart<'a> {
    /// When the request began, since the Unix epoch.
    #[measurement]
    pub system_time: Option<Duration>,
    /// Its method, or `_OTHER`.
    #[tag(rename = "http.request.method")]
    pub method: &'static str,
    /// How the client reached the server.
    #[tag(rename = "url.scheme")]
    pub scheme: Scheme,
    /// The template that its path matched, where that is known already.
    #[tag(rename = "http.route")]
    pub route: Option<&'a str>,
    /// The version of HTTP.
    #[tag(rename = "network.protocol.version")]
    pub version: Option<Version>,
}

/// A server has ended a request: its response was sent whole, broke off, or is wanted no more.
#[derive(Debug, Event)]
#[event(name = "http.server.request.stop")]
#[non_exhaustive]
pub struct RequestStop<'a> {
    /// Duration of HTTP server requests.
    ///
    /// From the head of the request to the last byte of the response's body.
    #[measurement]
    pub duration: Duration,
    /// From the head of the request to the head of the response, if there was one.
    #[measurement]
    pub time_to_head: Option<Duration>,
    /// Size of HTTP server request bodies.
    ///
    /// As many bytes as the service has taken of it.
    #[measurement(unit = "byte")]
    pub request_body_size: u64,
    /// Size of HTTP server response bodies.
    ///
    /// As many bytes as the server has taken of it.
    #[measurement(unit = "byte")]
    pub response_body_size: u64,
    /// The method of the request, or `_OTHER`.
    #[tag(rename = "http.request.method")]
    pub method: &'static str,
    /// How the client reached the server.
    #[tag(rename = "url.scheme")]
    pub scheme: Scheme,
    /// The template that the path matched.
    #[tag(rename = "http.route")]
    pub route: Option<&'a str>,
    /// The status of the response, if there was one.
    #[tag(rename = "http.response.status_code")]
    pub status: Option<u16>,
    /// The version of HTTP.
    #[tag(rename = "network.protocol.version")]
    pub version: Option<Version>,
    /// Why the request counts as failed: the status from 500 on, `cancelled`, or what the service or the body failed with.
    #[tag(rename = "error.type")]
    pub error_type: Value<'a>,
    /// How it ended.
    #[tag]
    pub outcome: Outcome,
}

/// A service has panicked over a request, or the body of its response has.
#[derive(Debug, Event)]
#[event(name = "http.server.request.exception")]
#[non_exhaustive]
pub struct RequestException<'a> {
    /// From the head of the request to the panic.
    #[measurement]
    pub duration: Duration,
    /// The method of the request, or `_OTHER`.
    #[tag(rename = "http.request.method")]
    pub method: &'static str,
    /// How the client reached the server.
    #[tag(rename = "url.scheme")]
    pub scheme: Scheme,
    /// The template that the path matched.
    #[tag(rename = "http.route")]
    pub route: Option<&'a str>,
    /// The version of HTTP.
    #[tag(rename = "network.protocol.version")]
    pub version: Option<Version>,
    /// What kept the request from its stop.
    #[tag]
    pub kind: &'static str,
    /// What the panic said.
    #[tag]
    pub message: Option<&'a str>,
}

/// The metrics of a server, named and labelled by OpenTelemetry's conventions.
///
/// | metric | over | exposed as |
/// | --- | --- | --- |
/// | `http.server.request.duration` | [`RequestStop::DURATION`] | `http_server_request_duration_seconds` |
/// | `http.server.request.body.size` | [`RequestStop::REQUEST_BODY_SIZE`] | `http_server_request_body_size_bytes` |
/// | `http.server.response.body.size` | [`RequestStop::RESPONSE_BODY_SIZE`] | `http_server_response_body_size_bytes` |
/// | `http.server.request.exceptions` | [`RequestException::EVENT`] | `http_server_request_exceptions_total` |
///
/// Labels are `http_request_method`, `url_scheme`, `http_route` and `network_protocol_version`; of the first three also
/// `http_response_status_code` and `error_type`. They share their series, so a request costs one lookup.
#[must_use]
pub fn metrics() -> Vec<Metric> {
    let tags = [
        RequestStop::METHOD,
        RequestStop::SCHEME,
        RequestStop::ROUTE,
        RequestStop::STATUS,
        RequestStop::VERSION,
        RequestStop::ERROR_TYPE,
    ];
    let of_exception =
        [RequestException::METHOD, RequestException::SCHEME, RequestException::ROUTE, RequestException::VERSION];
    vec![
        of_duration(distribution(RequestStop::DURATION).name("http.server.request.duration"), &tags),
        of_size(distribution(RequestStop::REQUEST_BODY_SIZE).name("http.server.request.body.size"), &tags),
        of_size(distribution(RequestStop::RESPONSE_BODY_SIZE).name("http.server.response.body.size"), &tags),
        labelled(counter(RequestException::EVENT).name("http.server.request.exceptions"), &of_exception),
    ]
}

/// The gauge `http.server.active_requests`: the requests in flight in this process, by method and scheme.
///
/// It is right whenever it is added to a registry or an exporter, also with requests in flight. A response is in flight
/// until its body ends.
#[must_use]
pub fn active_requests() -> Arc<dyn Source> {
    Arc::new(Shared(&ACTIVE))
}

/// Tells of each request that passes to a service: see the [head of the module](super).
///
/// `T` is the extension that holds the template of a path, `C` names errors.
pub struct ServerLayer<T = Route, C = TypeName> {
    methods: &'static Methods,
    scheme: Scheme,
    text: fn(&T) -> &str,
    classify: C,
}

impl ServerLayer {
    /// A layer that takes the template of a path from a [`Route`].
    #[must_use]
    pub fn new() -> Self {
        Self { methods: ACTIVE.standard(), scheme: Scheme::Http, text: Route::as_str, classify: TypeName }
    }
}

impl Default for ServerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, C> ServerLayer<T, C> {
    /// Takes the template of a path from the extension that a router leaves in the request, or in the response.
    ///
    /// For axum that is `.route_from(MatchedPath::as_str)`.
    ///
    /// ```
    /// use telemetry_core::http::ServerLayer;
    ///
    /// #[derive(Clone)]
    /// struct Matched(String);
    ///
    /// impl Matched {
    ///     fn template(&self) -> &str {
    ///         &self.0
    ///     }
    /// }
    ///
    /// let layer = ServerLayer::new().route_from(Matched::template);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn route_from<U>(self, text: fn(&U) -> &str) -> ServerLayer<U, C> {
        let Self { methods, scheme, text: _, classify } = self;
        ServerLayer { methods, scheme, text, classify }
    }

    /// Names the errors of the service, which are named by their type otherwise.
    ///
    /// ```
    /// use telemetry_core::http::ServerLayer;
    ///
    /// let layer = ServerLayer::new().error_type(|error: &std::io::Error| match error.kind() {
    ///     std::io::ErrorKind::TimedOut => "timeout",
    ///     _ => "io",
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn error_type<E, D: Fn(&E) -> &'static str>(self, classify: D) -> ServerLayer<T, D> {
        let Self { methods, scheme, text, classify: _ } = self;
        ServerLayer { methods, scheme, text, classify }
    }

    /// The methods that are known, instead of the standard ones; any other is `_OTHER`.
    ///
    /// A table of them is kept for the life of the process, one for each list.
    #[must_use]
    pub fn methods(self, names: &'static [&'static str]) -> Self {
        Self { methods: ACTIVE.methods(names), ..self }
    }

    /// The scheme of requests that don't say theirs, which those of HTTP/1 do not; `http` unless told.
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }
}

impl<T, C: Clone> Clone for ServerLayer<T, C> {
    fn clone(&self) -> Self {
        Self { methods: self.methods, scheme: self.scheme, text: self.text, classify: self.classify.clone() }
    }
}

impl<T, C> fmt::Debug for ServerLayer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ServerLayer");
        debug.field("methods", &self.methods).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl<S, T, C: Clone> Layer<S> for ServerLayer<T, C> {
    type Service = ServerService<S, T, C>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService { inner, layer: self.clone() }
    }
}

/// A service whose requests are told of; [`ServerLayer`] makes it.
pub struct ServerService<S, T = Route, C = TypeName> {
    inner: S,
    layer: ServerLayer<T, C>,
}

impl<S: Clone, T, C: Clone> Clone for ServerService<S, T, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, T, C> fmt::Debug for ServerService<S, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerService").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

impl<S, T, C, A, B> Service<Request<A>> for ServerService<S, T, C>
where
    S: Service<Request<RequestBody<A>>, Response = Response<B>>,
    A: Body,
    B: Body,
    T: Clone + Send + Sync + 'static,
    C: ErrorType<S::Error> + Clone,
{
    type Response = Response<ResponseBody<B, Server<T>>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Server<T>, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let layer = &self.layer;
        let method = layer.methods.find(request.method());
        let scheme = Scheme::of(request.uri()).unwrap_or(layer.scheme);
        let in_flight = method.active(scheme).enter();
        let mut exchange = Exchange::begin(in_flight, request.method(), || Server {
            method,
            scheme,
            version: Version::of(request.version()),
            route: found(request.extensions()),
            text: layer.text,
        });
        let request = request.map(|body| RequestBody::new(body, &mut exchange));
        let inner = exchange.within(|| self.inner.call(request));
        ResponseFuture::new(inner, exchange, layer.classify.clone())
    }
}

/// What is kept of a server's request for its events.
pub struct Server<T = Route> {
    method: &'static Known,
    scheme: Scheme,
    version: Option<Version>,
    route: Option<T>,
    text: fn(&T) -> &str,
}

impl<T> Server<T> {
    fn route(&self) -> Option<&str> {
        self.route.as_ref().map(self.text)
    }
}

fn found<T: Clone + Send + Sync + 'static>(extensions: &Extensions) -> Option<T> {
    extensions.get::<T>().cloned()
}

impl<T> fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("method", &self.method).field("route", &self.route()).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> Side for Server<T> {}

impl<T: Clone + Send + Sync + 'static> sealed::Side for Server<T> {
    const DROPPED_BODY_IS_ERROR: bool = true;

    fn is_wanted() -> bool {
        RequestStop::is_wanted() || RequestStart::is_wanted() || RequestException::is_wanted()
    }

    fn is_error(status: StatusCode) -> bool {
        status.is_server_error()
    }

    fn start(&self, now: impl FnOnce() -> Option<Duration>) {
        RequestStart::emit_with(|| RequestStart {
            system_time: now(),
            method: self.method.name(),
            scheme: self.scheme,
            route: self.route(),
            version: self.version,
        });
    }

    fn answered<B>(&mut self, response: &Response<B>) {
        // A router behind the layer knows better than one before it.
        if let Some(route) = found(response.extensions()) {
            self.route = Some(route);
        }
    }

    fn stop(&self, stop: &Stop<'_>) {
        RequestStop::emit_with(|| RequestStop {
            duration: stop.duration,
            time_to_head: stop.time_to_head,
            request_body_size: stop.request_body_size,
            response_body_size: stop.response_body_size,
            method: self.method.name(),
            scheme: self.scheme,
            route: self.route(),
            status: stop.status,
            version: self.version,
            error_type: stop.error_type,
            outcome: stop.outcome,
        });
    }

    fn exception(&self, duration: Duration, message: Option<&str>) {
        RequestException::emit_with(|| RequestException {
            duration,
            method: self.method.name(),
            scheme: self.scheme,
            route: self.route(),
            version: self.version,
            kind: "panic",
            message,
        });
    }
}
