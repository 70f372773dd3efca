//! Spans and events of `tracing` become events, by rules.
#![cfg(feature = "tracing")]

mod seen;

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seen::{Recorder, Seen};
use telemetry_core::tracing::{EventLayer, Rule};
use telemetry_core::{Number, Unit};
use tracing::field::Empty;
use tracing::{Dispatch, Instrument, Level, debug_span, error_span, info_span};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// A subscriber with a layer of these rules.
fn subscriber(rules: impl IntoIterator<Item = Rule>) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(EventLayer::new(rules).unwrap()))
}

/// The events that `rules` make of `body`, of those that `pattern` matches.
fn during(pattern: &str, rules: impl IntoIterator<Item = Rule>, body: impl FnOnce()) -> Vec<Seen> {
    Recorder::during(pattern, || tracing::dispatcher::with_default(&subscriber(rules), body)).0
}

fn time(event: &Seen, name: &str) -> Duration {
    match event.measurement(name) {
        Some(Number::Duration(time)) => time,
        other => panic!("{name} of {event:?} is {other:?}"),
    }
}

#[test]
fn a_span_becomes_an_event_with_its_fields_when_it_closes() {
    let rule = Rule::span("request")
        .emit("bridge.request")
        .tags(["route", "status", "cached", "never"])
        .tag_as("http.method", "method")
        .measurement("body", Unit::Byte)
        .measurements(["share"]);
    let events = during("bridge.request", [rule], || {
        let span = info_span!(
            "request",
            route = "/carts",
            status = 200_u16,
            body = 512_u64,
            share = 0.5,
            http.method = "GET",
            cached = true,
            other = "left out"
        );
        let again = span.clone();
        span.in_scope(|| ());
        drop(span);
        // Not before the last handle is gone.
        again.in_scope(|| ());
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event.tags(), "route=/carts status=200 cached=true method=GET");
    assert_eq!(event.measurement("body"), Some(Number::U64(512)));
    assert_eq!(event.measurement("share"), Some(Number::F64(0.5)));
    assert_eq!(time(event, "duration"), time(event, "busy") + time(event, "idle"));
}

#[test]
fn a_field_that_is_recorded_later_counts_and_the_last_one_wins() {
    let rule = Rule::span("work").emit("bridge.work").tags(["outcome", "unknown"]).measurements(["rows"]);
    let events = during("bridge.work", [rule], || {
        let span = info_span!("work", outcome = "none yet", rows = Empty, unknown = Empty);
        span.record("rows", 1_i64);
        span.record("rows", -2_i64).record("outcome", "done");
        span.record("undeclared", 1);
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event.tags(), "outcome=done");
    assert_eq!(event.measurement("rows"), Some(Number::I64(-2)));
}

#[test]
fn busy_is_the_time_within_and_idle_the_rest() {
    let pause = Duration::from_millis(20);
    let events = during("bridge.paused", [Rule::span("paused").emit("bridge.paused")], || {
        let span = info_span!("paused");
        span.in_scope(|| std::thread::sleep(pause));
        std::thread::sleep(2 * pause);
        // Within it twice counts once.
        span.in_scope(|| span.in_scope(|| std::thread::sleep(pause)));
    });
    let (busy, idle) = (time(&events[0], "busy"), time(&events[0], "idle"));
    assert!(busy >= 2 * pause && idle >= 2 * pause, "{busy:?} {idle:?}");
    assert_eq!(time(&events[0], "duration"), busy + idle);
}

/// X6: a span that several threads are in is one event, on the thread that closes it.
#[test]
fn a_span_of_several_threads_is_one_event() {
    let recorder = Recorder::of("bridge.shared");
    let subscriber = subscriber([Rule::span("shared").emit("bridge.shared").measurements(["n"])]);
    let span =
        tracing::dispatcher::with_default(&subscriber, || recorder.dispatch.run(|| info_span!("shared", n = Empty)));
    std::thread::scope(|scope| {
        for n in 0..4_u64 {
            let (span, recorder, subscriber) = (span.clone(), &recorder, &subscriber);
            scope.spawn(move || {
                recorder.dispatch.run(|| {
                    tracing::dispatcher::with_default(subscriber, || {
                        for _ in 0..200 {
                            span.in_scope(|| span.record("n", n));
                        }
                        drop(span);
                    });
                });
            });
        }
        drop(span);
    });
    let events = recorder.events();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(time(event, "busy") <= time(event, "duration"));
    assert!(event.measurement("n").is_some());
}

/// X6: an instrumented future is one span, wherever it is polled.
#[test]
fn an_instrumented_future_is_one_event_when_it_is_done() {
    let recorder = Recorder::of("bridge.task");
    let subscriber = subscriber([Rule::span("task").emit("bridge.task").tags(["step"])]);
    let poll = |future: &mut (dyn Future<Output = ()> + Send + Unpin)| {
        let mut future = pin!(future);
        std::thread::scope(|scope| {
            let poll = || {
                tracing::dispatcher::with_default(&subscriber, || {
                    recorder.dispatch.run(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop())))
                })
            };
            scope.spawn(poll).join().unwrap()
        })
    };
    let mut polls = 0;
    let body = async move {
        poll_fn(|_| {
            polls += 1;
            if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        tracing::Span::current().record("step", "last");
    };
    let mut future = tracing::dispatcher::with_default(&subscriber, || {
        recorder.dispatch.run(|| Box::pin(body.instrument(info_span!("task", step = "first"))))
    });
    assert!(poll(&mut future).is_pending() && poll(&mut future).is_pending());
    assert!(recorder.events().is_empty());
    assert!(poll(&mut future).is_ready());
    tracing::dispatcher::with_default(&subscriber, || recorder.dispatch.run(|| drop(future)));
    let events = recorder.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].tags(), "step=last");
}

#[test]
fn an_event_of_tracing_becomes_an_event_at_once() {
    let rule = Rule::event()
        .target("bridge_shop")
        .level(Level::WARN)
        .has("shelf")
        .emit("bridge.stock.short")
        .tag_as("shelf", "place")
        .level_as("level")
        .target_as("target")
        .measurement_as("missing", "items", Unit::Byte);
    let events = during("bridge.stock.short", [rule], || {
        tracing::warn!(target: "bridge_shop::stock", shelf = "A1", missing = 3, "out of stock");
        tracing::error!(target: "bridge_shop", shelf = 7, missing = 4.5, why = "x");
        tracing::info!(target: "bridge_shop", shelf = "not grave enough");
        tracing::warn!(target: "bridge_shopping", shelf = "of another target");
        tracing::warn!(target: "bridge_shop", "no shelf");
        let _span = error_span!(target: "bridge_shop", "no event", shelf = 1);
    });
    let seen: Vec<_> = events.iter().map(|event| (event.tags(), event.measurement("items"))).collect();
    assert_eq!(
        seen,
        [
            ("place=A1 level=WARN target=bridge_shop::stock".to_owned(), Some(Number::I64(3))),
            ("place=7 level=ERROR target=bridge_shop".to_owned(), Some(Number::F64(4.5))),
        ]
    );
    assert_eq!(events[0].measurements.len(), 1, "an event has no times");
}

#[test]
fn fields_of_every_type_are_tags_and_measurements() {
    let fields = ["u", "i", "f", "b", "s", "shown", "debugged", "wide", "failed"];
    let rule = Rule::event().has("debugged").emit("bridge.types").tags(fields).measurements(fields);
    let failure: Box<dyn Error + 'static> = "broken".into();
    let events = during("bridge.types", [rule], || {
        tracing::info!(
            u = 1_u64, i = -1_i64, f = 2.5, b = true, s = "text", shown = %"4.25", debugged = ?"4", wide = 1_u128 << 80,
            failed = &*failure,
        );
    });
    let number = |field| events[0].measurement(field);
    assert_eq!(number("u"), Some(Number::U64(1)));
    assert_eq!(number("i"), Some(Number::I64(-1)));
    assert_eq!(number("f"), Some(Number::F64(2.5)));
    assert_eq!(number("b"), Some(Number::U64(1)));
    assert_eq!(number("shown"), Some(Number::F64(4.25)));
    assert_eq!(number("wide"), Some(Number::F64((1_u128 << 80) as f64)));
    assert_eq!((number("s"), number("debugged"), number("failed")), (None, None, None));
    let tags = format!("u=1 i=-1 f=2.5 b=true s=text shown=4.25 debugged=\"4\" wide={} failed=broken", 1_u128 << 80);
    assert_eq!(events[0].tags(), tags);
}

#[test]
fn a_span_may_be_several_events_and_spans_of_any_name_one() {
    let rules = [
        Rule::span("two").emit("bridge.several.one"),
        Rule::spans().target("bridge_several").emit("bridge.several.any").name_as("span"),
    ];
    let events = during("bridge.several.*", rules, || {
        drop(info_span!(target: "bridge_several", "two"));
        drop(info_span!(target: "bridge_several::inner", "three"));
        drop(info_span!("four"));
    });
    let names: Vec<_> = events.iter().map(|event| (event.name, event.tags())).collect();
    let any = |span: &str| ("bridge.several.any", format!("span={span}"));
    assert_eq!(names, [("bridge.several.one", String::new()), any("two"), any("three")]);
}

#[test]
fn two_layers_keep_out_of_each_others_way() {
    let layer = |event: &str| EventLayer::new([Rule::span("twice").emit(event).tags(["n"])]).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer("bridge.twice.a")).with(layer("bridge.twice.b"));
    let (events, ()) = Recorder::during("bridge.twice.*", || {
        tracing::subscriber::with_default(subscriber, || info_span!("twice", n = 1).in_scope(|| ()));
    });
    assert_eq!(events.iter().map(|event| event.name).collect::<Vec<_>>(), ["bridge.twice.a", "bridge.twice.b"]);
}

/// What a filter keeps from the layer, or from all layers, becomes no event; spans within it do.
#[test]
fn filters_are_kept_to() {
    let layer = EventLayer::new([
        Rule::spans().emit("bridge.filtered").name_as("span"),
        Rule::event().emit("bridge.filtered").level_as("level"),
    ]);
    let by_name = filter_fn(|metadata| metadata.name() != "hidden");
    let subscriber = tracing_subscriber::registry().with(layer.unwrap().with_filter(by_name)).with(LevelFilter::INFO);
    let (events, ()) = Recorder::during("bridge.filtered", || {
        tracing::subscriber::with_default(subscriber, || {
            info_span!("hidden").in_scope(|| {
                debug_span!("too fine").in_scope(|| info_span!("shown").in_scope(|| tracing::debug!("nor this")));
                tracing::info!("this");
            });
        });
    });
    assert_eq!(events.iter().map(Seen::tags).collect::<Vec<_>>(), ["span=shown", "level=INFO"]);
}

/// T16: a span that nobody listens to is left alone; one that somebody listens to later is an event from then on.
#[test]
fn a_span_that_nobody_wants_is_left_alone() {
    struct NotFormatted;
    impl std::fmt::Display for NotFormatted {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("nobody wants this");
        }
    }
    let subscriber = subscriber([Rule::span("alone").emit("bridge.alone").tags(["x"])]);
    tracing::dispatcher::with_default(&subscriber, || {
        let before = info_span!("alone", x = display(NotFormatted));
        let (events, ()) = Recorder::during("bridge.alone", || {
            drop(before);
            drop(info_span!("alone", x = debug("wanted"), unwanted = display(NotFormatted)));
        });
        assert_eq!(events.iter().map(Seen::tags).collect::<Vec<_>>(), ["x=\"wanted\""]);
    });
}

/// T6: a handler that panics is no harm to the subscriber.
#[test]
fn a_handler_that_panics_does_not_reach_the_span() {
    let subscriber = subscriber([Rule::span("fails").emit("bridge.fails")]);
    let (recorder, event) = (Recorder::of("bridge.fails"), "bridge.fails");
    recorder.dispatch.attach("fails", event, |_: &telemetry_core::Event<'_>| panic!("as a handler may")).unwrap();
    tracing::dispatcher::with_default(&subscriber, || {
        recorder.dispatch.run(|| (0..2).for_each(|_| drop(info_span!("fails"))));
    });
    assert_eq!(recorder.events().len(), 2);
}

/// T1, M1: what can't be followed says which rule it is, and what to do.
#[test]
fn bad_rules_are_refused() {
    let error = |rule| {
        let error = EventLayer::new([rule]).unwrap_err();
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {source}")
    };
    let without = error(Rule::span("request"));
    assert!(without.contains("\"request\"") && without.contains("`emit`"), "{without}");
    let name = error(Rule::event().emit("not..a name"));
    assert!(name.contains("of events") && name.contains("not..a name"), "{name}");
    let twice = error(Rule::span("request").emit("a.b").measurements(["busy"]));
    assert!(twice.contains("`busy`") && twice.contains("\"busy\""), "{twice}");
    assert!(EventLayer::new([Rule::event().emit("bridge.own_busy").measurements(["busy"])]).is_ok());
}
