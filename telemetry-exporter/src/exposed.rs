//! A registry as what an endpoint serves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use telemetry_core::Registry;
use telemetry_core::registry;
use telemetry_core::scrape::Source;

use crate::encode::{CHUNK, Encoder, Json, OpenMetrics, Options, Prometheus, Text};
use crate::filter::{Filter, Filtered};
use crate::negotiate::{Format, negotiate};
use crate::recording::Recording;
use crate::serve::{BadRequest, Chunks, Exposition, Scrape, ScrapeError, Step, Target};
use crate::sources::{Sources, Turn};

/// What a source is given unless the exporter says otherwise.
pub(crate) const SOURCE_TIME: Duration = Duration::from_secs(2);

/// A registry, and what is said with it.
pub(crate) struct Exposed {
    pub(crate) registry: Registry,
    pub(crate) options: Options,
    pub(crate) sources: Arc<Sources>,
}

impl Exposition for Exposed {
    fn open(&self, scrape: &Scrape<'_>) -> Result<Box<dyn Chunks>, ScrapeError> {
        let filter = Filter::parse(scrape.query).map_err(|error| BadRequest::new(error.to_string()))?;
        let format = match scrape.target {
            Target::Json => Format::Json,
            Target::Metrics => negotiate(scrape.accept),
        };
        Ok(match format {
            Format::Text => self.body(scrape, filter, format, Text::<Prometheus>::with(self.options)),
            Format::OpenMetrics | Format::OpenMetricsDraft => {
                self.body(scrape, filter, format, Text::<OpenMetrics>::with(self.options))
            }
            Format::Json => self.body(scrape, filter, format, Json::new()),
        })
    }
}

impl Exposed {
    fn body<E: Encoder + 'static>(
        &self,
        scrape: &Scrape<'_>,
        filter: Option<Filter>,
        format: Format,
        encoder: E,
    ) -> Box<dyn Chunks> {
        let mut walk = self.registry.scrape();
        let sources = walk.take_sources();
        if let Some(filter) = filter.clone() {
            walk = walk.only(move |family| filter.takes(family));
        }
        Box::new(Body {
            place: Place::Registry { walk: Box::new(walk), unread: sources },
            sources: Arc::clone(&self.sources),
            until: Instant::now() + scrape.time,
            filter,
            takes: true,
            format,
            encoder,
        })
    }
}

/// One scrape on its way: the walk goes on when the socket has taken what was written.
struct Body<E> {
    place: Place,
    sources: Arc<Sources>,
    until: Instant,
    filter: Option<Filter>,
    takes: bool,
    format: Format,
    encoder: E,
}

/// Where a scrape is.
enum Place {
    Registry { walk: Box<registry::Scrape>, unread: Arc<Vec<Arc<dyn Source>>> },
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
            Place::Registry { walk, unread } => {
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
        matches!(&self.place, Place::Sources { turns, figures: None } if matches!(turns.front(), Some(Turn::Read(_))))
    }
}

impl<E: Encoder> Chunks for Body<E> {
    fn content_type(&self) -> &'static str {
        self.format.content_type()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.is_waiting() {
            let Place::Sources { turns, figures } = &mut self.place else { break };
            let Some(Turn::Read(read)) = turns.front_mut() else { break };
            let Poll::Ready(recording) = read.as_mut().poll(cx) else { return Poll::Pending };
            turns.pop_front();
            *figures = recording.map(|recording| (recording, 0));
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
