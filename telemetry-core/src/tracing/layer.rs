//! The layer that makes events of spans and events of `tracing`.

use std::sync::Arc;

use tracing_core::field::Visit;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::current::Focus;
use super::field::{FieldValue, Fields};
use super::rule::{Compiled, Rule, RuleError};
use super::watch::{Draft, Watch, Watches};
use super::{next_id, origin};

/// Makes events of spans and events of `tracing`, by [`Rule`]s.
///
/// A span becomes an event when it closes, on the thread that closes it; an event of `tracing` at once. One that matches
/// several rules becomes several events. What nobody listens to costs the comparison with the rules; a span that nobody
/// listened to when it was made is left alone until it closes.
///
/// Add it before a layer of OpenTelemetry: that takes the trace away when a span closes, and layers that were added
/// earlier are told first.
#[derive(Debug)]
pub struct EventLayer {
    id: u64,
    rules: Box<[Arc<Compiled>]>,
}

impl EventLayer {
    /// A layer with these rules.
    ///
    /// # Errors
    ///
    /// [`RuleError`] when a rule names no event, or one that there can't be.
    #[track_caller]
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut compiled = Vec::new();
        for rule in rules {
            let rule = rule.compile()?;
            origin::note_event(rule.event.metadata());
            compiled.push(Arc::new(rule));
        }
        Ok(Self { id: next_id(), rules: compiled.into() })
    }

    fn drafts(&self, metadata: &'static tracing_core::Metadata<'static>) -> Vec<Draft> {
        // Wanted first: one load, where matching compares texts.
        let wanted = self.rules.iter().filter(|rule| rule.event.is_wanted() && rule.matches(metadata));
        wanted.map(|rule| Draft::new(rule, metadata)).collect()
    }
}

/// The fields that any of the rules wants, of those that `record` shows.
fn wanted<'r>(
    rules: impl Iterator<Item = &'r Arc<Compiled>> + Clone,
    record: impl FnOnce(&mut dyn Visit),
) -> Vec<(&'static str, FieldValue)> {
    let mut recorded = Vec::new();
    let wants = |field: &str| rules.clone().any(|rule| rule.wants(field));
    record(&mut Fields { wants, take: |field, value| recorded.push((field, value)) });
    recorded
}

fn take_all(drafts: &mut [Draft], recorded: &[(&'static str, FieldValue)]) {
    for draft in drafts {
        recorded.iter().for_each(|(field, value)| draft.take(field, value));
    }
}

impl<S> Layer<S> for EventLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut drafts = self.drafts(attributes.metadata());
        if drafts.is_empty() {
            return;
        }
        let recorded = wanted(drafts.iter().map(|draft| &draft.rule), |visit| attributes.record(visit));
        take_all(&mut drafts, &recorded);
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let watch = Watch::new(self.id, drafts);
        match extensions.get_mut::<Watches>() {
            Some(watches) => watches.0.push(watch),
            None => extensions.insert(Watches(vec![watch])),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Values are formatted by code of users, which may come back to this span: not while its extensions are locked.
        let rules: Option<Vec<Arc<Compiled>>> = {
            let mut extensions = span.extensions_mut();
            let watch = extensions.get_mut::<Watches>().and_then(|watches| watches.of(self.id));
            watch.map(|watch| watch.drafts.iter().map(|draft| Arc::clone(&draft.rule)).collect())
        };
        let Some(rules) = rules else { return };
        let recorded = wanted(rules.iter(), |visit| values.record(visit));
        self.with_watch(id, &context, |watch| take_all(&mut watch.drafts, &recorded));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.with_watch(id, &context, Watch::enter);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.with_watch(id, &context, Watch::exit);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let watch = span.extensions_mut().get_mut::<Watches>().and_then(|watches| watches.take(self.id));
        let Some(watch) = watch else { return };
        let times = watch.times();
        // The thread has left the span, and yet this is its event: tags and exemplars are those of the span.
        let _focus = Focus::on(&span);
        watch.drafts.into_iter().for_each(|draft| draft.emit(Some(times)));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut drafts = self.drafts(event.metadata());
        if drafts.is_empty() || origin::is_of_log(&event.metadata().callsite()) {
            return;
        }
        let recorded = wanted(drafts.iter().map(|draft| &draft.rule), |visit| event.record(visit));
        take_all(&mut drafts, &recorded);
        drafts.into_iter().for_each(|draft| draft.emit(None));
    }
}

impl EventLayer {
    fn with_watch<S>(&self, id: &Id, context: &Context<'_, S>, change: impl FnOnce(&mut Watch))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(watch) = extensions.get_mut::<Watches>().and_then(|watches| watches.of(self.id)) {
            change(watch);
        }
    }
}
