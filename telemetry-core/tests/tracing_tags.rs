//! Labels of metrics, and exemplars, from the spans around an event.
#![cfg(feature = "tracing")]

#[path = "../src/allocations.rs"]
mod allocations;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use telemetry_core::metric::{Metric, counter, distribution};
use telemetry_core::tracing::{EventLayer, Rule, SpanTags, Trace, Traces};
use telemetry_core::{Dispatch, Registry, emit};
use tracing::field::Empty;
use tracing::span::{Attributes, Id};
use tracing::{Instrument, Span, Subscriber, info_span, trace_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

struct Fixture {
    registry: Registry,
    dispatch: Dispatch,
    subscriber: tracing::Dispatch,
}

impl Fixture {
    fn new(tags: &SpanTags, metrics: impl IntoIterator<Item = Metric>) -> Self {
        Self::with(tracing_subscriber::registry().with(tags.layer()), metrics)
    }

    fn with(subscriber: impl Into<tracing::Dispatch>, metrics: impl IntoIterator<Item = Metric>) -> Self {
        let (registry, dispatch) = (Registry::new(), Dispatch::new());
        registry.aggregator(metrics).unwrap().attach_to(&dispatch, "metrics").unwrap();
        Self { registry, dispatch, subscriber: subscriber.into() }
    }

    fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        tracing::dispatcher::with_default(&self.subscriber, || self.dispatch.run(body))
    }

    /// How many events each choice of labels has.
    fn counts(&self, metric: &str) -> BTreeMap<String, u64> {
        let snapshot = self.registry.snapshot();
        let series = snapshot.family(metric).unwrap().series.iter().map(|series| {
            let labels: Vec<_> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let labels = labels.join(" ");
            let own: Vec<(&str, &str)> = series.labels.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            (labels, snapshot.total(metric, &own).unwrap() as u64)
        });
        series.filter(|(_, count)| *count > 0).collect()
    }
}

fn counts<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(labels, count)| (labels.to_owned(), count)).collect()
}

#[test]
fn the_innermost_span_that_has_the_field_counts() {
    let tags = SpanTags::new(["tenant", "plan"]).field_as("http.route", "route");
    let fixture = Fixture::new(&tags, [counter("spans.nested.count").tags(["of"]).span_tags(&tags)]);
    fixture.run(|| {
        let event = |of| emit!("spans.nested", {}, { of });
        event("none");
        let outer = info_span!("outer", tenant = "acme", plan = 3, user = "never a label");
        outer.in_scope(|| {
            event("outer");
            info_span!("plain", other = 1).in_scope(|| {
                event("plain");
                info_span!("inner", tenant = "own", http.route = %"/a").in_scope(|| event("inner"));
            });
            info_span!("empty", tenant = "").in_scope(|| event("empty"));
            info_span!("unset", tenant = Empty).in_scope(|| event("unset"));
            // Not within `outer`, though the thread is.
            info_span!(parent: None, "root").in_scope(|| event("root"));
            info_span!(parent: None, "other root", tenant = "b").in_scope(|| event("other"));
        });
        event("none");
    });
    assert_eq!(
        fixture.counts("spans.nested.count"),
        counts([
            ("of=none", 2),
            ("of=outer plan=3 tenant=acme", 1),
            ("of=plain plan=3 tenant=acme", 1),
            ("of=inner plan=3 route=/a tenant=own", 1),
            ("of=empty plan=3", 1),
            ("of=unset plan=3 tenant=acme", 1),
            ("of=root", 1),
            ("of=other tenant=b", 1),
        ])
    );
}

#[test]
fn a_field_that_is_recorded_later_counts_from_then_on() {
    let tags = SpanTags::new(["user"]);
    let fixture = Fixture::new(&tags, [counter("spans.later.count").span_tags(&tags)]);
    fixture.run(|| {
        let outer = info_span!("outer", user = Empty);
        let _entered = outer.enter();
        let inner = info_span!("inner", user = Empty);
        inner.in_scope(|| {
            emit!("spans.later");
            // For a span that was made and entered before, too.
            outer.record("user", "first");
            emit!("spans.later");
            outer.record("user", 2);
            emit!("spans.later");
            inner.record("user", true);
            emit!("spans.later");
            // A span that does not declare the field has it not: this is the outer one's to say.
            info_span!("plain").in_scope(|| {
                Span::current().record("user", "lost");
                emit!("spans.later");
            });
        });
        emit!("spans.later");
    });
    let expected = [("", 1), ("user=first", 1), ("user=2", 2), ("user=true", 2)];
    assert_eq!(fixture.counts("spans.later.count"), counts(expected));
}

#[test]
fn spans_may_be_left_in_any_order() {
    let tags = SpanTags::new(["n"]);
    let fixture = Fixture::new(&tags, [counter("spans.order.count").span_tags(&tags)]);
    fixture.run(|| {
        let [a, b] = [1, 2].map(|n| info_span!("span", n));
        let (first, second) = (a.enter(), b.enter());
        drop(first);
        emit!("spans.order");
        drop(second);
        emit!("spans.order");
        // The same span twice.
        a.in_scope(|| {
            a.in_scope(|| emit!("spans.order"));
            emit!("spans.order");
        });
    });
    assert_eq!(fixture.counts("spans.order.count"), counts([("n=2", 1), ("", 1), ("n=1", 2)]));
}

/// X6: a future is in its span while it is polled, whoever polls it, and between polls nobody is.
#[test]
fn futures_carry_their_spans_from_thread_to_thread() {
    let tags = SpanTags::new(["task"]);
    let fixture = Fixture::new(&tags, [counter("spans.tasks.count").span_tags(&tags)]);
    let task = |task: u32| {
        let mut polls = 0;
        let body = poll_fn(move |_| {
            emit!("spans.tasks");
            polls += 1;
            if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
        });
        Box::pin(body.instrument(info_span!("task", task)))
    };
    let mut tasks = fixture.run(|| [task(1), task(2)]);
    for _ in 0..3 {
        for future in &mut tasks {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    fixture.run(|| {
                        let _ = future.as_mut().poll(&mut Task::from_waker(Waker::noop()));
                        emit!("spans.tasks");
                    });
                });
            });
        }
    }
    fixture.run(|| drop(tasks));
    assert_eq!(fixture.counts("spans.tasks.count"), counts([("task=1", 3), ("task=2", 3), ("", 6)]));
}

#[test]
fn a_span_that_is_filtered_away_is_looked_through() {
    let tags = SpanTags::new(["depth"]);
    let layer = tags.layer().with_filter(LevelFilter::INFO);
    let fixture =
        Fixture::with(tracing_subscriber::registry().with(layer), [counter("spans.filtered.count").span_tags(&tags)]);
    fixture.run(|| {
        info_span!("outer", depth = 1).in_scope(|| {
            trace_span!("hidden", depth = 2).in_scope(|| {
                emit!("spans.filtered");
                info_span!("inner").in_scope(|| emit!("spans.filtered"));
            });
        });
    });
    assert_eq!(fixture.counts("spans.filtered.count"), counts([("depth=1", 2)]));
}

/// Two choices of fields, in one subscriber: each metric has its own. And without its layer a choice is empty.
#[test]
fn choices_are_kept_apart() {
    let (a, b, absent) = (SpanTags::new(["x"]), SpanTags::new(["y", "x"]), SpanTags::new(["x"]));
    let subscriber = tracing_subscriber::registry().with(a.layer()).with(b.layer());
    let fixture = Fixture::with(
        subscriber,
        [
            counter("spans.apart.count").span_tags(&a),
            counter("spans.apart.both").event("spans.apart").measurement("count").span_tags(&b),
            counter("spans.apart.none").event("spans.apart").measurement("count").span_tags(&absent),
        ],
    );
    fixture.run(|| info_span!("span", x = 1, y = 2).in_scope(|| emit!("spans.apart")));
    assert_eq!(fixture.counts("spans.apart.count"), counts([("x=1", 1)]));
    assert_eq!(fixture.counts("spans.apart.both"), counts([("x=1 y=2", 1)]));
    assert_eq!(fixture.counts("spans.apart.none"), counts([("", 1)]));
}

/// An event within a span allocates nothing, on a series that exists.
#[test]
fn labels_of_an_unchanged_span_cost_no_allocation() {
    let tags = SpanTags::new(["tenant", "route"]);
    let fixture = Fixture::new(
        &tags,
        [
            counter("spans.frugal.count").tags(["country"]).span_tags(&tags),
            distribution("spans.frugal.took").tags(["country"]).span_tags(&tags),
        ],
    );
    fixture.run(|| {
        let outer = info_span!("outer", tenant = "acme");
        let _outer = outer.enter();
        let _inner = info_span!("inner", route = "/carts/{id}").entered();
        let event = || emit!("spans.frugal", { took: 0.5 }, { country: "de" });
        event();
        let allocations = || allocations::during(|| (0..1_000).for_each(|_| event()));
        assert_eq!(allocations(), 0);
        outer.record("tenant", "other");
        event();
        assert_eq!(allocations(), 0);
    });
    let of = |tenant: &str| format!("country=de route=/carts/{{id}} tenant={tenant}");
    let expected = BTreeMap::from([(of("acme"), 1_001), (of("other"), 1_001)]);
    assert_eq!(fixture.counts("spans.frugal.count"), expected);
}

/// A span whose field is replaced all the time, under threads that emit in it: each event has one of the texts, whole.
#[test]
fn a_field_is_replaced_under_readers() {
    let rounds: u32 = if cfg!(miri) { 100 } else { 5_000 };
    let tags = SpanTags::new(["job"]);
    let jobs = counter("spans.replaced.count").span_tags(&tags).limit(20_000);
    let fixture = Fixture::new(&tags, [jobs]);
    let span = fixture.run(|| info_span!("worker", job = "job-0"));
    let done = AtomicBool::new(false);
    let emitted: u64 = std::thread::scope(|scope| {
        let emitters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    fixture.run(|| {
                        let mut emitted = 0;
                        let _entered = span.enter();
                        while !done.load(Ordering::Relaxed) {
                            info_span!("inner").in_scope(|| emit!("spans.replaced"));
                            emitted += 1;
                        }
                        emitted
                    })
                })
            })
            .collect();
        fixture.run(|| {
            for job in 0..rounds {
                span.record("job", format!("job-{job}").as_str());
            }
        });
        done.store(true, Ordering::Relaxed);
        emitters.into_iter().map(|emitter| emitter.join().unwrap()).sum()
    });
    let counts = fixture.counts("spans.replaced.count");
    let is_job = |labels: &String| labels.strip_prefix("job=job-").is_some_and(|n| n.parse::<u32>().unwrap() < rounds);
    assert!(counts.keys().all(is_job), "{counts:?}");
    assert_eq!(counts.values().sum::<u64>(), emitted);
}

/// The event of a span that closes has the labels of that span, although the thread has left it.
#[test]
fn the_event_of_a_closing_span_is_within_it() {
    let tags = SpanTags::new(["tenant"]);
    let events = EventLayer::new([Rule::span("request").emit("spans.closing").tags(["route"])]).unwrap();
    let subscriber = tracing_subscriber::registry().with(tags.layer()).with(events);
    let fixture = Fixture::with(subscriber, [counter("spans.closing.count").tags(["route"]).span_tags(&tags)]);
    fixture.run(|| {
        let outer = info_span!("outer", tenant = "outer");
        drop(info_span!(parent: &outer, "request", route = "/a", tenant = "own"));
        outer.in_scope(|| drop(info_span!("request", route = "/b")));
        drop(info_span!("request", route = "/c"));
        emit!("spans.closing", {}, { route: "/d" });
    });
    let expected = [("route=/a tenant=own", 1), ("route=/b tenant=outer", 1), ("route=/c", 1), ("route=/d", 1)];
    assert_eq!(fixture.counts("spans.closing.count"), counts(expected));
}

/// M16: two fields of one label, and what can't be one, are errors that name the metric.
#[test]
fn bad_labels_are_refused() {
    for tags in [SpanTags::new(["__tenant"]), SpanTags::new(["country"]), SpanTags::new(["le"])] {
        let metric = counter("spans.bad.count").tags(["country"]).span_tags(&tags);
        let error = Registry::new().aggregator([metric]).unwrap_err().to_string();
        assert!(error.contains("spans.bad.count"), "{error}");
    }
    let held = Registry::new()
        .register::<telemetry_core::instrument::Counter>(counter("held.bad").span_tags(&SpanTags::new(["a"])));
    assert!(held.is_err());
}

/// Gives each span ids of its own, as a tracer does: those of the trace from the outermost.
struct Tracer;

struct Ids(Trace);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Tracer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Ids>().map(|ids| ids.0));
        let is_sampled = attributes.metadata().name() != "unsampled";
        let root = Trace { trace_id: 0xabc << 64, span_id: 0, is_sampled };
        if attributes.metadata().name() != "untraced" {
            span.extensions_mut().insert(Ids(Trace { span_id: id.into_u64(), ..parent.unwrap_or(root) }));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        // As that of OpenTelemetry does.
        context.span(&id).unwrap().extensions_mut().remove::<Ids>();
    }
}

fn traces() -> Traces {
    Traces::new(|span| span.with_extensions(|extensions| extensions.get::<Ids>().map(|ids| ids.0)))
}

#[test]
fn exemplars_are_of_the_trace_that_the_thread_is_in() {
    let traces = traces();
    let sampler = traces.sampler().every(Duration::ZERO);
    let subscriber = tracing_subscriber::registry().with(traces.layer()).with(Tracer);
    let fixture = Fixture::with(subscriber, [counter("spans.traced.count").tags(["of"]).exemplars(&sampler)]);
    let exemplar = |of: &str| {
        let snapshot = fixture.registry.snapshot();
        let family = snapshot.family("spans.traced.count").unwrap();
        let series = family.series.iter().find(|series| series.labels["of"] == of).unwrap();
        series
            .exemplars
            .first()
            .map(|exemplar| (exemplar.labels["trace_id"].clone(), exemplar.labels["span_id"].clone()))
    };
    let trace = format!("{:032x}", 0xabc_u128 << 64);
    let hex = |span: &Span| format!("{:016x}", span.id().unwrap().into_u64());
    fixture.run(|| {
        let event = |of| emit!("spans.traced", {}, { of });
        event("none");
        assert_eq!(traces.current(), None);
        let outer = info_span!("outer");
        outer.in_scope(|| {
            event("outer");
            let inner = info_span!("inner");
            inner.in_scope(|| event("inner"));
            assert_eq!(exemplar("inner"), Some((trace.clone(), hex(&inner))));
            // A span without a trace of its own is within that of the span around it.
            info_span!("untraced").in_scope(|| event("untraced"));
        });
        assert_eq!(exemplar("outer"), Some((trace.clone(), hex(&outer))));
        assert_eq!(exemplar("untraced"), exemplar("outer"));
        let unsampled = info_span!("unsampled");
        unsampled.in_scope(|| {
            event("unsampled");
            assert_eq!(traces.current().map(|trace| trace.is_sampled), Some(false));
        });
    });
    assert_eq!((exemplar("none"), exemplar("unsampled")), (None, None));
}

#[test]
fn the_exemplar_of_a_closing_span_is_its_own_trace() {
    let traces = traces();
    let events = EventLayer::new([Rule::span("request").emit("spans.ended")]).unwrap();
    // Before the layer that takes the ids away.
    let subscriber = tracing_subscriber::registry().with(traces.layer()).with(events).with(Tracer);
    let duration = distribution("spans.ended.duration").exemplars(&traces.sampler());
    let fixture = Fixture::with(subscriber, [duration]);
    let id = fixture.run(|| info_span!("request").in_scope(|| Span::current().id().unwrap().into_u64()));
    let snapshot = fixture.registry.snapshot();
    let exemplars = &snapshot.family("spans.ended.duration").unwrap().series[0].exemplars;
    assert_eq!(exemplars[0].labels["span_id"], format!("{id:016x}"));
}
