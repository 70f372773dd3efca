//! Counts what a thread asks of the allocator, for the tests that say that something asks nothing of it.

// Each test binary that includes this file uses its part.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    // Constant and without a destructor, so it is there at every time of a thread's life and allocates nothing itself.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATED.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        FREED.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// How often `run` allocated, on this thread.
pub(crate) fn during(run: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    run();
    ALLOCATED.get() - before
}

/// How often `run` allocated or freed, on this thread.
pub(crate) fn and_frees_during(run: impl FnOnce()) -> usize {
    let before = FREED.get();
    let allocated = during(run);
    allocated + FREED.get() - before
}

#[test]
fn allocations_are_counted() {
    let run = || drop(std::hint::black_box(Box::new(1)));
    assert_eq!((during(run), and_frees_during(run)), (1, 2));
    assert_eq!(and_frees_during(|| ()), 0);
}
