use telemetry_core::Event;

struct Unknown;

#[derive(Event)]
#[event(name = "shop.opened")]
struct Types {
    #[measurement]
    size: &'static str,
    #[tag]
    door: Unknown,
}

#[derive(Event)]
#[event(name = "shop.closed")]
struct Generic<T> {
    #[tag]
    door: T,
}

fn main() {
    Generic { door: Unknown }.emit();
}
