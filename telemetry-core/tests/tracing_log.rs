//! Events are written as events of `tracing`, and nothing goes round.
#![cfg(feature = "tracing")]

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telemetry_core::handler::attachment;
use telemetry_core::lane::Lane;
use telemetry_core::tracing::{EventLayer, Log, Rule};
use telemetry_core::{Dispatch, DynamicEvent, Number, Value, emit};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Keeps each event as `LEVEL target name: field=value ...`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Fields(String);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let metadata = event.metadata();
        let mut fields = Fields(format!("{} {} {}:", metadata.level(), metadata.target(), metadata.name()));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
}

/// Runs `body` with a log at a level on all events, and gives what `filter` lets pass.
fn logged(level: Level, filter: &str, body: impl FnOnce()) -> Vec<String> {
    let (dispatch, lines) = (Dispatch::new(), Lines::default());
    dispatch.attach("log", "*", Log::at(level)).unwrap();
    let subscriber = tracing_subscriber::registry().with(lines.clone()).with(EnvFilter::new(filter));
    tracing::subscriber::with_default(subscriber, || dispatch.run(body));
    lines.get()
}

/// T3: name, measurements and tags, in the order declared.
#[test]
fn an_event_is_a_line_with_its_fields() {
    let lines = logged(Level::INFO, "info", || {
        let absent: Option<&str> = None;
        emit!(
            "log.checkout",
            { total: 12.5, items: 3_u64, change: -2_i64, took: Duration::from_millis(1_500) },
            { country: "de \"x\"", paid: true, absent, code: 7_u8 },
        );
    });
    let expected = "INFO tracing_log log.checkout: message=log.checkout total=12.5 items=3 change=-2 took=1.5 \
                    country=\"de \\\"x\\\"\" paid=true code=7";
    assert_eq!(lines, [expected]);
}

/// A callsite is asked for once, so every subscriber gets its answer: those that come later, too.
#[test]
fn levels_and_targets_are_filtered() {
    let body = || {
        emit!("log.levels");
        DynamicEvent::new("log.levels.dynamic", &[], &[]).unwrap().emit(&[], &[]);
    };
    assert_eq!(logged(Level::DEBUG, "info", body), [""; 0]);
    let line = "DEBUG tracing_log log.levels: message=log.levels";
    assert_eq!(logged(Level::DEBUG, "tracing_log=debug", body), [line]);
    let dynamic = "DEBUG telemetry log.levels.dynamic: message=log.levels.dynamic";
    assert_eq!(logged(Level::DEBUG, "debug", body), [line, dynamic]);
    assert_eq!(logged(Level::DEBUG, "off", body), [""; 0]);
    assert_eq!(
        logged(Level::ERROR, "telemetry=error", body),
        ["ERROR telemetry log.levels.dynamic: message=log.levels.dynamic"]
    );
}

#[test]
fn what_tracing_has_no_room_for_is_left_out() {
    let names: Vec<String> = (0..40).map(|at| format!("n{at}")).collect();
    let measurements: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    let event = DynamicEvent::new("log.wide", &measurements, &["tag"]).unwrap();
    let values: Vec<_> = (0..40).map(|at| Some(Number::U64(at))).collect();
    let lines = logged(Level::INFO, "info", || event.emit(&values, &[Value::Str("x")]));
    assert!(lines[0].ends_with(" n29=29 n30=30"), "{lines:?}");
}

/// A log on every event and rules for every span and event, inline: each thing is told once, on either side.
#[test]
fn nothing_goes_round_on_a_thread() {
    let (dispatch, lines) = (Dispatch::new(), Lines::default());
    let rules = [Rule::event().emit("log.round.event"), Rule::spans().emit("log.round.span")];
    let subscriber = tracing_subscriber::registry().with(EventLayer::new(rules).unwrap()).with(lines.clone());
    let events = Arc::<Mutex<Vec<&'static str>>>::default();
    let seen = Arc::clone(&events);
    dispatch.attach("log", "*", Log::at(Level::INFO)).unwrap();
    dispatch
        .attach("seen", "*", move |event: &telemetry_core::Event<'_>| seen.lock().unwrap().push(event.name()))
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        dispatch.run(|| {
            emit!("log.round.emitted");
            tracing::info!("written");
            drop(tracing::info_span!("span"));
        });
    });
    assert_eq!(*events.lock().unwrap(), ["log.round.emitted", "log.round.event", "log.round.span"]);
    let lines = lines.get();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("message=log.round.emitted") && lines[1].contains("message=written"), "{lines:?}");
}

/// The same with the log on a lane, whose worker writes to the same subscriber: the marks are on what is emitted, and
/// not on the thread.
#[test]
fn nothing_goes_round_over_a_lane() {
    static EVENTS: AtomicUsize = AtomicUsize::new(0);
    let lines = Lines::default();
    let rules = [Rule::event().target("tracing_log").emit("log.lane.event")];
    let subscriber = tracing_subscriber::registry().with(EventLayer::new(rules).unwrap()).with(lines.clone());
    // The worker has no other subscriber than the global one.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let dispatch = Dispatch::global();
    let lane = Lane::builder("tracing").capacity(64).build().unwrap();
    attachment("log", Log::at(Level::INFO)).event("log.lane.*").lane(&lane).attach_to(dispatch).unwrap();
    dispatch
        .attach("count", "log.lane.event", |_: &telemetry_core::Event<'_>| {
            EVENTS.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    emit!("log.lane.emitted");
    tracing::info!("written");
    for _ in 0..3 {
        lane.flush(Duration::from_secs(60)).unwrap();
    }
    dispatch.detach("log").unwrap();
    dispatch.detach("count").unwrap();
    let own = |line: &&String| line.contains("log.lane.") || line.contains("message=written");
    assert_eq!(lines.get().iter().filter(own).count(), 2, "{:?}", lines.get());
    assert_eq!(EVENTS.load(Ordering::Relaxed), 1);
}

/// T6: a subscriber that panics is as a handler that does: it is detached, and the emitter notices nothing.
#[test]
fn a_subscriber_that_panics_costs_the_log_alone() {
    struct Fails;
    impl<S: Subscriber> Layer<S> for Fails {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            panic!("as a layer may");
        }
    }
    let dispatch = Dispatch::new();
    dispatch.attach("log", "log.fails", Log::at(Level::INFO)).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(Fails), || {
        dispatch.run(|| emit!("log.fails"));
    });
    assert!(dispatch.handlers("").iter().all(|handler| handler.id != "log"));
}
