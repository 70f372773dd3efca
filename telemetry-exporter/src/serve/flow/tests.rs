//! Readers that share a body, one step at a time.

use hyper::body::Buf as _;

use super::super::admission::Admission;
use super::super::{Chunks, Limits};
use super::*;

/// Parts of one KiB.
struct Parts(usize);

impl Chunks for Parts {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
        assert!(buffer.is_empty() && buffer.capacity() >= ROOM);
        buffer.resize(1024, b'x');
        self.0 -= 1;
        Ok(if self.0 == 0 { Step::Last } else { Step::More })
    }
}

fn key() -> Key {
    Key { target: Target::Metrics, accept: None, accept_encoding: None, query: None }
}

fn begin(admission: &Rc<Admission>, parts: usize) -> Reader {
    let source = Source::open(|| Ok(Box::new(Parts(parts)))).expect("a source");
    let place = admission.begin_scrape().expect("a place");
    admission.flows().begin(key(), source, Coding::Identity, place)
}

async fn next(reader: &mut Reader) -> Option<usize> {
    let part = poll_fn(|cx| reader.poll_next(cx)).await?;
    Some(part.expect("a part").remaining())
}

fn run(limits: Limits, test: impl AsyncFnOnce(Rc<Admission>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let admission = Admission::new(limits, Arc::default());
    tokio::task::LocalSet::new().block_on(&runtime, test(admission));
}

#[test]
fn parts_are_dropped_when_a_lone_reader_has_taken_them() {
    run(Limits::default().shared_bytes(0), async |admission| {
        let mut reader = begin(&admission, 5000);
        while next(&mut reader).await.is_some() {
            assert!(admission.flows().kept.get() <= 1024);
        }
        assert!(reader.is_over() && admission.flows().open.borrow().is_empty());
    });
}

#[test]
fn parts_are_kept_for_the_slowest_and_its_pace_is_its_own() {
    run(Limits::default(), async |admission| {
        let mut fast = begin(&admission, 500);
        let mut slow = admission.flows().join(&key()).expect("it has just begun");
        for _ in 0..500 {
            assert_eq!(next(&mut fast).await, Some(1024));
        }
        assert_eq!(next(&mut fast).await, None);
        assert_eq!((admission.flows().kept.get(), slow.left()), (500 * 1024, Some(500 * 1024)));
        assert!(admission.flows().join(&key()).is_none(), "what is made is not joined any more");
        while next(&mut slow).await.is_some() {}
        assert_eq!(admission.flows().kept.get(), 0);
    });
}

#[test]
fn who_is_too_far_behind_is_cut_and_such_a_body_is_not_shared_again() {
    run(Limits::default().shared_bytes(100 * 1024), async |admission| {
        let mut fast = begin(&admission, 500);
        let mut slow = admission.flows().join(&key()).expect("it has just begun");
        let mut near = admission.flows().join(&key()).expect("it has just begun");
        for _ in 0..500 {
            assert_eq!(next(&mut fast).await, Some(1024));
            assert_eq!(next(&mut near).await, Some(1024));
        }
        let cut = poll_fn(|cx| slow.poll_next(cx)).await.expect("an error");
        assert!(cut.is_err_and(|error| error.is::<LeftBehind>()));
        let _own = begin(&admission, 500);
        assert!(admission.flows().join(&key()).is_none());
    });
}

#[test]
fn a_body_ends_with_its_last_reader_and_gives_back_its_place() {
    run(Limits::default().scrapes(1), async |admission| {
        let (first, mut second) = (begin(&admission, 500), admission.flows().join(&key()).expect("it has just begun"));
        drop(first);
        assert_eq!(next(&mut second).await, Some(1024));
        assert!(admission.begin_scrape().is_none(), "it is still being made");
        drop(second);
        yield_now().await;
        assert!(admission.begin_scrape().is_some());
        assert_eq!(admission.flows().kept.get(), 0);
    });
}

#[test]
fn nobody_joins_what_was_begun_before_another_body_was_completed() {
    run(Limits::default(), async |admission| {
        let old = begin(&admission, 500);
        assert!(admission.flows().join(&key()).is_some());
        let mut new = begin(&admission, 2);
        while next(&mut new).await.is_some() {}
        assert!(admission.flows().join(&key()).is_none(), "who has read the new one would go back");
        drop(old);
    });
}

#[test]
fn the_buffer_of_a_written_part_is_where_a_next_is_made() {
    run(Limits::default().shared_bytes(0), async |admission| {
        let mut reader = begin(&admission, 5);
        let part = poll_fn(|cx| reader.poll_next(cx)).await.expect("a part");
        assert_eq!(reader.flow.spare.take().capacity(), 0, "the part has it");
        drop(part);
        assert!(reader.flow.spare.take().capacity() >= ROOM);
    });
}
