//! What the layers ask of the allocator.

use telemetry_core::http::{ClientLayer, Route, ServerLayer, client, server};
use telemetry_core::{Dispatch, Registry};
use tower_layer::Layer;
use tower_service::Service;

use super::body::Steps;
use super::*;

/// A request over series that exist allocates nothing, from the call to the end of the response; one that has a body
/// allocates the word that counts it.
#[test]
fn a_request_allocates_nothing_and_its_body_one_word() {
    let registry = Registry::new();
    let dispatch = Dispatch::new();
    let metrics = server::metrics().into_iter().chain(client::metrics());
    registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
    let _scope = dispatch.enter();

    let mut inner = answering(200, Steps::none());
    let mut server = ServerLayer::new().layer(inner.clone());
    let mut client = ClientLayer::new().layer(inner.clone());
    // Requests are made beforehand, and so are the extensions: they allocate, and are not the layer's.
    let asks = |body: Steps| {
        let mut request = request("POST", "https://a-host-of-some-length.shop.test:8443/products/sugar", body);
        request.extensions_mut().insert(Route::from_static("/products/{name}"));
        request
    };
    let mut during = |request: http::Request<Steps>, at: &str| {
        allocations::during(|| match at {
            "server" => drop(ready(server.call(request)).unwrap()),
            "client" => drop(ready(client.call(request)).unwrap()),
            _ => drop(ready(inner.call(request.map(|_| RequestBody::default()))).unwrap()),
        })
    };
    let bare = during(asks(Steps::none()), "bare");
    for at in ["server", "client"] {
        // The series come to be.
        during(asks(Steps::none()), at);
        assert_eq!(during(asks(Steps::none()), at), bare, "{at}");
        assert_eq!(during(asks(Steps::whole(b"three")), at), bare + 1, "{at}, with a body");
    }
}
