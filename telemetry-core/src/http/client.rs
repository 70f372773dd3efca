//! The layer of clients, what it tells of requests, and the metrics that are made of it.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response, StatusCode};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::Event;
use crate::metric::{Metric, counter, distribution};
use crate::scrape::Source;
use crate::value::Value;

use super::active::{Active, Shared};
use super::address::{Address, target};
use super::body::{RequestBody, ResponseBody};
use super::exchange::{Exchange, Side, Stop, sealed};
use super::future::{ErrorType, ResponseFuture, TypeName};
use super::method::{Known, Methods};
use super::metric::{labelled, of_duration, of_size};
use super::protocol::{Outcome, Scheme, Version};

static ACTIVE: LazyLock<Active> = LazyLock::new(|| Active::new("http.client.active_requests"));

/// A client sends a request.
#[derive(Debug, Event)]
#[event(name = "http.client.request.start")]
#[non_exhaustive]
pub struct RequestStart<'a> {
    /// When the request began, since the Unix epoch.
    #[measurement]
    pub system_time: Option<Duration>,
    /// Its method, or `_OTHER`.
    #[tag(rename = "http.request.method")]
    pub method: &'static str,
    /// How it is sent.
    #[tag(rename = "url.scheme")]
    pub scheme: Scheme,
    /// The host that is asked.
    #[tag(rename = "server.address")]
    pub address: Option<&'a str>,
    /// The port that is asked.
    #[tag(rename = "server.port")]
    pub port: u16,
}

/// A client has ended a request: its response was read whole, broke off, or is wanted no more.
#[derive(Debug, Event)]
#[event(name = "http.client.request.stop")]
#[non_exhaustive]
pub struct RequestStop<'a> {
    /// Duration of HTTP client requests.
    ///
    /// Until the last byte of the response's body was read, or the client has dropped it.
    #[measurement]
    pub duration: Duration,
    /// Until the head of the response, if there was one.
    #[measurement]
    pub time_to_head: Option<Duration>,
    /// Size of HTTP client request bodies.
    ///
    /// As many bytes as the connection has taken of it.
    #[measurement(unit = "byte")]
    pub request_body_size: u64,
    /// Size of HTTP client response bodies.
    ///
    /// As many bytes as were read of it.
    #[measurement(unit = "byte")]
    pub response_body_size: u64,
    /// The method of the request, or `_OTHER`.
    #[tag(rename = "http.request.method")]
    pub method: &'static str,
    /// How it was sent.
    #[tag(rename = "url.scheme")]
    pub scheme: Scheme,
    /// The host that was asked.
    #[tag(rename = "server.address")]
    pub address: Option<&'a str>,
    /// The port that was asked.
    #[tag(rename = "server.port")]
    pub port: u16,
    /// The status of the response, if there was one.
    #[tag(rename = "http.response.status_code")]
    pub status: Option<u16>,
    /// The version of HTTP that the server answered with.
    #[tag(rename = "network.protocol.version")]
    pub version: Option<Version>,
    /// Why the request counts as failed: the status from 400 on, `cancelled`, or what the service or the body failed with.
    #[tag(rename = "error.type")]
    pub error_type: Value<'a>,
    /// How it ended.
    #[tag]
    pub outcome: Outcome,
}

/// A client has panicked over a request.
#[derive(Debug, Event)]
#[event(name = "http.client.request.exception")]
#[non_exhaustive]
pub struct RequestException<'a> {
    /// From the start of the request to the panic.
    #[measurement]
    pub duration: Duration,
    /// The method of the request, or `_OTHER`.
    #[tag(rename = "http.request.method")]
    pub method: &'static str,
    /// How it was sent.
    #[tag(rename = "url.scheme")]
    pub scheme: Scheme,
    /// The host that was asked.
    #[tag(rename = "server.address")]
    pub address: Option<&'a str>,
    /// The port that was asked.
    #[tag(rename = "server.port")]
    pub port: u16,
    /// What kept the request from its stop.
    #[tag]
    pub kind: &'static str,
    /// What the panic said.
    #[tag]
    pub message: Option<&'a str>,
}

/// The metrics of a client, named and labelled by OpenTelemetry's conventions.
///
/// | metric | over | exposed as |
/// | --- | --- | --- |
/// | `http.client.request.duration` | [`RequestStop::DURATION`] | `http_client_request_duration_seconds` |
/// | `http.client.request.body.size` | [`RequestStop::REQUEST_BODY_SIZE`] | `http_client_request_body_size_bytes` |
/// | `http.client.response.body.size` | [`RequestStop::RESPONSE_BODY_SIZE`] | `http_client_response_body_size_bytes` |
/// | `http.client.request.exceptions` | [`RequestException::EVENT`] | `http_client_request_exceptions_total` |
///
/// Labels are `http_request_method`, `url_scheme`, `server_address` and `server_port`; of the first three also
/// `http_response_status_code`, `network_protocol_version` and `error_type`. A client that asks hosts without number
/// reaches the metric's limit; see [`Metric::limit`].
#[must_use]
pub fn metrics() -> Vec<Metric> {
    let tags = [
        RequestStop::METHOD,
        RequestStop::SCHEME,
        RequestStop::ADDRESS,
        RequestStop::PORT,
        RequestStop::STATUS,
        RequestStop::VERSION,
        RequestStop::ERROR_TYPE,
    ];
    let of_exception =
        [RequestException::METHOD, RequestException::SCHEME, RequestException::ADDRESS, RequestException::PORT];
    vec![
        of_duration(distribution(RequestStop::DURATION).name("http.client.request.duration"), &tags),
        of_size(distribution(RequestStop::REQUEST_BODY_SIZE).name("http.client.request.body.size"), &tags),
        of_size(distribution(RequestStop::RESPONSE_BODY_SIZE).name("http.client.response.body.size"), &tags),
        labelled(counter(RequestException::EVENT).name("http.client.request.exceptions"), &of_exception),
    ]
}

/// The gauge `http.client.active_requests`: the requests in flight from this process, by method and scheme.
///
/// It is right whenever it is added to a registry or an exporter, also with requests in flight. A request is in flight
/// until the body of its response was read, or dropped.
#[must_use]
pub fn active_requests() -> Arc<dyn Source> {
    Arc::new(Shared(&ACTIVE))
}

/// Tells of each request that passes from a client: see the [head of the module](super).
///
/// `C` names errors.
#[derive(Clone)]
pub struct ClientLayer<C = TypeName> {
    methods: &'static Methods,
    scheme: Scheme,
    classify: C,
}

impl ClientLayer {
    /// A layer that names errors by their type.
    #[must_use]
    pub fn new() -> Self {
        Self { methods: ACTIVE.standard(), scheme: Scheme::Http, classify: TypeName }
    }
}

impl Default for ClientLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> ClientLayer<C> {
    /// Names the errors of the client, which are named by their type otherwise.
    ///
    /// ```
    /// use telemetry_core::http::ClientLayer;
    ///
    /// let layer = ClientLayer::new().error_type(|error: &std::io::Error| match error.kind() {
    ///     std::io::ErrorKind::ConnectionRefused => "connect",
    ///     _ => "io",
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn error_type<E, D: Fn(&E) -> &'static str>(self, classify: D) -> ClientLayer<D> {
        ClientLayer { methods: self.methods, scheme: self.scheme, classify }
    }

    /// The methods that are known, instead of the standard ones; any other is `_OTHER`.
    ///
    /// A table of them is kept for the life of the process, one for each list.
    #[must_use]
    pub fn methods(self, names: &'static [&'static str]) -> Self {
        Self { methods: ACTIVE.methods(names), ..self }
    }

    /// The scheme of requests whose URI has none, as over a connection that was opened by hand; `http` unless told.
    #[must_use]
    pub fn scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }
}

impl<C> fmt::Debug for ClientLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ClientLayer");
        debug.field("methods", &self.methods).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl<S, C: Clone> Layer<S> for ClientLayer<C> {
    type Service = ClientService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService { inner, layer: self.clone() }
    }
}

/// A client whose requests are told of; [`ClientLayer`] makes it.
#[derive(Clone, Debug)]
pub struct ClientService<S, C = TypeName> {
    inner: S,
    layer: ClientLayer<C>,
}

impl<S, C, A, B> Service<Request<A>> for ClientService<S, C>
where
    S: Service<Request<RequestBody<A>>, Response = Response<B>>,
    A: Body,
    B: Body,
    C: ErrorType<S::Error> + Clone,
{
    type Response = Response<ResponseBody<B, Client>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Client, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let layer = &self.layer;
        let method = layer.methods.find(request.method());
        let scheme = Scheme::of(request.uri()).unwrap_or(layer.scheme);
        let in_flight = method.active(scheme).enter();
        let mut exchange = Exchange::begin(in_flight, request.method(), || {
            let (address, port) = target(request.uri(), request.headers());
            Client { method, scheme, address, port: port.unwrap_or(scheme.port()), version: None }
        });
        let request = request.map(|body| RequestBody::new(body, &mut exchange));
        let inner = exchange.within(|| self.inner.call(request));
        ResponseFuture::new(inner, exchange, layer.classify.clone())
    }
}

/// What is kept of a client's request for its events.
#[derive(Debug)]
pub struct Client {
    method: &'static Known,
    scheme: Scheme,
    address: Option<Address>,
    port: u16,
    // `None` before the server has answered: what is sent is decided with the connection.
    version: Option<Version>,
}

impl Client {
    fn address(&self) -> Option<&str> {
        self.address.as_ref().map(Address::as_str)
    }
}

impl Side for Client {}

impl sealed::Side for Client {
    // A client that has seen enough is free to go.
    const DROPPED_BODY_IS_ERROR: bool = false;

    fn is_wanted() -> bool {
        RequestStop::is_wanted() || RequestStart::is_wanted() || RequestException::is_wanted()
    }

    fn is_error(status: StatusCode) -> bool {
        status.is_client_error() || status.is_server_error()
    }

    fn start(&self, now: impl FnOnce() -> Option<Duration>) {
        RequestStart::emit_with(|| RequestStart {
            system_time: now(),
            method: self.method.name(),
            scheme: self.scheme,
            address: self.address(),
            port: self.port,
        });
    }

    fn answered<B>(&mut self, response: &Response<B>) {
        self.version = Version::of(response.version());
    }

    fn stop(&self, stop: &Stop<'_>) {
        RequestStop::emit_with(|| RequestStop {
            duration: stop.duration,
            time_to_head: stop.time_to_head,
            request_body_size: stop.request_body_size,
            response_body_size: stop.response_body_size,
            method: self.method.name(),
            scheme: self.scheme,
            address: self.address(),
            port: self.port,
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
            address: self.address(),
            port: self.port,
            kind: "panic",
            message,
        });
    }
}
