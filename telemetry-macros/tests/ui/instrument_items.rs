use telemetry_core::instrument;

#[instrument("shop.payment")]
struct NotAFunction;

#[instrument("shop.payment")]
const fn constant() -> u8 {
    3
}

trait Shop {
    #[instrument("shop.payment")]
    fn declared(&self);
}

fn main() {
    let _ = (NotAFunction, constant());
}
