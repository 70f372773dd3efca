use telemetry_core::instrument;

struct Unknown;

#[instrument("shop.payment", tags(door))]
fn not_a_tag(door: Unknown) {}

#[instrument("shop.payment")]
fn wrong_output() -> u8 {
    "text"
}

#[instrument("shop.payment")]
async fn wrong_async_output() -> u8 {
    "text"
}

fn main() {}
