use telemetry_core::{Event, TypedEvent};

#[derive(Event)]
struct Missing {
    #[measurement]
    size: u64,
}

#[derive(Event)]
#[event(name = "shop..opened")]
struct Bad;

#[derive(Event)]
#[event(nane = "shop.opened")]
struct Unknown;

#[derive(Event)]
#[event(name = "shop.opened", name = "shop.closed")]
struct Twice;

#[derive(Event)]
#[event = "shop.opened"]
struct Form;

fn main() {
    // None of these adds an error of its own.
    Missing { size: 1 }.emit();
    Bad.emit();
    Bad::emit_with(|| Bad);
    let _ = (Missing::SIZE, Unknown::EVENT, Twice::is_wanted(), Form::NAME);
}
