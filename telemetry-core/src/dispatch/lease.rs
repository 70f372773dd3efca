//! The tables that one thread holds: the newest for its next emission, older ones for emissions in progress.
//!
//! An emission reads the table without a lock and without counting a reference, so the thread has to keep alive every
//! table that an emission of its own may still be reading. Emissions nest (a handler may emit), and a nested one takes
//! the newest table, as any other does. So a table is kept together with the depth at which it was taken:
//!
//! ```text
//! depth 0   emission uses A          held: [A]
//! depth 1     a handler detaches B, then emits: takes C      held: [A, C]
//! depth 1     the handler attaches D, then emits: takes E    held: [A, E], C is freed: nobody at depth 1 is in progress
//! depth 0   emission ends            held: [E], A is freed
//! ```
//!
//! At most one table for each depth is held, and the depth is limited, so what is held is bounded.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

/// How deep emissions may nest; a deeper one is cut.
pub(crate) const DEPTH_LIMIT: usize = 16;

pub(crate) struct Lease<T> {
    // The generation that `current` was taken at; 0 when there is none.
    generation: Cell<u64>,
    // Invariant: null, or equal to `held[since]`.
    current: Cell<*const T>,
    since: Cell<usize>,
    // Invariant: each is null or came from `Arc::into_raw`, with the reference owned by this lease. The one at `d` was
    // taken when `d` emissions were in progress, so that only emissions that began at a depth of `d` or more read it;
    // it is released only when at most `d` emissions are in progress, so by then none of its readers is.
    held: [Cell<*const T>; DEPTH_LIMIT],
}

/// Tables that a lease has let go, to be dropped when its state is consistent again: dropping them runs user code.
pub(crate) struct Released<T>([Option<Arc<T>>; DEPTH_LIMIT]);

impl<T> Released<T> {
    const fn nothing() -> Self {
        Self([const { None }; DEPTH_LIMIT])
    }

    /// The tables.
    pub(crate) fn into_tables(self) -> impl Iterator<Item = Arc<T>> {
        self.0.into_iter().flatten()
    }
}

impl<T> Lease<T> {
    pub(crate) const fn new() -> Self {
        Self {
            generation: Cell::new(0),
            current: Cell::new(ptr::null()),
            since: Cell::new(0),
            held: [const { Cell::new(ptr::null()) }; DEPTH_LIMIT],
        }
    }

    /// Whether the current table was taken at `generation`.
    #[inline(always)]
    pub(crate) fn is_of(&self, generation: u64) -> bool {
        self.generation.get() == generation
    }

    /// Whether any table is current.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.get().is_null()
    }

    /// The current table: null, or valid for an emission at the present depth until that emission ends.
    #[inline(always)]
    pub(crate) fn current(&self) -> *const T {
        self.current.get()
    }

    /// Whether the end of the outermost emission leaves something to [`Self::trim`].
    #[inline(always)]
    pub(crate) fn is_deep(&self) -> bool {
        self.since.get() != 0
    }

    /// Makes `table` the current one, while `depth` emissions are in progress.
    ///
    /// # Panics
    ///
    /// When `depth` is not below the limit; an emission at the limit is cut before it takes a table.
    pub(crate) fn replace(&self, depth: usize, generation: u64, table: Arc<T>) -> Released<T> {
        let released = self.release(depth);
        let table = Arc::into_raw(table);
        self.held[depth].set(table);
        self.current.set(table);
        self.since.set(depth);
        self.generation.set(generation);
        released
    }

    /// Leaves no table current, while `depth` emissions are in progress, and lets go what none of them reads.
    pub(crate) fn release(&self, depth: usize) -> Released<T> {
        self.generation.set(0);
        self.current.set(ptr::null());
        // Whatever is still held is held for emissions in progress, and trimmed when the outermost ends.
        self.since.set(depth);
        self.let_go(depth)
    }

    /// Lets go of what was held for nested emissions, and keeps the current table; for when no emission is in progress.
    pub(crate) fn trim(&self) -> Released<T> {
        let current = self.current.get();
        if !current.is_null() {
            // Moved from `held[since]`, by the invariant of `current`, to `held[0]`, whose table goes the other way.
            self.held[self.since.get()].set(self.held[0].replace(current));
        }
        self.since.set(0);
        self.let_go(if current.is_null() { 0 } else { 1 })
    }

    fn let_go(&self, from: usize) -> Released<T> {
        let mut released = Released::nothing();
        for (held, released) in self.held.iter().zip(&mut released.0).skip(from) {
            let table = held.replace(ptr::null());
            if !table.is_null() {
                // SAFETY: by the invariant of `held` it came from `Arc::into_raw` and its reference is ours; the slot
                // is null now, so it is taken back once. The callers give the depth that the invariant asks for.
                *released = Some(unsafe { Arc::from_raw(table) });
            }
        }
        released
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The tables alive, by number.
    fn alive(tables: &[std::sync::Weak<u32>]) -> Vec<u32> {
        tables.iter().filter_map(|table| table.upgrade()).map(|table| *table).collect()
    }

    #[test]
    fn a_table_is_kept_while_an_emission_may_read_it_and_no_longer() {
        let tables: Vec<_> = (0..6).map(Arc::new).collect();
        let weak: Vec<_> = tables.iter().map(Arc::downgrade).collect();
        let mut tables = tables.into_iter();
        let mut take = |lease: &Lease<u32>, depth| drop(lease.replace(depth, 1, tables.next().unwrap()));
        let rest = |from: u32| (from..6).collect::<Vec<_>>();
        let lease = Lease::new();

        take(&lease, 0);
        take(&lease, 1);
        assert!(lease.is_deep());
        take(&lease, 1); // The first at depth 1 has no reader left.
        assert_eq!(alive(&weak), [vec![0, 2], rest(3)].concat());
        take(&lease, 5);
        drop(lease.release(3)); // As when a handler at depth 3 leaves a scope.
        assert!(lease.current().is_null());
        assert_eq!(alive(&weak), [vec![0, 2], rest(4)].concat());
        take(&lease, 3);
        drop(lease.trim());
        assert_eq!(alive(&weak), [4, 5]);
        assert!(!lease.is_deep());
        // SAFETY: the lease holds it.
        assert_eq!(unsafe { *lease.current() }, 4);
        drop(lease.release(0));
        assert_eq!(alive(&weak), [5]);
    }

    #[test]
    fn a_released_lease_is_trimmed_to_nothing() {
        let table = Arc::new(7);
        let lease = Lease::new();
        drop(lease.replace(0, 1, Arc::clone(&table)));
        drop(lease.release(2));
        assert_eq!(Arc::strong_count(&table), 2, "the emission at depth 0 reads it");
        assert!(lease.is_deep());
        drop(lease.trim());
        assert_eq!(Arc::strong_count(&table), 1);
    }
}
