use telemetry_core::Event;

#[derive(Event)]
#[event(name = "shop.opened")]
struct Fields {
    nothing: u64,
    #[measurement]
    #[tag]
    both: u64,
    #[measurement(unot = "byte")]
    unknown: u64,
    #[tag(unit = "byte")]
    unit_of_a_tag: u64,
    #[event(ignore)]
    ignored: u64,
    #[tag]
    #[event(skip)]
    skipped: u64,
    #[tag(rename = "a b")]
    bad_tag: u64,
    #[measurement(rename = "a.b")]
    bad_measurement: u64,
    #[measurement(unit = "seconds")]
    plural: u64,
    #[measurement(unit = "Byte")]
    capital: u64,
    #[measurement(unit = "a b")]
    no_unit: u64,
}

#[derive(Event)]
#[event(name = "shop.closed")]
struct Names {
    #[tag]
    door: u64,
    #[tag(rename = "door")]
    gate: u64,
    #[measurement]
    event: u64,
    #[measurement]
    DOOR: u64,
}

fn main() {
    let _ = (Names::DOOR, Names::EVENT, Fields::BAD_TAG);
}
