//! What the layers ask of the allocator.

#![allow(clippy::undocumented_unsafe_blocks)] // Every call is passed on as it is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use telemetry_core::http::{ClientLayer, Route, ServerLayer, client, server};
use telemetry_core::{Dispatch, Registry};
use tower_layer::Layer;
use tower_service::Service;

use super::body::Steps;
use super::*;

struct Counting;

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
        unsafe { System.alloc(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
        let before = ALLOCATIONS.get();
        match at {
            "server" => drop(ready(server.call(request)).unwrap()),
            "client" => drop(ready(client.call(request)).unwrap()),
            _ => drop(ready(inner.call(request.map(|_| RequestBody::default()))).unwrap()),
        }
        ALLOCATIONS.get() - before
    };
    let bare = during(asks(Steps::none()), "bare");
    for at in ["server", "client"] {
        // The series come to be.
        during(asks(Steps::none()), at);
        assert_eq!(during(asks(Steps::none()), at), bare, "{at}");
        assert_eq!(during(asks(Steps::whole(b"three")), at), bare + 1, "{at}, with a body");
    }
}
