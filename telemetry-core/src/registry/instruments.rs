//! Instruments that code holds, instead of feeding them from events: the series of a metric whose tags are known.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::family::Kind;
use crate::instrument::Kept;
use crate::metric::{Compiled, Fault, Metric, MetricError, Plan, project};
use crate::series::Projection;

use super::{Entry, Registry};

/// An instrument of one series that code holds; sealed.
pub trait Handle: sealed::Sealed + Sized {
    #[doc(hidden)]
    const KIND: Kind;
    #[doc(hidden)]
    fn from_kept(kept: sealed::Kept) -> Self;
}

pub(crate) mod sealed {
    /// What a handle holds.
    #[derive(Debug)]
    pub struct Kept(pub(crate) std::sync::Arc<crate::instrument::Kept>);

    /// Nobody else makes handles.
    pub trait Sealed {}
}

impl Registry {
    /// Makes an instrument that code holds, instead of feeding it from events.
    ///
    /// # Errors
    ///
    /// [`MetricError`], which names the metric, what is wrong with it and what to do.
    ///
    /// ```
    /// use telemetry_core::Registry;
    /// use telemetry_core::instrument::Counter;
    /// use telemetry_core::metric::counter;
    ///
    /// let registry = Registry::new();
    /// let jobs = registry.register::<Counter>(counter("jobs.done").tags(["queue"]))?;
    /// let mail = jobs.with(["mail"])?;
    /// mail.increment();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register<I: Handle>(&self, metric: Metric) -> Result<Instruments<I>, MetricError> {
        check_kind::<I>(&metric)?;
        let plan = Plan::held(metric)?;
        let (projection, compiled) = project(self.clock(), &[&plan]);
        // One plan makes one metric.
        let metric = Arc::clone(&compiled[0]);
        self.enter(vec![Entry::new(Arc::clone(&metric), Arc::clone(&projection))])?;
        Ok(Instruments { metric, projection, kind: PhantomData })
    }
}

/// Whether the definition is of what is asked for.
pub(super) fn check_kind<I: Handle>(metric: &Metric) -> Result<(), MetricError> {
    if metric.kind == I::KIND {
        return Ok(());
    }
    let fault = Fault::Kind { defined: metric.kind.name(), asked: I::KIND.name() };
    Err(MetricError::new(&metric.name, fault))
}

/// The series of a metric that code holds.
#[derive(Debug)]
pub struct Instruments<I> {
    metric: Arc<Compiled>,
    projection: Arc<Projection>,
    kind: PhantomData<fn() -> I>,
}

impl<I> Clone for Instruments<I> {
    fn clone(&self) -> Self {
        Self { metric: Arc::clone(&self.metric), projection: Arc::clone(&self.projection), kind: PhantomData }
    }
}

impl<I: Handle> Instruments<I> {
    /// The series with these label values, in the order of the tags; made if it is not there. Beyond the metric's
    /// limit it is the overflow series.
    ///
    /// # Errors
    ///
    /// [`LabelCountError`] unless there is one value for each label.
    pub fn with<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> Result<I, LabelCountError> {
        let values: Vec<&str> = values.into_iter().collect();
        let expected = self.projection.labels().len();
        if values.len() != expected {
            let metric = self.metric.family().name().to_owned();
            return Err(LabelCountError { metric, expected, given: values.len() });
        }
        let held = self.projection.hold(values);
        let kept = Kept { held, metric: Arc::clone(&self.metric) };
        Ok(I::from_kept(sealed::Kept(Arc::new(kept))))
    }

    /// The only series of a metric without labels.
    ///
    /// # Errors
    ///
    /// [`LabelCountError`] if the metric has labels.
    pub fn single(&self) -> Result<I, LabelCountError> {
        self.with([])
    }
}

/// Why there is no series for these label values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCountError {
    metric: String,
    expected: usize,
    given: usize,
}

impl fmt::Display for LabelCountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, expected, given } = self;
        write!(f, "the metric {metric:?} has {expected} labels, and {given} values were given; give one value for each")
    }
}

impl std::error::Error for LabelCountError {}
