//! A model of both kinds of buckets, side by side.

use crate::cells::space;
use crate::instrument::exponential::table_at;
use crate::sync::thread;

use super::*;

/// Who sees a value in its explicit bucket sees it among the exponential ones, be it zero or not.
#[test]
fn loom_explicit_buckets_are_never_ahead() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let unit = UnitOfMetric::new(None);
        let buckets = Buckets::new([1.0]).unwrap();
        let mut histogram = HistogramCells::new(0, unit, Some(&buckets), Some(Exponential::default()));
        // A small one.
        let table = table_at(5);
        histogram.exponential = Some(ExponentialCells { zero: 4, table, reset_age: Duration::MAX });
        let histogram = std::sync::Arc::new(histogram);
        let first = space().allocate(histogram.cells());
        // The page is there, so that the reader looks for cells and finds them.
        // SAFETY: as many cells were allocated at `first`.
        let cells = unsafe { space().words().row(first, histogram.cells()) };
        let recorder = thread::spawn({
            let histogram = histogram.clone();
            move || {
                histogram.record(cells, Quantity::Float(2.0));
                histogram.record(cells, Quantity::Float(0.0));
            }
        });
        let mut scratch = Scratch::default();
        let read = histogram.read(&mut Reader::new(), first, &mut scratch);
        assert!(read.count() <= read.exponential.unwrap().count());
        recorder.join().unwrap();
        let read = histogram.read(&mut Reader::new(), first, &mut scratch);
        assert_eq!((read.count(), read.exponential.unwrap().count()), (2, 2));
    });
}
