//! A source as a registry holds it: asked by walks, answered by whoever reads it.
//!
//! ```text
//! walk                                     reader: a thread of the crew, or the application's task
//!   ask: is one waiting? join it.            begin: waiting becomes reading
//!        else one waits from now on          read
//!   wait, until its deadline                 end: nobody is reading; the answer is handed over
//! ```
//!
//! A walk joins an asking only while that has not begun: so it gets a value that was read after it had asked. At most one is
//! being read and one waits, whatever the number of walks. While the one that is read is late, or waits for a reader that
//! does not come, walks go without.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::caught::guarded;
use crate::crew::{Crew, STALL};
use crate::family::Family;
use crate::instrument::{Scale, UnitOfMetric};
use crate::metric::MetricError;
use crate::scrape::Visit;
use crate::sync::{Condvar, Mutex, MutexGuard};

use super::figures::{Answer, Figures};
use super::own::{Failure, Tally};
use super::{Parts, definition};

/// What is known of a source's series beforehand.
#[derive(Debug)]
pub(super) struct Shape {
    family: Family,
    unit: UnitOfMetric,
    scale: Scale,
    limit: u32,
}

/// A source.
pub(crate) struct Probe {
    shape: Shape,
    timeout: Duration,
    // `None` of a source that a task reads. Within, `None` once the source is closed. Locked while it is read.
    closure: Option<Mutex<Option<Closure>>>,
    state: Mutex<State>,
}

/// What reads a source, on a thread of the crew.
pub(super) type Closure = Box<dyn FnMut(&mut Figures<'_>) + Send>;

#[derive(Default)]
struct State {
    waiting: Option<Arc<Asking>>,
    reading: Option<Arc<Asking>>,
    closed: bool,
    tally: Tally,
    // Of a task: what wakes it. Cloned, woken and dropped outside of the lock: it is the runtime's code.
    waker: Option<Waker>,
    // Of a task: the one that is read is late, and is to be given up.
    given_up: bool,
    // Of a task: it was dropped.
    gone: bool,
}

/// A question to a source, and its answer.
pub(crate) struct Asking {
    since: Instant,
    state: Mutex<Asked>,
    answered: Condvar,
}

#[derive(Default)]
struct Asked {
    answer: Option<Result<Arc<Answer>, Failure>>,
    // Of those who wait without a thread of their own. Cloned, woken and dropped outside of the lock.
    wakers: Vec<Waker>,
}

/// What a task is to do next.
pub(super) enum Next {
    /// Answer this.
    Read(Arc<Asking>),
    /// Wait to be woken.
    Wait,
    /// End.
    End,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("family", &self.shape.family.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Shape {
    pub(super) const fn family(&self) -> &Family {
        &self.family
    }

    pub(super) const fn unit(&self) -> UnitOfMetric {
        self.unit
    }

    pub(super) const fn scale(&self) -> &Scale {
        &self.scale
    }

    pub(super) fn labels(&self) -> usize {
        self.family.label_names().len()
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit as usize
    }
}

/// The threads that read closures, of all registries.
fn crew() -> &'static Crew {
    static CREW: OnceLock<Crew> = OnceLock::new();
    CREW.get_or_init(|| Crew::new("telemetry-source"))
}

impl Asking {
    fn new() -> Arc<Self> {
        Arc::new(Self { since: Instant::now(), state: Mutex::default(), answered: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, answer: Result<Arc<Answer>, Failure>) {
        let mut state = self.lock();
        state.answer = Some(answer);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.answered.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Probe {
    pub(super) fn new(parts: Parts, closure: Option<Closure>) -> Result<Arc<Self>, MetricError> {
        let plan = definition::plan(parts.kind, parts.metric)?;
        let family = plan.family();
        let unit = UnitOfMetric::new(family.values_unit());
        let scale = Scale::new(family.values_unit(), unit).expect("a unit converts into itself");
        let shape = Shape { family, unit, scale, limit: plan.key.limit };
        let closure = closure.map(|closure| Mutex::new(Some(closure)));
        Ok(Arc::new(Self { shape, timeout: parts.timeout, closure, state: Mutex::default() }))
    }

    pub(crate) const fn family(&self) -> &Family {
        &self.shape.family
    }

    pub(crate) fn tally(&self) -> Tally {
        self.lock().tally
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for values that are read from now on; `None` while the source does not answer.
    pub(crate) fn ask(self: &Arc<Self>) -> Option<Arc<Asking>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.closed {
            return None;
        }
        if state.gone {
            state.tally.count(Failure::Gone);
            return None;
        }
        let is_late =
            |asking: &Option<Arc<Asking>>| asking.as_ref().is_some_and(|asking| asking.since.elapsed() >= self.timeout);
        if is_late(&state.reading) || is_late(&state.waiting) {
            state.tally.count(Failure::Late);
            state.given_up = state.reading.is_some();
            let waker = state.waker.take();
            drop(guard);
            waker.into_iter().for_each(Waker::wake);
            return None;
        }
        if let Some(waiting) = &state.waiting {
            return Some(Arc::clone(waiting));
        }
        let asking = Asking::new();
        state.waiting = Some(Arc::clone(&asking));
        if state.reading.is_some() {
            // Whoever reads looks again at the end.
            return Some(asking);
        }
        let waker = state.waker.take();
        drop(guard);
        waker.into_iter().for_each(Waker::wake);
        if self.closure.is_some() && !self.call() {
            let mut state = self.lock();
            state.waiting = None;
            state.tally.count(Failure::NoThread);
            return None;
        }
        Some(asking)
    }

    /// Has a thread read the closure; false when there is none.
    fn call(self: &Arc<Self>) -> bool {
        let probe = Arc::clone(self);
        crew().submit(Box::new(move || probe.read())).is_ok()
    }

    /// Reads the closure for as long as there is somebody who asks.
    fn read(&self) {
        let Some(closure) = &self.closure else { return };
        while let Next::Read(asking) = self.begin(None) {
            // Free, since nobody else reads.
            let mut closure = closure.lock().unwrap_or_else(PoisonError::into_inner);
            let begun = Instant::now();
            let answer = match &mut *closure {
                Some(read) => guarded(|| {
                    let mut figures = Figures::new(&self.shape);
                    read(&mut figures);
                    figures.finish()
                })
                .map_err(|_| Failure::Panic),
                None => Err(Failure::Gone),
            };
            drop(closure);
            self.end(&asking, answer, begun);
        }
        if self.lock().closed {
            self.discard_closure();
        }
    }

    /// Drops the closure, unless it is being read: then whoever reads it does so.
    fn discard_closure(&self) {
        let closure = self.closure.as_ref().and_then(|closure| match closure.try_lock() {
            Ok(mut closure) => closure.take(),
            Err(_) => None,
        });
        // A closure that panics when it is dropped is a closure that panics: nobody else is to notice.
        let _ = guarded(|| drop(closure));
    }

    /// The next to be answered, which is read from now on. A task that has to wait is woken by `waker`.
    pub(super) fn begin(&self, waker: Option<&Waker>) -> Next {
        let waker = waker.cloned();
        let mut state = self.lock();
        if state.closed {
            return Next::End;
        }
        if state.reading.is_some() {
            // Another thread reads, which was called before, and looks again at the end.
            return Next::Wait;
        }
        state.given_up = false;
        if let Some(asking) = state.waiting.take() {
            state.reading = Some(Arc::clone(&asking));
            return Next::Read(asking);
        }
        let before = std::mem::replace(&mut state.waker, waker);
        drop(state);
        drop(before);
        Next::Wait
    }

    pub(super) fn end(&self, asking: &Asking, answer: Result<Answer, Failure>, begun: Instant) {
        let mut state = self.lock();
        state.reading = None;
        state.tally.took(begun.elapsed());
        match &answer {
            Ok(answer) => state.tally.refuse(answer.refused),
            // Counted by the walks that went without.
            Err(Failure::Late) => {}
            Err(failure) => state.tally.count(*failure),
        }
        drop(state);
        asking.hand_over(answer.map(Arc::new));
    }

    /// A task that is polled: whether what it reads is to be given up. If not, it is woken when that changes.
    pub(super) fn is_given_up(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.lock();
        if state.given_up || state.closed {
            return true;
        }
        let before = state.waker.replace(waker);
        drop(state);
        drop(before);
        false
    }

    pub(super) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The task is gone: nobody waits for it.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.gone = true;
        let (waker, left) = (state.waker.take(), [state.waiting.take(), state.reading.take()]);
        drop(state);
        drop(waker);
        left.into_iter().flatten().for_each(|asking| asking.hand_over(Err(Failure::Gone)));
    }

    /// No longer registered: a task ends.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (waker, waiting) = (state.waker.take(), state.waiting.take());
        drop(state);
        waiting.into_iter().for_each(|asking| asking.hand_over(Err(Failure::Gone)));
        waker.into_iter().for_each(Waker::wake);
        self.discard_closure();
    }

    /// When an answer is too late, for who waits until `until` at the most.
    fn deadline(&self, asking: &Asking, until: Option<Instant>) -> Option<Instant> {
        // `None` lies beyond what the system can count.
        let own = asking.since.checked_add(self.timeout);
        own.into_iter().chain(until).min()
    }

    /// How long who waits has to wait before looking again, unless `waker` is woken before: `None` when the answer is there,
    /// or its time is up.
    pub(crate) fn pends(&self, asking: &Asking, until: Option<Instant>, waker: Option<&Waker>) -> Option<Duration> {
        let mut waker = waker.cloned();
        let mut state = asking.lock();
        let rest = self.deadline(asking, until).map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if state.answer.is_some() || rest.is_some_and(|rest| rest.is_zero()) {
            return None;
        }
        waker = waker.filter(|waker| !state.wakers.iter().any(|known| known.will_wake(waker)));
        state.wakers.extend(waker);
        drop(state);
        if asking.since.elapsed() >= STALL {
            crew().relieve();
        }
        Some(rest.unwrap_or(STALL).min(STALL))
    }

    /// Waits for the answer, until `until` at the most, and shows it; what fails has no series.
    pub(crate) fn show(&self, asking: &Asking, until: Option<Instant>, visitor: &mut (impl Visit + ?Sized)) {
        if let Some(answer) = self.wait(asking, until) {
            answer.show(&self.shape, visitor);
        }
    }

    fn wait(&self, asking: &Asking, until: Option<Instant>) -> Option<Arc<Answer>> {
        while let Some(rest) = self.pends(asking, until, None) {
            let state = asking.lock();
            if state.answer.is_none() {
                drop(asking.answered.wait_timeout(state, rest));
            }
        }
        let answer = asking.lock().answer.clone();
        match answer {
            // A failure was counted when it happened.
            Some(answer) => answer.ok(),
            None => {
                self.lock().tally.count(Failure::Late);
                None
            }
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // The registry is gone, and with it whoever would ask: a task ends when it is polled.
        let waker = self.lock().waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::family::Kind;
    use crate::source::TIMEOUT;

    fn probe(timeout: Duration) -> Arc<Probe> {
        let metric = crate::metric::last_value("probe");
        Probe::new(Parts { kind: Kind::LastValue, metric, timeout }, None).unwrap()
    }

    fn read(probe: &Probe) -> Arc<Asking> {
        let Next::Read(asking) = probe.begin(None) else { panic!("somebody asks") };
        asking
    }

    /// One is read and one waits, whoever else comes; who asks during a reading gets the next.
    #[test]
    fn askings_are_joined_until_they_begin_and_read_one_at_a_time() {
        let probe = probe(TIMEOUT * 60);
        assert!(matches!(probe.begin(None), Next::Wait));
        let (first, joined) = (probe.ask().unwrap(), probe.ask().unwrap());
        assert!(Arc::ptr_eq(&first, &joined));
        assert!(Arc::ptr_eq(&read(&probe), &first));
        let next = probe.ask().unwrap();
        assert!(!Arc::ptr_eq(&next, &first));
        assert!(matches!(probe.begin(None), Next::Wait), "the first is being read");
        probe.end(&first, Ok(Answer::default()), Instant::now());
        assert!(probe.wait(&first, None).is_some());
        assert!(Arc::ptr_eq(&read(&probe), &next));
        probe.end(&next, Err(Failure::Panic), Instant::now());
        assert!(probe.wait(&next, None).is_none());
    }

    /// What is late is waited for by nobody, and a closed source asks for nothing.
    #[test]
    fn a_late_source_is_not_asked_and_a_closed_one_ends() {
        let probe = probe(Duration::ZERO);
        let late = probe.ask().unwrap();
        assert!(probe.wait(&late, None).is_none() && probe.ask().is_none());
        assert!(Arc::ptr_eq(&read(&probe), &late));
        assert!(probe.ask().is_none() && probe.is_given_up(Waker::noop()));
        probe.end(&late, Err(Failure::Late), Instant::now());
        assert!(probe.ask().is_some());
        probe.close();
        assert!(probe.ask().is_none() && matches!(probe.begin(None), Next::End));
    }
}
