//! Exemplars from the trace that a thread is in.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tracing_core::dispatcher::WeakDispatch;
use tracing_core::span::Id;
use tracing_core::{Dispatch, Subscriber};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::{Extensions, LookupSpan};

use super::current;
use crate::exemplar::Sampler;

/// The ids of a trace, and of the span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id.
    pub trace_id: u128,
    /// The span's id.
    pub span_id: u64,
    /// Whether the trace is recorded, so that it can be looked up.
    pub is_sampled: bool,
}

/// Finds the trace that a thread is in, for exemplars.
///
/// Whoever traces keeps the ids with the spans of `tracing`, each in a form of its own, that of OpenTelemetry with a new
/// incompatible version every few months. So the application says how to read them: then no version of anything is forced
/// upon it, and the ids may be anybody's.
///
/// ```
/// use telemetry_core::metric::counter;
/// use telemetry_core::tracing::{Trace, Traces};
///
/// /// What some layer of the application keeps with a span.
/// struct Ids { trace: u128, span: u64 }
///
/// let traces = Traces::new(|span| {
///     span.with_extensions(|extensions| {
///         let ids = extensions.get::<Ids>()?;
///         Some(Trace { trace_id: ids.trace, span_id: ids.span, is_sampled: true })
///     })
/// });
/// let traced = counter("shop.checkout.count").exemplars(&traces.sampler());
/// # let _ = traced;
/// // tracing_subscriber::registry().with(traces.layer()).init();
/// ```
///
/// With `tracing-opentelemetry`, whose data are private to it, [`TracedSpan`] has what it asks for:
///
/// ```text
/// let traces = Traces::new(|span| {
///     let context = tracing_opentelemetry::get_otel_context(span.id(), span.dispatch())?;
///     let ids = context.span().span_context().clone();
///     Some(Trace {
///         trace_id: u128::from_be_bytes(ids.trace_id().to_bytes()),
///         span_id: u64::from_be_bytes(ids.span_id().to_bytes()),
///         is_sampled: ids.is_sampled(),
///     })
/// });
/// ```
#[derive(Clone)]
pub struct Traces(Arc<Inner>);

/// Sees what layers keep with a span.
type ReadExtensions<'r> = &'r mut dyn FnMut(&Extensions<'_>);

/// A span whose trace is asked for.
pub struct TracedSpan<'a> {
    id: Id,
    dispatch: &'a Dispatch,
    extensions: &'a dyn Fn(ReadExtensions<'_>),
}

impl fmt::Debug for TracedSpan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedSpan").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TracedSpan<'_> {
    /// The span's id in its subscriber.
    #[must_use]
    pub const fn id(&self) -> &Id {
        &self.id
    }

    /// The subscriber.
    #[must_use]
    pub const fn dispatch(&self) -> &Dispatch {
        self.dispatch
    }

    /// Shows what layers keep with the span. It is locked meanwhile: `read` must not come back to it.
    pub fn with_extensions<R>(&self, read: impl FnOnce(&Extensions<'_>) -> Option<R>) -> Option<R> {
        let (mut read, mut result) = (Some(read), None);
        (self.extensions)(&mut |extensions| result = read.take().and_then(|read| read(extensions)));
        result
    }
}

/// Shows a span, and those around it, until one has what is looked for.
type LookUp = fn(&Dispatch, &Id, &mut dyn FnMut(&TracedSpan<'_>) -> bool);

/// Finds the trace of a span.
type Extract = Box<dyn Fn(&TracedSpan<'_>) -> Option<Trace> + Send + Sync>;

struct Inner {
    extract: Extract,
    // Where the layer is: the subscriber, and how to look at the spans of its type.
    look_up: OnceLock<LookUp>,
    dispatch: OnceLock<WeakDispatch>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("has_layer", &self.0.dispatch.get().is_some()).finish_non_exhaustive()
    }
}

impl Traces {
    /// Traces that `extract` finds. It is asked for the span that the thread is in, then for those around it, until it finds
    /// one.
    pub fn new(extract: impl Fn(&TracedSpan<'_>) -> Option<Trace> + Send + Sync + 'static) -> Self {
        let extract: Extract = Box::new(extract);
        Self(Arc::new(Inner { extract, look_up: OnceLock::new(), dispatch: OnceLock::new() }))
    }

    /// The layer that knows the spans. Add it to one subscriber, once; without it there are no traces.
    #[must_use]
    pub fn layer(&self) -> TraceLayer {
        TraceLayer(self.clone())
    }

    /// The trace that this thread is in, recorded or not.
    #[must_use]
    pub fn current(&self) -> Option<Trace> {
        let look_up = self.0.look_up.get()?;
        let dispatch = self.0.dispatch.get()?.upgrade()?;
        let id = current::focus().or_else(|| dispatch.current_span().id().cloned())?;
        let mut found = None;
        look_up(&dispatch, &id, &mut |span| {
            found = (self.0.extract)(span);
            found.is_some()
        });
        found
    }

    /// Takes exemplars from the trace that the emitting thread is in, if it is recorded: the labels `trace_id` and
    /// `span_id`.
    #[must_use]
    pub fn sampler(&self) -> Sampler {
        let traces = self.clone();
        Sampler::new(move |exemplar| {
            if let Some(trace) = traces.current().filter(|trace| trace.is_sampled) {
                exemplar.trace(trace.trace_id, trace.span_id);
            }
        })
    }
}

/// Tells [`Traces`] where the spans are.
#[derive(Clone, Debug)]
pub struct TraceLayer(Traces);

impl<S> Layer<S> for TraceLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // The first that it was added to stays.
        let _ = self.0.0.dispatch.set(dispatch.downgrade());
    }

    fn on_layer(&mut self, _: &mut S) {
        let _ = self.0.0.look_up.set(look_up::<S>);
    }
}

fn look_up<S>(dispatch: &Dispatch, id: &Id, see: &mut dyn FnMut(&TracedSpan<'_>) -> bool)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = dispatch.downcast_ref::<S>().and_then(|subscriber| subscriber.span(id));
    if let Some(span) = span {
        // From the span itself outwards.
        let _ = span.scope().any(|span| {
            let extensions = |read: ReadExtensions<'_>| read(&span.extensions());
            see(&TracedSpan { id: span.id(), dispatch, extensions: &extensions })
        });
    }
}
