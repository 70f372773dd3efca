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
/// Whoever traces keeps the ids with the spans of `tracing`, in their extensions, each in a form of its own, that of
/// OpenTelemetry with a new major version every few months. So the application says how to read them: then no version of
/// anything is forced upon it, and the ids may be anybody's.
///
/// ```
/// use telemetry_core::metric::counter;
/// use telemetry_core::tracing::{Trace, Traces};
///
/// /// What some layer of the application keeps with a span.
/// struct Ids { trace: u128, span: u64 }
///
/// let traces = Traces::new(|extensions| {
///     let ids = extensions.get::<Ids>()?;
///     Some(Trace { trace_id: ids.trace, span_id: ids.span, is_sampled: true })
/// });
/// let traced = counter("shop.checkout.count").exemplars(&traces.sampler());
/// # let _ = traced;
/// // tracing_subscriber::registry().with(traces.layer()).init();
/// ```
#[derive(Clone)]
pub struct Traces(Arc<Inner>);

/// Looks at the extensions of a span, and of those around it until one has what is looked for.
type LookUp = fn(&Dispatch, &Id, &mut dyn FnMut(&Extensions<'_>) -> bool);

/// Finds a trace in the extensions of a span.
type Extract = Box<dyn Fn(&Extensions<'_>) -> Option<Trace> + Send + Sync>;

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
    /// Traces that `extract` finds in the extensions of a span. It is asked for the span that the thread is in, then for
    /// those around it, until it finds one. The extensions are locked meanwhile: it must not write to them.
    pub fn new(extract: impl Fn(&Extensions<'_>) -> Option<Trace> + Send + Sync + 'static) -> Self {
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
        look_up(&dispatch, &id, &mut |extensions| {
            found = (self.0.extract)(extensions);
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

fn look_up<S>(dispatch: &Dispatch, id: &Id, see: &mut dyn FnMut(&Extensions<'_>) -> bool)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = dispatch.downcast_ref::<S>().and_then(|subscriber| subscriber.span(id));
    if let Some(span) = span {
        // From the span itself outwards.
        let _ = span.scope().any(|span| see(&span.extensions()));
    }
}
