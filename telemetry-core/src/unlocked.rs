//! Emission takes no lock: it goes on while every lock that it could take is held by somebody else.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::handler::attachment;
use crate::instrument::{Counter, Exponential, Gauge, Summary};
use crate::lane::Lane;
use crate::metric::{counter, distribution, last_value, spiral, sum, summary};
use crate::{Clock, Dispatch, Registry, cells, dispatch, emit};

const PATIENCE: Duration = Duration::from_secs(60);

/// What is emitted: series that exist, with tags on the stack and beyond, one beyond the limit, handles, a lane.
struct Emitter {
    long: String,
    count: Counter,
    level: Gauge,
    quantiles: Summary,
}

impl Emitter {
    fn emit(&self) {
        for route in ["/a", "/b", &self.long, "/beyond the limit"] {
            emit!("unlocked.request", { seconds: 0.25, bytes: 100_u64 }, { route, status: 200_u16 });
        }
        self.count.increment();
        self.level.set(2);
        self.level.add(1);
        self.quantiles.record(0.25);
    }
}

#[test]
fn an_emission_takes_no_lock() {
    let (clock, _) = Clock::manual();
    let registry = Registry::with_clock(clock);
    let event = "unlocked.request";
    let (second, tags) = (Duration::from_secs(1), ["route", "status"]);
    let metrics = [
        // Three series and no more: what is emitted first has them.
        counter("calls").event(event).measurement("count").tags(tags).limit(3).expiry(second, second),
        distribution("seconds").event(event).tags(tags).exponential(Exponential::default()),
        sum("bytes").event(event).tags(tags),
        last_value("last").event(event).measurement("bytes").tags(tags),
        summary("quantiles").event(event).measurement("seconds").tags(tags),
        spiral("recently").event(event).measurement("bytes").tags(tags),
    ];
    let aggregator = registry.aggregator(metrics).unwrap();
    let on_lane = Registry::new();
    let lane = Lane::builder("unlocked").capacity(1 << 16).build().unwrap();
    let dispatch = Dispatch::new();
    aggregator.attach_to(&dispatch, "inline").unwrap();
    let counted_on_lane = on_lane.aggregator([counter("calls").event(event).measurement("count")]).unwrap();
    attachment("lane", counted_on_lane).event(event).lane(&lane).attach_to(&dispatch).unwrap();
    let emitter = Emitter {
        long: "x".repeat(1_000),
        count: registry.register::<Counter>(counter("held.count")).unwrap().single().unwrap(),
        level: registry.register::<Gauge>(last_value("held.level")).unwrap().single().unwrap(),
        quantiles: registry.register::<Summary>(summary("held.quantiles")).unwrap().single().unwrap(),
    };

    let (ask, asked) = mpsc::channel::<u32>();
    let (tell, told) = mpsc::channel();
    let entered = dispatch.clone();
    let thread = thread::spawn(move || {
        let _scope = entered.enter();
        for times in asked {
            (0..times).for_each(|_| emitter.emit());
            tell.send(()).unwrap();
        }
    });
    let emit = |times| {
        ask.send(times).unwrap();
        told.recv_timeout(PATIENCE).expect("an emission waits for a lock");
    };
    // The first takes locks: it makes series, and a thread without a shard claims one.
    emit(1);
    // From here on no table is published, so that the second emission is the last that takes a new one.
    let books = dispatch::registry().locked();
    emit(1);
    registry.locked(|| {
        dispatch.0.locked(|| {
            let _others = (lane.locked(), cells::space().locked());
            emit(1_000);
        });
    });
    drop(books);
    drop(ask);
    thread.join().unwrap();

    lane.flush(PATIENCE).unwrap();
    assert_eq!(on_lane.snapshot().total("calls", &[]), Some(4.0 * 1_002.0));
    let snapshot = registry.snapshot();
    let total = |name, route| snapshot.total(name, &[("route", route), ("status", "200")]);
    assert_eq!((total("calls", "/a"), total("seconds", "/b")), (Some(1_002.0), Some(1_002.0)));
    assert_eq!(snapshot.total("calls", &[("otel_metric_overflow", "true")]), Some(1_002.0));
    assert_eq!(snapshot.total("held.count", &[]), Some(1_002.0));
}
