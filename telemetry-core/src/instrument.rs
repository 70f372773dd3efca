//! Instruments: how the cells of one series hold a counter, a gauge, a histogram, a summary or a spiral.
//!
//! An instrument is a range of cells, and the rules for adding to it and for reading it. The same instrument serves events,
//! through an aggregator, and the handles of this module, for code that wants to hold one directly.

mod counter;
mod exponential;
mod gauge;
mod handle;
mod histogram;
mod info;
mod quantity;
mod spiral;
mod state_set;
mod sum;
mod summary;
mod window;

pub use exponential::Exponential;
pub use handle::{Counter, Gauge, Histogram, Spiral, Sum, Summary};
pub use histogram::{Buckets, BucketsError};
pub use info::Info;
pub use state_set::{StateSet, UnknownState};
pub use window::{Window, WindowError};

pub(crate) use counter::CounterCells;
pub(crate) use exponential::{ChunkTable, Lists, Unlinked};
pub(crate) use gauge::GaugeCells;
#[cfg(feature = "metrics")]
pub(crate) use handle::Keeps;
pub(crate) use handle::Kept;
pub(crate) use histogram::{HistogramCells, Quick};
pub(crate) use info::InfoCells;
pub(crate) use quantity::{Quantity, Scale, UnitOfMetric};
pub(crate) use spiral::SpiralCells;
pub(crate) use state_set::{MOST_STATES, StateCells};
pub(crate) use sum::SumCells;
pub(crate) use summary::SummaryCells;
pub(crate) use window::Moment;

use std::time::Duration;

use crate::cells::{Baseline, Reader, RowCells};
use crate::scrape::Sample;

/// One instrument, at its place in the cells of a row.
#[derive(Debug)]
pub(crate) enum Instrument {
    Counter(CounterCells),
    Sum(SumCells),
    LastValue(GaugeCells),
    Distribution(HistogramCells),
    Summary(SummaryCells),
    Spiral(SpiralCells),
    Info(InfoCells),
    StateSet(StateCells),
}

/// Room for what is read of one series, kept from series to series.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) counts: Vec<u64>,
    pub(crate) lists: Lists,
    pub(crate) quantiles: Vec<(f64, f64)>,
}

impl Instrument {
    /// Whether [`Self::record`] would add the value.
    pub(crate) fn takes(&self, value: Quantity) -> bool {
        match self {
            Self::Counter(_) | Self::LastValue(_) | Self::Distribution(_) | Self::Summary(_) => true,
            Self::Sum(_) => SumCells::takes(value),
            Self::Spiral(spiral) => spiral.whole(value).is_some(),
            Self::Info(_) | Self::StateSet(_) => false,
        }
    }

    /// Adds a value; false if this instrument can't take it.
    // Inlined with the instrument that most events are recorded in.
    #[inline(always)]
    pub(crate) fn record(&self, cells: RowCells<'_>, value: Quantity, moment: &Moment<'_>) -> bool {
        if let Self::Distribution(histogram) = self {
            return histogram.record(cells, value);
        }
        self.record_rarer(cells, value, moment)
    }

    #[inline(never)]
    fn record_rarer(&self, cells: RowCells<'_>, value: Quantity, moment: &Moment<'_>) -> bool {
        match self {
            Self::Counter(counter) => {
                counter.add(cells, 1);
                true
            }
            Self::Sum(sum) => sum.add(cells, value),
            Self::LastValue(gauge) => gauge.set(cells.first, value),
            Self::Distribution(histogram) => histogram.record(cells, value),
            Self::Summary(summary) => summary.record(cells, value, moment),
            Self::Spiral(spiral) => spiral.mark(cells, value, moment),
            // They are held by code, and never fed by events.
            Self::Info(_) | Self::StateSet(_) => false,
        }
    }

    /// What the series holds; `None` if there is nothing to show yet.
    #[inline]
    pub(crate) fn read<'a>(
        &'a self,
        reader: &mut Reader,
        first: u32,
        moment: &Moment<'_>,
        scratch: &'a mut Scratch,
    ) -> Option<Sample<'a>> {
        Some(match self {
            Self::Counter(counter) => Sample::Total(counter.read(reader, first)),
            Self::Sum(sum) => Sample::Total(sum.read(reader, first)),
            Self::LastValue(gauge) => Sample::Gauge(gauge.read(reader, first)?),
            Self::Distribution(histogram) => Sample::Histogram(histogram.read(reader, first, scratch)),
            Self::Summary(summary) => Sample::Summary(summary.read(reader, first, moment, scratch)),
            Self::Spiral(spiral) => Sample::Spiral(spiral.read(reader, first, moment)),
            Self::Info(info) => info.read(reader, first).then_some(Sample::Info)?,
            Self::StateSet(states) => Sample::States(states.read(reader, first)?),
        })
    }

    /// Takes the state of a series, to be taken off what is read later: that sets it back to zero.
    ///
    /// A gauge is one word, which is set: to nothing if the series is `removed`, else to zero. So are infos and state sets.
    pub(crate) fn set_back(&self, reader: &mut Reader, first: u32, moment: &Moment<'_>, removed: bool) -> Baseline {
        let mut baseline = Baseline::default();
        let mut take = |reader: &mut Reader, (offset, number): (u32, u32)| {
            baseline.take(reader, first + offset..first + offset + number);
        };
        match self {
            Self::Counter(counter) => {
                take(reader, (counter.offset, CounterCells::CELLS));
                counter.fused.into_iter().for_each(|buckets| take(reader, buckets));
            }
            Self::Sum(sum) => take(reader, (sum.offset, SumCells::CELLS)),
            Self::LastValue(gauge) => gauge.set_back(first, removed),
            Self::Distribution(histogram) => {
                // In the order of a value's way, so that what is on its way is not taken off before it was added.
                for bucket in histogram.exponential_buckets(reader, first) {
                    baseline.take(reader, bucket..bucket + 1);
                }
                baseline.take(reader, histogram.totals(first));
            }
            Self::Summary(summary) => {
                take(reader, summary.totals());
                summary.set_back(reader, first, moment, &mut baseline);
            }
            Self::Spiral(spiral) => {
                take(reader, (spiral.offset, 1));
                let (slots, epoch) = (first + spiral.offset + 1, spiral.window.epoch(moment));
                spiral.window.set_back(reader, slots, epoch, &mut baseline);
            }
            Self::Info(info) => info.set_back(first, removed),
            Self::StateSet(states) => states.set_back(first, removed),
        }
        baseline
    }

    /// The table that can begin anew when its buckets got too many, and how old the series has to be for that.
    pub(crate) fn renewable(&self) -> Option<(&ChunkTable, Duration)> {
        match self {
            Self::Distribution(histogram) => histogram.renewable(),
            _ => None,
        }
    }

    /// How many exemplars a series has room for.
    pub(crate) fn exemplar_slots(&self) -> u32 {
        match self {
            Self::Distribution(histogram) => histogram.exemplar_slots(),
            _ => 1,
        }
    }

    /// Which of these a value belongs to, once it was recorded; `None` if it can't be recorded.
    pub(crate) fn exemplar_slot(&self, value: Quantity) -> Option<u32> {
        match self {
            Self::Distribution(histogram) => Some(histogram.exemplar_slot(value)),
            _ => self.takes(value).then_some(0),
        }
    }

    /// The table whose chunks of cells have to be given back with the row.
    pub(crate) fn chunk_table(&self) -> Option<&ChunkTable> {
        match self {
            Self::Distribution(histogram) => histogram.chunk_table(),
            Self::Summary(summary) => Some(summary.chunk_table()),
            _ => None,
        }
    }
}
