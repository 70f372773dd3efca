//! Models of sections: memory is never freed while somebody may be reading it.

use loom::model::Builder;
use loom::sync::Arc;

use super::*;
use crate::sync::{AtomicBool, UnsafeCell, thread};

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// Memory that can be reached, until it is freed.
struct Reachable {
    section: Section,
    is_reachable: AtomicBool,
    memory: UnsafeCell<u64>,
}

impl Reachable {
    fn new(shared: bool) -> Arc<Self> {
        let (is_reachable, memory) = (AtomicBool::new(true), UnsafeCell::new(7));
        Arc::new(Self { section: Section::new(shared), is_reachable, memory })
    }

    /// What an emitter does. Loom fails if the read is not ordered before or after whatever is written.
    fn read(&self) {
        let _section = self.section.enter();
        // Relaxed: the protocol's own ordering is what is tested.
        if self.is_reachable.load(Ordering::Relaxed) {
            // SAFETY: loom checks that nobody writes.
            self.memory.with(|memory| assert_eq!(unsafe { *memory }, 7, "this was freed"));
        }
    }

    /// What the reclaimer does.
    fn free(&self) {
        self.is_reachable.store(false, Ordering::Relaxed);
        heavy_fence();
        let seen = self.section.observe();
        while !self.section.has_left(seen) {
            thread::yield_now();
        }
        // SAFETY: loom checks that nobody reads.
        self.memory.with_mut(|memory| unsafe { *memory = 0 });
    }
}

/// One thread that reads in one section after the other, and the reclaimer: it may see any of the words in between.
#[test]
fn loom_memory_is_freed_when_its_reader_has_left() {
    model(4, || {
        let memory = Reachable::new(false);
        let reader = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || (0..3).for_each(|_| memory.read()))
        };
        memory.free();
        reader.join().unwrap();
    });
}

/// Two threads that share a shard, and so a section.
#[test]
fn loom_memory_is_freed_when_its_sharers_have_left() {
    model(3, || {
        let memory = Reachable::new(true);
        let readers = [1, 2].map(|times| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || (0..times).for_each(|_| memory.read()))
        });
        memory.free();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
