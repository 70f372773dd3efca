//! A console: each event with what every metric makes of it, written for people.
//!
//! It is for looking at a program, not for its path of events: writing is slow, so put it on a lane.
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::handler::attachment;
//! use telemetry_core::lane::Lane;
//! use telemetry_core::metric::{counter, sum};
//! use telemetry_core::{Console, Dispatch, Registry, emit};
//!
//! let aggregator = Registry::new().aggregator([
//!     counter("shop.checkout.count").tags(["country"]),
//!     sum("shop.checkout.total"),
//! ])?;
//!
//! let lane = Lane::builder("console").build()?;
//! let dispatch = Dispatch::new();
//! attachment("console", Console::new().explain(&aggregator)).event("*").lane(&lane).attach_to(&dispatch)?;
//!
//! dispatch.run(|| emit!("shop.checkout", { items: 3 }, { country: "de" }));
//! lane.flush(Duration::from_secs(1))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! prints
//!
//! ```text
//! shop.checkout { items: 3 } { country: "de" }
//!   shop.checkout.count  counter  1  {country="de"}
//!   shop.checkout.total  sum      skipped: the event carries no measurement `total`
//! ```
//!
//! A series beyond the limit of its metric shows as `{otel_metric_overflow="true"}`.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::aggregate::Aggregator;
use crate::event::{Event, Metadata};
use crate::explain::Explanation;
use crate::handler::{Bound, Handler};

thread_local! {
    /// Whether this thread is writing to a console.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

/// A handler that writes each event, and what the metrics of aggregators make of it: see the head of this module.
///
/// Each event is written in one piece, and flushed. What the writer itself emits while it writes is not shown.
///
/// When the writer fails, so does the handler, as if it had panicked with the error: its
/// [`FailurePolicy`](crate::failure::FailurePolicy) applies, and unless that says otherwise it is detached.
pub struct Console<W = io::Stdout> {
    aggregators: Vec<Aggregator>,
    writer: Mutex<W>,
}

impl<W> fmt::Debug for Console<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("aggregators", &self.aggregators).finish_non_exhaustive()
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Console {
    /// A console that writes to standard output, events alone.
    #[must_use]
    pub fn new() -> Self {
        Self::with_writer(io::stdout())
    }
}

impl<W: Write + Send + 'static> Console<W> {
    /// A console that writes to `writer`, events alone.
    pub const fn with_writer(writer: W) -> Self {
        Self { aggregators: Vec::new(), writer: Mutex::new(writer) }
    }

    /// Writes below each event what the metrics of `aggregator` make of it.
    #[must_use]
    pub fn explain(mut self, aggregator: &Aggregator) -> Self {
        self.aggregators.push(aggregator.clone());
        self
    }

    fn write(&self, text: &str) -> io::Result<()> {
        // Nothing of ours panics halfway, and a writer that did is asked again.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(text.as_bytes())?;
        writer.flush()
    }
}

impl<W: Write + Send + 'static> Handler for Console<W> {
    fn bind(self: Arc<Self>, _: &'static Metadata) -> Option<Arc<dyn Bound>> {
        Some(self)
    }
}

impl<W: Write + Send + 'static> Bound for Console<W> {
    fn handle(&self, event: &Event<'_>) {
        if WRITING.get() {
            // The writer emitted this. Its lock is held below, by this very thread.
            return;
        }
        let text = block(event, &self.aggregators);
        let _writing = Writing::begin();
        if let Err(error) = self.write(&text) {
            // Not `panic!`, which would tell of it on standard error: the failure policy tells.
            std::panic::resume_unwind(Box::new(format!("the console cannot write: {error}")));
        }
    }
}

/// While it lives, this thread is writing.
struct Writing;

impl Writing {
    fn begin() -> Self {
        WRITING.set(true);
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}

/// The lines of one event.
fn block(event: &Event<'_>, aggregators: &[Aggregator]) -> String {
    let mut text = format!("{event}\n");
    let explanations: Vec<Explanation> = aggregators.iter().flat_map(|aggregator| aggregator.explain(event)).collect();
    if explanations.is_empty() && !aggregators.is_empty() {
        text.push_str("  no metric is made of it\n");
    }
    let lines: Vec<[String; 4]> = explanations.iter().map(columns).collect();
    // Reasons are of any length; only values stand in a column.
    let width = |column: usize| {
        let in_column = lines.iter().zip(&explanations).filter(|(_, of)| column < 2 || of.finding.is_taken());
        in_column.map(|(line, _)| line[column].chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for [metric, kind, finding, labels] in &lines {
        let [metric_width, kind_width, finding_width] = widths;
        let start = text.len();
        // Writing to a `String` can't fail.
        let _ = write!(text, "  {metric:metric_width$}  {kind:kind_width$}  {finding:finding_width$}  {labels}");
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    text
}

fn columns(explanation: &Explanation) -> [String; 4] {
    [
        explanation.metric.clone(),
        explanation.kind.name().to_owned(),
        // A message of a panic may have many lines.
        explanation.finding.to_string().replace('\n', "\\n"),
        // A metric without labels of its own has one series: nothing to tell.
        if explanation.finding.is_taken() { explanation.labels_text() } else { String::new() },
    ]
}
