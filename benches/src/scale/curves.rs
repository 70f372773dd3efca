//! The curves: what grows, and what is measured meanwhile.
//!
//! Every point has a dispatcher and a registry of its own, which are gone when it is measured.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use telemetry_core::handler::attachment;
use telemetry_core::metric::{Metric, counter, distribution};
use telemetry_core::scrape::Total;
use telemetry_core::snapshot::{SeriesSnapshot, ValueSnapshot};
use telemetry_core::{Dispatch, DynamicEvent, Event, Registry, Unit, emit};

use super::{Curve, Pace, per};
use crate::heap;
use crate::tags::{Draw, Tags};

/// All curves.
pub static CURVES: [Curve; 8] = [
    // First, since the cells that another curve gives back would be taken again, and nothing would grow.
    Curve {
        name: "memory",
        about: "So many threads, one after the other and all alive, count in the same 10,000 series; bytes for each series.",
        grows: "threads",
        unit: "B",
        at: &[1, 2, 4, 8, 16, 32, 64, 128],
        measure: memory,
    },
    Curve {
        name: "series",
        about: "An event with one tag is counted; its value is drawn from so many.",
        grows: "series",
        unit: "ns",
        at: &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
        measure: series,
    },
    Curve {
        name: "tags",
        about: "An event is counted by so many tags, in 128 series.",
        grows: "tags",
        unit: "ns",
        at: &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        measure: tags,
    },
    Curve {
        name: "handlers",
        about: "An event with a measurement and two tags goes to so many closures.",
        grows: "handlers",
        unit: "ns",
        at: &[0, 1, 2, 4, 8, 16, 32, 64],
        measure: handlers,
    },
    Curve {
        name: "metrics",
        about: "An event with two tags is recorded in so many histograms, which share 128 series.",
        grows: "metrics of one event",
        unit: "ns",
        at: &[1, 2, 4, 8, 16],
        measure: metrics,
    },
    Curve {
        name: "threads",
        about: "So many threads count an event by two tags; the time of the processor for one event.",
        grows: "threads",
        unit: "ns",
        at: &[1, 2, 4, 8, 16, 32, 64, 128],
        measure: threads,
    },
    Curve {
        name: "elsewhere",
        about: "An event is counted by two tags, while there are so many other events, each with a handler and ten series.",
        grows: "other events",
        unit: "ns",
        at: &[0, 10, 100, 1_000],
        measure: elsewhere,
    },
    Curve {
        name: "attach",
        about: "A closure is attached to one event and detached, while so many others are attached.",
        grows: "other handlers",
        unit: "ns",
        at: &[0, 10, 100, 1_000],
        measure: attach,
    },
];

/// The metrics, fed by what is emitted on threads that run in the dispatcher.
fn fed(metrics: impl IntoIterator<Item = Metric>) -> (Registry, Dispatch) {
    let (registry, dispatch) = (Registry::new(), Dispatch::new());
    let aggregator = registry.aggregator(metrics).expect("the definitions are right");
    aggregator.attach_to(&dispatch, "scale").expect("nothing else is attached");
    (registry, dispatch)
}

/// What a counter, or the count of a histogram, shows in all its series together.
fn counted(registry: &Registry, name: &str) -> u64 {
    let snapshot = registry.snapshot();
    let series = snapshot.family(name).map_or(&[][..], |family| &family.series);
    let total = |series: &SeriesSnapshot| match &series.value {
        ValueSnapshot::Total(Total::U64(total)) => *total,
        ValueSnapshot::Histogram { counts, .. } => counts.iter().sum(),
        _ => 0,
    };
    series.iter().map(total).sum()
}

/// Measures `emit`, which is given a draw, and checks that as many events were counted.
fn checked(registry: &Registry, counter: &str, pace: Pace, mut emit: impl FnMut(&mut Draw)) -> Vec<f64> {
    let (mut draw, mut emitted) = (Draw::seeded(1), counted(registry, counter));
    let samples = pace.time(|times| {
        (0..times).for_each(|_| emit(&mut draw));
        emitted += times;
    });
    assert_eq!(counted(registry, counter), emitted, "every event is counted");
    samples
}

fn series(number: usize, pace: Pace) -> Vec<f64> {
    let limit = u32::try_from(number + 1).expect("a million at the most");
    let (registry, dispatch) = fed([counter("scale.series.count").tags(["id"]).limit(limit)]);
    let ids: Vec<String> = (0..number).map(|id| format!("customer-{id:07}")).collect();
    dispatch.run(|| {
        ids.iter().for_each(|id| emit!("scale.series", {}, { id }));
        checked(&registry, "scale.series.count", pace, |draw| {
            emit!("scale.series", {}, { id: ids[draw.below(ids.len())] });
        })
    })
}

/// An event with the tags that are named, whose values are those of `texts` in that order.
macro_rules! tagged {
    ($number:expr, $pace:expr, $($count:literal => $name:literal { $($tag:ident),* })*) => {{
        let texts: Vec<[String; 8]> =
            (0..128).map(|row| std::array::from_fn(|column| format!("value-{column}-{row:03}"))).collect();
        match $number {
            $($count => {
                let counter_name = concat!($name, ".count");
                let (registry, dispatch) = fed([counter(counter_name).tags([$(stringify!($tag)),*] as [&str; $count])]);
                dispatch.run(|| checked(&registry, counter_name, $pace, |draw| {
                    #[allow(unused_variables, unused_mut)] // One has no tags.
                    let mut values = texts[draw.below(texts.len())].iter();
                    $(let $tag = values.next().map_or("", |value| value.as_str());)*
                    emit!($name, {}, { $($tag),* });
                }))
            })*
            _ => Vec::new(),
        }
    }};
}

fn tags(number: usize, pace: Pace) -> Vec<f64> {
    tagged!(number, pace,
        0 => "scale.tags_0" {}
        1 => "scale.tags_1" { a }
        2 => "scale.tags_2" { a, b }
        3 => "scale.tags_3" { a, b, c }
        4 => "scale.tags_4" { a, b, c, d }
        5 => "scale.tags_5" { a, b, c, d, e }
        6 => "scale.tags_6" { a, b, c, d, e, f }
        7 => "scale.tags_7" { a, b, c, d, e, f, g }
        8 => "scale.tags_8" { a, b, c, d, e, f, g, h }
    )
}

fn handlers(number: usize, pace: Pace) -> Vec<f64> {
    let dispatch = Dispatch::new();
    for at in 0..number {
        let handler = |event: &Event<'_>| {
            black_box(event);
        };
        dispatch.attach(format!("handler.{at}"), "scale.handlers", handler).expect("the id is new");
    }
    dispatch.run(|| {
        let mut draw = Draw::seeded(1);
        pace.time(|times| {
            for _ in 0..times {
                let drawn = draw.event(Tags::few());
                emit!("scale.handlers", { value: drawn.value }, { route: drawn.route, status: drawn.status });
            }
        })
    })
}

fn metrics(number: usize, pace: Pace) -> Vec<f64> {
    let histogram = |at| {
        distribution(format!("histogram_{at}").as_str())
            .event("scale.metrics")
            .measurement("value")
            .unit(Unit::Second)
            .tags(["route", "status"])
    };
    let (registry, dispatch) = fed((0..number).map(histogram));
    dispatch.run(|| {
        checked(&registry, "histogram_0", pace, |draw| {
            let drawn = draw.event(Tags::few());
            emit!("scale.metrics", { value: drawn.value }, { route: drawn.route, status: drawn.status });
        })
    })
}

fn threads(number: usize, pace: Pace) -> Vec<f64> {
    let (registry, dispatch) = fed([counter("scale.threads.count").tags(["route", "status"])]);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let emit_all = |seed: u64, times: u64| {
        let mut draw = Draw::seeded(seed);
        for _ in 0..times {
            let drawn = draw.event(Tags::few());
            emit!("scale.threads", {}, { route: drawn.route, status: drawn.status });
        }
    };
    // As many events for each thread as take one of them about a round.
    let alone = dispatch.run(|| pace.time(|times| emit_all(0, times)));
    let least = alone.iter().copied().fold(f64::MAX, f64::min);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // A number of events.
    let times = (pace.round.as_nanos() as f64 / least / number.div_ceil(cores) as f64).max(1_000.0) as u64;
    let mut expected = counted(&registry, "scale.threads.count");
    let round = |_| {
        let start = Barrier::new(number + 1);
        let took = thread::scope(|scope| {
            for seed in 0..number as u64 {
                let (dispatch, start) = (&dispatch, &start);
                scope.spawn(move || {
                    dispatch.run(|| {
                        // The thread takes its shard, and its pages, before the start.
                        emit_all(seed, 1_000);
                        start.wait();
                        emit_all(seed, times);
                    });
                });
            }
            start.wait();
            let begin = Instant::now();
            // The scope waits for all of them.
            begin
        })
        .elapsed();
        expected += (times + 1_000) * number as u64;
        per(took, times * number as u64) * number.min(cores) as f64
    };
    let samples = (0..pace.rounds).map(round).collect();
    assert_eq!(counted(&registry, "scale.threads.count"), expected, "every event is counted");
    samples
}

fn elsewhere(number: usize, pace: Pace) -> Vec<f64> {
    let (registry, dispatch) = fed([counter("scale.elsewhere.count").tags(["route", "status"])]);
    let others: Vec<String> = (0..number).map(|at| format!("scale.other_{at}")).collect();
    let counters = others.iter().map(|event| counter(format!("{event}.count").as_str()).tags(["id"]));
    let aggregator = registry.aggregator(counters).expect("the definitions are right");
    // Without a metric there is no event to attach to.
    if number > 0 {
        aggregator.attach_to(&dispatch, "others").expect("the id is new");
    }
    dispatch.run(|| {
        for event in &others {
            attachment(event.clone(), |_: &Event<'_>| {}).event(event).attach().expect("the id is new");
            let event = DynamicEvent::new(event, &[], &["id"]).expect("the name is right");
            (0..10_u64).for_each(|id| event.emit(&[], &[telemetry_core::Value::U64(id)]));
        }
        checked(&registry, "scale.elsewhere.count", pace, |draw| {
            let drawn = draw.event(Tags::few());
            emit!("scale.elsewhere", {}, { route: drawn.route, status: drawn.status });
        })
    })
}

fn attach(number: usize, pace: Pace) -> Vec<f64> {
    let dispatch = Dispatch::new();
    for at in 0..number {
        dispatch.attach(format!("handler.{at}"), format!("scale.attach_{at}"), |_: &Event<'_>| {}).expect("it is new");
    }
    let once = || {
        dispatch.attach("scale", "scale.attach", |_: &Event<'_>| {}).expect("the id is free again");
        dispatch.detach("scale").expect("it was just attached");
    };
    // Far slower than an event: a thousand beforehand would take too long.
    let times = 200;
    let round = |_| {
        let begin = Instant::now();
        (0..times).for_each(|_| once());
        per(begin.elapsed(), times)
    };
    (0..pace.rounds).map(round).collect()
}

#[allow(clippy::cast_precision_loss)] // A figure to show.
fn memory(number: usize, _: Pace) -> Vec<f64> {
    const SERIES: usize = 10_000;
    let ids: Vec<String> = (0..SERIES).map(|id| format!("customer-{id:07}")).collect();
    let touch = &|dispatch: &Dispatch| dispatch.run(|| ids.iter().for_each(|id| emit!("scale.memory", {}, { id })));
    let metric = || counter("scale.memory.count").tags(["id"]).limit(2 * u32::try_from(SERIES).unwrap_or(u32::MAX));
    // Pages of cells outlive their series, and would be there already for the next point: fresh cells for each.
    let (end, ended) = (Barrier::new(number + 1), Barrier::new(number + 1));
    let ((registry, dispatch), grown) = thread::scope(|scope| {
        let (end, ended) = (&end, &ended);
        let held = heap::grown(|| {
            let (registry, dispatch) = fed([metric()]);
            for _ in 0..number {
                let dispatch = dispatch.clone();
                scope.spawn(move || {
                    touch(&dispatch);
                    ended.wait();
                    end.wait();
                });
            }
            // Looked at while all of them are there: a thread that ends gives its shard to the next.
            ended.wait();
            (registry, dispatch)
        });
        end.wait();
        held
    });
    assert_eq!(counted(&registry, "scale.memory.count"), (number * SERIES) as u64, "every event is counted");
    drop(dispatch);
    // Kept, so that the next point gets cells of its own.
    std::mem::forget(registry);
    vec![grown as f64 / SERIES as f64]
}
