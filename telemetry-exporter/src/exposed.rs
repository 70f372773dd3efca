//! A registry as what an endpoint serves.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use telemetry_core::catalogue::Catalogue;
use telemetry_core::registry;
use telemetry_core::scrape::Source;
use telemetry_core::{Dispatch, Registry};
use tokio::time::{Sleep, sleep};

use crate::catalogue::to_json;
#[cfg(feature = "openmetrics2")]
use crate::encode::OpenMetrics2;
use crate::encode::{CHUNK, Encoder, Json, OpenMetrics, Options, Prometheus, Protobuf, Text};
use crate::filter::{Filter, Filtered};
use crate::negotiate::{Format, Negotiated, negotiate};
use crate::recording::Recording;
use crate::serve::{BadRequest, Chunks, Exposition, Scrape, ScrapeError, Step, Target};
use crate::sources::{Sources, Turn};

/// What a source is given unless the exporter says otherwise.
pub(crate) const SOURCE_TIME: Duration = Duration::from_secs(2);

/// A registry, and what is said with it.
pub(crate) struct Exposed {
    pub(crate) registry: Registry,
    pub(crate) dispatch: Dispatch,
    pub(crate) options: Options,
    pub(crate) sources: Arc<Sources>,
}

impl Exposition for Exposed {
    fn open(&self, scrape: &Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> {
        if scrape.target == Target::Events {
            let catalogue = Catalogue::with_dynamic().registry(&self.registry).dispatch(&self.dispatch);
            return Ok(Box::new(Page(to_json(&catalogue).into_bytes())));
        }
        let filter = Filter::parse(scrape.query).map_err(|error| BadRequest::new(error.to_string()))?;
        let answer = match scrape.target {
            Target::Json | Target::Events => Negotiated::new(Format::Json),
            Target::Metrics => negotiate(scrape.accept),
        };
        let options = self.options.escaping(answer.escaping());
        let filter = filter.map(|filter| filter.naming(options.naming()));
        Ok(match answer.format() {
            Format::Text | Format::Text1 => self.body(scrape, filter, answer, Text::<Prometheus>::with(options)),
            Format::OpenMetrics | Format::OpenMetricsDraft => {
                self.body(scrape, filter, answer, Text::<OpenMetrics>::with(options))
            }
            #[cfg(feature = "openmetrics2")]
            Format::OpenMetrics2 => self.body(scrape, filter, answer, Text::<OpenMetrics2>::with(options)),
            Format::Protobuf => self.body(scrape, filter, answer, Protobuf::with(options)),
            Format::Json => self.body(scrape, filter, answer, Json::new()),
        })
    }
}

impl Exposed {
    fn body<E: Encoder + 'static>(
        &self,
        scrape: &Scrape<'_>,
        filter: Option<Filter>,
        answer: Negotiated,
        encoder: E,
    ) -> Box<dyn Chunks> {
        let mut walk = self.registry.scrape();
        let sources = walk.take_sources();
        if let Some(filter) = filter.clone() {
            walk = walk.only(move |family| filter.takes(family));
        }
        Box::new(Body {
            place: Place::Registry { walk: Box::new(walk), unread: sources, timer: None },
            sources: Arc::clone(&self.sources),
            until: Instant::now() + scrape.time,
            filter,
            takes: true,
            answer,
            encoder,
        })
    }
}

/// JSON that is made at once: a program has far fewer events than series.
struct Page(Vec<u8>);

impl Chunks for Page {
    fn content_type(&self) -> &'static str {
        Format::Json.content_type()
    }

    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
        let rest = self.0.split_off(self.0.len().min(CHUNK));
        buffer.append(&mut self.0);
        self.0 = rest;
        Ok(if self.0.is_empty() { Step::Last } else { Step::More })
    }
}

/// One scrape on its way: the walk goes on when the socket has taken what was written.
struct Body<E> {
    place: Place,
    sources: Arc<Sources>,
    until: Instant,
    filter: Option<Filter>,
    takes: bool,
    answer: Negotiated,
    encoder: E,
}

/// Where a scrape is.
enum Place {
    // The timer is there once the walk has waited for a metric that is read.
    Registry { walk: Box<registry::Scrape>, unread: Arc<Vec<Arc<dyn Source>>>, timer: Option<Pin<Box<Sleep>>> },
    // The figures of the first, from a part on, when they are there.
    Sources { turns: VecDeque<Turn>, figures: Option<(Arc<Recording>, usize)> },
    End,
}

impl<E: Encoder> Body<E> {
    /// Shows some more series; false when there are no more.
    fn step(&mut self) -> bool {
        let Self { place, sources, filter, takes, encoder, .. } = self;
        let visitor = &mut Filtered { filter: filter.as_ref(), takes, visitor: encoder };
        match place {
            Place::Registry { walk, unread, .. } => {
                if !walk.step(visitor) {
                    // Only now, so that a slow client gets figures of when it reads them.
                    let left = self.until.saturating_duration_since(Instant::now());
                    *place = Place::Sources { turns: sources.read(unread, left).into(), figures: None };
                }
                true
            }
            Place::Sources { turns, figures } => {
                if let Some((recording, part)) = figures {
                    match recording.show(*part, visitor) {
                        Some(next) => *part = next,
                        None => *figures = None,
                    }
                } else if let Some(Turn::Own(source)) = turns.front() {
                    source.collect(visitor);
                    turns.pop_front();
                } else {
                    sources.show_failures(visitor);
                    *place = Place::End;
                }
                true
            }
            Place::End => false,
        }
    }

    /// Whether the next step would have to wait for a source.
    fn is_waiting(&self) -> bool {
        match &self.place {
            Place::Registry { walk, .. } => walk.waits(None).is_some(),
            Place::Sources { turns, figures } => figures.is_none() && matches!(turns.front(), Some(Turn::Read(_))),
            Place::End => false,
        }
    }
}

impl<E: Encoder> Chunks for Body<E> {
    fn content_type(&self) -> &'static str {
        self.answer.content_type()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.is_waiting() {
            match &mut self.place {
                Place::Registry { walk, timer, .. } => {
                    if timer.is_none() {
                        // Half of it is for the rest of the scrape.
                        let now = Instant::now();
                        walk.wait_until(now + self.until.saturating_duration_since(now) / 2);
                    }
                    let Some(rest) = walk.waits(Some(cx.waker())) else { continue };
                    if timer.insert(Box::pin(sleep(rest))).as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Place::Sources { turns, figures } => {
                    let Some(Turn::Read(read)) = turns.front_mut() else { break };
                    let Poll::Ready(recording) = read.as_mut().poll(cx) else { return Poll::Pending };
                    turns.pop_front();
                    *figures = recording.map(|recording| (recording, 0));
                }
                Place::End => break,
            }
        }
        Poll::Ready(())
    }

    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Step, ScrapeError> {
        // The encoder writes into the caller's buffer.
        std::mem::swap(self.encoder.buffer_mut(), buffer);
        let mut goes_on = true;
        while goes_on && !self.is_waiting() && self.encoder.buffer_mut().len() < CHUNK {
            goes_on = self.step();
        }
        if !goes_on {
            self.encoder.finish();
        }
        std::mem::swap(self.encoder.buffer_mut(), buffer);
        Ok(if goes_on { Step::More } else { Step::Last })
    }
}
