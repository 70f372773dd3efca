//! An event as it waits in a queue: owned, and in memory that is used again.

use std::fmt;
use std::mem;
use std::str;
use std::sync::Arc;

use crate::event::{Event, Metadata, SpanContext};
use crate::lane::Deliver;
use crate::value::{Number, Value, Variant};

/// How many measurements, and how many tags, a record holds in place.
pub(crate) const INLINE_FIELDS: usize = 8;
/// How many bytes of text, over all tags of an event, a record holds in place.
pub(crate) const INLINE_TEXT: usize = 256;
/// How many bytes of heap each of a record's three runs keeps for later events.
const KEPT_BYTES: usize = 16 * 1024;

/// One event, and what it is to be delivered to.
pub(crate) struct Record {
    // Invariant: where there is one, `measurements` and `tags` hold a value for each of its fields.
    metadata: Option<&'static Metadata>,
    span: Option<SpanContext>,
    measurements: Run<Option<Number>, INLINE_FIELDS>,
    tags: Run<Tag, INLINE_FIELDS>,
    // Invariant: UTF-8, also within each range that `tags` names: texts are copied whole.
    text: Run<u8, INLINE_TEXT>,
    deliver: Option<Arc<dyn Deliver>>,
}

/// The value of a tag; a text is told by where it stands in the record.
#[derive(Clone, Copy)]
enum Tag {
    Absent,
    Text { start: usize, end: usize },
    U64(u64),
    I64(i64),
    Bool(bool),
    Variant(Variant),
}

impl Record {
    /// A record without an event.
    pub(crate) const fn new() -> Self {
        Self {
            metadata: None,
            span: None,
            measurements: Run::new(None),
            tags: Run::new(Tag::Absent),
            text: Run::new(0),
            deliver: None,
        }
    }

    /// Copies `event`. Allocates only for what does not fit in place, and then only if no earlier event was as large.
    pub(crate) fn fill(&mut self, event: &Event<'_>, deliver: &Arc<dyn Deliver>) {
        let metadata = event.metadata();
        self.metadata = Some(metadata);
        self.span = event.span();
        for (at, measurement) in self.measurements.start(metadata.measurements().len()).iter_mut().enumerate() {
            *measurement = event.measurement_at(at);
        }
        let tags = self.tags.start(metadata.tags().len());
        let mut text_len = 0;
        for (at, tag) in tags.iter_mut().enumerate() {
            *tag = match event.tag_at(at) {
                Value::Absent => Tag::Absent,
                Value::Str(text) => {
                    let start = text_len;
                    text_len += text.len();
                    Tag::Text { start, end: text_len }
                }
                Value::U64(n) => Tag::U64(n),
                Value::I64(n) => Tag::I64(n),
                Value::Bool(b) => Tag::Bool(b),
                Value::Variant(variant) => Tag::Variant(variant),
            };
        }
        // In a second pass, because only now it is known whether the text fits in place.
        let bytes = self.text.start(text_len);
        for (at, tag) in tags.iter().enumerate() {
            if let (&Tag::Text { start, end }, Value::Str(text)) = (tag, event.tag_at(at)) {
                bytes[start..end].copy_from_slice(text.as_bytes());
            }
        }
        self.deliver = Some(Arc::clone(deliver));
    }

    /// Moves the event into `target`, and the heap memory of `target` into this record.
    pub(crate) fn move_into(&mut self, target: &mut Self) {
        target.metadata = self.metadata.take();
        target.span = self.span.take();
        self.measurements.move_into(&mut target.measurements);
        self.tags.move_into(&mut target.tags);
        self.text.move_into(&mut target.text);
        target.deliver = self.deliver.take();
    }

    /// Hands the event to what it is for; does nothing when there is no event.
    pub(crate) fn deliver(&self) {
        let (Some(metadata), Some(deliver)) = (self.metadata, &self.deliver) else { return };
        let text = self.text.as_slice();
        let stored = self.tags.as_slice();
        let mut tags = Run::<Value<'_>, INLINE_FIELDS>::new(Value::Absent);
        for (value, tag) in tags.start(stored.len()).iter_mut().zip(stored) {
            *value = match *tag {
                Tag::Absent => Value::Absent,
                Tag::Text { start, end } => {
                    Value::Str(str::from_utf8(&text[start..end]).expect("the text of a tag is copied whole"))
                }
                Tag::U64(n) => Value::U64(n),
                Tag::I64(n) => Value::I64(n),
                Tag::Bool(b) => Value::Bool(b),
                Tag::Variant(variant) => Value::Variant(variant),
            };
        }
        deliver.deliver(&Event::new(metadata, self.measurements.as_slice(), tags.as_slice(), self.span));
    }

    /// Forgets the event and gives back what heap memory is beyond the limit. Returns what the event was for: the last
    /// reference to a handler runs its destructor, so the caller chooses when to drop it.
    #[must_use = "dropping it may run code of users"]
    pub(crate) fn clear(&mut self) -> Option<Arc<dyn Deliver>> {
        self.metadata = None;
        self.measurements.trim();
        self.tags.trim();
        self.text.trim();
        self.deliver.take()
    }

    /// How many bytes of heap the record holds on to.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.measurements.heap_bytes() + self.tags.heap_bytes() + self.text.heap_bytes()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("event", &self.metadata.map(Metadata::name)).finish_non_exhaustive()
    }
}

/// A run of values: in place up to `N`, else all of them on the heap.
struct Run<T, const N: usize> {
    // Invariant: where it is above `N`, it is the length of `heap`.
    len: usize,
    inline: [T; N],
    heap: Vec<T>,
    // What fills a place before it is written.
    blank: T,
}

impl<T: Copy, const N: usize> Run<T, N> {
    const fn new(blank: T) -> Self {
        Self { len: 0, inline: [blank; N], heap: Vec::new(), blank }
    }

    /// Makes it `len` values long and returns them to be written; before that they are anything.
    fn start(&mut self, len: usize) -> &mut [T] {
        self.len = len;
        if len <= N {
            return &mut self.inline[..len];
        }
        self.heap.resize(len, self.blank);
        &mut self.heap
    }

    fn as_slice(&self) -> &[T] {
        if self.len <= N { &self.inline[..self.len] } else { &self.heap }
    }

    fn move_into(&mut self, target: &mut Self) {
        target.len = mem::take(&mut self.len);
        if target.len <= N {
            target.inline[..target.len].copy_from_slice(&self.inline[..target.len]);
        } else {
            mem::swap(&mut self.heap, &mut target.heap);
        }
    }

    fn trim(&mut self) {
        self.len = 0;
        if self.heap_bytes() > KEPT_BYTES {
            self.heap = Vec::new();
        }
    }

    const fn heap_bytes(&self) -> usize {
        self.heap.capacity() * size_of::<T>()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
