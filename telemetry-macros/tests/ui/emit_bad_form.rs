use telemetry_core::{emit, span};

fn main() {
    emit!();
    emit!("shop.opened", size = 1);
    emit!("shop.opened", { size: 1 }, { door: 2 }, { more: 3 });
    span!("shop.payment", provider: "acme");
}
