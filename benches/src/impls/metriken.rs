//! `metriken`: metrics that are statics. It finds no series by tags, so it takes part where a handle is held.

use metriken::{Counter, Gauge, ShardedCounterGroup, metric};

use crate::case::{Counted, Setup, each};
use crate::implementation::{Implementation, Kind};

/// As documented: a static, one atomic.
#[derive(Debug)]
pub struct Metriken;

/// Its group of counters with a shard for each thread.
#[derive(Debug)]
pub struct MetrikenSharded;

#[metric(name = "requests")]
static REQUESTS: Counter = Counter::new();

#[metric(name = "depth")]
static DEPTH: Gauge = Gauge::new();

#[metric(name = "sharded_requests")]
static SHARDED: ShardedCounterGroup = ShardedCounterGroup::new(1);

impl Implementation for Metriken {
    fn name(&self) -> &'static str {
        "metriken"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "a static with `#[metric]`; gauges hold whole numbers there"
    }

    fn counter_held(&self) -> Setup {
        let before = REQUESTS.value();
        let count = |_: &mut crate::tags::Draw| {
            REQUESTS.increment();
        };
        each(count, move || Counted::Total(REQUESTS.value() - before))
    }

    fn gauge_set(&self) -> Setup {
        #[allow(clippy::cast_possible_truncation)] // Its gauges are whole.
        let set = |draw: &mut crate::tags::Draw| {
            DEPTH.set((draw.value() * 10_000.0).round() as i64);
        };
        #[allow(clippy::cast_precision_loss)] // Far below 2^53.
        each(set, || Counted::Exposition(format!("depth {}\n", DEPTH.value() as f64 / 10_000.0)))
    }
}

impl Implementation for MetrikenSharded {
    fn name(&self) -> &'static str {
        "metriken-sharded"
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn about(&self) -> &'static str {
        "`ShardedCounterGroup`, a static whose threads write to shards of their own"
    }

    fn counter_held(&self) -> Setup {
        let before = SHARDED.value(0).unwrap_or(0);
        let count = |_: &mut crate::tags::Draw| {
            SHARDED.increment(0);
        };
        each(count, move || Counted::Total(SHARDED.value(0).unwrap_or(0) - before))
    }
}
