use telemetry_core::{TagValue, emit};

#[derive(TagValue)]
enum Fields {
    A(u64),
    B { c: u8 },
}

#[derive(TagValue)]
enum SameText {
    Hit,
    #[tag(rename = "hit")]
    Strike,
    #[tag(rename = "")]
    Nothing,
}

#[derive(TagValue)]
#[tag(rename_all = "Snake")]
enum UnknownCase {
    Hit,
}

#[derive(TagValue)]
enum UnknownArgument {
    #[tag(name = "hit")]
    Hit,
}

#[derive(TagValue)]
struct Struct;

#[derive(TagValue)]
enum Empty {}

fn main() {
    // None of these adds an error of its own.
    emit!("shop.opened", {}, { a: Fields::A(1), b: SameText::Hit, c: UnknownCase::Hit, d: Struct });
}
