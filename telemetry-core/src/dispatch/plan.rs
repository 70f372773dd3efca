//! What happens to an event of each callsite: the plans of one dispatcher, in one immutable table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use crate::callsite::Callsite;
use crate::dispatch::registry::{self, Plans};
use crate::dispatch::{Inner, context};
use crate::event::Event;
use crate::failure::{self, Payload};
use crate::handler::{Bound, Record};
use crate::lane::{Deliver, Lane};

pub(crate) type Order = registry::Order<&'static Callsite, Table>;

/// The plans of one dispatcher.
pub(crate) struct Table {
    // The list that the plans were made of.
    records: Arc<[Arc<Record>]>,
    // By position of the callsite. Shorter than the callsites where nothing is attached to the last ones.
    plans: Box<[Option<Plan>]>,
}

/// What is attached to one callsite.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Inline steps first, in the order of attachment, then a step for each lane.
    steps: Arc<[Step]>,
    /// The handler, where there is only one, inline, that has promised not to panic: nothing stands around its call.
    // Invariant: `steps` keep it.
    alone: Option<NonNull<dyn Bound>>,
}

// SAFETY: what `alone` points to can be shared, and is kept by what can be sent.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

pub(crate) enum Step {
    Inline(Call),
    /// One copy of the event for a lane, however many handlers are on it.
    Cast {
        lane: Lane,
        batch: Arc<dyn Deliver>,
    },
}

/// A handler that panicked when it was asked what it wants of a callsite.
pub(crate) struct BindFailure {
    pub(crate) record: Arc<Record>,
    pub(crate) event: &'static str,
    pub(crate) payload: Payload,
}

impl Plans for Table {
    fn wants(&self, index: usize) -> bool {
        self.plan(index).is_some()
    }
}

impl Table {
    pub(crate) fn empty() -> Self {
        Self { records: Arc::new([]), plans: Box::new([]) }
    }

    #[inline(always)]
    pub(crate) fn plan(&self, index: usize) -> Option<&Plan> {
        self.plans.get(index)?.as_ref()
    }

    /// Plans `order` for the handlers of `records`: the previous table itself when nothing changes.
    ///
    /// Runs user code: `bind` of the handlers that are new, or for which callsites are new.
    pub(crate) fn build(order: &Order, records: Arc<[Arc<Record>]>, failures: &mut Vec<BindFailure>) -> Arc<Self> {
        let previous = &order.previous;
        let changed = changed(&previous.records, &records);
        if changed.is_empty() && order.planned == order.sites.len() {
            return Arc::clone(previous);
        }

        let mut plans = Vec::with_capacity(order.sites.len());
        for (index, site) in order.sites.iter().enumerate() {
            let name = site.metadata().name();
            let is_as_before = index < order.planned && !changed.iter().any(|record| record.matches(name));
            plans.push(if is_as_before {
                previous.plan(index).cloned()
            } else {
                Self::build_plan(index, site, &records, failures)
            });
        }
        plans.truncate(plans.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        if changed.is_empty() && plans.len() == previous.plans.len() {
            // Only callsites that nobody listens to are new: no emitter need look at another table.
            return Arc::clone(previous);
        }
        Arc::new(Self { records, plans: plans.into() })
    }

    fn build_plan(
        index: usize,
        site: &'static Callsite,
        records: &[Arc<Record>],
        failures: &mut Vec<BindFailure>,
    ) -> Option<Plan> {
        let metadata = site.metadata();
        let mut steps = Vec::new();
        let mut batches: Vec<(Lane, Vec<Call>)> = Vec::new();
        for record in records.iter().filter(|record| record.matches(metadata.name())) {
            let bound = match record.bind(index, metadata) {
                Ok(Some(bound)) => bound,
                Ok(None) => continue,
                Err(payload) => {
                    failures.push(BindFailure { record: Arc::clone(record), event: metadata.name(), payload });
                    continue;
                }
            };
            let guard = match (bound.cannot_panic(), metadata.name() == failure::EVENT) {
                (true, _) => Guard::None,
                (false, false) => Guard::Panics,
                (false, true) => Guard::PanicsAtFailures,
            };
            let call = Call { bound, guard, record: Arc::clone(record) };
            match &record.lane {
                None => steps.push(Step::Inline(call)),
                Some(lane) => match batches.iter_mut().find(|(other, _)| other == lane) {
                    Some((_, calls)) => calls.push(call),
                    None => batches.push((lane.clone(), vec![call])),
                },
            }
        }
        for (lane, calls) in batches {
            let owner = Weak::clone(&calls[0].record.owner);
            steps.push(Step::Cast { lane, batch: Arc::new(Batch { owner, calls: calls.into() }) });
        }
        (!steps.is_empty()).then(|| Plan::new(steps))
    }
}

/// What stands in one list and not in the other, and perhaps more: whatever lies between their common ends.
fn changed<'a>(before: &'a [Arc<Record>], after: &'a [Arc<Record>]) -> Vec<&'a Record> {
    let is_same = |(before, after): &(&Arc<Record>, &Arc<Record>)| Arc::ptr_eq(before, after);
    let head = before.iter().zip(after).take_while(is_same).count();
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(is_same).count();
    before[..before.len() - tail].iter().chain(&after[..after.len() - tail]).map(|record| &**record).collect()
}

impl Plan {
    fn new(steps: Vec<Step>) -> Self {
        let alone = match &*steps {
            [Step::Inline(Call { bound, guard: Guard::None, .. })] => Some(NonNull::from(&**bound)),
            _ => None,
        };
        Self { steps: steps.into(), alone }
    }

    #[inline(always)]
    pub(crate) fn run(&self, event: &Event<'_>) {
        match self.alone {
            // SAFETY: by the invariant of `alone`.
            Some(bound) => unsafe { bound.as_ref() }.handle(event),
            None => self.run_steps(event),
        }
    }

    #[inline(never)]
    fn run_steps(&self, event: &Event<'_>) {
        for step in &*self.steps {
            step.run(event);
        }
    }
}

impl Step {
    #[inline(always)]
    fn run(&self, event: &Event<'_>) {
        match self {
            Self::Inline(call) => call.run(event),
            Self::Cast { lane, batch } => lane.cast(event, batch),
        }
    }
}

/// A handler's bound form, and what to do when it panics.
pub(crate) struct Call {
    bound: Arc<dyn Bound>,
    guard: Guard,
    record: Arc<Record>,
}

/// What stands around a call.
#[derive(Clone, Copy)]
enum Guard {
    /// Nothing: the handler has promised not to panic.
    None,
    Panics,
    /// The event is one that tells of failures, so a handler that failed at one before is passed over.
    PanicsAtFailures,
}

impl Call {
    #[inline(always)]
    fn run(&self, event: &Event<'_>) {
        if let Guard::None = self.guard {
            return self.bound.handle(event);
        }
        self.run_guarded(event);
    }

    #[inline(never)]
    fn run_guarded(&self, event: &Event<'_>) {
        let standing = &self.record.standing;
        let is_called = match self.guard {
            Guard::None => true,
            Guard::Panics => standing.serves(),
            Guard::PanicsAtFailures => standing.hears_failures() && standing.serves(),
        };
        if !is_called {
            return;
        }
        // Unwind safe: after a panic nothing but the handler's own state can be half-way, and by its policy it is
        // either not called again or has said that it can go on.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.bound.handle(event))) {
            failure::handling(&self.record, event.name(), payload);
        }
    }
}

/// The handlers of one callsite that are on one lane.
struct Batch {
    owner: Weak<Inner>,
    calls: Box<[Call]>,
}

impl Deliver for Batch {
    /// On the lane's worker: what the handlers emit there goes where it would go had they run on the emitting thread.
    fn deliver(&self, event: &Event<'_>) {
        let _scope = context::enter_owner(&self.owner);
        for call in &self.calls {
            call.run(event);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::dispatch::Dispatch;
    use crate::event::{Location, Metadata, Origin};
    use crate::handler::attachment;

    use super::*;

    static METADATA: Metadata =
        Metadata::new("plan.event", "", &[], &[], Origin::AdHoc, Location { module: "", file: "", line: 0 });

    /// One copy goes to each lane, however many handlers are on it, after the handlers that run inline.
    #[test]
    fn a_lane_gets_one_copy_for_all_its_handlers() {
        static SITE: Callsite = Callsite::new(&METADATA);
        let dispatch = Dispatch::new();
        let [busy, other] = ["busy", "other"].map(|name| Lane::builder(name).build().unwrap());
        let attach = |id: &str, lane: Option<&Lane>| {
            let attachment = attachment(id, |_: &Event<'_>| {}).event("plan.event");
            let attachment = if let Some(lane) = lane { attachment.lane(lane) } else { attachment };
            attachment.attach_to(&dispatch).unwrap();
        };
        attach("first", Some(&busy));
        attach("inline", None);
        attach("second", Some(&other));
        attach("third", Some(&busy.clone()));
        let _ = SITE.is_wanted();
        let table = dispatch.0.published.take();
        let plan = (0..).find_map(|index| table.plan(index)).unwrap();
        let steps: Vec<&str> = plan
            .steps
            .iter()
            .map(|step| match step {
                Step::Inline(_) => "inline",
                Step::Cast { lane, .. } => lane.name(),
            })
            .collect();
        assert_eq!(steps, ["inline", "busy", "other"]);
    }

    /// A table is replaced only when something changes for an emitter, and the plans that do not change are shared.
    #[test]
    fn what_does_not_change_is_kept() {
        static FIRST: Callsite = Callsite::new(&METADATA);
        static SECOND: Callsite = Callsite::new(&METADATA);
        let dispatch = Dispatch::new();
        let nothing = |_: &Event<'_>| {};
        dispatch.attach("id", "plan.event", nothing).unwrap();
        let _ = FIRST.is_wanted();
        let plan = |table: &Arc<Table>| Arc::clone(&(0..).find_map(|index| table.plan(index)).unwrap().steps);
        let before = dispatch.0.published.take();
        dispatch.attach("elsewhere", "other.*", nothing).unwrap();
        let after = dispatch.0.published.take();
        assert!(!Arc::ptr_eq(&before, &after) && Arc::ptr_eq(&plan(&before), &plan(&after)));
        let _ = SECOND.is_wanted();
        dispatch.detach("id").unwrap();
        let before = dispatch.0.published.take();
        static UNWANTED: Callsite = Callsite::new(&METADATA);
        assert!(!UNWANTED.is_wanted());
        assert!(Arc::ptr_eq(&before, &dispatch.0.published.take()));
    }

    #[test]
    fn only_what_lies_between_the_common_ends_has_changed() {
        let dispatch = Dispatch::new();
        for id in ["a", "b", "c", "d"] {
            dispatch.attach(id, "plan.list", |_: &Event<'_>| {}).unwrap();
        }
        let all = dispatch.0.published.take().records.to_vec();
        let ids = |before: &[usize], after: &[usize]| -> String {
            let pick = |list: &[usize]| list.iter().map(|at| Arc::clone(&all[*at])).collect::<Vec<_>>();
            changed(&pick(before), &pick(after)).iter().map(|record| &*record.id).collect()
        };
        assert_eq!(ids(&[0, 1, 2], &[0, 1, 2]), "");
        assert_eq!(ids(&[0, 1], &[0, 1, 2]), "c");
        assert_eq!(ids(&[0, 1, 2], &[0, 2]), "b");
        assert_eq!(ids(&[0, 1, 2], &[0, 3, 2]), "bd");
        assert_eq!(ids(&[], &[0]), "a");
        assert_eq!(ids(&[0, 1, 2], &[]), "abc");
    }
}
