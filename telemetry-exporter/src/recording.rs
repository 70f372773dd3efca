//! What a source showed, kept until an encoder has room for it.
//!
//! A source runs on a thread of its own, and is done before its figures are on their way: so neither a slow client nor an
//! encoder holds up its code, or a lock that it holds.

use std::ops::Range;
use std::time::{Duration, Instant};

use telemetry_core::family::Family;
use telemetry_core::scrape::{
    ExponentialSample, HistogramSample, Labels, Sample, Series, SpiralSample, States, SummarySample, Total, Visit,
};

/// How many series one step of a replay shows at the most.
const STEP: usize = 256;

/// Families and series, in the order in which they were shown.
#[derive(Debug)]
pub(crate) struct Recording {
    parts: Vec<Part>,
    // The texts of all labels, one behind the other.
    texts: String,
    labels: Vec<(Range<usize>, Range<usize>)>,
    // What comes later is for nobody.
    until: Instant,
}

#[derive(Debug)]
enum Part {
    Family(Family),
    Series { labels: Range<usize>, created: Option<Duration>, sample: Kept },
}

#[derive(Debug)]
enum Kept {
    Total(Total),
    Gauge(f64),
    Histogram(Box<Histogram>),
    Summary { count: u64, sum: f64, quantiles: Box<[(f64, f64)]> },
    Spiral(SpiralSample),
    Info,
    // The names of the states and whether each holds; their texts lie here, since they are few.
    States(Box<[(Box<str>, bool)]>),
}

#[derive(Debug)]
struct Histogram {
    bounds: Box<[f64]>,
    counts: Box<[u64]>,
    sum: f64,
    exponential: Option<Exponential>,
}

#[derive(Debug)]
struct Exponential {
    schema: i8,
    zero_threshold: f64,
    zero_count: u64,
    positive: Box<[(i32, u64)]>,
    negative: Box<[(i32, u64)]>,
}

impl Kept {
    /// `None` for a kind of sample that this version doesn't know.
    fn new(sample: &Sample<'_>) -> Option<Self> {
        Some(match sample {
            Sample::Total(total) => Self::Total(*total),
            Sample::Gauge(value) => Self::Gauge(*value),
            Sample::Histogram(histogram) => Self::Histogram(Box::new(Histogram {
                bounds: histogram.bounds.into(),
                counts: histogram.counts.into(),
                sum: histogram.sum,
                exponential: histogram.exponential.map(|buckets| Exponential {
                    schema: buckets.schema,
                    zero_threshold: buckets.zero_threshold,
                    zero_count: buckets.zero_count,
                    positive: buckets.positive.into(),
                    negative: buckets.negative.into(),
                }),
            })),
            Sample::Summary(summary) => {
                Self::Summary { count: summary.count, sum: summary.sum, quantiles: summary.quantiles.into() }
            }
            Sample::Spiral(spiral) => Self::Spiral(*spiral),
            Sample::Info => Self::Info,
            Sample::States(states) => Self::States(states.iter().map(|(state, holds)| (state.into(), holds)).collect()),
            _ => return None,
        })
    }

    /// The sample, with room for states of which it lends the names.
    fn lend<'a>(&'a self, room: &'a mut Vec<(&'a str, bool)>) -> Sample<'a> {
        match self {
            Self::Total(total) => Sample::Total(*total),
            Self::Gauge(value) => Sample::Gauge(*value),
            Self::Histogram(histogram) => Sample::Histogram(HistogramSample {
                bounds: &histogram.bounds,
                counts: &histogram.counts,
                sum: histogram.sum,
                exponential: histogram.exponential.as_ref().map(|buckets| ExponentialSample {
                    schema: buckets.schema,
                    zero_threshold: buckets.zero_threshold,
                    zero_count: buckets.zero_count,
                    positive: &buckets.positive,
                    negative: &buckets.negative,
                }),
            }),
            Self::Summary { count, sum, quantiles } => {
                Sample::Summary(SummarySample { count: *count, sum: *sum, quantiles })
            }
            Self::Spiral(spiral) => Sample::Spiral(*spiral),
            Self::Info => Sample::Info,
            Self::States(states) => {
                room.extend(states.iter().map(|(state, holds)| (&**state, *holds)));
                Sample::States(States::from_pairs(room))
            }
        }
    }
}

impl Recording {
    /// An empty one, which takes nothing any more when `until` has passed: a source without an end takes no memory
    /// without an end.
    pub(crate) fn new(until: Instant) -> Self {
        Self { parts: Vec::new(), texts: String::new(), labels: Vec::new(), until }
    }

    /// Shows some series from part `from` on; gives the part to go on from, or `None` at the end.
    pub(crate) fn show(&self, from: usize, visitor: &mut impl Visit) -> Option<usize> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let to = self.parts.len().min(from + STEP);
        for part in &self.parts[from..to] {
            match part {
                Part::Family(family) => visitor.family(family),
                Part::Series { labels, created, sample } => {
                    let texts = self.labels[labels.clone()].iter();
                    pairs.clear();
                    pairs.extend(texts.map(|(name, value)| (&self.texts[name.clone()], &self.texts[value.clone()])));
                    let (labels, mut room) = (Labels::from_pairs(&pairs), Vec::new());
                    visitor.series(&Series { labels, created: *created, sample: sample.lend(&mut room) });
                }
            }
        }
        (to < self.parts.len()).then_some(to)
    }

    fn is_over(&self) -> bool {
        self.parts.len().is_multiple_of(STEP) && Instant::now() > self.until
    }

    fn push_text(&mut self, text: &str) -> Range<usize> {
        let start = self.texts.len();
        self.texts.push_str(text);
        start..self.texts.len()
    }
}

impl Visit for Recording {
    fn family(&mut self, family: &Family) {
        if !self.is_over() {
            self.parts.push(Part::Family(family.clone()));
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        if self.is_over() {
            return;
        }
        let Some(sample) = Kept::new(&series.sample) else { return };
        let first = self.labels.len();
        for (name, value) in series.labels {
            let label = (self.push_text(name), self.push_text(value));
            self.labels.push(label);
        }
        self.parts.push(Part::Series { labels: first..self.labels.len(), created: series.created, sample });
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::family::Kind;

    use super::*;
    use crate::encode::{Encoder, Json, Options};
    use crate::negotiate::Format;

    /// A family of each kind, and texts that need care.
    fn show(visitor: &mut dyn Visit) {
        let samples = [
            (Kind::Counter, Sample::Total(Total::U64(u64::MAX))),
            (Kind::Sum, Sample::Total(Total::F64(0.5))),
            (Kind::LastValue, Sample::Gauge(f64::NAN)),
            (
                Kind::Distribution,
                Sample::Histogram(HistogramSample {
                    bounds: &[0.5, 1.0],
                    counts: &[1, 2, 3],
                    sum: 9.5,
                    exponential: Some(ExponentialSample {
                        schema: 3,
                        zero_threshold: 1e-9,
                        zero_count: 1,
                        positive: &[(-1, 2), (4, 3)],
                        negative: &[(0, 1)],
                    }),
                }),
            ),
            (Kind::Summary, Sample::Summary(SummarySample { count: 2, sum: 3.0, quantiles: &[(0.5, 1.0)] })),
            (Kind::Spiral, Sample::Spiral(SpiralSample { count: 7, one: 5 })),
            (Kind::Info, Sample::Info),
            (Kind::StateSet, Sample::States(States::from_pairs(&[("up", true), ("\"", false)]))),
        ];
        for (number, (kind, sample)) in samples.into_iter().enumerate() {
            visitor.family(&Family::new(format!("recorded.{number}"), kind).description("Said.").labels(["a", "b"]));
            for value in ["", "x", "\"\\\n", "é"] {
                let (labels, created) = ([("a", value), ("b", "2")], Some(Duration::from_secs(9)));
                visitor.series(&Series { labels: Labels::from_pairs(&labels), created, sample });
            }
        }
    }

    fn replay(recording: &Recording, encoder: &mut impl Encoder) -> String {
        let mut from = Some(0);
        while let Some(part) = from {
            from = recording.show(part, encoder);
        }
        encoder.finish();
        String::from_utf8(encoder.take()).expect("UTF-8")
    }

    #[test]
    fn what_is_replayed_is_what_was_shown() {
        let mut recording = Recording::new(Instant::now() + Duration::from_secs(60));
        show(&mut recording);
        let mut encoder = Json::new();
        show(&mut encoder);
        encoder.finish();
        assert_eq!(replay(&recording, &mut Json::new()).into_bytes(), encoder.take());
        let mut encoder = Format::OpenMetrics.encoder(Options::default());
        show(&mut *encoder);
        encoder.finish();
        assert_eq!(
            replay(&recording, &mut crate::encode::Text::<crate::encode::OpenMetrics>::new()).into_bytes(),
            encoder.take()
        );
    }

    #[test]
    fn a_step_is_bounded_and_the_next_goes_on_where_it_ended() {
        let mut recording = Recording::new(Instant::now() + Duration::from_secs(60));
        recording.family(&Family::new("many", Kind::LastValue));
        for _ in 0..1000 {
            recording.series(&Series { labels: Labels::from_pairs(&[]), created: None, sample: Sample::Gauge(1.0) });
        }
        let mut steps = 0;
        let (mut from, mut encoder) = (Some(0), Json::new());
        while let Some(part) = from {
            from = recording.show(part, &mut encoder);
            steps += 1;
        }
        assert_eq!(steps, 4);
    }

    #[test]
    fn a_source_without_an_end_is_not_kept_without_an_end() {
        let mut recording = Recording::new(Instant::now());
        for _ in 0..100_000 {
            recording.series(&Series { labels: Labels::from_pairs(&[]), created: None, sample: Sample::Gauge(1.0) });
        }
        assert!(recording.parts.len() <= STEP);
    }
}
