//! Exemplars of events: taken after the event was counted, and in two steps, since a sampler is code of users and runs in
//! no section: first it is seen, in the event's own section, which are due, then the series is looked up again.

use crate::cells::Shard;
use crate::event::Event;
use crate::exemplar::{Content, Drawn, Kept, Sampler};
use crate::instrument::Quantity;
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
    fn offers<'a>(
        &'a self,
        event: &'a Event<'_>,
        computed: &'a [Option<Number>],
    ) -> impl Iterator<Item = Offer<'a>> + 'a {
        let computed = |at: usize| computed.get(at).copied().flatten();
        self.sampled.iter().filter_map(move |at| self.steps[*at].offer(event, computed(*at)))
    }

    /// The time, if any exemplar is due of a series that was just counted and whose cells begin at `first`.
    #[inline(never)]
    pub(super) fn exemplars_due(&self, event: &Event<'_>, computed: &[Option<Number>], first: u32) -> Option<u64> {
        let now = self.group.clock.coarse_nanos();
        let is_due = |offer: Offer<'_>| offer.kept.place.is_due(first, offer.slot, now);
        self.offers(event, computed).any(is_due).then_some(now)
    }

    /// Takes the exemplars that are due. The caller is in no section; `overflow` is the first cell of the overflow series,
    /// if that was counted.
    #[cold]
    #[inline(never)]
    pub(super) fn draw_exemplars(
        &self,
        shard: &Shard,
        event: &Event<'_>,
        texts: &[&str],
        computed: &[Option<Number>],
        now: u64,
        overflow: Option<u32>,
    ) {
        // Most metrics of an event share their sampler, so it is asked once.
        let mut drawn: Option<(&Sampler, Drawn)> = None;
        for Offer { kept, slot, value } in self.offers(event, computed) {
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
