use telemetry_core::{emit, span};

fn main() {
    let size = 1;
    emit!("shop.opened", { size, r#size: 2 });
    emit!("shop.opened", { size }, { country: "de", door: 1, country: "fr" });
    span!("shop.payment", { a: 1, a: 2 }).run(|| {});
    span!("shop.payment", { outcome: "mine" }).run(|| {});
    span!("shop.payment", stop: { duration }).run(|| {});
}
