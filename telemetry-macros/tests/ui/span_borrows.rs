use telemetry_core::span;

fn movable<F: Future + Send + 'static>(_: F) {}

fn main() {
    let name = String::from("acme");
    movable(span!("shop.call", { name: &name }).instrument(async {}));
}
