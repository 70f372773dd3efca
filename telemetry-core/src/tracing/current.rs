//! Which spans this thread is in, as far as tags and exemplars ask.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_core::span::Id;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::cells::{local, space};
use crate::sync::{AtomicPtr, Ordering};

/// Replaced texts beyond this number are worth a wait.
const RETIRED: usize = 32;

/// The allowed fields of a span, and the way to those of the spans around it.
///
/// A span without such fields has no node of its own, but that of the span around it.
#[derive(Debug)]
pub(super) struct Node {
    parent: Option<Arc<Self>>,
    // Invariant: null, or from a box that lives until it is replaced, and then until no reader can be in it.
    texts: Box<[AtomicPtr<Box<str>>]>,
    retired: Mutex<Retired>,
}

#[derive(Debug, Default)]
struct Retired(Vec<*mut Box<str>>);

// SAFETY: the pointers own what they point to, texts, which may be dropped on any thread.
unsafe impl Send for Retired {}

impl Node {
    pub(super) fn new(parent: Option<Arc<Self>>, fields: usize) -> Self {
        let texts = (0..fields).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect();
        Self { parent, texts, retired: Mutex::default() }
    }

    /// Sets a field, for whoever is in the span or in one below it, at once.
    pub(super) fn set(&self, field: usize, text: Box<str>) {
        let fresh = Box::into_raw(Box::new(text));
        // AcqRel: publishes the text to `with`; of the text before, that it was made, since it is dropped here.
        let old = self.texts[field].swap(fresh, Ordering::AcqRel);
        if old.is_null() {
            return;
        }
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.0.push(old);
        // A reader is in a section; when all that were open have been left, nobody holds what was replaced before.
        if retired.0.len() > RETIRED && space().wait_for_sections() {
            retired.free();
        }
    }

    /// Shows the text of a field to `take`: that of the innermost span that has it. `take` enters no section.
    #[inline]
    fn with(&self, field: usize, take: &mut dyn FnMut(&str)) {
        let _section = local().section.enter();
        let mut node = Some(self);
        while let Some(Self { parent, texts, .. }) = node {
            // Acquire: pairs with the swap in `set`.
            let text = texts[field].load(Ordering::Acquire);
            if !text.is_null() {
                // SAFETY: by the invariant of `texts`; this thread is in a section.
                return take(unsafe { &*text });
            }
            node = parent.as_deref();
        }
    }
}

impl Retired {
    fn free(&mut self) {
        for text in self.0.drain(..) {
            // SAFETY: it came from a box in `set`, and by the caller's promise nobody reads it any more.
            drop(unsafe { Box::from_raw(text) });
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.retired.get_mut().unwrap_or_else(PoisonError::into_inner).free();
        for text in &self.texts {
            // Relaxed: `&mut self` proves that nobody else is here.
            let text = text.load(Ordering::Relaxed);
            if !text.is_null() {
                // SAFETY: by the invariant of `texts`.
                drop(unsafe { Box::from_raw(text) });
            }
        }
    }
}

/// What the layers of tags keep with a span: by the number of the tags, its node.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes(pub(super) Vec<(u64, Arc<Node>)>);

impl Nodes {
    /// The node that the layer of these tags keeps with a span, which is its own or that of a span around it.
    pub(super) fn with<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>, tags: u64) -> Option<Arc<Node>> {
        let extensions = span.extensions();
        let (_, node) = extensions.get::<Self>()?.0.iter().find(|(of, _)| *of == tags)?;
        Some(Arc::clone(node))
    }
}

#[derive(Debug)]
struct Entered {
    tags: u64,
    span: u64,
    // None where neither the span nor one around it has an allowed field: those of spans that are left aside don't count.
    node: Option<Arc<Node>>,
}

std::thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
    static FOCUS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Notes that this thread enters a span. When the thread ends there is nothing to note any more.
pub(super) fn enter(tags: u64, span: u64, node: Option<Arc<Node>>) {
    let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(Entered { tags, span, node }));
}

/// Notes that this thread leaves a span; not always the one that it entered last.
pub(super) fn exit(tags: u64, span: u64) {
    let left = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let at = entered.iter().rposition(|entered| entered.tags == tags && entered.span == span)?;
        Some(entered.remove(at))
    });
    // Dropped here, after the borrow.
    drop(left);
}

/// Shows the text of a field, in the span that this thread is in, to `take`.
#[inline]
pub(super) fn with(tags: u64, field: usize, take: &mut dyn FnMut(&str)) {
    let _ = ENTERED.try_with(|entered| {
        // Nothing of users runs under the borrow: `take` copies.
        let Ok(entered) = entered.try_borrow() else { return };
        let innermost = entered.iter().rfind(|entered| entered.tags == tags);
        if let Some(node) = innermost.and_then(|entered| entered.node.as_ref()) {
            node.with(field, take);
        }
    });
}

/// The span that an event is of although the thread is not in it.
pub(super) fn focus() -> Option<Id> {
    FOCUS.try_with(Cell::get).ok().flatten().map(Id::from_u64)
}

/// While it lives, what is emitted on this thread is of a span that closes.
#[derive(Debug)]
pub(super) struct Focus {
    before: Option<u64>,
    span: u64,
    nodes: Nodes,
}

impl Focus {
    pub(super) fn on<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Self {
        let nodes = span.extensions().get::<Nodes>().cloned().unwrap_or_default();
        let span = span.id().into_u64();
        for (tags, node) in &nodes.0 {
            enter(*tags, span, Some(Arc::clone(node)));
        }
        let before = FOCUS.try_with(|focus| focus.replace(Some(span))).ok().flatten();
        Self { before, span, nodes }
    }
}

impl Drop for Focus {
    fn drop(&mut self) {
        let _ = FOCUS.try_with(|focus| focus.set(self.before));
        for (tags, _) in &self.nodes.0 {
            exit(*tags, self.span);
        }
    }
}
