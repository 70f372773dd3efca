use telemetry_core::span;

struct Reply;

fn main() {
    span!("shop.call").run(|| Reply);
    span!("shop.call").instrument(async { Reply });
}
