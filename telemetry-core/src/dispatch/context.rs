//! What a thread knows: the table that its emissions use, how deep they nest, its scopes and its current span.
//!
//! The context has no destructor, so it can be reached at any time, also while the thread's other thread-local values
//! are being destroyed. What it holds is released by a second thread-local value, [`Exit`], which has one: it is
//! registered by the first emission that is wanted, and marks the context as gone. A context that is gone holds no
//! table; an emission then takes one for itself alone.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::callsite::Callsite;
use crate::dispatch::lease::{DEPTH_LIMIT, Lease, Released};
use crate::dispatch::plan::{Plan, Table};
use crate::dispatch::{Dispatch, Inner, registry};
use crate::event::{Event, SpanContext};
use crate::failure;

struct Context {
    // How many emissions are in progress.
    depth: Cell<usize>,
    lease: Lease<Table>,
    span: Cell<Option<SpanContext>>,
    stage: Cell<Stage>,
    // Whether this thread is building a table, and whether another has to be built after it.
    is_planning: Cell<bool>,
    has_to_plan: Cell<bool>,
    next_scope: Cell<u64>,
    // The dispatchers entered, the last one current. Without a destructor: emptied by the guards, and by `Exit`.
    scopes: RefCell<ManuallyDrop<Vec<Entered>>>,
}

struct Entered {
    scope: u64,
    dispatch: Dispatch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    // `Exit` is not registered yet.
    New,
    Live,
    Gone,
}

const _: () = assert!(!mem::needs_drop::<Context>(), "a context can be reached while the thread ends");

thread_local! {
    static CONTEXT: Context = const {
        Context {
            depth: Cell::new(0),
            lease: Lease::new(),
            span: Cell::new(None),
            stage: Cell::new(Stage::New),
            is_planning: Cell::new(false),
            has_to_plan: Cell::new(false),
            next_scope: Cell::new(0),
            scopes: RefCell::new(ManuallyDrop::new(Vec::new())),
        }
    };
    static EXIT: Exit = const { Exit };
}

// Of `std` also under loom: a static needs a constant initialiser. Relaxed: the count is the only fact.
static CUT: AtomicU64 = AtomicU64::new(0);

/// How many events of this process were not delivered because handlers, emitting from within handlers, nested too deep.
///
/// Emissions nest up to a depth of 16. Counted with them are events that `bind` of a handler emitted at a callsite that
/// was never reached before: nothing can be planned for it before `bind` has returned.
#[must_use]
pub fn recursion_cut() -> u64 {
    CUT.load(Ordering::Relaxed)
}

/// Marks the context as gone when the thread ends.
struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        CONTEXT.with(|context| {
            context.stage.set(Stage::Gone);
            if context.depth.get() > 0 {
                // A handler called `exit`: frames below still borrow the tables, and never return. They are left.
                return;
            }
            discard_all(context.lease.release(0));
            context.take_scopes();
        });
    }
}

/// Delivers an event of `callsite` to what is attached to it in this thread's dispatcher. It belongs to its span, or else to
/// the current one.
// One copy for every callsite of a program: what is inlined there is the event being written down, and the call. By
// reference, or it would be copied, and what was written in parts read as a whole.
#[inline(never)]
pub(crate) fn emit(callsite: &'static Callsite, event: &mut Event<'_>) {
    // Not `with`, of which there would be one copy somewhere else in the program, and a call to it.
    let reached = CONTEXT.try_with(|context| {
        if context.depth.get() >= DEPTH_LIMIT {
            count_cut();
        } else if context.lease.is_of(registry().generation()) {
            context.deliver(callsite, event);
        } else {
            context.emit_anew(callsite, event);
        }
    });
    debug_assert!(reached.is_ok(), "a context without a destructor is always there");
}

/// For a callsite that nobody listens to here, or that was never reached.
#[cold]
#[inline(never)]
fn emit_unplanned(callsite: &'static Callsite, event: &mut Event<'_>) {
    if callsite.is_new() && callsite.index().is_some() {
        emit(callsite, event);
    }
}

#[cold]
#[inline(never)]
fn count_cut() {
    CUT.fetch_add(1, Ordering::Relaxed);
}

/// One emission in progress.
struct Nested<'a>(&'a Context);

impl<'a> Nested<'a> {
    #[inline(always)]
    fn enter(context: &'a Context) -> Self {
        context.depth.set(context.depth.get() + 1);
        Self(context)
    }
}

impl Drop for Nested<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let context = self.0;
        context.depth.set(context.depth.get() - 1);
        if context.lease.is_deep() {
            context.trim();
        }
    }
}

impl Context {
    /// Takes the newest table of the current dispatcher; false when the thread is ending and must not hold one.
    #[cold]
    #[inline(never)]
    fn refresh(&self) -> bool {
        if !self.is_live() {
            return false;
        }
        // The generation first: the table is then of this generation or a newer one.
        let generation = registry().generation();
        let table = self.current().0.published.take();
        discard_all(self.lease.replace(self.depth.get(), generation, table));
        // What was just dropped may have emitted, or left a scope.
        !self.lease.is_empty() || self.refresh()
    }

    /// Whether what the context holds will be released by [`Exit`], which is registered here.
    fn is_live(&self) -> bool {
        if self.stage.get() == Stage::New {
            // An error means that the destructors of this thread have run already.
            let stage = EXIT.try_with(|_| Stage::Live).unwrap_or(Stage::Gone);
            self.stage.set(stage);
        }
        self.stage.get() == Stage::Live
    }

    #[cold]
    #[inline(never)]
    fn trim(&self) {
        if self.depth.get() == 0 {
            discard_all(self.lease.trim());
        }
    }

    /// Delivers an event by the current table, which is there.
    #[inline(always)]
    fn deliver(&self, callsite: &'static Callsite, event: &mut Event<'_>) {
        // SAFETY: the lease holds a table, valid until the emission at this depth ends: `Nested` ends it when this function
        // returns, and only then does the depth allow the lease to release the table.
        let table = unsafe { &*self.lease.current() };
        let Some(plan) = table.plan(callsite.likely_index()) else { return emit_unplanned(callsite, event) };
        if self.span.get().is_some() {
            return self.run_in_span(plan, event);
        }
        let _nested = Nested::enter(self);
        plan.run(event);
    }

    /// Runs the plan of an event that belongs to its span, or else to the current one.
    // A function of its own, so that where there is no span fewer registers are taken.
    #[inline(never)]
    fn run_in_span(&self, plan: &Plan, event: &mut Event<'_>) {
        event.belong_to(self.span.get());
        let _nested = Nested::enter(self);
        plan.run(event);
    }

    /// The same where the table is out of date, or gone.
    #[cold]
    #[inline(never)]
    fn emit_anew(&self, callsite: &'static Callsite, event: &mut Event<'_>) {
        if self.refresh() {
            self.deliver(callsite, event);
        } else {
            self.emit_after_exit(callsite, event);
        }
    }

    /// Emits with a table that is held for this emission alone.
    #[cold]
    #[inline(never)]
    fn emit_after_exit(&self, callsite: &'static Callsite, event: &mut Event<'_>) {
        let Some(index) = callsite.index() else { return };
        let table = self.current().0.published.take();
        if let Some(plan) = table.plan(index) {
            self.run_in_span(plan, event);
        }
        discard(table);
    }

    fn current(&self) -> Dispatch {
        let entered = self.scopes.borrow().last().map(|entered| entered.dispatch.clone());
        entered.unwrap_or_else(|| Dispatch::global().clone())
    }

    fn is_current(&self, inner: *const Inner) -> bool {
        match self.scopes.borrow().last() {
            Some(entered) => Arc::as_ptr(&entered.dispatch.0) == inner,
            None => Dispatch::global_if_used().is_some_and(|global| Arc::as_ptr(&global.0) == inner),
        }
    }

    fn leave(&self, scope: u64) {
        let mut scopes = self.scopes.borrow_mut();
        // Guards may be dropped in any order, so it need not be the last one; none after `Exit` took them.
        let Some(at) = scopes.iter().position(|entered| entered.scope == scope) else { return };
        let left = scopes.remove(at);
        if scopes.is_empty() && self.stage.get() == Stage::Gone {
            // Nobody comes after to free the list.
            drop(mem::take(&mut **scopes));
        }
        drop(scopes);
        if !self.is_current(Arc::as_ptr(&left.dispatch.0)) {
            // Not at the next emission only: what a scope held is to be gone when it is left.
            discard_all(self.lease.release(self.depth.get()));
        }
        discard(left);
    }

    fn take_scopes(&self) {
        let scopes = mem::take(&mut **self.scopes.borrow_mut());
        discard(scopes);
    }
}

/// Until dropped, what this thread emits goes to the dispatcher that was entered.
///
/// Scopes may be left in any order; the one entered last, of those not left, is in force. A guard cannot be sent to
/// another thread: enter the dispatcher there.
#[derive(Debug)]
#[must_use = "the scope is left when the guard is dropped"]
pub struct Scope {
    scope: u64,
    // Its number means something to this thread only.
    not_send: PhantomData<*const ()>,
}

pub(crate) fn enter(dispatch: Dispatch) -> Scope {
    CONTEXT.with(|context| {
        context.is_live();
        let scope = context.next_scope.get();
        context.next_scope.set(scope + 1);
        let was_current = context.is_current(Arc::as_ptr(&dispatch.0));
        context.scopes.borrow_mut().push(Entered { scope, dispatch });
        if !was_current {
            discard_all(context.lease.release(context.depth.get()));
        }
        Scope { scope, not_send: PhantomData }
    })
}

impl Drop for Scope {
    fn drop(&mut self) {
        CONTEXT.with(|context| context.leave(self.scope));
    }
}

/// Enters a dispatcher unless it is the current one, or no longer there.
pub(crate) fn enter_owner(owner: &Weak<Inner>) -> Option<Scope> {
    if CONTEXT.with(|context| context.is_current(owner.as_ptr())) {
        return None;
    }
    owner.upgrade().map(|inner| enter(Dispatch(inner)))
}

/// The dispatcher of this thread.
pub(crate) fn current() -> Dispatch {
    CONTEXT.with(Context::current)
}

/// The span that the events of this thread belong to.
pub(crate) fn current_span() -> Option<SpanContext> {
    CONTEXT.with(|context| context.span.get())
}

/// Sets the span that the events of this thread belong to, and gives back the one before.
pub(crate) fn set_current_span(span: Option<SpanContext>) -> Option<SpanContext> {
    CONTEXT.with(|context| context.span.replace(span))
}

/// Lets go of this thread's tables that are out of date, as far as no emission in progress reads them.
pub(crate) fn release_outdated() {
    CONTEXT.with(|context| {
        if !context.lease.is_empty() && !context.lease.is_of(registry().generation()) {
            discard_all(context.lease.release(context.depth.get()));
        }
    });
}

/// Runs `build`, unless this thread is building a table already, as when `bind` of a handler attaches another one:
/// then the table is built again afterwards.
pub(crate) fn planning<R>(build: impl FnOnce() -> R) -> Option<R> {
    struct Done<'a>(&'a Context);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.is_planning.set(false);
        }
    }
    CONTEXT.with(|context| {
        if context.is_planning.replace(true) {
            context.has_to_plan.set(true);
            return None;
        }
        let _done = Done(context);
        Some(build())
    })
}

/// Whether something asked for a table while this thread was building one; asked once.
pub(crate) fn take_has_to_plan() -> bool {
    CONTEXT.with(|context| !context.is_planning.get() && context.has_to_plan.take())
}

/// Whether this thread is building a table; if so, the event that made a callsite ask is counted as cut.
pub(crate) fn is_cut_by_planning() -> bool {
    let is_planning = CONTEXT.with(|context| {
        let is_planning = context.is_planning.get();
        context.has_to_plan.set(context.has_to_plan.get() || is_planning);
        is_planning
    });
    if is_planning {
        count_cut();
    }
    is_planning
}

/// Drops what may own handlers. A handler whose own `drop` panics must not take the emitter with it.
pub(crate) fn discard<T>(owned: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(owned))) {
        failure::discard_payload(payload);
    }
}

fn discard_all(released: Released<Table>) {
    released.into_tables().for_each(discard);
}
