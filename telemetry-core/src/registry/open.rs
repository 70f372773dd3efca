//! Families that take labels as they come, and whose unit and description may come later.
//!
//! Their rows have as many values as they need: what lies beyond is no label, so a series keeps its key when the family
//! gets a label that it does not have. The names stand with what is shown of the family, in the order in which they came. A
//! name is entered before the first row that has a value for it, so a walk that has taken the names finds all of them, but
//! for rows that came since.

use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};

use crate::family::Family;
use crate::instrument::{Instrument, Kept};
use crate::metric::{Compiled, Fault, Metric, MetricError, Plan, label_fault, project};
use crate::series::Projection;
use crate::sync::{Mutex, MutexGuard};
use crate::unit::Unit;

use super::instruments::{Handle, check_kind, sealed};
use super::{Entry, Registry};

/// The most names of labels that an open family takes; a series with yet another is the overflow series.
const MOST_LABELS: usize = 64;

/// What is shown of an open family; never under a name that another family has: see `Registry::show`.
#[derive(Debug)]
pub(crate) struct Open(Mutex<Arc<Family>>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, Arc<Family>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn family(&self) -> Arc<Family> {
        Arc::clone(&self.lock())
    }

    /// The values in the order of the names, those behind the last label left out; names that are new are added. `None`
    /// if there are too many.
    fn values<'a>(&self, labels: &[(&str, &'a str)]) -> Option<Vec<&'a str>> {
        let mut shown = self.lock();
        let mut values = Vec::new();
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            let names = shown.label_names();
            let at = names.iter().position(|known| **known == **name).unwrap_or(names.len());
            if at == names.len() {
                if at == MOST_LABELS {
                    return None;
                }
                let names = names.iter().cloned().chain([Arc::from(*name)]).collect::<Vec<_>>();
                *shown = Arc::new(Family::clone(&shown).labels(names));
            }
            if values.len() <= at {
                values.resize(at + 1, "");
            }
            values[at] = value;
        }
        Some(values)
    }
}

impl Registry {
    /// Makes an instrument that code holds, whose labels are given with each series: two series need not have the same.
    ///
    /// The definition names no tags. All else is as for [`Registry::register`]: the series share one limit and one expiry.
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
    /// let jobs = registry.open::<Counter>(counter("jobs.done"))?;
    /// jobs.with([("queue", "mail")])?.add(3);
    /// jobs.with([("shard", "7"), ("queue", "mail")])?.add(4);
    ///
    /// let snapshot = registry.snapshot();
    /// assert_eq!(snapshot.total("jobs.done", &[("queue", "mail")]), Some(3.0));
    /// assert_eq!(snapshot.total("jobs.done", &[("queue", "mail"), ("shard", "7")]), Some(4.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open<I: Handle>(&self, metric: Metric) -> Result<OpenInstruments<I>, MetricError> {
        if let Some(fault) = crate::name::fault(&metric.name) {
            return Err(MetricError::new(&metric.name, Fault::Name(fault)));
        }
        self.open_named(metric, None)
    }

    /// The same under any name, which the exporter makes one of its own of, and shown with a unit that nothing is
    /// converted from or to.
    pub(crate) fn open_named<I: Handle>(
        &self,
        metric: Metric,
        shown: Option<Unit>,
    ) -> Result<OpenInstruments<I>, MetricError> {
        check_kind::<I>(&metric)?;
        let plan = Plan::open(metric)?;
        let (projection, compiled) = project(self.clock(), &[&plan]);
        // One plan makes one metric.
        let metric = Arc::clone(&compiled[0]);
        let unit = shown.or(metric.family().values_unit());
        let open = Arc::new(Open(Mutex::new(Arc::new(metric.family().clone().unit(unit)))));
        self.enter(vec![Entry::open(Arc::clone(&metric), Arc::clone(&projection), Arc::clone(&open))])?;
        Ok(OpenInstruments { registry: self.clone(), metric, projection, open, kind: PhantomData })
    }

    /// Says something else of an open family from now on; an error if it would take the name of another, and then it is
    /// shown as before.
    fn show(&self, open: &Open, unit: Option<Unit>, description: &str) -> Result<(), MetricError> {
        let say = |family: &Family| family.clone().unit(unit).description(description);
        let mut families = self.lock();
        let family = say(&open.family());
        families.claims.change(|claims| {
            claims.give_back(&family);
            claims.take(&family)
        })?;
        // Labels may have come since.
        let mut shown = open.lock();
        *shown = Arc::new(say(&shown));
        Ok(())
    }
}

/// The series of a metric that code holds, each with labels of its own: see [`Registry::open`].
#[derive(Debug)]
pub struct OpenInstruments<I> {
    registry: Registry,
    metric: Arc<Compiled>,
    projection: Arc<Projection>,
    open: Arc<Open>,
    kind: PhantomData<fn() -> I>,
}

impl<I> Clone for OpenInstruments<I> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            metric: Arc::clone(&self.metric),
            projection: Arc::clone(&self.projection),
            open: Arc::clone(&self.open),
            kind: PhantomData,
        }
    }
}

impl<I: Handle> OpenInstruments<I> {
    /// The series with these labels, in any order; made if it is not there. A label whose value is empty is none.
    ///
    /// Beyond the metric's limit it is the overflow series, and so it is for the 65th name of a label.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if a name can't be that of a label, or is given twice.
    pub fn with<'a>(&self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<I, MetricError> {
        let labels: Vec<(&str, &str)> = labels.into_iter().collect();
        for (at, (name, _)) in labels.iter().enumerate() {
            let repeated = || Fault::RepeatedLabel((*name).to_owned());
            let fault =
                label_fault(name).or_else(|| labels[..at].iter().any(|(before, _)| before == name).then(repeated));
            if let Some(fault) = fault {
                return Err(MetricError::new(self.metric.family().name(), fault));
            }
        }
        Ok(self.with_checked(&labels))
    }

    /// The same of labels whose names are as they must be.
    pub(crate) fn with_checked(&self, labels: &[(&str, &str)]) -> I {
        let held = match self.open.values(labels) {
            Some(values) => self.projection.hold(values),
            None => self.projection.hold_overflow(),
        };
        if let Instrument::LastValue(gauge) = self.metric.instrument() {
            // As of every gauge that is held.
            gauge.initialize(held.first_cell());
        }
        I::from_kept(sealed::Kept(Arc::new(Kept { held, metric: Arc::clone(&self.metric) })))
    }

    /// Says in which unit the values are, and what they mean, in place of what the definition said. Nothing is converted.
    ///
    /// # Errors
    ///
    /// [`MetricError`] if the metric would be exposed under the name of another, which the unit is a part of; then all
    /// stays as it was.
    pub fn describe(&self, unit: Option<Unit>, description: &str) -> Result<(), MetricError> {
        self.registry.show(&self.open, unit, description)
    }
}
