//! Requests of HTTP, told of by `tower` layers: one for servers, one for clients.
//!
//! ```text
//!                 ServerLayer                                        ClientLayer
//!  connection --> RequestBody --> service             application --> RequestBody --> connection
//!             <-- ResponseBody <--                                <-- ResponseBody <--
//! ```
//!
//! Names, tags and units are those of OpenTelemetry's conventions for HTTP. Each request is a span:
//!
//! | event | when | measurements |
//! | --- | --- | --- |
//! | `http.server.request.start` | the service is called | `system_time` |
//! | `http.server.request.stop` | the body of the response has ended, or nobody wants it any more | `duration`, `time_to_head`, `request_body_size`, `response_body_size` |
//! | `http.server.request.exception` | the service or the body panics; the panic goes on | `duration` |
//!
//! and the same of `http.client.request`. See [`server`] and [`client`] for the tags.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http_body_util::{BodyExt, Full};
//! use telemetry_core::Registry;
//! use telemetry_core::http::{Route, ServerLayer, server};
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! let registry = Registry::new();
//! registry.aggregator(server::metrics())?.attach("http")?;
//! registry.source(server::active_requests());
//!
//! # #[derive(Clone)] struct Shop;
//! # type Body = telemetry_core::http::RequestBody<http_body_util::Empty<&'static [u8]>>;
//! # impl Service<http::Request<Body>> for Shop {
//! #     type Response = http::Response<Full<&'static [u8]>>;
//! #     type Error = Infallible;
//! #     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
//! #         std::task::Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, _: http::Request<Body>) -> Self::Future {
//! #         let mut response = http::Response::new(Full::new(&b"sugar"[..]));
//! #         response.extensions_mut().insert(Route::from_static("/products/{name}"));
//! #         std::future::ready(Ok(response))
//! #     }
//! # }
//! // `Shop` is the service of the application; its responses carry a `Route`.
//! let mut service = ServerLayer::new().layer(Shop);
//! # let request = http::Request::new(http_body_util::Empty::new());
//! # async fn serve<F: Future>(future: F) -> F::Output { future.await }
//! # let mut task = std::pin::pin!(async {
//! let response = service.call(request).await?;
//! response.into_body().collect().await?;
//! # Ok::<(), Infallible>(()) });
//! # assert!(task.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready());
//!
//! let sizes = registry.snapshot().total("http.server.response.body.size", &[
//!     ("http_request_method", "GET"),
//!     ("url_scheme", "http"),
//!     ("http_route", "/products/{name}"),
//!     ("http_response_status_code", "200"),
//!     ("network_protocol_version", "1.1"),
//! ]);
//! assert_eq!(sizes, Some(1.0));
//! # telemetry_core::detach("http")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When does a request end?
//!
//! With the last frame of the response's body; at its head, if it has none: to `HEAD`, to `CONNECT` that succeeds, and with a
//! status of 1xx (an upgrade is another protocol's from there), 204 or 304. `outcome` says how:
//!
//! | | `outcome` | `error.type` |
//! | --- | --- | --- |
//! | the response was sent whole | `ok`, or `error` | the status, if it is an error: from 500 on for a server, from 400 on for a client |
//! | the service failed, or the body of its response did | `error` | the type of the error, or what `error_type` of the layer says |
//! | the future of the response was dropped | `cancelled` | `cancelled` |
//! | the body of the response was dropped midway | `cancelled` | the status if it is an error; else `cancelled` for a server, and nothing for a client, which may have read enough |
//!
//! A panic is no stop, but an exception.
//!
//! # What becomes a series?
//!
//! Nothing that a client invents: a method that is not known is `_OTHER`, a scheme is `http` or `https`, and a path is never
//! a tag. The template that it matched is, where a router says so: [`Route`], [`ServerLayer::route_from`].
//!
//! # What does it cost?
//!
//! Where nobody listens, two additions to sharded counters, for [`server::active_requests`]. Where somebody does, three
//! readings of the clock and the events; nothing is allocated, unless the request has a body: the word that counts it is
//! shared by that body and the response. (A client's request for a host whose name is longer than 46 bytes allocates
//! that name.)

mod active;
mod address;
mod body;
pub mod client;
mod exchange;
mod future;
mod method;
mod metric;
mod protocol;
mod route;
pub mod server;

pub use body::{RequestBody, ResponseBody};
pub use client::{Client, ClientLayer, ClientService};
pub use exchange::Side;
pub use future::{ErrorType, ResponseFuture, TypeName};
pub use protocol::{Outcome, Scheme, Version};
pub use route::Route;
pub use server::{Server, ServerLayer, ServerService};
