//! What happens when a handler panics: its policy, the counts, and the event that tells of it.
//!
//! Each call of a handler is guarded on its own, so the other handlers of the same event still run and the emitter
//! notices nothing. The failure is counted under the handler's id, the policy is applied, and then
//! `telemetry.handler.failure` is emitted, in the dispatcher that the handler is attached to, with the tags `handler`
//! (its id), `event` (the name of the event) and `message` (what it panicked with).
//!
//! A handler that panics when it is told of a failure is told of no failure again, whatever its policy; it keeps its
//! other events as far as its policy lets it. So each failure is seen by all others, and there is an end to it.
//!
//! A handler that panics when it is asked to `bind` has failed too: unless its policy detaches it, it is not asked for
//! that callsite again.
//!
//! With `panic = "abort"` there is no isolation: a handler that panics ends the process, before anything here can run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::callsite::Callsite;
use crate::dispatch::context;
use crate::dispatch::registry::lock;
use crate::event::{Location, Metadata, Origin, TagField};
use crate::handler::Record;
use crate::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use crate::value::Value;

pub(crate) use crate::caught::{Payload, discard_payload, message};

/// The name of the event that tells of a handler's failure.
pub const EVENT: &str = "telemetry.handler.failure";

static METADATA: Metadata = Metadata::new(
    EVENT,
    "A handler panicked.",
    &[],
    &[
        TagField { name: "handler", variants: None, description: "The id that the handler is attached by." },
        TagField { name: "event", variants: None, description: "The event that it failed at." },
        TagField { name: "message", variants: None, description: "What it panicked with." },
    ],
    Origin::Typed,
    Location { module: module_path!(), file: file!(), line: line!() },
);
static CALLSITE: Callsite = Callsite::new(&METADATA);
inventory::submit! { &CALLSITE }

/// What becomes of a handler that panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// It is detached from every event, at once.
    #[default]
    Detach,
    /// It stays attached.
    Keep,
    /// It is passed over for a time, when it fails too often.
    Quarantine {
        /// This many failures ...
        after: u32,
        /// ... within this time put it into quarantine, ...
        within: Duration,
        /// ... from which it is back after this time.
        back_after: Duration,
    },
}

/// How often the handlers attached by one id have failed, and what came of it; kept when they are detached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureCounts {
    /// The id; [`OTHERS`] for all ids beyond the first thousand that failed.
    pub handler: String,
    /// How often a handler panicked.
    pub failures: u64,
    /// How often a failure detached the handler.
    pub detachments: u64,
    /// How often failures put the handler into quarantine.
    pub quarantines: u64,
}

/// The id under which the failures of further handlers are counted, once a thousand ids have failed.
pub const OTHERS: &str = "(others)";

const IDS_LIMIT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stay,
    Detach,
    Quarantine,
}

/// Whether a handler is called, by what its policy made of its failures.
pub(crate) struct Standing {
    // When it is back, in nanoseconds on `now`: `SERVES` when it is not away, `WITHDRAWN` when it is not to come back.
    back_at: AtomicU64,
    // 1 when it has failed at an event that tells of failures.
    is_deaf: AtomicU8,
    // Of the quarantine policy: when it failed, oldest first; never more than `after`.
    failed_at: Mutex<VecDeque<u64>>,
}

const SERVES: u64 = 0;
const WITHDRAWN: u64 = u64::MAX;

/// Nanoseconds since this was first called, plus one: never `SERVES`.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    nanos(START.get_or_init(Instant::now).elapsed()) + 1
}

/// In nanoseconds; `WITHDRAWN` is never reached, after 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self { back_at: AtomicU64::new(SERVES), is_deaf: AtomicU8::new(0), failed_at: Mutex::default() }
    }

    /// Whether the handler is to be called: one load, and the clock only when it is away.
    #[inline(always)]
    pub(crate) fn serves(&self) -> bool {
        // Relaxed: the word is the only fact. Another thread's emission may call the handler once more.
        self.back_at.load(Ordering::Relaxed) == SERVES || self.is_back(now())
    }

    /// Whether the handler is told of failures.
    pub(crate) fn hears_failures(&self) -> bool {
        // Relaxed: the flag is the only fact. Emissions that miss it on other threads are bounded in number.
        self.is_deaf.load(Ordering::Relaxed) == 0
    }

    fn deafen(&self) {
        self.is_deaf.store(1, Ordering::Relaxed);
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        !self.serves()
    }

    #[cold]
    fn is_back(&self, now: u64) -> bool {
        let back_at = self.back_at.load(Ordering::Relaxed);
        if now < back_at || back_at == WITHDRAWN {
            return false;
        }
        // Whoever loses this race found it back, or in a later quarantine that is judged at the next event. Relaxed: as
        // in `serves`.
        let _ = self.back_at.compare_exchange(back_at, SERVES, Ordering::Relaxed, Ordering::Relaxed);
        true
    }

    fn withdraw(&self) {
        self.back_at.store(WITHDRAWN, Ordering::Relaxed);
    }

    fn judge(&self, policy: FailurePolicy, now: u64) -> Verdict {
        let (after, within, back_after) = match policy {
            FailurePolicy::Detach => return Verdict::Detach,
            FailurePolicy::Keep => return Verdict::Stay,
            FailurePolicy::Quarantine { after, within, back_after } => (after, within, back_after),
        };
        let mut failed_at = lock(&self.failed_at);
        if self.back_at.load(Ordering::Relaxed) != SERVES {
            // An emission that was in progress when the quarantine began.
            return Verdict::Stay;
        }
        failed_at.push_back(now);
        while failed_at.front().is_some_and(|oldest| now.saturating_sub(*oldest) > nanos(within)) {
            failed_at.pop_front();
        }
        if failed_at.len() < after as usize {
            return Verdict::Stay;
        }
        failed_at.clear();
        self.back_at.store(now.saturating_add(nanos(back_after)), Ordering::Relaxed);
        Verdict::Quarantine
    }
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) failures: u64,
    pub(crate) detachments: u64,
    pub(crate) quarantines: u64,
}

/// The counts of one dispatcher.
#[derive(Default)]
pub(crate) struct Tallies {
    by_id: BTreeMap<Arc<str>, Tally>,
    others: Tally,
}

impl Tallies {
    fn count(&mut self, id: &Arc<str>, verdict: Verdict) {
        let has_room = self.by_id.len() < IDS_LIMIT || self.by_id.contains_key(id);
        let tally = if has_room { self.by_id.entry(Arc::clone(id)).or_default() } else { &mut self.others };
        tally.failures += 1;
        tally.detachments += u64::from(verdict == Verdict::Detach);
        tally.quarantines += u64::from(verdict == Verdict::Quarantine);
    }

    pub(crate) fn of(&self, id: &str) -> Tally {
        self.by_id.get(id).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<FailureCounts> {
        let others = (self.others.failures > 0).then_some((OTHERS, &self.others));
        let counts = |(id, tally): (&str, &Tally)| FailureCounts {
            handler: id.to_owned(),
            failures: tally.failures,
            detachments: tally.detachments,
            quarantines: tally.quarantines,
        };
        self.by_id.iter().map(|(id, tally)| (&**id, tally)).chain(others).map(counts).collect()
    }
}

/// A failure that was counted and judged, but not told of yet.
pub(crate) struct Failure {
    record: Arc<Record>,
    event: &'static str,
    message: String,
}

/// A handler panicked while it handled an event.
#[cold]
#[inline(never)]
pub(crate) fn handling(record: &Arc<Record>, event: &'static str, payload: Payload) {
    judge(record, event, payload).report();
}

/// Counts a failure and applies the handler's policy.
pub(crate) fn judge(record: &Arc<Record>, event: &'static str, payload: Payload) -> Failure {
    let failure = Failure { record: Arc::clone(record), event, message: message(&*payload) };
    discard_payload(payload);
    let Some(owner) = record.owner.upgrade() else { return failure };
    let mut verdict = record.standing.judge(record.policy, now());
    if verdict == Verdict::Detach {
        record.standing.withdraw();
        if !owner.remove(record) {
            // Detached meanwhile, by hand or for a failure on another thread.
            verdict = Verdict::Stay;
        }
    } else if event == EVENT {
        record.standing.deafen();
    }
    lock(&owner.tallies).count(&record.id, verdict);
    failure
}

impl Failure {
    /// Emits the event that tells of the failure, where the handler was attached.
    pub(crate) fn report(self) {
        if !CALLSITE.is_wanted() || self.record.owner.strong_count() == 0 {
            return;
        }
        let _scope = context::enter_owner(&self.record.owner);
        CALLSITE.emit(&[], &[Value::Str(&self.record.id), Value::Str(self.event), Value::Str(&self.message)]);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const POLICY: FailurePolicy = FailurePolicy::Quarantine {
        after: 3,
        within: Duration::from_nanos(100),
        back_after: Duration::from_nanos(1000),
    };

    /// Quarantine: only failures within the time count together, and the handler is back after its time.
    #[test]
    fn failures_far_apart_do_not_quarantine_and_quarantine_ends() {
        let standing = Standing::new();
        for now in [1, 60, 120, 221, 300] {
            assert_eq!(standing.judge(POLICY, now), Verdict::Stay, "at {now}");
        }
        assert_eq!(standing.judge(POLICY, 310), Verdict::Quarantine);
        assert_eq!(standing.judge(POLICY, 311), Verdict::Stay, "an emission in progress");
        assert!(!standing.is_back(1309));
        assert!(standing.is_back(1310));
        assert_eq!(standing.back_at.load(Ordering::Relaxed), SERVES);
        for now in [2000, 2001] {
            assert_eq!(standing.judge(POLICY, now), Verdict::Stay, "it starts afresh");
        }
        assert_eq!(standing.judge(POLICY, 2002), Verdict::Quarantine);
    }

    #[test]
    fn a_withdrawn_handler_is_never_back() {
        let standing = Standing::new();
        standing.withdraw();
        assert!(!standing.is_back(u64::MAX - 1));
        assert!(!standing.serves());
    }

    #[test]
    fn the_counts_of_very_many_ids_are_bounded() {
        let mut tallies = Tallies::default();
        for n in 0..IDS_LIMIT + 10 {
            tallies.count(&n.to_string().into(), Verdict::Detach);
        }
        tallies.count(&"0".into(), Verdict::Stay);
        let all = tallies.all();
        assert_eq!(all.len(), IDS_LIMIT + 1);
        assert_eq!(all.iter().map(|counts| counts.failures).sum::<u64>(), IDS_LIMIT as u64 + 11);
        assert_eq!((all[IDS_LIMIT].handler.as_str(), all[IDS_LIMIT].detachments), (OTHERS, 10));
        assert_eq!((tallies.of("0").failures, tallies.of("0").detachments), (2, 1));
    }
}
