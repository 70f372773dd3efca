//! Every macro works for a user whose `Cargo.toml` gives the crates other names.

use std::time::Duration;

use beacon::metric::{counter, distribution};

#[derive(beacon::TagValue, Clone, Copy)]
enum Size {
    Small,
    VeryBig,
}

/// A request was answered.
#[derive(beacon::Event)]
#[event(name = "renamed.stop")]
struct Stop<'a> {
    #[measurement]
    duration: Duration,
    #[tag]
    route: &'a str,
    #[tag]
    size: Size,
}

#[beacon::instrument("renamed.pay", tags(amount))]
fn pay(amount: u32) -> Result<u32, String> {
    if amount > 1 { Err("too much".to_owned()) } else { Ok(amount) }
}

#[test]
fn every_macro_works_under_another_name() {
    let exporter = served::Exporter::builder()
        .metric(distribution(Stop::DURATION).tags([Stop::ROUTE, Stop::SIZE]))
        .metric(counter("renamed.pay.stop.count").tags(["outcome", "amount"]))
        .metric(counter("renamed.plain.count").tags(["kind"]))
        .metric(counter("renamed.spanned.stop.count"))
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    Stop { duration: Duration::from_millis(7), route: "/a", size: Size::VeryBig }.emit();
    Stop { duration: Duration::from_millis(7), route: "/a", size: Size::Small }.emit();
    beacon::emit!("renamed.plain", { weight: 1 => Byte }, { kind: "x" });
    beacon::span!("renamed.spanned", { plan: "x" }).run(|| ());
    assert_eq!((pay(1), pay(2).is_err()), (Ok(1), true));

    let text = served::render(exporter.registry(), served::Format::Text);
    for line in [
        "renamed_stop_duration_seconds_count{route=\"/a\",size=\"very_big\"} 1",
        "renamed_stop_duration_seconds_count{route=\"/a\",size=\"small\"} 1",
        "renamed_pay_stop_total{outcome=\"ok\",amount=\"1\"} 1",
        "renamed_pay_stop_total{outcome=\"error\",amount=\"2\"} 1",
        "renamed_plain_total{kind=\"x\"} 1",
        "renamed_spanned_stop_total 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}
