use telemetry_core::span;

struct Reply;

fn main() {
    span!("shop.call").run(|| Reply);
    let later = async { Reply };
    span!("shop.call").instrument(later);
}
