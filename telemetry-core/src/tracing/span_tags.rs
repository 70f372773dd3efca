//! Labels of metrics from the fields of the spans around an event.

use std::fmt;
use std::sync::Arc;

use tracing_core::Subscriber;
use tracing_core::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::current::{self, Node, Nodes};
use super::field::{FieldValue, Fields};
use super::next_id;
use crate::metric::{ContextTag, Metric, TagChoice, TagSource};

/// Fields of spans of `tracing` that metrics may have as labels: an allow-list, so that a request's id never becomes one.
///
/// The value is that of the innermost span that has the field, from the one that the thread is in outwards; none if there
/// is no such span. A field that is recorded later counts from then on, for spans within the span too.
///
/// An event takes the text where it is: there is no allocation, whether the span has changed or not. Making and entering
/// a span is what pays.
///
/// ```
/// use telemetry_core::metric::counter;
/// use telemetry_core::tracing::SpanTags;
///
/// let spans = SpanTags::new(["tenant"]).field_as("http.route", "route");
/// let by_tenant = counter("shop.checkout.count").tags(["country"]).span_tags(&spans);
/// # let _ = by_tenant;
/// // tracing_subscriber::registry().with(spans.layer()).init();
/// ```
#[derive(Clone)]
pub struct SpanTags(Arc<Inner>);

struct Inner {
    id: u64,
    fields: Vec<Allowed>,
}

struct Allowed {
    field: String,
    label: String,
    // One for all metrics, so that they share their series.
    context: ContextTag,
}

impl fmt::Debug for SpanTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.fields.iter().map(|allowed| (&allowed.field, &allowed.label));
        f.debug_map().entries(fields).finish()
    }
}

impl SpanTags {
    /// Allows these fields, under their own names.
    pub fn new<F: Into<String>>(fields: impl IntoIterator<Item = F>) -> Self {
        let fields = fields.into_iter().map(Into::into);
        Self::of(fields.map(|field| (field.clone(), field)).collect())
    }

    /// Allows a field, as a label of another name: such as one with dots, which no label has.
    ///
    /// What this gives has a layer of its own, and spans that were kept by another are not known to it.
    #[must_use]
    pub fn field_as(self, field: impl Into<String>, label: impl Into<String>) -> Self {
        let before = self.0.fields.iter().map(|allowed| (allowed.field.clone(), allowed.label.clone()));
        Self::of(before.chain([(field.into(), label.into())]).collect())
    }

    fn of(fields: Vec<(String, String)>) -> Self {
        let id = next_id();
        let allow = |(at, (field, label))| {
            let context: ContextTag = Arc::new(move |take| current::with(id, at, take));
            Allowed { field, label, context }
        };
        Self(Arc::new(Inner { id, fields: fields.into_iter().enumerate().map(allow).collect() }))
    }

    /// The layer that keeps the fields. Without it in the subscriber, no span has any.
    #[must_use]
    pub fn layer(&self) -> SpanTagsLayer {
        SpanTagsLayer(self.clone())
    }

    fn position(&self, field: &str) -> Option<usize> {
        self.0.fields.iter().position(|allowed| allowed.field == field)
    }
}

impl Metric {
    /// Adds a label for each of the fields: see [`SpanTags`].
    pub fn span_tags(mut self, tags: &SpanTags) -> Self {
        self.tags.extend(tags.0.fields.iter().map(|allowed| TagChoice {
            label: allowed.label.clone(),
            source: TagSource::Context(Arc::clone(&allowed.context)),
        }));
        self
    }
}

/// Keeps the fields that [`SpanTags`] allow.
#[derive(Clone, Debug)]
pub struct SpanTagsLayer(SpanTags);

impl SpanTagsLayer {
    /// Hands each allowed field to `take`.
    fn visit(&self, mut take: impl FnMut(usize, FieldValue), record: impl FnOnce(&mut dyn tracing_core::field::Visit)) {
        record(&mut Fields {
            wants: |field: &str| self.0.position(field).is_some(),
            take: |field, value| {
                if let Some(at) = self.0.position(field) {
                    take(at, value);
                }
            },
        });
    }
}

impl<S> Layer<S> for SpanTagsLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let (tags, fields) = (self.0.0.id, &self.0.0.fields);
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| Nodes::with(&parent, tags));
        let declared = attributes.metadata().fields();
        let node = if fields.iter().any(|allowed| declared.field(allowed.field.as_str()).is_some()) {
            let node = Node::new(parent, fields.len());
            self.visit(|at, value| node.set(at, value.into_text()), |visit| attributes.record(visit));
            Some(Arc::new(node))
        } else {
            parent
        };
        let Some(node) = node else { return };
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<Nodes>() {
            Some(nodes) => nodes.0.push((tags, node)),
            None => extensions.insert(Nodes(vec![(tags, node)])),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // What a span does not declare can't be recorded, so a node that is shared with the span around is not written to.
        if let Some(node) = Nodes::with(&span, self.0.0.id) {
            self.visit(|at, value| node.set(at, value.into_text()), |visit| values.record(visit));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        current::enter(self.0.0.id, id.into_u64(), Nodes::with(&span, self.0.0.id));
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        current::exit(self.0.0.id, id.into_u64());
    }
}
