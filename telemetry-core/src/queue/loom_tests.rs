//! Models of the queue: every order in which its steps can happen, up to the bounds given.

use loom::model::Builder;
use loom::sync::Arc;

use super::*;
use crate::sync::thread;

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// Takes until the queue is closed and empty.
fn drain(queue: &Queue<Vec<u8>>) -> Vec<u8> {
    let mut seen = Vec::new();
    loop {
        match queue.pop(|slot| seen.append(slot)) {
            Ok(_) => {}
            Err(PopError::Empty { closed: true, .. }) => return seen,
            Err(_) => thread::yield_now(),
        }
    }
}

fn push(queue: &Queue<Vec<u8>>, value: u8) -> Result<(), PushError> {
    queue.push(|slot| {
        assert!(slot.is_empty(), "a slot is emptied before it is filled again");
        slot.push(value);
    })
}

/// Two producers into two slots: no slot is shared, no value is lost or doubled, each producer's order is kept, and the
/// queue reports itself full only when it is.
#[test]
fn loom_two_producers_and_a_consumer() {
    model(3, || {
        let queue = Arc::new(Queue::new(2, Vec::new));
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || [11, 12].map(|value| push(&queue, value).is_ok()))
        };
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || drain(&queue))
        };
        let first = push(&queue, 1);
        let accepted = other.join().unwrap();
        queue.close();
        let seen = consumer.join().unwrap();
        let expected: Vec<u8> = [(1, first.is_ok()), (11, accepted[0]), (12, accepted[1])]
            .iter()
            .filter(|it| it.1)
            .map(|it| it.0)
            .collect();
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        let others: Vec<u8> = seen.into_iter().filter(|value| *value > 10).collect();
        assert!(others.is_sorted());
        assert_eq!(queue.pushed(), expected.len() as u64);
    });
}

/// Two producers that make room by taking the oldest value out, as `DropOldest` does, beside the consumer: what is
/// pushed is consumed or evicted, once.
#[test]
fn loom_producers_that_evict_the_oldest() {
    model(3, || {
        let queue = Arc::new(Queue::new(1, Vec::new));
        let insist = |queue: &Queue<Vec<u8>>, value: u8, evicted: &mut Vec<u8>| {
            // As many tries as a producer has patience; then the value itself is dropped.
            for _ in 0..3 {
                match push(queue, value) {
                    Ok(()) => return,
                    Err(PushError::Full) => {
                        let _ = queue.pop(|slot| evicted.append(slot));
                    }
                    Err(_) => thread::yield_now(),
                }
            }
            evicted.push(value);
        };
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut evicted = Vec::new();
                insist(&queue, 11, &mut evicted);
                evicted
            })
        };
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || drain(&queue))
        };
        let mut all = Vec::new();
        insist(&queue, 1, &mut all);
        all.extend(other.join().unwrap());
        queue.close();
        all.extend(consumer.join().unwrap());
        all.sort_unstable();
        assert_eq!(all, [1, 11]);
    });
}

/// A value that was pushed before the queue was closed is popped, and one that comes too late is refused: the two
/// cannot miss each other.
#[test]
fn loom_closing_loses_nothing() {
    model(3, || {
        let queue = Arc::new(Queue::new(2, Vec::new));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || push(&queue, 1))
        };
        let closer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.close())
        };
        let seen = drain(&queue);
        closer.join().unwrap();
        match producer.join().unwrap() {
            Ok(()) => assert_eq!(seen, [1]),
            Err(error) => assert_eq!((error, seen), (PushError::Closed, vec![])),
        }
    });
}
