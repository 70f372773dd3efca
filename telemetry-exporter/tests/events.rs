//! The catalogue of events at `/events`.

use serde_json::Value;
use telemetry_core::handler::attachment;
use telemetry_core::lane::Lane;
use telemetry_core::metric::{counter, sum};
use telemetry_core::{Dispatch, Event};
use telemetry_exporter::{Exporter, serve::Server};
use telemetry_testkit::client::get;

/// A cart was "paid".
#[derive(Event)]
#[event(name = "events.checkout")]
#[allow(dead_code)] // Declared to be known, not to be used.
struct Checkout<'a> {
    /// What was paid.
    #[measurement(unit = "euros")]
    total: f64,
    /// Where it goes.
    #[tag]
    country: &'a str,
    #[tag]
    paid: bool,
}

mod elsewhere {
    /// The same name, and other fields.
    #[derive(telemetry_core::Event)]
    #[event(name = "events.clash")]
    #[allow(dead_code)]
    struct One {
        #[measurement]
        size: u64,
    }

    #[derive(telemetry_core::Event)]
    #[event(name = "events.clash")]
    #[allow(dead_code)]
    struct Other;
}

#[test]
fn the_catalogue_is_served_when_it_is_asked_for() {
    let dispatch = Dispatch::new();
    let lane = Lane::builder("audit").build().unwrap();
    attachment("audit", |_: &Event<'_>| {}).event("events.*").lane(&lane).attach_to(&dispatch).unwrap();
    let exporter = Exporter::builder()
        .metric(counter("events.checkout.count").tags(["country"]))
        .metric(sum("events.checkout.total").description("Paid."))
        .metric(counter("events.checkuot.count").name("events.misspelt"))
        .dispatch(&dispatch)
        .events(true)
        .listen("127.0.0.1:0")
        .serve()
        .unwrap();
    let response = get(exporter.local_addr(), "/events", "*/*").unwrap();
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    let page: Value = serde_json::from_str(&response.body).unwrap();
    let [orphan] = &page["orphans"].as_array().unwrap()[..] else { panic!("{}", page["orphans"]) };
    assert_eq!((&orphan["event"], &orphan["metric"]["name"]), (&"events.checkuot".into(), &"events.misspelt".into()));
    let event = page["events"].as_array().unwrap().iter().find(|event| event["name"] == "events.checkout").unwrap();
    assert_eq!(event["origin"], "typed");
    assert_eq!(event["documentation"], "A cart was \"paid\".");
    assert_eq!(
        event["measurements"],
        serde_json::json!([{"name": "total", "unit": "euros", "description": "What was paid."}])
    );
    assert_eq!(
        event["tags"][0],
        serde_json::json!({"name": "country", "values": null, "description": "Where it goes."})
    );
    assert_eq!(
        event["metrics"],
        serde_json::json!([
            {
                "name": "events.checkout.count", "kind": "counter", "unit": null, "measurement": null,
                "labels": ["country"], "help": "A cart was \"paid\".",
            },
            {
                "name": "events.checkout.total", "kind": "sum", "unit": "euros", "measurement": "total",
                "labels": [], "help": "Paid.",
            },
        ])
    );
    let handlers = event["handlers"].as_array().unwrap();
    assert!(handlers.contains(&serde_json::json!({"id": "audit", "pattern": "events.*", "lane": "audit"})));
    assert!(handlers.iter().any(|handler| handler["id"] == "telemetry.exporter" && handler["lane"].is_null()));
    assert!(event["places"][0]["file"].as_str().unwrap().ends_with("tests/events.rs"));

    let conflict = &page["conflicts"][0];
    assert_eq!(conflict["event"], "events.clash");
    assert_eq!(conflict["differences"], serde_json::json!(["only the first has the measurement `size`"]));
    assert_ne!(conflict["places"][0]["line"], conflict["places"][1]["line"]);
    assert!(get(exporter.local_addr(), "/", "*/*").unwrap().body.contains("href=\"/events\""));
}

#[test]
fn the_catalogue_is_not_served_unless_it_is_asked_for() {
    let exporter = Exporter::builder().dispatch(&Dispatch::new()).listen("127.0.0.1:0").serve().unwrap();
    assert_eq!(get(exporter.local_addr(), "/events", "*/*").unwrap().status, 404);
    assert!(!get(exporter.local_addr(), "/", "*/*").unwrap().body.contains("/events"));
    assert_eq!(get(exporter.local_addr(), "/metrics", "*/*").unwrap().status, 200);
    let _builder = Server::builder().events(true);
}
