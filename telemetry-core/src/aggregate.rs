//! The aggregator: the one handler that turns events into series. This file alone sees both halves.
//!
//! At build, metrics are grouped by projection: the event, the tags that they keep, and the rule that they share. At the
//! first event of a callsite everything that a name decides is bound: which position each tag and measurement has, and how
//! its unit converts. From then on an event costs, for each projection, one key, one lookup, and one addition per metric.

mod exemplar;

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::cells::{self, RowCells, Shard};
use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::event::{Event, Metadata};
use crate::handler::{AttachError, Bound, Handler, attachment};
use crate::instrument::{Instrument, Moment, Scale};
use crate::key::{KeyBuffer, Texts, take_value};
use crate::metric::{
    Compiled, ComputeTag, ComputeValue, Metric, MetricError, Plan, ProjectionKey, Rule, TagSource, project,
};
use crate::registry::{Entry, Registry};
use crate::series::Projection;
use crate::value::{Number, TextBuffer, Value};

/// How many tags of one projection are looked up without an allocation.
const TAGS: usize = 32;
/// How many computed values of one projection are kept on the stack.
const COMPUTED: usize = 16;

/// Feeds the metrics of a registry from events.
///
/// Cloning gives another handle to the same aggregator.
#[derive(Clone, Debug)]
pub struct Aggregator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    groups: Vec<Arc<Group>>,
}

/// The metrics of one projection.
pub(crate) struct Group {
    key: ProjectionKey,
    pub(crate) projection: Arc<Projection>,
    pub(crate) metrics: Vec<Member>,
    clock: Clock,
}

pub(crate) struct Member {
    pub(crate) compiled: Arc<Compiled>,
    /// The measurement; `None` for one that is computed, or when all events count.
    pub(crate) measurement: Option<String>,
    compute: Option<ComputeValue>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("event", &self.key.event).field("metrics", &self.metrics.len()).finish()
    }
}

/// Here, and not beside the rest, so that the registry knows no handler.
impl Registry {
    /// Makes metrics over events; they count from when the aggregator is attached.
    ///
    /// # Errors
    ///
    /// [`MetricError`], which names the metric, what is wrong with it and what to do. No metric is made then.
    pub fn aggregator(&self, metrics: impl IntoIterator<Item = Metric>) -> Result<Aggregator, MetricError> {
        Aggregator::build(self, metrics)
    }
}

impl Aggregator {
    /// Builds the metrics and enters them in the registry.
    fn build(registry: &Registry, metrics: impl IntoIterator<Item = Metric>) -> Result<Self, MetricError> {
        let plans = metrics.into_iter().map(Plan::over_events).collect::<Result<Vec<_>, _>>()?;
        let mut keys: Vec<&ProjectionKey> = Vec::new();
        for plan in &plans {
            if !keys.contains(&&plan.key) {
                keys.push(&plan.key);
            }
        }
        let mut groups = Vec::new();
        // In the order of the definitions, which is the order of the families.
        let mut entries: Vec<Option<Entry>> = plans.iter().map(|_| None).collect();
        for key in keys {
            let members: Vec<usize> = (0..plans.len()).filter(|at| plans[*at].key == *key).collect();
            let group_plans: Vec<&Plan> = members.iter().map(|at| &plans[*at]).collect();
            let (projection, compiled) = project(registry.clock(), &group_plans);
            for (at, compiled) in members.iter().zip(&compiled) {
                entries[*at] = Some(Entry::new(Arc::clone(compiled), Arc::clone(&projection)));
            }
            let metrics = group_plans.iter().zip(compiled).map(|(plan, compiled)| Member {
                compiled,
                measurement: plan.measurement.clone(),
                compute: plan.metric.compute.clone(),
            });
            let metrics = metrics.collect();
            groups.push(Arc::new(Group { key: key.clone(), projection, metrics, clock: registry.clock().clone() }));
        }
        registry.enter(entries.into_iter().flatten().collect())?;
        Ok(Self(Arc::new(Inner { registry: registry.clone(), groups })))
    }

    /// The registry that holds the metrics.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Attaches this aggregator, under an id, to every event that its metrics are made of.
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] if the id is attached already.
    pub fn attach(&self, id: &str) -> Result<(), AttachError> {
        self.attach_to(&Dispatch::current(), id)
    }

    /// Attaches this aggregator to a dispatcher: see [`Aggregator::attach`].
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] if the id is attached already.
    pub fn attach_to(&self, dispatch: &Dispatch, id: &str) -> Result<(), AttachError> {
        let mut events: Vec<&str> = self.0.groups.iter().map(|group| group.event()).collect();
        events.sort_unstable();
        events.dedup();
        attachment(id, self.clone()).events(events).attach_to(dispatch)
    }

    /// The events that the metrics are made of.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.0.groups.iter().map(|group| group.event())
    }

    pub(crate) fn groups(&self) -> &[Arc<Group>] {
        &self.0.groups
    }
}

impl Handler for Aggregator {
    fn bind(self: Arc<Self>, metadata: &'static Metadata) -> Option<Arc<dyn Bound>> {
        let groups = self.0.groups.iter().filter(|group| group.event() == metadata.name());
        let bound: Box<[BoundGroup]> = groups.map(|group| group.bind(metadata)).collect();
        if bound.iter().any(|group| !group.exemplars.is_empty()) {
            return Some(Arc::new(BoundAggregator::<true>(bound)));
        }
        (!bound.is_empty()).then(|| Arc::new(BoundAggregator::<false>(bound)) as Arc<dyn Bound>)
    }
}

/// An aggregator's metrics over the event of one callsite, of which any or none has exemplars: two functions, so that the
/// one without does not even ask.
#[derive(Debug)]
struct BoundAggregator<const EXEMPLARS: bool>(Box<[BoundGroup]>);

impl<const EXEMPLARS: bool> Bound for BoundAggregator<EXEMPLARS> {
    #[inline]
    fn handle(&self, event: &Event<'_>) {
        let shard = cells::local();
        for group in &self.0 {
            group.handle::<EXEMPLARS>(shard, event);
        }
    }

    // What users wrote is caught where it is called, so that one bad closure never takes all metrics away.
    fn cannot_panic(&self) -> bool {
        true
    }
}

pub(crate) struct BoundGroup {
    group: Arc<Group>,
    tags: Box<[BoundTag]>,
    /// The same where no tag is computed: positions, those of absent tags beyond the last.
    positions: Box<[usize]>,
    steps: Box<[Step]>,
    /// What is missing from every event of this callsite.
    missing: Box<[Arc<Compiled>]>,
    rule: Option<Rule>,
    computes: bool,
    /// The steps whose metrics have exemplars.
    exemplars: Box<[usize]>,
}

impl std::fmt::Debug for BoundGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundGroup").field("group", &self.group).field("steps", &self.steps.len()).finish()
    }
}

enum BoundTag {
    At(usize),
    Absent,
    Computed(ComputeTag),
}

struct Step {
    metric: Arc<Compiled>,
    value: ValueSource,
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

impl Group {
    /// The event that the metrics are made of.
    pub(crate) fn event(&self) -> &str {
        &self.key.event
    }

    pub(crate) fn bind(self: &Arc<Self>, metadata: &'static Metadata) -> BoundGroup {
        let tags = self.key.tags.iter().map(|tag| match &tag.source {
            TagSource::Named(named) => metadata.tag(named).map_or(BoundTag::Absent, BoundTag::At),
            TagSource::Computed(compute) => BoundTag::Computed(Arc::clone(compute)),
        });
        let (mut steps, mut missing) = (Vec::new(), Vec::new());
        for member in &self.metrics {
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
        let computed_tags = self.key.tags.iter().any(|tag| matches!(tag.source, TagSource::Computed(_)));
        let computes = computed_tags || steps.iter().any(|step| matches!(step.value, ValueSource::Computed(..)));
        let tags: Box<[BoundTag]> = tags.collect();
        let position = |tag: &BoundTag| if let BoundTag::At(position) = tag { *position } else { usize::MAX };
        BoundGroup {
            group: Arc::clone(self),
            positions: tags.iter().map(position).collect(),
            exemplars: (0..steps.len()).filter(|at| steps[*at].metric.exemplars().is_some()).collect(),
            tags,
            steps: steps.into(),
            missing: missing.into(),
            rule: self.key.rule.clone(),
            computes,
        }
    }
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

impl BoundGroup {
    #[inline]
    fn handle<const EXEMPLARS: bool>(&self, shard: &Shard, event: &Event<'_>) {
        if self.rule.is_some() || self.computes {
            self.handle_with_user_code(shard, event);
        } else {
            self.skip_missing(shard);
            if self.steps.is_empty() {
                return;
            }
            let mut room = Room::new();
            match room.texts(&self.positions, event.tag_values()) {
                Some(texts) => self.apply::<EXEMPLARS>(shard, event, texts, &[]),
                None => self.apply_many(shard, event),
            }
        }
    }

    /// For more tags than there is room for.
    #[cold]
    #[inline(never)]
    fn apply_many(&self, shard: &Shard, event: &Event<'_>) {
        let mut key = KeyBuffer::new();
        let _ = self.select(event, &mut key);
        let mut rest = key.bytes();
        let texts: Vec<&str> = std::iter::from_fn(|| take_value(&mut rest)).collect();
        self.apply::<true>(shard, event, Texts(&texts), &[]);
    }

    #[inline]
    fn skip_missing(&self, shard: &Shard) {
        for metric in &self.missing {
            metric.miss(shard);
        }
    }

    /// Runs what users wrote before anything is looked up, so that none of it runs within a section.
    #[cold]
    fn handle_with_user_code(&self, shard: &Shard, event: &Event<'_>) {
        let mut key = KeyBuffer::new();
        let mut on_stack = [None; COMPUTED];
        let mut on_heap = Vec::new();
        let computed = if self.steps.len() <= COMPUTED {
            &mut on_stack[..self.steps.len()]
        } else {
            on_heap.resize(self.steps.len(), None);
            &mut on_heap[..]
        };
        let selected = catch_unwind(AssertUnwindSafe(|| self.select(event, &mut key)));
        for (step, computed) in self.steps.iter().zip(&mut *computed) {
            if let (ValueSource::Computed(compute, _), Ok(true)) = (&step.value, &selected) {
                // A value that could not be computed is as invalid as one that is not a number.
                *computed = catch_unwind(AssertUnwindSafe(|| compute(event))).unwrap_or(Some(Number::F64(f64::NAN)));
            }
        }
        match selected {
            Ok(true) => {
                self.skip_missing(shard);
                if !self.steps.is_empty() {
                    let (mut on_stack, mut on_heap, mut rest) = ([""; TAGS], Vec::new(), key.bytes());
                    let texts = if self.tags.len() <= TAGS {
                        &mut on_stack[..self.tags.len()]
                    } else {
                        on_heap.resize(self.tags.len(), "");
                        &mut on_heap[..]
                    };
                    texts.iter_mut().for_each(|text| *text = take_value(&mut rest).unwrap_or_default());
                    self.apply::<true>(shard, event, Texts(texts), computed);
                }
            }
            Ok(false) => {}
            Err(_) => self.steps.iter().for_each(|step| step.metric.reject(shard)),
        }
    }

    /// Whether the rule lets the event pass; if so, writes the key of its series. Runs what users wrote.
    pub(crate) fn select(&self, event: &Event<'_>, key: &mut KeyBuffer) -> bool {
        if self.rule.as_ref().is_some_and(|rule| !(rule.0)(event)) {
            return false;
        }
        let mut text = TextBuffer::new();
        let mut computed = String::new();
        for tag in &self.tags {
            match tag {
                BoundTag::At(position) => key.push(event.tag_at(*position).text(&mut text)),
                BoundTag::Absent => key.push(""),
                BoundTag::Computed(compute) => {
                    computed.clear();
                    compute(event, &mut computed);
                    key.push(&computed);
                }
            }
        }
        true
    }

    /// Looks the series up once, and gives each metric its value.
    #[inline(always)]
    fn apply<const EXEMPLARS: bool>(
        &self,
        shard: &Shard,
        event: &Event<'_>,
        texts: Texts<'_>,
        computed: &[Option<Number>],
    ) {
        let moment = Moment::new(&self.group.clock);
        let (cells, section) = self.group.projection.cells(shard, texts);
        let mut recorded = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if recorded & step.counted_by != 0 {
                continue;
            }
            if let ValueSource::CountOne(offset) = step.value {
                cells.add(offset, 1);
                continue;
            }
            let computed = || computed.get(at).copied().flatten();
            if step.record(shard, cells, event, computed, &moment) {
                recorded |= step.bit;
            }
        }
        if EXEMPLARS && !self.exemplars.is_empty() {
            self.take_exemplars(shard, event, texts, computed, cells.first, section);
        }
    }
}

/// Room on the stack for the texts of an event's tags, and for the digits of those that are numbers.
struct Room<'v> {
    texts: [MaybeUninit<&'v str>; TAGS],
    numbers: [MaybeUninit<TextBuffer>; TAGS],
}

impl<'v> Room<'v> {
    #[inline(always)]
    fn new() -> Self {
        Self { texts: [const { MaybeUninit::uninit() }; TAGS], numbers: [const { MaybeUninit::uninit() }; TAGS] }
    }

    /// The texts of the values at some positions, absent ones being empty; `None` if they are too many.
    #[inline(always)]
    fn texts(&'v mut self, positions: &[usize], values: &'v [Value<'v>]) -> Option<Texts<'v>> {
        if positions.len() > TAGS {
            return None;
        }
        let (texts, numbers) = (self.texts.as_mut_ptr(), self.numbers.as_mut_ptr());
        for (at, position) in positions.iter().enumerate() {
            // SAFETY: `at` lies below the length of both, and each is borrowed once.
            let (text, buffer) = unsafe { (&mut *texts.add(at), &mut *numbers.add(at)) };
            text.write(match values.get(*position) {
                Some(Value::Str(text)) => text,
                Some(other) => format(other, buffer),
                None => "",
            });
        }
        // SAFETY: there was room for all, so the first `positions.len()` texts were just written.
        Some(Texts(unsafe { std::slice::from_raw_parts(texts.cast::<&str>(), positions.len()) }))
    }
}

#[inline(never)]
fn format<'v>(value: &Value<'v>, buffer: &'v mut MaybeUninit<TextBuffer>) -> &'v str {
    value.text(buffer.write(TextBuffer::new()))
}

impl Step {
    /// Gives the metric its value; false if it has none, or can't take it, which is counted.
    #[inline(always)]
    fn record(
        &self,
        shard: &Shard,
        cells: RowCells<'_>,
        event: &Event<'_>,
        computed: impl FnOnce() -> Option<Number>,
        moment: &Moment<'_>,
    ) -> bool {
        let (number, scale) = match &self.value {
            ValueSource::One | ValueSource::CountOne(_) => (Some(Number::U64(1)), self.metric.own_scale()),
            ValueSource::OneIf(position) => {
                (event.measurement_at(*position).map(|_| Number::U64(1)), self.metric.own_scale())
            }
            ValueSource::At(position, scale) => (event.measurement_at(*position), scale),
            ValueSource::Computed(_, scale) => (computed(), scale),
        };
        let Some(number) = number else {
            self.metric.miss(shard);
            return false;
        };
        let instrument = self.metric.instrument();
        let taken = scale.apply(number).is_some_and(|value| instrument.record(cells, value, moment));
        if !taken {
            self.metric.reject(shard);
        }
        taken
    }
}

/// A step's bit in what was recorded of an event; those beyond 64 have none, and are never relied on.
fn bit(step: usize) -> u64 {
    u32::try_from(step).ok().and_then(|step| 1_u64.checked_shl(step)).unwrap_or(0)
}
