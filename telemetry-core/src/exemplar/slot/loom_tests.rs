//! Models of a slot: threads that write to it, and one that reads.

use std::sync::Arc;

use loom::model::Builder;

use super::*;
use crate::sync::thread;

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// An exemplar all of whose words are the same number.
fn write(slot: &Slot, number: u8, now: u64, interval: u64) -> bool {
    let content = Content { value: f64::from(number), millis: u64::from(number), text: &[number; 8] };
    slot.write(content, now, interval)
}

fn read(slot: &Slot) -> Option<u8> {
    let mut text = Vec::new();
    let (value, millis) = slot.read(&mut text)?;
    assert_eq!(millis as f64, value, "value and time of two exemplars");
    assert_eq!(text, [millis as u8; 8], "text and time of two exemplars");
    Some(millis as u8)
}

/// A reader finds an exemplar whole, or none, while it is replaced.
#[test]
fn loom_an_exemplar_is_read_whole() {
    model(3, || {
        let slot = Arc::new(Slot::new(8));
        assert!(write(&slot, 1, 0, 0));
        let writer = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || write(&slot, 2, 0, 0))
        };
        let seen = read(&slot);
        assert!(matches!(seen, None | Some(1 | 2)), "{seen:?}");
        assert!(writer.join().unwrap());
        assert_eq!(read(&slot), Some(2));
    });
}

/// Of two threads that find an exemplar due, one takes it; the other does not wait.
#[test]
fn loom_one_exemplar_is_taken_in_an_interval() {
    model(3, || {
        let slot = Arc::new(Slot::new(8));
        let other = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || write(&slot, 1, 5, 10))
        };
        let own = write(&slot, 2, 5, 10);
        let others = other.join().unwrap();
        assert!(own ^ others, "{own} {others}");
        assert_eq!(read(&slot), Some(if own { 2 } else { 1 }));
        assert!(write(&slot, 3, 15, 10));
    });
}

/// Two threads replace the exemplar, one after the other or at once, and a third reads: never a mixture.
#[test]
fn loom_two_writers_never_mix() {
    model(2, || {
        let slot = Arc::new(Slot::new(8));
        let writers = [1, 2].map(|number| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || write(&slot, number, 0, 0))
        });
        read(&slot);
        let written = writers.map(|writer| writer.join().unwrap());
        assert!(written.contains(&true));
        assert!(read(&slot).is_some());
    });
}
