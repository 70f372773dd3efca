//! What an application sees when its exporter can't serve.

use std::error::Error as _;
use std::net::TcpListener;

use telemetry_core::metric::counter;
use telemetry_core::{Dispatch, Registry};
use telemetry_exporter::{Exporter, ExporterError};

/// M1: a `main` that returns the error prints it by `Debug`, and that names the metric and the remedy.
#[test]
fn the_debug_form_of_a_bad_definition_says_what_to_do() {
    let error = Registry::new().aggregator([counter("checkouts")]).unwrap_err();
    let text = format!("{error:?}");
    assert_eq!(text, error.to_string());
    assert!(text.contains("\"checkouts\"") && text.contains("write `event.measurement`"), "{text}");

    let error = Exporter::builder().metric(counter("checkouts")).listen("127.0.0.1:0").serve().unwrap_err();
    assert_eq!(format!("{error:?}"), text);
}

/// The same of a port that somebody else has, with what the system said of it.
#[test]
fn the_debug_form_of_a_taken_port_says_what_to_do() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let error = Exporter::builder().listen(address).serve().unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.starts_with(&format!("{address} is taken by another listener; stop it or choose another port")),
        "{text}"
    );
    assert!(text.len() > error.to_string().len() && text.contains("os error"), "{text}");
}

/// T2: two exporters of one dispatcher need two ids.
#[test]
fn the_debug_form_of_a_taken_id_says_what_to_do() {
    let dispatch = Dispatch::new();
    let serve = || {
        let metric = counter("exporter.errors.count");
        Exporter::builder().metric(metric).dispatch(&dispatch).listen("127.0.0.1:0").serve()
    };
    let _first = serve().unwrap();
    let error = serve().unwrap_err();
    assert!(matches!(error, ExporterError::Attach(_)));
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(format!("{error:?}").contains("give this exporter an id of its own with `.id(..)`"));
}

/// Who prints an error with what it comes from, as reporters of errors do, reads nothing twice.
#[test]
fn what_an_error_comes_from_says_something_else() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let errors = [
        Exporter::builder().listen(other.local_addr().unwrap()).serve().unwrap_err(),
        Exporter::builder().listen("9464").serve().unwrap_err(),
        Exporter::builder().metric(counter("checkouts")).listen("127.0.0.1:0").serve().unwrap_err(),
        Exporter::builder().metric(counter("a..b")).listen("127.0.0.1:0").serve().unwrap_err(),
    ];
    for error in &errors {
        let mut said = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            assert!(!said.iter().any(|text| text.contains(&error.to_string())), "{error} is said twice: {said:?}");
            said.push(error.to_string());
            source = error.source();
        }
    }
    assert!(errors[0].source().is_some_and(|source| source.to_string().contains("os error")));
}
