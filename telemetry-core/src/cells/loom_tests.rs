//! Models of the shards: what threads add is in the totals, once, whoever owns the shards by then.

use loom::model::Builder;

use super::*;

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// What a thread does in its life: it claims a shard, or shares one, adds to a cell, and returns the shard.
fn live(cell: u32, n: u64) {
    let claimed = space().claim();
    let index = claimed.unwrap_or_else(|| space().shared());
    space().shard(index).add(Address::of(cell), n);
    if let Some(index) = claimed {
        space().release(index);
    }
}

fn shards() -> usize {
    space().shards().count()
}

/// Two threads live one after the other or at once, while a third reads: the total never goes back, and is exact when
/// they were joined.
#[test]
fn loom_a_shard_goes_from_thread_to_thread() {
    model(3, || {
        // In the second page, which the shards do not have yet.
        let cell = space().allocate(FIRST_PAGE + 1);
        let threads = [1, 2].map(|n| thread::spawn(move || live(cell, n)));
        let early = Reader::new().whole(cell);
        let late = Reader::new().whole(cell);
        assert!(early <= late && late <= 3, "{early}, then {late}");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(Reader::new().whole(cell), 3);
        live(cell, 4);
        assert_eq!(Reader::new().whole(cell), 7);
        assert!(shards() <= 3, "a shard for each thread that lived at once, beside the one that is shared");
    });
}

/// Three threads at once, where two may have a shard of their own: the third shares one, and nothing is lost.
#[test]
fn loom_threads_beyond_the_limit_share() {
    model(2, || {
        let cell = space().allocate(1);
        let threads = [1, 2].map(|n| thread::spawn(move || live(cell, n)));
        live(cell, 4);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(Reader::new().whole(cell), 7);
        assert!(shards() <= 3);
    });
}

/// Two sharers reach a page of their shard for the first time at once: one page is kept, with what both have added.
#[test]
fn loom_sharers_allocate_a_page_once() {
    model(4, || {
        let cell = space().allocate(1);
        let shared = space().shard(space().shared());
        let threads = [1.5, 2.0].map(|x| {
            thread::spawn(move || {
                shared.add(Address::of(cell), 1);
                // SAFETY: the range was allocated above.
                unsafe { shared.row(cell + 1, 1) }.add_float(0, x);
            })
        });
        let read = || shared.existing(Address::of(cell)).map_or(0, |cell| cell.load(Ordering::Relaxed));
        assert!(read() <= 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((read(), Reader::new().float(cell + 1)), (2, 3.5));
    });
}

/// Cells that are given back are zero for whoever gets them next, in every shard.
#[test]
fn loom_cells_are_zero_when_they_are_allocated_again() {
    model(3, || {
        let cell = space().allocate(1);
        live(cell, 5);
        let owner = thread::spawn(|| {
            // A shard that another thread has written to, and that a third one zeroes.
            let cell = space().allocate(1);
            live(cell, 1);
            (cell, Reader::new().whole(cell))
        });
        // Nobody writes to it any more: its writer was this thread.
        space().free(cell, 1);
        let (reused, total) = owner.join().unwrap();
        assert_eq!(total, 1, "cell {reused} was given back as cell {cell}");
        assert_eq!(Reader::new().whole(reused), 1);
    });
}
