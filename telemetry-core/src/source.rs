//! Figures that are read when somebody looks: a pool's size, a queue's depth.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use telemetry_core::Registry;
//!
//! let registry = Registry::new();
//! let queue = Arc::new(Mutex::new(vec!["a", "b"]));
//!
//! let read = Arc::clone(&queue);
//! let depth = registry.gauge_fn("jobs.queue.depth", move || read.lock().unwrap().len())?;
//! assert_eq!(registry.snapshot().total("jobs.queue.depth", &[]), Some(2.0));
//!
//! queue.lock().unwrap().pop();
//! assert_eq!(registry.snapshot().total("jobs.queue.depth", &[]), Some(1.0));
//!
//! // It is there for as long as it is registered; `depth.keep()` registers it for good.
//! drop(depth);
//! assert_eq!(registry.snapshot().total("jobs.queue.depth", &[]), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A name will do; a definition says more. Several series are read at once:
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::metric::{last_value, sum};
//! use telemetry_core::{Registry, Unit, source};
//!
//! let registry = Registry::new();
//! let connections = last_value("pool.connections").tags(["state"]).description("Connections, by what they do.");
//! registry.gauges_fn(connections, |series| {
//!     series.set(["idle"], 3);
//!     series.set(["busy"], 5);
//! })?.keep();
//! registry.counter_fn(sum("pool.waited").unit(Unit::Second), || Duration::from_millis(1_500))?.keep();
//! source::gauge("pool.size", || 8).timeout(Duration::from_millis(200)).register(&registry)?.keep();
//!
//! let snapshot = registry.snapshot();
//! assert_eq!(snapshot.total("pool.connections", &[("state", "busy")]), Some(5.0));
//! assert_eq!(snapshot.total("pool.waited", &[]), Some(1.5));
//! assert_eq!(snapshot.total("pool.size", &[]), Some(8.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - **Fresh.** A walk shows what was read after it began. Nothing is read when nobody looks.
//! - **Apart.** Sources are read on threads of their own, `telemetry-source`, not on the thread that scrapes or emits. One
//!   that panics has no series in that walk, and is asked again in the next.
//! - **In time.** A walk waits for a source as long as its time-out allows, [`TIMEOUT`] unless told, counted for all
//!   sources from when the walk reaches the first. One that is late has no series in that walk, and no walk waits for it
//!   again until it has returned. It holds up no other source.
//! - **One at a time.** A source is never read twice at once, so a closure may change what it owns.
//! - **Counted.** `telemetry.metric.unread`, by metric and reason, and `telemetry.metric.read_time`.
//! - **Checked.** A total that is negative, a value that is not finite, labels that don't fit the definition or are there
//!   twice, and series beyond the limit of the definition are left out and counted, each by itself.
//!
//! # What is asynchronous
//!
//! A figure that has to be awaited is asked of a task on the runtime of the application: [`gauge_async`] and its like give a
//! [`Task`], a future to spawn there. A scrape wakes it, it makes a future and awaits it, and the scrape waits for the value
//! with the same time-out.
//!
//! So this crate needs no runtime, the future may use timers and sockets of the one that it runs on, and the value is of
//! now. The other ways are poorer: a future that is polled by the thread that scrapes finds no runtime, and a value that is
//! refreshed by a timer is old, costs something while nobody looks, and needs a timer. (Who wants that nevertheless sets a
//! [`Gauge`](crate::instrument::Gauge) from a task of their own.)
//!
//! ```no_run
//! # use std::future::Future;
//! # struct Database;
//! # impl Database { async fn count_rows(&self) -> u64 { 3 } }
//! # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
//! use std::sync::Arc;
//! use telemetry_core::{Registry, source};
//!
//! # let database = Arc::new(Database);
//! let registry = Registry::new();
//! let rows = source::gauge_async("shop.orders.rows", move || {
//!     let database = Arc::clone(&database);
//!     async move { database.count_rows().await }
//! });
//! let (registration, task) = rows.register(&registry)?;
//! spawn(task); // `tokio::spawn(task)`, say; it ends when the registration is dropped.
//! registration.keep();
//! # Ok::<(), telemetry_core::metric::MetricError>(())
//! ```

mod definition;
mod figures;
mod own;
mod probe;
mod task;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::family::Kind;
use crate::metric::{Metric, MetricError};
use crate::registry::{Registry, WeakRegistry};
use crate::value::Measurement;

pub use definition::Definition;
pub use figures::Figures;
pub(crate) use own::show_tallies;
pub(crate) use probe::{Asking, Probe};
pub use task::Task;

use probe::Closure;

/// How long a walk waits for a source unless it says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// A gauge that `read` gives when somebody looks; `None` of an `Option` is no series.
///
/// The definition is a name, or [`last_value`](crate::metric::last_value) without tags.
pub fn gauge<M: Measurement>(definition: impl Definition, mut read: impl FnMut() -> M + Send + 'static) -> Callback {
    gauges(definition, move |figures| figures.set([""; 0], read()))
}

/// The series of a gauge that `read` gives when somebody looks: see [`Figures::set`].
///
/// The definition is [`last_value`](crate::metric::last_value), whose tags are the labels.
pub fn gauges(definition: impl Definition, read: impl FnMut(&mut Figures<'_>) + Send + 'static) -> Callback {
    Callback::new(Kind::LastValue, definition, read)
}

/// A total that `read` gives when somebody looks, and that never goes back; `None` of an `Option` is no series.
///
/// The definition is a name, or [`counter`](crate::metric::counter), or [`sum`](crate::metric::sum) for one with a unit.
pub fn counter<M: Measurement>(definition: impl Definition, mut read: impl FnMut() -> M + Send + 'static) -> Callback {
    counters(definition, move |figures| figures.set([""; 0], read()))
}

/// The series of a total that `read` gives when somebody looks, and that never go back: see [`Figures::set`].
///
/// The definition is [`counter`](crate::metric::counter), or [`sum`](crate::metric::sum) for one with a unit; their tags are
/// the labels.
pub fn counters(definition: impl Definition, read: impl FnMut(&mut Figures<'_>) + Send + 'static) -> Callback {
    Callback::new(Kind::Counter, definition, read)
}

/// A gauge that a task awaits when somebody looks: see the head of this module.
pub fn gauge_async<F>(definition: impl Definition, mut read: impl FnMut() -> F + Send + 'static) -> AsyncCallback
where
    F: Future<Output: Measurement + 'static> + Send + 'static,
{
    gauges_async(definition, move || single(read()))
}

/// The series of a gauge that a task awaits when somebody looks: label values, in the order of the tags, with the value.
///
/// ```
/// use telemetry_core::metric::last_value;
/// use telemetry_core::source;
///
/// let rows = last_value("shop.rows").tags(["table"]);
/// let rows = source::gauges_async(rows, || async { [(["orders"], 3), (["carts"], 5)] });
/// # drop(rows);
/// ```
pub fn gauges_async<F, L, V, M>(definition: impl Definition, read: impl FnMut() -> F + Send + 'static) -> AsyncCallback
where
    F: Future<Output: IntoIterator<Item = (L, M)>> + Send + 'static,
    L: IntoIterator<Item = V> + 'static,
    V: AsRef<str> + 'static,
    M: Measurement + 'static,
{
    AsyncCallback::new(Kind::LastValue, definition, read)
}

/// A total that a task awaits when somebody looks, and that never goes back: see the head of this module.
pub fn counter_async<F>(definition: impl Definition, mut read: impl FnMut() -> F + Send + 'static) -> AsyncCallback
where
    F: Future<Output: Measurement + 'static> + Send + 'static,
{
    counters_async(definition, move || single(read()))
}

/// The series of a total that a task awaits when somebody looks: as [`gauges_async`].
pub fn counters_async<F, L, V, M>(
    definition: impl Definition,
    read: impl FnMut() -> F + Send + 'static,
) -> AsyncCallback
where
    F: Future<Output: IntoIterator<Item = (L, M)>> + Send + 'static,
    L: IntoIterator<Item = V> + 'static,
    V: AsRef<str> + 'static,
    M: Measurement + 'static,
{
    AsyncCallback::new(Kind::Counter, definition, read)
}

async fn single<M>(read: impl Future<Output = M>) -> [([&'static str; 0], M); 1] {
    [([], read.await)]
}

/// What a source is made of, whichever way it is read.
struct Parts {
    kind: Kind,
    metric: Metric,
    timeout: Duration,
}

/// A closure that is to be read when somebody looks: see [`gauge`] and its like.
#[must_use = "nothing is read before `register`"]
pub struct Callback {
    parts: Parts,
    read: Closure,
}

/// A closure that makes futures to be awaited when somebody looks: see [`gauge_async`] and its like.
#[must_use = "nothing is read before `register`"]
pub struct AsyncCallback {
    parts: Parts,
    make: task::Make,
}

impl Parts {
    fn new(kind: Kind, definition: impl Definition) -> Self {
        Self { kind, metric: definition.into_metric(kind), timeout: TIMEOUT }
    }
}

impl Callback {
    fn new(kind: Kind, definition: impl Definition, read: impl FnMut(&mut Figures<'_>) + Send + 'static) -> Self {
        Self { parts: Parts::new(kind, definition), read: Box::new(read) }
    }

    /// How long a walk waits for it, instead of [`TIMEOUT`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.parts.timeout = timeout;
        self
    }

    /// Registers it, for as long as the [`Registration`] is there.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the definition is not that of a figure that is read, or its name is taken.
    pub fn register(self, registry: &Registry) -> Result<Registration, MetricError> {
        let probe = Probe::new(self.parts, Some(self.read))?;
        Registration::enter(registry, probe)
    }
}

impl AsyncCallback {
    fn new<F, L, V, M>(kind: Kind, definition: impl Definition, mut read: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output: IntoIterator<Item = (L, M)>> + Send + 'static,
        L: IntoIterator<Item = V> + 'static,
        V: AsRef<str> + 'static,
        M: Measurement + 'static,
    {
        Self { parts: Parts::new(kind, definition), make: Box::new(move || Box::pin(task::rows(read()))) }
    }

    /// How long a walk waits for it, instead of [`TIMEOUT`]. When it is late, its future is dropped.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.parts.timeout = timeout;
        self
    }

    /// Registers it, for as long as the [`Registration`] is there. The [`Task`] is to be spawned.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the definition is not that of a figure that is read, or its name is taken.
    pub fn register(self, registry: &Registry) -> Result<(Registration, Task), MetricError> {
        let probe = Probe::new(self.parts, None)?;
        let task = Task::new(&probe, self.make);
        Ok((Registration::enter(registry, probe)?, task))
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { metric, timeout, .. } = &self.parts;
        f.debug_struct("Callback").field("metric", metric).field("timeout", timeout).finish_non_exhaustive()
    }
}

impl fmt::Debug for AsyncCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { metric, timeout, .. } = &self.parts;
        f.debug_struct("AsyncCallback").field("metric", metric).field("timeout", timeout).finish_non_exhaustive()
    }
}

/// Keeps a source registered until it is dropped; its closure is dropped then, or as soon as it returns.
#[derive(Debug)]
#[must_use = "the source is removed when this is dropped; `keep` registers it for good"]
pub struct Registration {
    // `None` when it is kept.
    place: Option<(WeakRegistry, Arc<Probe>)>,
}

impl Registration {
    fn enter(registry: &Registry, probe: Arc<Probe>) -> Result<Self, MetricError> {
        registry.enter_probe(&probe)?;
        Ok(Self { place: Some((registry.downgrade(), probe)) })
    }

    /// Leaves the source registered for as long as the registry is there.
    pub fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some((registry, probe)) = self.place.take() else { return };
        if let Some(registry) = registry.upgrade() {
            registry.leave_probe(&probe);
        }
        probe.close();
    }
}

impl Registry {
    /// A gauge that `read` gives when somebody looks: see [`source::gauge`](gauge).
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the definition is not that of a gauge without labels, or its name is taken.
    ///
    /// ```
    /// use telemetry_core::Registry;
    ///
    /// let registry = Registry::new();
    /// registry.gauge_fn("pool.size", || 3)?.keep();
    /// assert_eq!(registry.snapshot().total("pool.size", &[]), Some(3.0));
    /// # Ok::<(), telemetry_core::metric::MetricError>(())
    /// ```
    pub fn gauge_fn<M: Measurement>(
        &self,
        definition: impl Definition,
        read: impl FnMut() -> M + Send + 'static,
    ) -> Result<Registration, MetricError> {
        gauge(definition, read).register(self)
    }

    /// The series of a gauge that `read` gives when somebody looks: see [`source::gauges`](gauges).
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the definition is not that of a gauge, or its name is taken.
    pub fn gauges_fn(
        &self,
        definition: impl Definition,
        read: impl FnMut(&mut Figures<'_>) + Send + 'static,
    ) -> Result<Registration, MetricError> {
        gauges(definition, read).register(self)
    }

    /// A total that `read` gives when somebody looks, and that never goes back: see [`source::counter`](counter).
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the definition is not that of a total without labels, or its name is taken.
    pub fn counter_fn<M: Measurement>(
        &self,
        definition: impl Definition,
        read: impl FnMut() -> M + Send + 'static,
    ) -> Result<Registration, MetricError> {
        counter(definition, read).register(self)
    }

    /// The series of a total that `read` gives when somebody looks: see [`source::counters`](counters).
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the definition is not that of a total, or its name is taken.
    pub fn counters_fn(
        &self,
        definition: impl Definition,
        read: impl FnMut(&mut Figures<'_>) + Send + 'static,
    ) -> Result<Registration, MetricError> {
        counters(definition, read).register(self)
    }
}
