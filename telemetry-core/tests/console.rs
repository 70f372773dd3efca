//! V10: a console prints each event with what every metric makes of it, or why it is skipped.

mod declare;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use declare::comes_true;
use telemetry_core::explain::{Explanation, Finding};
use telemetry_core::family::Kind;
use telemetry_core::handler::attachment;
use telemetry_core::lane::Lane;
use telemetry_core::metric::{counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::{Aggregator, Console, Dispatch, DynamicEvent, Event, Number, Registry, Unit, emit, span};

/// What was written, each piece by itself.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<String>>>);

impl Pieces {
    fn all(&self) -> String {
        self.0.lock().unwrap().concat()
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A dispatcher with a console on it, and what that writes.
fn console(aggregators: &[&Aggregator]) -> (Dispatch, Pieces) {
    let (dispatch, pieces) = (Dispatch::new(), Pieces::default());
    let console = aggregators.iter().fold(Console::with_writer(pieces.clone()), |console, of| console.explain(of));
    dispatch.attach("console", "*", console).unwrap();
    (dispatch, pieces)
}

/// V10: the value in the metric's unit, and the series; what is skipped says why.
#[test]
fn each_event_is_written_with_what_every_metric_makes_of_it() {
    let registry = Registry::new();
    let aggregator = registry
        .aggregator([
            counter("console.request.count").tags(["route", "status"]),
            distribution("console.request.duration").tags(["route"]).unit(Unit::Millisecond),
            last_value("console.request.body").unit(Unit::Kilobyte),
            sum("console.request.refund"),
            sum("console.request.price"),
            spiral("console.request.ratio"),
            summary("console.request.load"),
            counter("console.errors")
                .event("console.request")
                .measurement("count")
                .keep(|event| event.tag("status").is_some_and(|status| status.to_string().starts_with('5'))),
            counter("console.panics").event("console.request").computed_tag("class", |_, _| {
                std::panic::resume_unwind(Box::new("no class"));
            }),
            counter("console.other.count"),
        ])
        .unwrap();
    let (dispatch, pieces) = console(&[&aggregator]);
    dispatch.run(|| {
        emit!(
            "console.request",
            { duration: Duration::from_micros(2_500), body: 1_500u64 => Byte, price: -3, ratio: 0.5, load: f64::NAN },
            { route: "/a \"b\"\n", status: 200u16 }
        );
        emit!("console.unmeasured");
    });
    assert_eq!(
        pieces.all(),
        r#"console.request { duration: 2.5ms, body: 1500, price: -3, ratio: 0.5, load: NaN } { route: "/a \"b\"\n", status: "200" }
  console.request.count     counter       1                 {route="/a \"b\"\n",status="200"}
  console.request.duration  distribution  2.5 milliseconds  {route="/a \"b\"\n"}
  console.request.body      last_value    1.5 kilobytes
  console.request.refund    sum           skipped: the event carries no measurement `refund`
  console.request.price     sum           skipped: -3 is negative
  console.request.ratio     spiral        skipped: 0.5 is not a whole number below 2^64
  console.request.load      summary       skipped: NaN is not finite
  console.errors            counter       skipped: its rule keeps the event out
  console.panics            counter       skipped: its own code panicked: no class
console.unmeasured
  no metric is made of it
"#
    );
    assert_eq!(pieces.0.lock().unwrap().len(), 2, "one piece for each event");
    assert_eq!(registry.snapshot().total("console.request.body", &[]), None, "explaining counts nothing");
    assert!(registry.snapshot().family("console.request.count").unwrap().series.is_empty(), "and makes no series");
}

/// V10: a unit that does not convert is found at build where the event is known; one that comes later is skipped.
#[test]
fn a_unit_that_does_not_convert_is_told() {
    let aggregator = Registry::new().aggregator([sum("console.late.size").unit(Unit::Second)]).unwrap();
    let (dispatch, pieces) = console(&[&aggregator]);
    let late = DynamicEvent::new("console.late", &[("size", Some(Unit::Byte))], &[]).unwrap();
    dispatch.run(|| late.emit(&[Some(Number::U64(3))], &[]));
    assert_eq!(
        pieces.all(),
        "console.late { size: 3 }\n  console.late.size  sum  skipped: bytes do not convert into seconds\n"
    );
}

/// V10: the events of a span say which span that is; without an aggregator there are events alone.
#[test]
fn an_event_of_a_span_is_written_with_it() {
    let (dispatch, pieces) = console(&[]);
    let context = dispatch.run(|| {
        let span = span!("console.payment", { provider: "acme" });
        let context = span.context().unwrap();
        span.run(|| span!("console.charge").run(|| ()));
        context
    });
    let text = pieces.all();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].ends_with(&format!(" {{ provider: \"acme\" }} in span {}", context.id)), "{text}");
    assert!(lines[1].ends_with(&format!(", child of {}", context.id)), "{text}");
}

/// V10: on a lane, the worker writes; the emitting thread never waits for the writer.
#[test]
fn a_console_on_a_lane_writes_on_its_worker() {
    struct Named(Pieces);
    impl Write for Named {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            write!(self.0, "{}: ", thread::current().name().unwrap())?;
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (dispatch, pieces) = (Dispatch::new(), Pieces::default());
    let lane = Lane::builder("console").build().unwrap();
    let console = Console::with_writer(Named(pieces.clone()));
    attachment("console", console).event("console.lane").lane(&lane).attach_to(&dispatch).unwrap();
    dispatch.run(|| emit!("console.lane", { n: 1 }));
    lane.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(pieces.all(), "lane console: console.lane { n: 1 }\n");
}

/// T6: a writer that fails is the failure of the handler, which is told and detached.
#[test]
fn a_console_that_cannot_write_is_detached() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (dispatch, told) = (Dispatch::new(), Pieces::default());
    dispatch.attach("console", "console.broken", Console::with_writer(Broken)).unwrap();
    let mut tell = told.clone();
    let tells =
        Mutex::new(move |event: &Event<'_>| tell.write_all(event.tag("message").unwrap().to_string().as_bytes()));
    dispatch
        .attach("tells", "telemetry.handler.failure", move |event: &Event<'_>| (tells.lock().unwrap())(event).unwrap())
        .unwrap();
    dispatch.run(|| emit!("console.broken"));
    assert_eq!(told.all(), "the console cannot write: broken pipe");
    assert_eq!(dispatch.handlers("console").len(), 0);
}

/// X3: a writer that emits does not wait for itself.
#[test]
fn a_writer_that_emits_is_not_shown_its_own_events() {
    struct Emits(Pieces);
    impl Write for Emits {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            emit!("console.written");
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (dispatch, pieces) = (Dispatch::new(), Pieces::default());
    dispatch.attach("console", "console.*", Console::with_writer(Emits(pieces.clone()))).unwrap();
    let carried = dispatch.clone();
    let emits = thread::spawn(move || carried.run(|| (0..2).for_each(|_| emit!("console.emits"))));
    assert!(comes_true(|| emits.is_finished()));
    assert_eq!(pieces.all(), "console.emits\nconsole.emits\n");
}

/// V10: what is explained is what is counted, for each kind and the values that trouble them.
#[test]
fn what_is_explained_is_what_is_counted() {
    let kinds = [counter, sum, last_value, distribution, summary, spiral];
    let names = ["agrees.a", "agrees.b", "agrees.c", "agrees.d", "agrees.e", "agrees.f"];
    let metrics = kinds.into_iter().zip(names).flat_map(|(kind, name)| {
        let named = |suffix: &str| kind("agrees.event.value").name(format!("{name}.{suffix}"));
        [named("taken"), named("computed").value(|event| event.measurement("value").filter(|n| n.to_f64() != 5.0))]
    });
    let metrics: Vec<_> = metrics.collect();
    let numbers = [
        Some(Number::U64(3)),
        Some(Number::U64(u64::MAX)),
        Some(Number::I64(-3)),
        Some(Number::F64(2.5)),
        Some(Number::F64(-0.0)),
        Some(Number::F64(5.0)),
        Some(Number::F64(1e300)),
        Some(Number::F64(f64::INFINITY)),
        Some(Number::F64(f64::NAN)),
        Some(Number::Duration(Duration::from_millis(1_500))),
        None,
    ];
    for number in numbers {
        let registry = Registry::new();
        let aggregator = registry.aggregator(metrics.clone()).unwrap();
        let explained = Arc::new(Mutex::new(Vec::new()));
        let (explains, keep) = (aggregator.clone(), Arc::clone(&explained));
        let dispatch = Dispatch::new();
        let explain = move |event: &Event<'_>| *keep.lock().unwrap() = explains.explain(event);
        dispatch.attach("explains", "agrees.event", explain).unwrap();
        aggregator.attach_to(&dispatch, "counts").unwrap();
        dispatch.run(|| emit!("agrees.event", { value: number }));

        let snapshot = registry.snapshot();
        let explained: Vec<Explanation> = explained.lock().unwrap().clone();
        assert_eq!(explained.len(), 12);
        for Explanation { metric, kind, finding, .. } in explained {
            let skipped = |reason| {
                snapshot.total("telemetry.metric.skipped", &[("metric", &metric), ("reason", reason)]) == Some(1.0)
            };
            let expected = match finding {
                Finding::Taken { .. } => (false, false),
                Finding::Missing { .. } => (true, false),
                _ => (false, true),
            };
            assert_eq!((skipped("missing"), skipped("invalid")), expected, "{metric}, {number:?}: {finding}");
            if let (Finding::Taken { value, .. }, Kind::Sum | Kind::LastValue | Kind::Counter | Kind::Spiral) =
                (&finding, kind)
            {
                assert_eq!(snapshot.total(&metric, &[]), Some(value.to_f64()), "{metric}, {number:?}: {finding}");
            }
        }
    }
}

/// V7: an event beyond the limit is explained as one of the overflow series; one of a series that exists is not.
#[test]
fn an_event_beyond_the_limit_is_explained_as_such() {
    let registry = Registry::new();
    let aggregator = registry.aggregator([counter("overflow.event.count").tags(["tag"]).limit(1)]).unwrap();
    let (dispatch, pieces) = console(&[&aggregator]);
    aggregator.attach_to(&dispatch, "metrics").unwrap();
    dispatch.run(|| ["a", "b", "a"].into_iter().for_each(|tag| emit!("overflow.event", {}, { tag })));
    let text = pieces.all();
    let labels: Vec<&str> = text.lines().filter_map(|line| Some(&line[line.find("1  {")?..])).collect();
    assert_eq!(labels, ["1  {tag=\"a\"}", "1  {otel_metric_overflow=\"true\"}", "1  {tag=\"a\"}"]);
}
