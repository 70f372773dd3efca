use telemetry_core::Event;

#[derive(Event)]
#[event(name = "shop.opened")]
struct Opened {
    #[measurement]
    size: u64,
}

fn main() {
    println!("{}", Opened::SIZES);
    Opened { size: 1 }.emits();
    let _: telemetry_core::typed::TagRef = Opened::SIZE;
}
