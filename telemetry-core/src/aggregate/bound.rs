//! An aggregator at one callsite: what runs for each event.
//!
//! An event takes the shortest of three ways to its series:
//!
//! ```text
//! every tag is of a closed set    -> their positions make an index      -> the first cell, if it was seen before
//! every tag is text, up to eight  -> hashed and compared where they are -> the row
//! anything else (numbers, absent) -> written out on the stack           -> the row
//! ```
//!
//! and from there one of two to the cells: see [`Short`]. Where one projection alone takes the first or the second way and
//! the shorter to the cells, that is one function: see [`direct`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::cells::{self, Shard};
use crate::event::{Event, Metadata};
use crate::handler::Bound;
use crate::instrument::Moment;
use crate::key::{KeyBuffer, take_value};
use crate::metric::{Compiled, ComputeTag, ContextTag, Rule, TagSource};
use crate::series::{Known, Projection};
use crate::value::{Number, TextBuffer, Value};

use super::Group;
use super::closed::Closed;
use super::direct;
use super::room::{Room, TAGS};
use super::step::{self, Recording, Short, Step, ValueSource};

/// How many computed values of one projection are kept on the stack.
const COMPUTED: usize = 16;

/// An aggregator's metrics over the event of one callsite.
#[derive(Debug)]
pub(super) struct BoundAggregator(Box<[BoundGroup]>);

impl BoundAggregator {
    /// What takes in the events of one callsite; `None` without a group.
    pub(super) fn bind(mut groups: Vec<BoundGroup>) -> Option<Arc<dyn Bound>> {
        let alone = if groups.len() == 1 { groups.pop() } else { None };
        match alone.map(direct::bind) {
            Some(Ok(bound)) => Some(bound),
            Some(Err(group)) => Some(Arc::new(Self(Box::new([*group])))),
            None if groups.is_empty() => None,
            None => Some(Arc::new(Self(groups.into()))),
        }
    }
}

impl Bound for BoundAggregator {
    fn handle(&self, event: &Event<'_>) {
        let shard = cells::local();
        self.0.iter().for_each(|group| group.handle_apart(shard, event));
    }

    // What users wrote is caught where it is called, so that one bad closure never takes all metrics away.
    fn cannot_panic(&self) -> bool {
        true
    }
}

/// The metrics of one projection over the event of one callsite.
pub(crate) struct BoundGroup {
    pub(super) group: Arc<Group>,
    pub(super) projection: Arc<Projection>,
    pub(super) way: Way,
    tags: Box<[BoundTag]>,
    /// The same where no tag is computed: positions, those of absent tags beyond the last.
    pub(super) positions: Box<[usize]>,
    pub(super) steps: Box<[Step]>,
    pub(super) short: Option<Short>,
    /// The steps whose metrics have exemplars.
    pub(super) sampled: Box<[usize]>,
    /// What is missing from every event of this callsite.
    missing: Box<[Arc<Compiled>]>,
    rule: Option<Rule>,
}

/// How much has to be done for an event.
pub(super) enum Way {
    /// All metrics have their value, and no tag is absent or computed: if all are text, nothing is written out.
    Texts(LookUp),
    /// The same, and each tag is of a closed set.
    Closed(Arc<Closed>),
    /// No code of users runs.
    General,
    /// The same, but that samplers of exemplars do, when the event is counted. How a series is found where all metrics have
    /// their value and all tags are text, as above.
    Sampled(Option<LookUp>),
    UserCode,
}

/// Finds the series of tags that are text, at so many positions.
pub(super) type LookUp = fn(&Projection, &[usize], &[Value<'_>]) -> Known;

fn look_up(tags: usize) -> Option<LookUp> {
    Some(match tags {
        0 => Projection::known_at::<0>,
        1 => Projection::known_at::<1>,
        2 => Projection::known_at::<2>,
        3 => Projection::known_at::<3>,
        4 => Projection::known_at::<4>,
        5 => Projection::known_at::<5>,
        6 => Projection::known_at::<6>,
        7 => Projection::known_at::<7>,
        8 => Projection::known_at::<8>,
        _ => return None,
    })
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
    Context(ContextTag),
}

impl Group {
    pub(crate) fn bind(self: &Arc<Self>, metadata: &'static Metadata) -> BoundGroup {
        let tags = self.key.tags.iter().map(|tag| match &tag.source {
            TagSource::Named(named) => metadata.tag(named).map_or(BoundTag::Absent, BoundTag::At),
            TagSource::Computed(compute) => BoundTag::Computed(Arc::clone(compute)),
            TagSource::Context(context) => BoundTag::Context(Arc::clone(context)),
        });
        let tags: Box<[BoundTag]> = tags.collect();
        let position = |tag: &BoundTag| if let BoundTag::At(position) = tag { *position } else { usize::MAX };
        let positions: Box<[usize]> = tags.iter().map(position).collect();
        let (steps, missing) = step::bind_all(&self.metrics, metadata);

        let computes_tag = tags.iter().any(|tag| matches!(tag, BoundTag::Computed(_) | BoundTag::Context(_)));
        let computes_value = steps.iter().any(|step| matches!(step.value, ValueSource::Computed(..)));
        let is_whole = missing.is_empty() && !steps.is_empty() && tags.iter().all(|tag| matches!(tag, BoundTag::At(_)));
        let sampled: Box<[usize]> = (0..steps.len()).filter(|at| steps[*at].is_sampled()).collect();
        let way = if self.key.rule.is_some() || computes_tag || computes_value {
            Way::UserCode
        } else if !sampled.is_empty() {
            Way::Sampled(look_up(positions.len()).filter(|_| is_whole))
        } else if is_whole {
            match Closed::new(&positions, metadata, &self.projection) {
                Some(closed) => Way::Closed(Arc::new(closed)),
                None => look_up(positions.len()).map_or(Way::General, Way::Texts),
            }
        } else {
            Way::General
        };
        let (short, rule) = (Short::new(&steps), self.key.rule.clone());
        let (group, projection) = (Arc::clone(self), Arc::clone(&self.projection));
        BoundGroup { group, projection, way, tags, positions, steps, short, sampled, missing, rule }
    }
}

impl BoundGroup {
    /// Takes in an event, apart from what takes events in directly, or from other groups.
    // A function of its own, so that there fewer registers are taken.
    #[inline(never)]
    pub(super) fn handle_apart(&self, shard: &Shard, event: &Event<'_>) {
        match &self.way {
            Way::Texts(look_up) => {
                let section = shard.section.enter();
                let known = look_up(&self.projection, &self.positions, event.tag_values());
                if let Known::At(first) = known {
                    return self.record(shard, event, first, &[]);
                }
                drop(section);
                self.handle_unknown(shard, event, known);
            }
            Way::Closed(closed) => match closed.first_cell(event.tag_values()) {
                Some(first) => self.record(shard, event, first, &[]),
                None => self.handle_closed(closed, shard, event),
            },
            Way::General => self.handle_any::<false>(shard, event),
            Way::Sampled(Some(look_up)) => self.handle_sampled(*look_up, shard, event),
            Way::Sampled(None) => self.handle_any::<true>(shard, event),
            Way::UserCode => self.handle_with_user_code(shard, event),
        }
    }

    /// For a series that was not found by tags that are text, or for tags that are not: numbers, which are not rare.
    #[inline(never)]
    pub(super) fn handle_unknown(&self, shard: &Shard, event: &Event<'_>, known: Known) {
        match known {
            Known::Nowhere => self.handle_new(shard, event),
            _ => self.handle_any::<false>(shard, event),
        }
    }

    #[inline(never)]
    fn handle_any<const SAMPLED: bool>(&self, shard: &Shard, event: &Event<'_>) {
        self.skip_missing(shard);
        if self.steps.is_empty() {
            return;
        }
        let mut room = Room::new();
        match room.texts(&self.positions, event.tag_values()) {
            Some(texts) => self.record_texts::<SAMPLED>(shard, event, texts, &[]),
            None => self.handle_many(shard, event),
        }
    }

    /// For tags that are text, and metrics with exemplars.
    #[inline(never)]
    fn handle_sampled(&self, look_up: LookUp, shard: &Shard, event: &Event<'_>) {
        let section = shard.section.enter();
        let Known::At(first) = look_up(&self.projection, &self.positions, event.tag_values()) else {
            drop(section);
            return self.handle_any::<true>(shard, event);
        };
        self.record(shard, event, first, &[]);
        if let Some(now) = self.exemplars_due(event, &[], first) {
            drop(section);
            let mut room = Room::new();
            if let Some(texts) = room.texts(&self.positions, event.tag_values()) {
                self.draw_exemplars(shard, event, texts, &[], now, None);
            }
        }
    }

    fn handle_new(&self, shard: &Shard, event: &Event<'_>) {
        let mut room = Room::new();
        if let Some(texts) = room.texts(&self.positions, event.tag_values()) {
            // The section is left when the cells are written.
            let (first, _section) = self.projection.new_series(shard, texts);
            self.record(shard, event, first, &[]);
        }
    }

    /// For more tags than there is room for.
    #[cold]
    #[inline(never)]
    fn handle_many(&self, shard: &Shard, event: &Event<'_>) {
        let mut key = KeyBuffer::new();
        let _ = self.select(event, &mut key);
        let mut rest = key.bytes();
        let texts: Vec<&str> = std::iter::from_fn(|| take_value(&mut rest)).collect();
        self.record_texts::<true>(shard, event, &texts, &[]);
    }

    /// For a series that was not seen here before, or a tag that is none of its declared values.
    #[cold]
    #[inline(never)]
    fn handle_closed(&self, closed: &Closed, shard: &Shard, event: &Event<'_>) {
        let mut room = Room::new();
        match room.texts(&self.positions, event.tag_values()) {
            Some(texts) => {
                closed.look_up(event.tag_values(), texts, shard, &self.projection);
                self.record_texts::<false>(shard, event, texts, &[]);
            }
            None => self.handle_many(shard, event),
        }
    }

    #[inline]
    fn skip_missing(&self, shard: &Shard) {
        for metric in &self.missing {
            metric.miss(shard);
        }
    }

    /// Runs what users wrote before anything is looked up, so that none of it runs within a section.
    #[cold]
    #[inline(never)]
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
                    self.record_texts::<true>(shard, event, texts, computed);
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
                BoundTag::Context(context) => {
                    // The first text counts; without one there is no label.
                    let mut is_taken = false;
                    context(&mut |text| {
                        if !std::mem::replace(&mut is_taken, true) {
                            key.push(text);
                        }
                    });
                    if !is_taken {
                        key.push("");
                    }
                }
            }
        }
        true
    }

    /// Looks the series up once, and gives each metric its value; and its exemplar, if it is due for one.
    fn record_texts<const SAMPLED: bool>(
        &self,
        shard: &Shard,
        event: &Event<'_>,
        texts: &[&str],
        computed: &[Option<Number>],
    ) {
        // The section is left when the cells are written.
        let (first, section) = self.projection.series(shard, texts);
        self.record(shard, event, first, computed);
        if SAMPLED
            && !self.sampled.is_empty()
            && let Some(now) = self.exemplars_due(event, computed, first)
        {
            // Without a section it is the overflow series.
            let overflow = section.is_none().then_some(first);
            drop(section);
            self.draw_exemplars(shard, event, texts, computed, now, overflow);
        }
    }

    /// Gives each metric its value, in the series whose cells begin at `first`.
    #[inline(always)]
    fn record(&self, shard: &Shard, event: &Event<'_>, first: u32, computed: &[Option<Number>]) {
        let is_done = match &self.short {
            Some(short) => short.record(self.projection.touched(shard, first), event),
            None => {
                self.projection.touched(shard, first);
                false
            }
        };
        if !is_done {
            self.record_all(shard, event, first, computed);
        }
    }

    /// The same from step to step, where the series is noted to be touched.
    #[inline(never)]
    pub(super) fn record_all(&self, shard: &Shard, event: &Event<'_>, first: u32, computed: &[Option<Number>]) {
        let (cells, moment) = (self.projection.cells(shard, first), Moment::new(&self.group.clock));
        step::record_all(&self.steps, shard, cells, event, &moment, computed);
    }
}
