//! Metrics of one of the facade's kinds: families that are made at their first use, and the handles that are ready.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::{Key, Label, SharedString};

use crate::instrument::Keeps;
use crate::metric::{Metric, MetricError};
use crate::registry::{Handle, OpenInstruments, Registry};
use crate::unit::Unit;

use super::handle::{Series, is_overflow};
use super::label::labels;
use super::ready::Ready;
use super::shape::Shape;

/// All metrics whose handles are `H`.
pub(super) struct Families<H> {
    ready: Ready<H>,
    by_name: RwLock<HashMap<String, Known<H>>>,
    described: RwLock<HashMap<String, Description>>,
}

/// A metric, or that it was refused.
type Known<H> = Option<Arc<dyn Family<H>>>;

/// What code that records has said of a metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Description {
    pub(super) unit: Option<metrics::Unit>,
    pub(super) text: SharedString,
}

/// A metric.
pub(super) trait Family<H>: Send + Sync {
    fn handle(&self, labels: &[(&str, &str)]) -> (H, Series);

    fn describe(&self, unit: Option<Unit>, text: &str) -> Result<(), MetricError>;
}

struct Opened<I, H> {
    instruments: OpenInstruments<I>,
    wrap: fn(Arc<I>) -> H,
}

impl<I: Handle + Keeps + 'static, H> Family<H> for Opened<I, H> {
    fn handle(&self, labels: &[(&str, &str)]) -> (H, Series) {
        let series = Arc::new(self.instruments.with_checked(labels));
        ((self.wrap)(Arc::clone(&series)), series)
    }

    fn describe(&self, unit: Option<Unit>, text: &str) -> Result<(), MetricError> {
        self.instruments.describe(unit, text)
    }
}

/// Enters a metric whose instruments become handles by `wrap`.
pub(super) fn open<I: Handle + Keeps + 'static, H: 'static>(
    registry: &Registry,
    metric: Metric,
    unit: Option<Unit>,
    wrap: fn(Arc<I>) -> H,
) -> Result<Arc<dyn Family<H>>, MetricError> {
    Ok(Arc::new(Opened { instruments: registry.open_named(metric, unit)?, wrap }))
}

impl<H> fmt::Debug for Families<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Families").finish_non_exhaustive()
    }
}

impl<H: Clone> Families<H> {
    pub(super) fn new() -> Self {
        Self { ready: Ready::new(), by_name: RwLock::default(), described: RwLock::default() }
    }

    /// The handle of a series that was used before.
    #[inline]
    pub(super) fn ready(&self, key: &Key) -> Option<H> {
        self.ready.get(key)
    }

    /// The handle of a series of a metric that is known; `None` of one that was refused. `Err` if it is not known.
    pub(super) fn make(&self, key: &Key, common: &[(String, String)]) -> Result<Option<H>, ()> {
        let family = match self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(key.name()) {
            Some(Some(family)) => Arc::clone(family),
            Some(None) => return Ok(None),
            None => return Err(()),
        };
        let own: std::slice::Iter<'_, Label> = key.labels();
        let labels = labels(common, own);
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, *value)).collect();
        let (handle, series) = family.handle(&labels);
        // Keys beyond the limit are as many as somebody likes to send: they are not kept.
        Ok(Some(if is_overflow(&series) { handle } else { self.ready.insert(key, handle, series) }))
    }

    /// Makes a metric known, unless it is; the error if it was refused just now.
    pub(super) fn enter(
        &self,
        name: &str,
        open: impl FnOnce(&Description) -> Result<Arc<dyn Family<H>>, MetricError>,
    ) -> Result<(), MetricError> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name.contains_key(name) {
            return Ok(());
        }
        // The lock is held, so that what is said of the metric from here on finds it.
        let opened = open(&self.description(name));
        let (known, result) = match opened {
            Ok(family) => (Some(family), Ok(())),
            Err(error) => (None, Err(error)),
        };
        by_name.insert(name.to_owned(), known);
        result
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    fn description(&self, name: &str) -> Description {
        self.described.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }

    /// Notes what is said of a metric, as long as no more than `most` are spoken of. A unit that was given stays until
    /// another is.
    pub(super) fn describe(
        &self,
        name: &str,
        unit: Option<metrics::Unit>,
        text: SharedString,
        most: usize,
        show: impl Fn(Option<metrics::Unit>) -> Option<Unit>,
    ) -> Result<(), MetricError> {
        let known = self.description(name);
        let said = Description { unit: unit.or(known.unit), text };
        if said == known {
            // Macros with a description say it each time.
            return Ok(());
        }
        {
            let mut described = self.described.write().unwrap_or_else(PoisonError::into_inner);
            if described.len() >= most && !described.contains_key(name) {
                return Ok(());
            }
            described.insert(name.to_owned(), said.clone());
        }
        let family = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned().flatten();
        match family {
            Some(family) if !said.text.is_empty() => family.describe(show(said.unit), &said.text),
            Some(family) => family.describe(show(said.unit), NOTHING_SAID),
            None => Ok(()),
        }
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(super) fn locked(&self) -> impl Sized + '_ {
        (self.ready.locked(), self.by_name.write(), self.described.write())
    }

    pub(super) fn let_go(&self) {
        self.ready.let_go();
    }
}

/// The description of a metric of which nobody has said anything.
const NOTHING_SAID: &str = "Recorded through the metrics facade.";

impl Description {
    /// The text for `HELP`, unless the shape has one that stands for none.
    pub(super) fn on(&self, metric: Metric, shape: &Shape) -> Metric {
        match (&*self.text, shape.says_what_it_means()) {
            ("", true) => metric,
            ("", false) => metric.description(NOTHING_SAID),
            (text, _) => metric.description(text),
        }
    }
}
