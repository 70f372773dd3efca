//! The static behind each place that emits.
//!
//! A callsite is one word: whether anybody wants its events, and its position among all callsites. The word starts as
//! "new", so the first emission asks (see `reach`); from then on it is kept up to date by whoever attaches or detaches.

use std::collections::HashSet;
use std::ptr;
// Of `std` also under loom, whose atomics cannot stand in a static; the protocol of these words is modelled in
// `dispatch::registry`, with the functions of `word`.
use std::sync::atomic::{AtomicU32, Ordering};

use crate::dispatch::{self, context, registry::Site};
use crate::event::{Event, Metadata, SpanContext};
use crate::value::{Number, Value};

/// The states of a callsite's word.
pub(crate) mod word {
    /// Nobody has planned the callsite yet: whoever emits has to ask.
    pub(crate) const NEW: u32 = 0;
    // Set when nobody wants the callsite, so that one comparison tells; the other bits are its position plus one.
    const UNWANTED: u32 = 1 << 31;

    #[inline(always)]
    pub(crate) const fn is_unwanted(word: u32) -> bool {
        word >= UNWANTED
    }

    #[inline(always)]
    pub(crate) const fn is_wanted(word: u32) -> bool {
        !is_unwanted(word) && word != NEW
    }

    /// The word of the callsite at `index`.
    ///
    /// # Panics
    ///
    /// When there are more than two thousand million callsites.
    pub(crate) fn of(index: usize, wanted: bool) -> u32 {
        let position = u32::try_from(index + 1).ok().filter(|position| *position < UNWANTED);
        let position = position.expect("there are fewer callsites than would fill the memory");
        if wanted { position } else { position | UNWANTED }
    }

    /// The position of a callsite; one beyond all if the word is `NEW`.
    #[inline(always)]
    pub(crate) const fn index(word: u32) -> usize {
        (word & !UNWANTED).wrapping_sub(1) as usize
    }
}

/// One place that emits one event.
#[derive(Debug)]
pub struct Callsite {
    metadata: &'static Metadata,
    // Invariant: `word::NEW`, or `word::of` the index. Written under the lock of the registry, read without.
    word: AtomicU32,
    // One more than the position, or 0 before it has one. Written and read under the lock of the registry.
    position: AtomicU32,
}

inventory::collect!(&'static Callsite);

impl Callsite {
    /// A callsite that nobody has reached yet; the macros write these calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(metadata: &'static Metadata) -> Self {
        Self { metadata, word: AtomicU32::new(word::NEW), position: AtomicU32::new(0) }
    }

    /// What is known of the event.
    #[must_use]
    pub const fn metadata(&self) -> &'static Metadata {
        self.metadata
    }

    /// Whether anybody listens, in any dispatcher: one relaxed load and a branch.
    #[inline(always)]
    #[must_use]
    pub fn is_wanted(&'static self) -> bool {
        let word = self.word();
        !word::is_unwanted(word) && (word != word::NEW || self.reach())
    }

    /// Delivers an event to whoever listens on this thread; the event belongs to the current span.
    ///
    /// The slices are as long as the fields of the event; this is not checked where debug assertions are off, and a handler
    /// may then find no value, or panic.
    #[inline]
    pub fn emit(&'static self, measurements: &[Option<Number>], tags: &[Value<'_>]) {
        context::emit(self, &mut Event::of_macro(self.metadata, measurements, tags, None));
    }

    /// Delivers an event that belongs to `span`.
    ///
    /// The slices are as long as the fields of the event; this is not checked where debug assertions are off, and a handler
    /// may then find no value, or panic.
    #[inline]
    pub fn emit_in(&'static self, span: SpanContext, measurements: &[Option<Number>], tags: &[Value<'_>]) {
        context::emit(self, &mut Event::of_macro(self.metadata, measurements, tags, Some(span)));
    }

    #[inline(always)]
    fn word(&self) -> u32 {
        // Relaxed: the position stands in the same word, and tables are taken under a mutex. Whoever emits after an
        // attachment has returned (after in the happens-before order) reads the word that it wrote, or a later one, by
        // coherence alone.
        self.word.load(Ordering::Relaxed)
    }

    /// The callsite's position if it was planned; else one beyond all.
    #[inline(always)]
    pub(crate) fn likely_index(&'static self) -> usize {
        word::index(self.word())
    }

    /// Whether nobody has planned the callsite yet.
    pub(crate) fn is_new(&'static self) -> bool {
        self.word() == word::NEW
    }

    /// The callsite's position, once it was planned.
    pub(crate) fn index(&'static self) -> Option<usize> {
        let mut word = self.word();
        if word == word::NEW {
            self.reach();
            word = self.word();
        }
        (word != word::NEW).then(|| word::index(word))
    }

    /// Has the callsite planned by every dispatcher, and says whether any wants it.
    #[cold]
    #[inline(never)]
    fn reach(&'static self) -> bool {
        dispatch::reach(self);
        word::is_wanted(self.word())
    }
}

impl Site for &'static Callsite {
    fn index(&self) -> Option<usize> {
        // Relaxed, here and below: the registry's lock orders them.
        (self.position.load(Ordering::Relaxed) as usize).checked_sub(1)
    }

    fn set_index(&self, index: usize) {
        let wanted = word::of(index, true);
        self.position.store(wanted, Ordering::Relaxed);
    }

    fn set_wanted(&self, index: usize, wanted: bool) {
        let word = word::of(index, wanted);
        if self.word.load(Ordering::Relaxed) != word {
            // Relaxed: partner of the load in `word`, which says why. Not written when it is the same, since that
            // would take the line from every emitter.
            self.word.store(word, Ordering::Relaxed);
        }
    }
}

/// Every callsite of the program, reached or not, and of the dynamic events those made so far.
pub fn callsites() -> impl Iterator<Item = &'static Callsite> {
    let declared: Vec<&'static Callsite> = inventory::iter::<&'static Callsite>.into_iter().copied().collect();
    let known: HashSet<*const Callsite> = declared.iter().map(|callsite| ptr::from_ref(*callsite)).collect();
    let reached = dispatch::registry().sites();
    let others = reached.into_iter().filter(move |callsite| !known.contains(&ptr::from_ref(*callsite)));
    declared.into_iter().chain(others)
}
