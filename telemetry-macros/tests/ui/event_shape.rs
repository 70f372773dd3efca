use telemetry_core::Event;

#[derive(Event)]
#[event(name = "shop.opened")]
struct Tuple(u64);

#[derive(Event)]
#[event(name = "shop.opened")]
enum Enum {
    A,
}

#[derive(Event)]
#[event(name = "shop.opened")]
union Union {
    a: u8,
}

#[derive(Event)]
#[event(name = "shop.opened")]
#[measurement]
struct OnTheStruct;

fn main() {}
