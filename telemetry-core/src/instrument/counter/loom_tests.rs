//! Models of raising a count, which several threads do at once, while others add to it.

use loom::model::Builder;

use super::*;
use crate::sync::thread;

fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// Adds in a shard of this thread's own, as long as there is one.
fn add(cell: u32, n: u64) {
    let claimed = space().claim();
    let index = claimed.unwrap_or_else(|| space().shared());
    let shard = space().shards().nth(index).expect("it was just claimed");
    shard.add(Address::of(cell), n);
    if let Some(index) = claimed {
        space().release(index);
    }
}

/// Two raise to different totals at once: the higher one is reached, and not passed.
#[test]
fn loom_two_that_raise_do_not_both_add() {
    model(3, || {
        let cell = space().allocate(1);
        add(cell, 2);
        let other = thread::spawn(move || raise(cell, 5));
        let own = raise(cell, 4);
        let others = other.join().unwrap();
        assert_eq!(own + others, 3);
        assert_eq!(Reader::new().whole(cell), 5);
    });
}

/// One adds while two raise: what was added counts in full, before or after; nothing is added for it twice.
#[test]
fn loom_what_is_added_meanwhile_is_not_raised_twice() {
    model(2, || {
        let cell = space().allocate(1);
        let adder = thread::spawn(move || add(cell, 2));
        let other = thread::spawn(move || raise(cell, 5));
        let own = raise(cell, 5);
        let others = other.join().unwrap();
        adder.join().unwrap();
        // Whoever comes second sees at least what the first has seen, so there is nothing left to add.
        assert!(own == 0 || others == 0, "{own} and {others}");
        // Five when it was added before, up to seven when it came after.
        let total = Reader::new().whole(cell);
        assert!((5..=7).contains(&total), "{total}");
        assert_eq!(raise(cell, 5), 0);
    });
}
