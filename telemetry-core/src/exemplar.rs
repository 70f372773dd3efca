//! Exemplars: beside a total or a bucket, one of the events that made it, by the labels of its trace.
//!
//! A [`Sampler`] is written by the application, and switched on for a metric by [`Metric::exemplars`]. When a series, or one
//! of its buckets, is due for an exemplar, the sampler is asked, on the emitting thread, for the labels of one: those of
//! the trace that the thread is in, if that trace is recorded. Where it says nothing, nothing is kept.
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::exemplar::Sampler;
//! use telemetry_core::metric::{counter, distribution};
//! use telemetry_core::{Registry, emit};
//!
//! # fn current_trace() -> Option<(u128, u64)> { Some((0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7)) }
//! let traces = Sampler::new(|exemplar| {
//!     if let Some((trace, span)) = current_trace() {
//!         exemplar.trace(trace, span);
//!     }
//! })
//! .every(Duration::from_secs(5));
//!
//! let registry = Registry::new();
//! let aggregator = registry.aggregator([
//!     counter("ticket.sold.count").exemplars(&traces),
//!     distribution("ticket.sold.price").exemplars(&traces),
//! ])?;
//! aggregator.attach("tickets")?;
//! emit!("ticket.sold", { price: 0.02 });
//!
//! let snapshot = registry.snapshot();
//! let exemplar = &snapshot.family("ticket.sold.price").unwrap().series[0].exemplars[0];
//! assert_eq!(exemplar.value, 0.02);
//! assert_eq!(exemplar.labels["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
//! assert_eq!(exemplar.labels["span_id"], "00f067aa0ba902b7");
//! # telemetry_core::detach("tickets")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it costs
//!
//! A metric without exemplars pays nothing. One with exemplars looks at a coarse clock and at one word, for each event; only
//! when that word says that an exemplar is due the sampler runs. The first exemplar of a series or a bucket takes memory,
//! 250 bytes, which the next ones are written into.
//!
//! # What the labels may be
//!
//! At most eight, and at most 128 characters of names and values together, as OpenMetrics has it. An exemplar whose labels
//! are more, or that has a bad name or one twice, is left out whole, and counted: `telemetry.metric.skipped` with the
//! reason `exemplar`. So is one whose sampler panics.

mod slot;
mod store;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::event::Event;
use crate::key::{KeyBuffer, take_value};
use crate::value::{TagValue, TextBuffer};

pub(crate) use slot::Content;
pub(crate) use store::{Kept, Place, Scratch};

#[cfg(doc)]
use crate::metric::Metric;

/// The most characters that the names and values of an exemplar's labels have together.
pub const MOST_CHARACTERS: usize = 128;
/// The most labels of an exemplar.
pub const MOST_LABELS: usize = 8;
/// How long a series, or a bucket, keeps an exemplar before it takes another, unless its sampler says otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Says which events become exemplars, and under which labels. Cloning gives the same sampler.
#[derive(Clone)]
pub struct Sampler {
    draw: Arc<dyn Fn(&mut Draft<'_>) + Send + Sync>,
    interval: Duration,
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Asks `draw` for the labels of each exemplar; what it leaves without labels is none.
    ///
    /// It runs on the thread that emits, and no lock is held. Leave traces out that are not recorded: an exemplar is of
    /// use only if what it names can be looked up.
    pub fn new(draw: impl Fn(&mut Draft<'_>) + Send + Sync + 'static) -> Self {
        Self { draw: Arc::new(draw), interval: DEFAULT_INTERVAL }
    }

    /// Takes at most one exemplar in this time for each series, and of a distribution for each bucket;
    /// [`DEFAULT_INTERVAL`] without it. It is measured in steps of some milliseconds.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    pub(crate) fn interval_nanos(&self) -> u64 {
        clock::nanos(self.interval)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.draw, &other.draw)
    }

    /// Asks for labels.
    pub(crate) fn draw<'e>(&self, event: Option<&'e Event<'e>>) -> Drawn {
        let mut draft = Draft { event, key: KeyBuffer::new(), characters: 0, labels: 0, is_refused: false };
        let drawn = catch_unwind(AssertUnwindSafe(|| (self.draw)(&mut draft)));
        match drawn {
            Ok(()) if !draft.is_refused && draft.labels == 0 => Drawn::Nothing,
            Ok(()) if !draft.is_refused => Drawn::Labels(draft.key),
            Ok(()) => Drawn::Refused,
            Err(payload) => {
                // What is thrown may throw when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
                Drawn::Refused
            }
        }
    }
}

/// What a sampler has said.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // It stays on the stack: an exemplar allocates nothing.
pub(crate) enum Drawn {
    /// There is no exemplar to be had now.
    Nothing,
    /// Names and values in turn, as in a key.
    Labels(KeyBuffer),
    /// It said what can't be exposed, or panicked.
    Refused,
}

/// An exemplar that a [`Sampler`] fills in.
#[derive(Debug)]
pub struct Draft<'e> {
    event: Option<&'e Event<'e>>,
    key: KeyBuffer,
    characters: usize,
    labels: usize,
    is_refused: bool,
}

impl<'e> Draft<'e> {
    /// The event that is counted or measured; `None` when code records with a handle.
    ///
    /// ```
    /// use telemetry_core::exemplar::Sampler;
    ///
    /// // Tags that would be too many series are fine for exemplars.
    /// let orders = Sampler::new(|exemplar| {
    ///     if let Some(order) = exemplar.event().and_then(|event| event.tag("order")) {
    ///         exemplar.label("order", order);
    ///     }
    /// });
    /// # let _ = orders;
    /// ```
    #[must_use]
    pub const fn event(&self) -> Option<&'e Event<'e>> {
        self.event
    }

    /// Adds a label; an empty value is no label.
    ///
    /// The name is made of letters, digits and underscores, and begins with no digit.
    pub fn label(&mut self, name: &str, value: impl TagValue) {
        let mut buffer = TextBuffer::new();
        let value = value.value();
        let value = value.text(&mut buffer);
        if value.is_empty() {
            return;
        }
        self.characters += name.len() + value.chars().count();
        self.labels += 1;
        if !is_label_name(name) || self.has(name) || self.characters > MOST_CHARACTERS || self.labels > MOST_LABELS {
            self.is_refused = true;
        } else {
            self.key.push(name);
            self.key.push(value);
        }
    }

    /// Adds the labels `trace_id` and `span_id`, in hex, as the W3C's trace context writes them. An id that is zero is
    /// none, and adds nothing.
    pub fn trace(&mut self, trace_id: u128, span_id: u64) {
        if trace_id != 0 {
            self.label("trace_id", hex::<32>(trace_id).as_str());
        }
        if span_id != 0 {
            self.label("span_id", hex::<16>(u128::from(span_id)).as_str());
        }
    }

    fn has(&self, name: &str) -> bool {
        pairs(self.key.bytes()).any(|(other, _)| other == name)
    }
}

/// Names and values of labels that were written in turn.
fn pairs(mut key: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || Some((take_value(&mut key)?, take_value(&mut key)?)))
}

/// Whether a text can be the name of a label in every format.
#[must_use]
pub fn is_label_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// The last digits of a number.
struct Hex<const DIGITS: usize>([u8; DIGITS]);

impl<const DIGITS: usize> Hex<DIGITS> {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn hex<const DIGITS: usize>(number: u128) -> Hex<DIGITS> {
    let digit = |at: usize| b"0123456789abcdef"[(number >> (4 * (DIGITS - 1 - at)) & 15) as usize];
    Hex(std::array::from_fn(digit))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn drawn(draw: impl Fn(&mut Draft<'_>) + Send + Sync + 'static) -> Option<Vec<(String, String)>> {
        match Sampler::new(draw).draw(None) {
            Drawn::Nothing => Some(Vec::new()),
            Drawn::Labels(key) => {
                Some(pairs(key.bytes()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
            }
            Drawn::Refused => None,
        }
    }

    #[test]
    fn a_trace_is_written_in_hex_with_all_its_digits() {
        let labels = drawn(|exemplar| exemplar.trace(0xab, u64::MAX)).unwrap();
        assert_eq!(labels[0], ("trace_id".to_owned(), "000000000000000000000000000000ab".to_owned()));
        assert_eq!(labels[1], ("span_id".to_owned(), "ffffffffffffffff".to_owned()));
        assert_eq!(drawn(|exemplar| exemplar.trace(0, 0)), Some(Vec::new()));
    }

    #[test]
    fn labels_have_128_characters_and_not_one_more() {
        let of = |characters: usize| drawn(move |exemplar| exemplar.label("a", "é".repeat(characters - 1)));
        assert_eq!(of(128).unwrap()[0].1.len(), 254);
        assert_eq!(of(129), None);
    }

    #[test]
    fn what_no_format_can_write_is_refused_whole() {
        for name in ["", "1a", "a-b", "a.b", "é"] {
            assert_eq!(drawn(move |exemplar| exemplar.label(name, "x")), None, "{name}");
        }
        assert_eq!(drawn(|exemplar| [1, 2].into_iter().for_each(|value| exemplar.label("twice", value))), None);
        assert_eq!(drawn(|exemplar| (0..9).for_each(|at| exemplar.label(&format!("l{at}"), at))), None);
        assert_eq!(drawn(|_| panic!("a sampler that fails")), None);
        assert_eq!(drawn(|exemplar| exemplar.label("empty", "")), Some(Vec::new()));
    }
}
