//! What a source is called, and what else is said of it.

use crate::family::Kind;
use crate::metric::{self, Fault, Metric, MetricError, Plan};

/// A name, or a definition as of any other metric; sealed.
pub trait Definition: sealed::Sealed {
    #[doc(hidden)]
    fn into_metric(self, kind: Kind) -> Metric;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for super::Metric {}
}

impl Definition for &str {
    fn into_metric(self, kind: Kind) -> Metric {
        if kind == Kind::LastValue { metric::last_value(self) } else { metric::counter(self) }
    }
}

impl Definition for String {
    fn into_metric(self, kind: Kind) -> Metric {
        self.as_str().into_metric(kind)
    }
}

impl Definition for Metric {
    fn into_metric(self, _: Kind) -> Metric {
        self
    }
}

/// Checks a definition of a figure that is read.
pub(super) fn plan(kind: Kind, mut metric: Metric) -> Result<Plan, MetricError> {
    let fail = |metric: &Metric, fault| Err(MetricError::new(&metric.name, fault));
    // A sum is a counter with a unit.
    let fits = metric.kind == kind || (metric.kind, kind) == (Kind::Sum, Kind::Counter);
    if !fits {
        return fail(&metric, Fault::Kind { defined: metric.kind.name(), asked: kind.name() });
    }
    let of = "metrics that are counted, not to a figure that is read when somebody looks";
    if metric.expiry.is_some() {
        return fail(&metric, Fault::Option("expiry", of));
    }
    if !metric.declared.is_empty() {
        return fail(&metric, Fault::Option("values", of));
    }
    if metric.description.as_deref().unwrap_or_default().is_empty() {
        metric = metric.description("Read when it is scraped.");
    }
    Plan::held(metric)
}
