//! What an emission costs, by path: `cargo bench -p telemetry-benches --bench emit`.
//!
//! The names are paths: what is done, then who does it. `limit_..` is what the machine needs for a part of it.

#![allow(missing_docs)] // Criterion's macros write functions.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use telemetry_benches::case::{Case, Setup};
use telemetry_benches::implementation::Implementation;
use telemetry_benches::impls::limits;
use telemetry_benches::impls::ours::{Attached, Ours, OursHeld, latency, requests};
use telemetry_benches::tags::{Draw, Endpoint, Outcome, Tags};
use telemetry_core::event::Event as Emitted;
use telemetry_core::handler::attachment;
use telemetry_core::lane::Lane;
use telemetry_core::{Event, detach, emit, span};

const TAGS: [&str; 2] = ["route", "status"];
const HANDLERS: [(&str, usize); 3] = [("ours_no_handler", 0), ("ours", 1), ("ours_eight_handlers", 8)];

/// The case of an implementation, which does it.
fn made(setup: Setup) -> Box<dyn Case> {
    setup.expect("the case is set up").expect("the implementation does this")
}

/// Bursts, with what is put off left out.
fn run(case: &dyn Case, mut times: u64, draw: &mut Draw) -> Duration {
    let mut spent = Duration::ZERO;
    while times > 0 {
        let burst = times.min(case.burst());
        let begin = Instant::now();
        case.run(burst, draw);
        spent += begin.elapsed();
        case.settle();
        times -= burst;
    }
    spent
}

fn alone(criterion: &mut Criterion, name: &str, setup: Setup) {
    let (case, mut draw) = (made(setup), Draw::seeded(1));
    criterion.bench_function(name, |bencher| bencher.iter_custom(|times| run(&*case, times, &mut draw)));
}

fn in_pairs(criterion: &mut Criterion, name: &str, setup: Setup) {
    let case = made(setup);
    by_two(criterion, name, |times, draw| run(&*case, times, draw));
}

/// By two threads at once, each of which says how long it took; the time is that of one operation of one of them.
fn by_two(criterion: &mut Criterion, name: &str, operate: impl Fn(u64, &mut Draw) -> Duration + Sync) {
    let both = |times| {
        let (operate, start) = (&operate, &Barrier::new(2));
        std::thread::scope(|scope| {
            let one = |seed| {
                let mut draw = Draw::seeded(seed);
                start.wait();
                operate(times, &mut draw)
            };
            let other = scope.spawn(move || one(2));
            let mine = one(1);
            (mine + other.join().expect("operations don't panic")) / 2
        })
    };
    criterion.bench_function(name, |bencher| bencher.iter_custom(both));
}

/// The operation, with no handler, one, and eight; and with one by two threads.
fn with_handlers<A>(
    criterion: &mut Criterion,
    path: &str,
    attach: impl Fn(usize) -> A,
    operation: impl Fn(&mut Draw) + Sync,
) {
    for (who, handlers) in HANDLERS {
        let attached: Vec<A> = (0..handlers).map(&attach).collect();
        let mut draw = Draw::seeded(1);
        let name = format!("{path}/{who}");
        criterion.bench_function(&name, |bencher| bencher.iter(|| std::hint::black_box(&operation)(&mut draw)));
        drop(attached);
    }
    let _attached = attach(0);
    by_two(criterion, &format!("{path}/ours_two_threads"), |times, draw| {
        let begin = Instant::now();
        (0..times).for_each(|_| std::hint::black_box(&operation)(draw));
        begin.elapsed()
    });
}

/// A handler that is not an aggregator, attached as long as this lives.
struct Handler(String);

impl Handler {
    fn new(event: &str, number: usize, lane: Option<&Lane>) -> Self {
        let id = format!("bench.handler.{number}");
        let attachment = attachment(&id, |event: &Emitted<'_>| {
            std::hint::black_box(event);
        });
        let attachment = attachment.event(event);
        let attachment = match lane {
            Some(lane) => attachment.lane(lane),
            None => attachment,
        };
        attachment.attach().expect("the id is free");
        Self(id)
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        detach(&self.0).expect("it was attached when this was made");
    }
}

fn disabled(criterion: &mut Criterion) {
    alone(criterion, "emit/disabled/ours", Ours.emit_disabled());
    alone(criterion, "emit/disabled/limit_load_branch", limits::LoadBranch.emit_disabled());
    alone(criterion, "emit/disabled/limit_loop", limits::Loop.emit_disabled());
    alone(criterion, "emit/disabled_two_tags/ours", Ours.emit_disabled_two_tags(Tags::few()));
    in_pairs(criterion, "emit/disabled_two_tags/ours_two_threads", Ours.emit_disabled_two_tags(Tags::few()));
    alone(criterion, "emit/disabled_two_tags/limit_draw", limits::DrawAlone.emit_disabled_two_tags(Tags::few()));
}

fn held(criterion: &mut Criterion) {
    alone(criterion, "held/counter/ours", Ours.counter_held());
    in_pairs(criterion, "held/counter/ours_two_threads", Ours.counter_held());
    alone(criterion, "held/counter/limit_tls_cell", limits::TlsCell.counter_held());
    alone(criterion, "held/counter/limit_fetch_add", limits::AtomicAdd.counter_held());
    in_pairs(criterion, "held/counter/limit_fetch_add_two_threads", limits::AtomicAdd.counter_held());
    alone(criterion, "held/histogram/ours", Ours.histogram_held());
    in_pairs(criterion, "held/histogram/ours_two_threads", Ours.histogram_held());
    alone(criterion, "held/histogram/limit_draw", limits::DrawAlone.histogram_held());
    alone(criterion, "held/gauge/ours", Ours.gauge_set());
    in_pairs(criterion, "held/gauge/ours_two_threads", Ours.gauge_set());
    alone(criterion, "held/gauge/limit_store", limits::AtomicStore.gauge_set());
    alone(criterion, "held/spiral/ours", Ours.spiral_mark());
    in_pairs(criterion, "held/spiral/ours_two_threads", Ours.spiral_mark());
    alone(criterion, "held/spiral/limit_instant_now", limits::InstantNow.spiral_mark());
    alone(criterion, "held/two_tags/ours", OursHeld.counter_two_tags(Tags::few()));
}

fn closure(criterion: &mut Criterion) {
    with_handlers(
        criterion,
        "emit/no_op_closure",
        |n| Handler::new("bench.closure", n, None),
        |draw| {
            let drawn = draw.event(Tags::few());
            emit!(
                "bench.closure",
                { duration: drawn.value, size: 3_u64 },
                { route: drawn.route, status: drawn.status }
            );
        },
    );
    let lane = Lane::builder("bench").capacity(1 << 16).build().expect("there is a thread for a lane");
    // What the worker can't keep up with is dropped: beside the cast in `versus`, this is what an overload costs.
    with_handlers(
        criterion,
        "emit/lane",
        |n| Handler::new("bench.lane_overload", n, Some(&lane)),
        |draw| {
            let drawn = draw.event(Tags::few());
            emit!("bench.lane_overload", { duration: drawn.value }, { route: drawn.route, status: drawn.status });
        },
    );
    alone(criterion, "emit/lane_with_room/ours", Ours.emit_to_lane(Tags::few()));
}

#[derive(Event)]
#[event(name = "bench.words")]
struct Words {
    #[tag]
    route: Endpoint,
    #[tag]
    status: Outcome,
}

fn counted(criterion: &mut Criterion) {
    let attach = |_| Attached::new([requests("bench.pairs").tags(TAGS)]).expect("the definition is right");
    with_handlers(criterion, "emit/two_tags", attach, |draw| {
        let drawn = draw.event(Tags::few());
        emit!("bench.pairs", {}, { route: drawn.route, status: drawn.status });
    });
    alone(criterion, "emit/two_tags/limit_draw", limits::DrawAlone.counter_two_tags(Tags::few()));
    alone(criterion, "emit/two_tags/limit_fingerprint", limits::Print.counter_two_tags(Tags::few()));
    alone(criterion, "emit/two_tags_100k_series/ours", Ours.counter_two_tags(Tags::many()));
    alone(criterion, "emit/two_tags_100k_series/limit_fingerprint", limits::Print.counter_two_tags(Tags::many()));

    let attach = |_| Attached::new([requests("bench.words").tags(TAGS)]).expect("the definition is right");
    with_handlers(criterion, "emit/enum_tags", attach, |draw| {
        let (route, status, _) = draw.words();
        Words { route, status }.emit();
    });
}

fn timed(criterion: &mut Criterion) {
    let metrics = |event: &str| Attached::new([requests(event).tags(TAGS), latency(event).tags(TAGS)]);
    let attach = |_| metrics("bench.request").expect("the definitions are right");
    with_handlers(criterion, "emit/counter_and_histogram", attach, |draw| {
        let drawn = draw.event(Tags::few());
        emit!(
            "bench.request",
            { duration: drawn.value, size: 3_u64 },
            { route: drawn.route, status: drawn.status }
        );
    });
    alone(criterion, "emit/counter_and_histogram_enum_tags/ours", Ours.counter_and_histogram_enum_tags());
    let attach = |_| Attached::new([latency("bench.body.stop").tags(TAGS)]).expect("the definition is right");
    with_handlers(criterion, "emit/span", attach, |draw| {
        let drawn = draw.event(Tags::few());
        span!("bench.body", { route: drawn.route, status: drawn.status }).run(|| ());
    });
    alone(criterion, "emit/span/limit_instant_now", limits::InstantNow.span(Tags::few()));
}

criterion_group!(benches, disabled, held, closure, counted, timed);
criterion_main!(benches);
