//! Models of sleeping and waking, and of a whole lane. A lost wake-up is a deadlock here, which loom reports; its
//! time-outs never come.

use loom::model::Builder;
use loom::sync::atomic::AtomicUsize;

use super::*;
use crate::event::{Location, Metadata, Origin};

/// In loom's models this is for ever.
const LONG: Duration = Duration::from_secs(600);

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// A worker that finds nothing and goes to sleep, while two producers push.
#[test]
fn loom_a_sleeping_worker_is_woken() {
    model(3, || {
        let shared = Arc::new((Queue::new(2, || 0), Bell::new()));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (queue, bell) = &*shared;
                let mut sum = 0;
                while sum != 3 {
                    match queue.pop(|slot| sum += *slot) {
                        Ok(_) => {}
                        Err(PopError::Empty { at, .. }) => bell.sleep_unless(|| queue.has_pushed_since(at)),
                        Err(PopError::Busy) => thread::yield_now(),
                    }
                }
            })
        };
        let of_worker = worker.thread().clone();
        let other = {
            let (shared, of_worker) = (Arc::clone(&shared), of_worker.clone());
            thread::spawn(move || {
                shared.0.push(|slot| *slot = 1).unwrap();
                shared.1.ring(&of_worker);
            })
        };
        shared.0.push(|slot| *slot = 2).unwrap();
        shared.1.ring(&of_worker);
        other.join().unwrap();
        worker.join().unwrap();
    });
}

/// Two producers that wait for room in one slot, while the worker pops.
#[test]
fn loom_a_blocked_producer_is_woken() {
    model(2, || {
        let shared = Arc::new((Queue::new(1, || 0), Room::new(), Progress::new()));
        shared.0.push(|slot| *slot = 1).unwrap();
        let producers = [2, 3].map(|value| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (queue, room, _) = &*shared;
                room.wait(Deadline::after(LONG), || queue.push(|slot| *slot = value).ok()).unwrap();
            })
        });
        let (queue, room, progress) = &*shared;
        let mut sum = 0;
        while sum != 6 {
            match queue.pop(|slot| sum += *slot) {
                Ok((position, ())) => {
                    progress.reach(position);
                    room.notify_one();
                }
                Err(_) => thread::yield_now(),
            }
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
    });
}

/// A producer that waits for room on a lane that is closed.
#[test]
fn loom_closing_wakes_a_blocked_producer() {
    model(3, || {
        let shared = Arc::new((Queue::new(1, || 0), Room::new()));
        shared.0.push(|slot| *slot = 1).unwrap();
        let producer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (queue, room) = &*shared;
                room.wait(Deadline::after(LONG), || match queue.push(|slot| *slot = 2) {
                    Err(PushError::Closed) => Some(()),
                    _ => None,
                })
            })
        };
        shared.0.close();
        shared.1.notify_all();
        assert_eq!(producer.join().unwrap(), Some(()));
    });
}

/// Two that wait for different positions, while the worker passes both.
#[test]
fn loom_progress_wakes_those_who_wait_for_it() {
    model(3, || {
        let progress = Arc::new(Progress::new());
        let waiters = [1, 2].map(|position| {
            let progress = Arc::clone(&progress);
            thread::spawn(move || assert!(progress.wait(position, Deadline::after(LONG))))
        });
        progress.reach(1);
        progress.reach(2);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// What a model's lane delivers to.
struct Count(AtomicUsize);

impl Deliver for Count {
    fn deliver(&self, _: &Event<'_>) {
        // Relaxed: what the flush or the shutdown orders is what is tested.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

static METADATA: Metadata =
    Metadata::new("a.lane.model", "", &[], &[], Origin::Dynamic, Location { module: "", file: "", line: 0 });

fn whole_lane(overflow: Overflow, run: impl Fn(&Lane, &Arc<dyn Deliver>, &Count)) {
    let lane = Lane::builder("model").capacity(1).overflow(overflow).build().unwrap();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let deliver: Arc<dyn Deliver> = Arc::clone(&count) as _;
    run(&lane, &deliver, &count);
}

/// A flush returns when what was cast has been delivered, and the drop of the last handle ends the worker.
#[test]
fn loom_a_flush_sees_what_was_delivered() {
    model(2, || {
        whole_lane(Overflow::DropNewest, |lane, deliver, count| {
            lane.cast(&Event::new(&METADATA, &[], &[], None), deliver);
            lane.flush(LONG).unwrap();
            assert_eq!(count.0.load(Ordering::Relaxed), 1);
        });
    });
}

/// Whatever is dropped for the sake of the newest, all is accounted for at the end.
#[test]
fn loom_a_shutdown_accounts_for_every_cast() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::BlockAtMost(LONG)] {
        model(2, move || {
            whole_lane(overflow, |lane, deliver, count| {
                let event = Event::new(&METADATA, &[], &[], None);
                lane.cast(&event, deliver);
                lane.cast(&event, deliver);
                lane.shutdown(LONG).unwrap();
                let stats = lane.stats();
                assert_eq!((stats.cast, stats.depth), (2, 0));
                assert_eq!(stats.cast, stats.delivered + stats.dropped);
                assert_eq!(count.0.load(Ordering::Relaxed) as u64, stats.delivered);
            });
        });
    }
}
