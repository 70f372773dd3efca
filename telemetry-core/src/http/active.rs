//! How many requests are in flight: those that have started, less those that have ended.
//!
//! Both are counted by sharded counters, so a request that starts on one thread and ends on another takes no locked
//! instruction, and many threads share no cache line. A scrape reads what has ended before what has started; what ends or
//! starts in between makes the figure larger by so much at most, never negative.
//!
//! The counts are of the process, not of a registry: a request is in flight whether or not anybody listens to its
//! events, and one that started before a registry was there must not end below zero in it.

use std::fmt;
use std::sync::PoisonError;

use crate::family::{Family, Kind};
use crate::instrument::Counter;
use crate::metric::counter;
use crate::registry::{Instruments, Registry};
use crate::scrape::{Sample, Source, Total, Visit, show};
use crate::snapshot::ValueSnapshot;
use crate::sync::Mutex;
use crate::value::{TagValue, TextBuffer};

use super::method::{Methods, STANDARD};
use super::protocol::Scheme;

const ENDED: &str = "http.requests.ended";
const STARTED: &str = "http.requests.started";
const LABELS: [&str; 2] = ["http_request_method", "url_scheme"];

/// The requests of one side, by method and scheme.
pub(super) struct Active {
    name: &'static str,
    // Of its own: what it holds is shown as the difference alone.
    registry: Registry,
    ended: Instruments<Counter>,
    started: Instruments<Counter>,
    // All tables that layers use. They are for the life of the process, one for each list of names.
    tables: Mutex<Vec<&'static Methods>>,
}

/// The counters of one method and scheme.
pub(super) struct Pair {
    started: Counter,
    ended: Counter,
}

/// A request in flight, until this is dropped.
pub(super) struct InFlight(&'static Pair);

impl Pair {
    pub(super) fn enter(&'static self) -> InFlight {
        self.started.increment();
        InFlight(self)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.increment();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InFlight")
    }
}

impl Active {
    pub(super) fn new(name: &'static str) -> Self {
        let registry = Registry::new();
        let counters = |name| registry.register(counter(name).tags(LABELS)).expect("the definition has no fault");
        // In the order in which a scrape reads them.
        let (ended, started) = (counters(ENDED), counters(STARTED));
        Self { name, registry, ended, started, tables: Mutex::default() }
    }

    /// The methods that are known by default.
    pub(super) fn standard(&self) -> &'static Methods {
        self.methods(STANDARD)
    }

    /// The table of `names`, made if there is none.
    pub(super) fn methods(&self, names: &'static [&'static str]) -> &'static Methods {
        // A panic leaves the list as it was.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.iter().find(|table| table.names() == names) {
            return table;
        }
        let table = Box::leak(Box::new(Methods::new(names, |method, scheme| self.pair(method, scheme))));
        tables.push(table);
        table
    }

    fn pair(&self, method: &'static str, scheme: Scheme) -> Pair {
        let mut text = TextBuffer::new();
        let scheme = scheme.value().text(&mut text).to_owned();
        let handle = |counters: &Instruments<Counter>| {
            counters.with([method, &scheme]).expect("as many values as there are labels")
        };
        Pair { started: handle(&self.started), ended: handle(&self.ended) }
    }
}

/// The requests in flight, as a gauge.
impl Source for Active {
    fn collect(&self, visitor: &mut dyn Visit) {
        let snapshot = self.registry.snapshot();
        let total = |value: Option<&ValueSnapshot>| match value {
            Some(ValueSnapshot::Total(Total::U64(total))) => *total,
            _ => 0,
        };
        visitor.family(&Family::new(self.name, Kind::LastValue).description("Requests in flight.").labels(LABELS));
        for series in snapshot.family(STARTED).into_iter().flat_map(|family| &family.series) {
            let started = total(Some(&series.value));
            // Known, but never seen.
            if started == 0 {
                continue;
            }
            let labels = LABELS.map(|name| (name, series.labels.get(name).map_or("", String::as_str)));
            let ended = total(snapshot.sample(ENDED, &labels));
            #[allow(clippy::cast_precision_loss)] // Requests in flight are few.
            let active = started.saturating_sub(ended) as f64;
            show(visitor, &labels, Sample::Gauge(active));
        }
    }
}

/// A source over what lives as long as the process.
pub(super) struct Shared(pub(super) &'static Active);

impl Source for Shared {
    fn collect(&self, visitor: &mut dyn Visit) {
        self.0.collect(visitor);
    }
}
