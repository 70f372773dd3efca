use telemetry_core::{emit, span};

struct Unknown;

fn main() {
    emit!("shop.opened", { size: "large" });
    emit!("shop.opened", {}, { door: Unknown });
    emit!("shop.opened", { missing });
    span!("shop.payment", { door: Unknown }).run(|| {});
}
