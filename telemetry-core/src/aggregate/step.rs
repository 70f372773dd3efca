//! One metric's part of an event: where its value comes from, and how its instrument gets it.

use std::sync::Arc;

use crate::cells::{RowCells, Shard};
use crate::event::{Event, Metadata};
use crate::instrument::{Instrument, Moment, Quick, Scale};
use crate::metric::{Compiled, ComputeValue};
use crate::value::Number;

use super::Member;

pub(super) struct Step {
    pub(super) metric: Arc<Compiled>,
    pub(super) value: ValueSource,
    /// Of a counter whose events a distribution counts in its buckets: that step's bit, else zero.
    counted_by: u64,
    /// This step's own bit.
    bit: u64,
}

pub(crate) enum ValueSource {
    /// Every event is one, in the cell at this offset.
    CountOne(u32),
    /// Every event is one.
    One,
    /// An event that carries the measurement is one.
    OneIf(usize),
    At(usize, Scale),
    Computed(ComputeValue, Scale),
}

/// The steps of the metrics that have a value at a callsite, and the metrics that never have one there.
pub(super) fn bind_all(members: &[Member], metadata: &'static Metadata) -> (Box<[Step]>, Box<[Arc<Compiled>]>) {
    let (mut steps, mut missing) = (Vec::new(), Vec::new());
    for member in members {
        match member.bind(metadata) {
            Some(value) => steps.push(Step { metric: Arc::clone(&member.compiled), value, counted_by: 0, bit: 0 }),
            None => missing.push(Arc::clone(&member.compiled)),
        }
    }
    // A counter comes after the distribution whose buckets it shares.
    steps.sort_by_key(|step| matches!(step.metric.instrument(), Instrument::Counter(_)));
    for at in 0..steps.len() {
        let Instrument::Counter(counter) = steps[at].metric.instrument() else { continue };
        let by = counter.fused.and_then(|fused| {
            steps.iter().position(|step| match step.metric.instrument() {
                Instrument::Distribution(histogram) => histogram.buckets() == fused,
                _ => false,
            })
        });
        steps[at].counted_by = by.map_or(0, bit);
    }
    for (at, step) in steps.iter_mut().enumerate() {
        step.bit = bit(at);
    }
    (steps.into(), missing.into())
}

/// What most projections have, to be recorded without going from step to step.
#[derive(Clone)]
pub(super) enum Short {
    Count(Count),
    Measure(Measure),
}

/// One way of recording an event.
pub(super) trait Recording: Send + Sync + 'static {
    /// Gives each metric its value; false, and nothing was done, if that takes going from step to step.
    fn record(&self, cells: RowCells<'_>, event: &Event<'_>) -> bool;
}

/// One counter, at this offset.
#[derive(Clone, Copy)]
pub(super) struct Count(u32);

impl Recording for Count {
    #[inline(always)]
    fn record(&self, cells: RowCells<'_>, _: &Event<'_>) -> bool {
        cells.add(self.0, 1);
        true
    }
}

/// A histogram of the measurement at a position; if there is a counter, it shares the buckets.
#[derive(Clone)]
pub(super) struct Measure(usize, Quick);

impl Recording for Measure {
    #[inline(always)]
    fn record(&self, cells: RowCells<'_>, event: &Event<'_>) -> bool {
        event.measurement_at(self.0).is_some_and(|number| self.1.record(cells, number))
    }
}

impl Recording for Short {
    #[inline(always)]
    fn record(&self, cells: RowCells<'_>, event: &Event<'_>) -> bool {
        match self {
            Self::Count(count) => count.record(cells, event),
            Self::Measure(measure) => measure.record(cells, event),
        }
    }
}

impl Short {
    pub(super) fn new(steps: &[Step]) -> Option<Self> {
        match steps {
            [Step { value: ValueSource::CountOne(offset), .. }] => Some(Self::Count(Count(*offset))),
            [histogram, rest @ ..] if rest.iter().all(|step| step.counted_by == histogram.bit) => {
                let (Instrument::Distribution(cells), ValueSource::At(position, scale)) =
                    (histogram.metric.instrument(), &histogram.value)
                else {
                    return None;
                };
                Some(Self::Measure(Measure(*position, cells.quick_from(scale))))
            }
            _ => None,
        }
    }
}

/// A step's bit in what was recorded of an event; those beyond 64 have none, and are never relied on.
fn bit(step: usize) -> u64 {
    u32::try_from(step).ok().and_then(|step| 1_u64.checked_shl(step)).unwrap_or(0)
}

impl Member {
    /// Where the value comes from at a callsite; `None` if it never has one.
    pub(crate) fn bind(&self, metadata: &'static Metadata) -> Option<ValueSource> {
        let is_count = matches!(self.compiled.instrument(), Instrument::Counter(_));
        if let Some(compute) = &self.compute {
            return Some(ValueSource::Computed(Arc::clone(compute), *self.compiled.own_scale()));
        }
        let Some(measurement) = &self.measurement else {
            return Some(match self.compiled.instrument() {
                Instrument::Counter(counter) => ValueSource::CountOne(counter.offset),
                _ => ValueSource::One,
            });
        };
        let at = metadata.measurement(measurement)?;
        if is_count {
            return Some(ValueSource::OneIf(at));
        }
        // A unit that does not convert is as good as no measurement.
        Scale::new(metadata.measurements()[at].unit, self.compiled.unit()).map(|scale| ValueSource::At(at, scale))
    }
}

/// Gives each metric its value; `computed` are those of the steps that compute theirs.
pub(super) fn record_all(
    steps: &[Step],
    shard: &Shard,
    cells: RowCells<'_>,
    event: &Event<'_>,
    moment: &Moment<'_>,
    computed: &[Option<Number>],
) {
    let mut recorded = 0;
    for (at, step) in steps.iter().enumerate() {
        if recorded & step.counted_by != 0 {
            continue;
        }
        let taken = match &step.value {
            ValueSource::CountOne(offset) => {
                cells.add(*offset, 1);
                continue;
            }
            ValueSource::At(position, scale) => step.record_measured(shard, cells, event, *position, scale, moment),
            _ => step.record_rarer(shard, cells, event, computed.get(at).copied().flatten(), moment),
        };
        if taken {
            recorded |= step.bit;
        }
    }
}

impl Step {
    /// Gives the metric a measurement of the event; false if there is none, or it can't be taken, which is counted.
    // A function of its own: see `Projection::known`.
    #[inline(never)]
    fn record_measured(
        &self,
        shard: &Shard,
        cells: RowCells<'_>,
        event: &Event<'_>,
        position: usize,
        scale: &Scale,
        moment: &Moment<'_>,
    ) -> bool {
        let Some(number) = event.measurement_at(position) else { return self.miss(shard) };
        let taken = scale.apply(number).is_some_and(|value| self.metric.instrument().record(cells, value, moment));
        taken || self.reject(shard)
    }

    /// Gives the metric its value, where that is none of the event's measurements.
    #[inline(never)]
    fn record_rarer(
        &self,
        shard: &Shard,
        cells: RowCells<'_>,
        event: &Event<'_>,
        computed: Option<Number>,
        moment: &Moment<'_>,
    ) -> bool {
        let (number, scale) = match &self.value {
            ValueSource::One | ValueSource::CountOne(_) => (Some(Number::U64(1)), self.metric.own_scale()),
            ValueSource::OneIf(position) => {
                (event.measurement_at(*position).map(|_| Number::U64(1)), self.metric.own_scale())
            }
            ValueSource::At(position, scale) => (event.measurement_at(*position), scale),
            ValueSource::Computed(_, scale) => (computed, scale),
        };
        let Some(number) = number else { return self.miss(shard) };
        let taken = scale.apply(number).is_some_and(|value| self.metric.instrument().record(cells, value, moment));
        taken || self.reject(shard)
    }

    #[cold]
    fn miss(&self, shard: &Shard) -> bool {
        self.metric.miss(shard);
        false
    }

    #[cold]
    fn reject(&self, shard: &Shard) -> bool {
        self.metric.reject(shard);
        false
    }
}
