//! Models of the life of a series: it is forgotten while somebody may be updating, holding or reading it.

use loom::model::Builder;

use super::*;
use crate::cells::Reader;
use crate::clock::Hands;
use crate::sync::thread;

/// Explores every execution in which threads lose their core involuntarily at most `preemptions` times.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

const IDLE: Duration = Duration::from_secs(1);
/// Series with one label.
const A: &[&str] = &["a"];
const B: &[&str] = &["b"];

/// Counts in one cell behind the touch cell.
struct Model {
    projection: Arc<Projection>,
    hands: Hands,
}

impl Model {
    /// With the series `a`, that has counted one event and was idle for long, so that the next sweep reclaims it.
    fn with_an_idle_series(limit: u32) -> Self {
        let model = Self::with_a_series(limit);
        model.hands.advance(4 * IDLE);
        model
    }

    /// With the series `a`, that has just counted one event.
    fn with_a_series(limit: u32) -> Self {
        let (clock, hands) = Clock::manual();
        let expiry = Some(Expiry { hide_after: IDLE, reclaim_after: IDLE });
        let layout = Layout {
            labels: Arc::new(["a".into()]),
            cells: 2,
            limit,
            expiry,
            chunk_tables: Vec::new(),
            exemplars: Vec::new(),
        };
        let model = Self { projection: Arc::new(Projection::new(layout, clock)), hands };
        count(&model.projection, A);
        if limit == 1 {
            // From here on emitters need no lock to know that there is no room.
            count(&model.projection, B);
            assert_eq!(model.refused(), 1);
        }
        model.projection.sweep();
        model
    }

    /// Events that went to the overflow series.
    fn refused(&self) -> u64 {
        Reader::new().whole(self.projection.refused)
    }

    /// What the series counts; `None` if it is not there.
    fn total(&self, texts: &[&str]) -> Option<u64> {
        let row = self.projection.find(texts.hash(self.projection.seed), texts)?;
        Some(Reader::new().whole(row.first_cell() + 1))
    }
}

/// What a thread does that lives for one event.
fn count(projection: &Projection, texts: &[&str]) {
    let claimed = cells::space().claim();
    let index = claimed.unwrap_or_else(|| cells::space().shared());
    let shard = cells::space().shards().nth(index).expect("a shard that was claimed is there");
    let (first, section) = projection.series(shard, texts);
    let cells = projection.touched(shard, first);
    cells.add(1, 1);
    drop(section);
    if let Some(index) = claimed {
        cells::space().release(index);
    }
}

/// V8: the event of a series that is being forgotten is counted: by the series, which lives on, or by a new one.
#[test]
fn loom_an_event_in_the_midst_of_reclaiming_is_counted() {
    model(3, || {
        let model = Model::with_an_idle_series(1);
        let emitter = {
            let projection = Arc::clone(&model.projection);
            thread::spawn(move || count(&projection, A))
        };
        model.projection.sweep();
        emitter.join().unwrap();
        let expected = match model.projection.reclaimed() {
            0 => 2,
            _ => 1,
        };
        assert_eq!(model.total(A), Some(expected));
        assert_eq!(model.projection.len(), 1);
        assert_eq!(model.refused(), 1, "at the limit, too");
    });
}

/// V8: a new series that gets the cells of the one that was forgotten counts its own events only.
#[test]
fn loom_a_new_series_in_reclaimed_cells_counts_for_itself() {
    model(3, || {
        let model = Model::with_an_idle_series(4);
        let emitter = {
            let projection = Arc::clone(&model.projection);
            thread::spawn(move || {
                count(&projection, B);
                count(&projection, A);
            })
        };
        model.projection.sweep();
        emitter.join().unwrap();
        assert_eq!(model.total(B), Some(1));
        assert_eq!(model.total(A), Some(2 - model.projection.reclaimed()));
    });
}

/// A walk reads the cells of the rows that it is given, and never those of another's.
#[test]
fn loom_a_walk_reads_no_cells_that_were_given_back() {
    model(2, || {
        let model = Model::with_an_idle_series(4);
        let walker = {
            let projection = Arc::clone(&model.projection);
            thread::spawn(move || {
                let mut walk = projection.walk();
                let mut reader = Reader::new();
                while let Some(row) = walk.next() {
                    // SAFETY: the walk keeps the chunk.
                    let key = unsafe { row.key() };
                    let total = reader.whole(row.first_cell() + 1);
                    let expected: &[u64] = if A.key().bytes() == key { &[1] } else { &[0, 1] };
                    assert!(expected.contains(&total), "{key:?}: {total}");
                }
            })
        };
        model.projection.sweep();
        count(&model.projection, B);
        walker.join().unwrap();
        assert_eq!(model.total(B), Some(1));
    });
}

/// V8: a handle that is made while its series is being forgotten has the series, or a new one, and keeps it.
#[test]
fn loom_a_handle_made_in_the_midst_of_reclaiming_keeps_its_series() {
    model(3, || {
        let model = Model::with_an_idle_series(4);
        let holder = {
            let projection = Arc::clone(&model.projection);
            thread::spawn(move || projection.hold(["a"]))
        };
        model.projection.sweep();
        let held = holder.join().unwrap();
        let reclaimed = model.projection.reclaimed();
        assert_eq!(model.total(A), Some(1 - reclaimed));
        for _ in 0..2 {
            model.hands.advance(4 * IDLE);
            model.projection.sweep();
        }
        assert_eq!((model.projection.reclaimed(), model.total(A)), (reclaimed, Some(1 - reclaimed)));
        drop(held);
        model.projection.sweep();
        assert_eq!((model.projection.reclaimed(), model.total(A)), (reclaimed + 1, None));
    });
}

/// V8: time and an event may pass while a sweep is under way; the next one does not take the series for idle since before.
#[test]
fn loom_a_series_is_not_forgotten_right_after_an_event() {
    model(3, || {
        let model = Model::with_a_series(4);
        let (projection, hands) = (Arc::clone(&model.projection), model.hands.clone());
        let emitter = thread::spawn(move || {
            hands.advance(4 * IDLE);
            count(&projection, A);
        });
        model.projection.sweep();
        emitter.join().unwrap();
        let reclaimed = model.projection.reclaimed();
        model.projection.sweep();
        assert_eq!(model.projection.reclaimed(), reclaimed);
        assert_eq!(model.total(A), Some(2 - reclaimed));
    });
}
