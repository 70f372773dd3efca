//! Exemplars of events: taken after the event was counted, and in two steps, since a sampler is code of users and runs in
//! no section: first it is seen, in the event's own section, which are due, then the series is looked up again.

use crate::cells::Shard;
use crate::event::Event;
use crate::exemplar::{Content, Drawn, Kept, Sampler};
use crate::instrument::Quantity;
use crate::reclaim::Entered;
use crate::value::Number;

use super::bound::BoundGroup;
use super::step::{Step, ValueSource};

/// What an event has for an exemplar of one metric.
struct Offer<'a> {
    kept: &'a Kept,
    slot: u32,
    value: f64,
}

impl Step {
    /// Whether the metric has exemplars.
    pub(super) fn is_sampled(&self) -> bool {
        self.metric.exemplars().is_some()
    }

    /// `None` if the metric has no exemplars, or did not count the event.
    fn offer(&self, event: &Event<'_>, computed: Option<Number>) -> Option<Offer<'_>> {
        let kept = self.metric.exemplars()?;
        let own = self.metric.own_scale();
        let (number, scale) = match &self.value {
            ValueSource::One | ValueSource::CountOne(_) => (Number::U64(1), own),
            ValueSource::OneIf(position) => event.measurement_at(*position).map(|_| (Number::U64(1), own))?,
            ValueSource::At(position, scale) => (event.measurement_at(*position)?, scale),
            ValueSource::Computed(_, scale) => (computed?, scale),
        };
        let value: Quantity = scale.apply(number)?;
        let slot = self.metric.instrument().exemplar_slot(value)?;
        Some(Offer { kept, slot, value: value.to_f64(self.metric.unit()) })
    }
}

impl BoundGroup {
    /// Takes the exemplars that are due of a series that was just counted. `first` is its first cell; without a section
    /// it is that of the overflow series.
    #[inline(never)]
    pub(super) fn take_exemplars(
        &self,
        shard: &Shard,
        event: &Event<'_>,
        texts: &[&str],
        computed: &[Option<Number>],
        first: u32,
        section: Option<Entered<'_>>,
    ) {
        let now = self.group.clock.coarse_nanos();
        let computed = |at: usize| computed.get(at).copied().flatten();
        let offers = || self.sampled.iter().filter_map(|at| self.steps[*at].offer(event, computed(*at)));
        let is_due = |offer: &Offer<'_>| offer.kept.place.is_due(first, offer.slot, now);
        if !offers().any(|offer| is_due(&offer)) {
            return;
        }
        let is_overflow = section.is_none();
        drop(section);
        self.draw_exemplars(shard, event, texts, now, is_overflow.then_some(first), &mut offers());
    }

    #[cold]
    #[inline(never)]
    fn draw_exemplars<'a>(
        &'a self,
        shard: &Shard,
        event: &Event<'_>,
        texts: &[&str],
        now: u64,
        overflow: Option<u32>,
        offers: &mut dyn Iterator<Item = Offer<'a>>,
    ) {
        // Most metrics of an event share their sampler, so it is asked once.
        let mut drawn: Option<(&Sampler, Drawn)> = None;
        for Offer { kept, slot, value } in offers {
            let sampler = &kept.sampler;
            if drawn.as_ref().is_none_or(|(last, _)| !sampler.is(last)) {
                drawn = Some((sampler, sampler.draw(Some(event))));
            }
            let labels = match &drawn {
                Some((_, Drawn::Labels(labels))) => labels.bytes(),
                Some((_, Drawn::Refused)) => {
                    kept.refuse(shard);
                    continue;
                }
                Some((_, Drawn::Nothing)) | None => continue,
            };
            let section = shard.section.enter();
            // Gone since: then its exemplar would be, too.
            if let Some(first) = overflow.or_else(|| self.group.projection.known(texts)) {
                let content = Content { value, millis: self.group.clock.millis_of_day(), text: labels };
                kept.place.write(first, slot, content, now, sampler.interval_nanos());
            }
            drop(section);
        }
    }
}
