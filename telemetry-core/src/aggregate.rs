//! The aggregator: the one handler that turns events into series. Here, and below, both halves are seen.
//!
//! At build, metrics are grouped by projection: the event, the tags that they keep, and the rule that they share. At the
//! first event of a callsite everything that a name decides is bound: which position each tag and measurement has, and how
//! its unit converts. From then on an event costs, for each projection, one key, one lookup, and one addition per metric.

mod bound;
mod closed;
mod direct;
mod exemplar;
mod room;
mod step;

use std::sync::Arc;

use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::event::Metadata;
use crate::handler::{AttachError, Bound, Handler, attachment};
use crate::metric::{Compiled, ComputeValue, Metric, MetricError, Plan, ProjectionKey, project};
use crate::registry::{Entry, Registry};
use crate::series::Projection;

use bound::BoundAggregator;
pub(crate) use bound::BoundGroup;
pub(crate) use step::ValueSource;

/// Feeds the metrics of a registry from events.
///
/// Cloning gives another handle to the same aggregator.
#[derive(Clone, Debug)]
pub struct Aggregator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    groups: Vec<Arc<Group>>,
}

/// The metrics of one projection.
pub(crate) struct Group {
    key: ProjectionKey,
    pub(crate) projection: Arc<Projection>,
    pub(crate) metrics: Vec<Member>,
    clock: Clock,
}

pub(crate) struct Member {
    pub(crate) compiled: Arc<Compiled>,
    /// The measurement; `None` for one that is computed, or when all events count.
    pub(crate) measurement: Option<String>,
    pub(crate) compute: Option<ComputeValue>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("event", &self.key.event).field("metrics", &self.metrics.len()).finish()
    }
}

/// Here, and not beside the rest, so that the registry knows no handler.
impl Registry {
    /// Makes metrics over events; they count from when the aggregator is attached.
    ///
    /// # Errors
    ///
    /// [`MetricError`], which names the metric, what is wrong with it and what to do. No metric is made then.
    pub fn aggregator(&self, metrics: impl IntoIterator<Item = Metric>) -> Result<Aggregator, MetricError> {
        Aggregator::build(self, metrics)
    }
}

impl Aggregator {
    /// Builds the metrics and enters them in the registry.
    fn build(registry: &Registry, metrics: impl IntoIterator<Item = Metric>) -> Result<Self, MetricError> {
        let plans = metrics.into_iter().map(Plan::over_events).collect::<Result<Vec<_>, _>>()?;
        let mut keys: Vec<&ProjectionKey> = Vec::new();
        for plan in &plans {
            if !keys.contains(&&plan.key) {
                keys.push(&plan.key);
            }
        }
        let mut groups = Vec::new();
        // In the order of the definitions, which is the order of the families.
        let mut entries: Vec<Option<Entry>> = plans.iter().map(|_| None).collect();
        for key in keys {
            let members: Vec<usize> = (0..plans.len()).filter(|at| plans[*at].key == *key).collect();
            let group_plans: Vec<&Plan> = members.iter().map(|at| &plans[*at]).collect();
            let (projection, compiled) = project(registry.clock(), &group_plans);
            for (at, compiled) in members.iter().zip(&compiled) {
                entries[*at] = Some(Entry::new(Arc::clone(compiled), Arc::clone(&projection)));
            }
            let metrics = group_plans.iter().zip(compiled).map(|(plan, compiled)| Member {
                compiled,
                measurement: plan.measurement.clone(),
                compute: plan.metric.compute.clone(),
            });
            let metrics = metrics.collect();
            groups.push(Arc::new(Group { key: key.clone(), projection, metrics, clock: registry.clock().clone() }));
        }
        registry.enter(entries.into_iter().flatten().collect())?;
        Ok(Self(Arc::new(Inner { registry: registry.clone(), groups })))
    }

    /// The registry that holds the metrics.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Attaches this aggregator, under an id, to every event that its metrics are made of.
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] if the id is attached already.
    pub fn attach(&self, id: &str) -> Result<(), AttachError> {
        self.attach_to(&Dispatch::current(), id)
    }

    /// Attaches this aggregator to a dispatcher: see [`Aggregator::attach`].
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] if the id is attached already.
    pub fn attach_to(&self, dispatch: &Dispatch, id: &str) -> Result<(), AttachError> {
        let mut events: Vec<&str> = self.0.groups.iter().map(|group| group.event()).collect();
        events.sort_unstable();
        events.dedup();
        attachment(id, self.clone()).events(events).attach_to(dispatch)
    }

    /// The events that the metrics are made of.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.0.groups.iter().map(|group| group.event())
    }

    pub(crate) fn groups(&self) -> &[Arc<Group>] {
        &self.0.groups
    }
}

impl Handler for Aggregator {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        let groups = self.0.groups.iter().filter(|group| group.event() == metadata.name());
        let bound: Vec<BoundGroup> = groups.map(|group| group.bind(metadata)).collect();
        BoundAggregator::bind(bound)
    }
}

impl Group {
    /// The event that the metrics are made of.
    pub(crate) fn event(&self) -> &str {
        &self.key.event
    }
}
