//! Models of the slots of a series: threads that bring its first exemplars, and one that reads.

use loom::model::Builder;

use super::*;
use crate::sync::thread;

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

const PLACE: Place = Place { offset: 0, slots: 2 };

/// An exemplar without a name and with a value of one letter, as a key has them.
fn write(first: u32, at: u32, letter: u8) {
    let content = Content { value: f64::from(letter), millis: u64::from(letter), text: &[0, 1, letter] };
    PLACE.write(first, at, content, 0, 0);
}

fn read(first: u32) -> Vec<u8> {
    let mut scratch = Scratch::default();
    let exemplars = PLACE.read(first, &mut scratch);
    let letters = exemplars.iter().map(|exemplar| {
        let letter = exemplar.value as u8;
        assert_eq!(exemplar.timestamp, Duration::from_millis(u64::from(letter)));
        assert_eq!(exemplar.labels.values().collect::<Vec<_>>(), [char::from(letter).to_string()]);
        letter
    });
    letters.collect()
}

/// Two threads bring the first exemplars of a series, into two slots: both are kept, and a reader finds what is there
/// whole.
#[test]
fn loom_the_slots_of_a_series_are_made_once() {
    model(2, || {
        let first = cells::space().allocate(1);
        let other = thread::spawn(move || write(first, 1, b'b'));
        let reader = thread::spawn(move || read(first));
        write(first, 0, b'a');
        other.join().unwrap();
        let seen = reader.join().unwrap();
        assert!([&b""[..], b"a", b"b", b"ab"].contains(&&*seen), "{seen:?}");
        assert_eq!(read(first), b"ab");
        PLACE.free(first);
        assert_eq!(read(first), b"");
    });
}

/// Two threads bring the first exemplar of one slot: it is made once, and holds either's.
#[test]
fn loom_a_slot_is_made_once() {
    model(3, || {
        let first = cells::space().allocate(1);
        let other = thread::spawn(move || write(first, 0, b'b'));
        write(first, 0, b'a');
        other.join().unwrap();
        let seen = read(first);
        assert!(seen == b"a" || seen == b"b", "{seen:?}");
        PLACE.free(first);
    });
}
