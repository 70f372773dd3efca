use telemetry_core::{emit, span};

fn main() {
    emit!("shop..opened");
    emit!("");
    emit!("shop.größe", { size: 1 });
    span!("shop.payment.").run(|| {});
}
