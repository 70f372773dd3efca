use telemetry_core::span;

fn main() {
    let entered = span!("shop.call").enter();
    std::thread::spawn(move || drop(entered));
}
