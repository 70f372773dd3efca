//! A case: one thing that every implementation is made to do.

use std::error::Error;
use std::hint::black_box;

use crate::tags::{Draw, Tags};

/// What an implementation makes of a case: it, or `None` where the implementation does no such thing.
pub type Setup = Result<Option<Box<dyn Case>>, Box<dyn Error>>;

/// The same for many series.
pub type StoreSetup = Result<Option<Box<dyn Store>>, Box<dyn Error>>;

/// One operation of one implementation, set up and ready to be repeated, by several threads if need be.
pub trait Case: Send + Sync {
    /// Does the operation `times` times. Each draws once, or never.
    fn run(&self, times: u64, draw: &mut Draw);

    /// The most operations between two calls of [`Case::settle`].
    fn burst(&self) -> u64 {
        u64::MAX
    }

    /// Does what the implementation has put off; not measured.
    fn settle(&self) {}

    /// What the implementation says that it counted.
    fn counted(&self) -> Counted;
}

/// Answers for what was counted.
#[derive(Debug)]
pub enum Counted {
    /// It counts nothing: a limit of the machine, or nobody listens.
    Nothing,
    /// One total.
    Total(u64),
    /// What it shows to a scraper, in a text format of Prometheus.
    Exposition(String),
}

/// What an exposition must show of a case, once it is over. All names are the same whatever the implementation:
/// `requests_total`, `latency_seconds`, `depth`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// The tags that were drawn; without them there is one series.
    pub tags: Option<fn() -> &'static Tags>,
    /// A counter of the operations.
    pub counter: bool,
    /// A histogram of the values drawn.
    pub histogram: bool,
    /// A histogram whose values nobody knows beforehand.
    pub timed: bool,
    /// A gauge, set to the value drawn.
    pub gauge: bool,
}

/// A case made of closures.
struct Each<F, C> {
    operation: F,
    counted: C,
}

impl<F: Fn(&mut Draw) + Send + Sync, C: Fn() -> Counted + Send + Sync> Case for Each<F, C> {
    fn run(&self, times: u64, draw: &mut Draw) {
        for _ in 0..times {
            // What the operation holds is not known from the last time, as it is not in an application.
            black_box(&self.operation)(draw);
        }
    }

    fn counted(&self) -> Counted {
        (self.counted)()
    }
}

/// A case that repeats `operation` and is checked by what `counted` says.
///
/// The loop around the operation is compiled together with it: no call lies between.
///
/// # Errors
///
/// Never; the form is that of a [`Setup`].
pub fn each(
    operation: impl Fn(&mut Draw) + Send + Sync + 'static,
    counted: impl Fn() -> Counted + Send + Sync + 'static,
) -> Setup {
    Ok(Some(Box::new(Each { operation, counted })))
}

/// The same, checked by what a scraper is shown.
///
/// # Errors
///
/// Never; the form is that of a [`Setup`].
pub fn exposed(
    operation: impl Fn(&mut Draw) + Send + Sync + 'static,
    exposition: impl Fn() -> String + Send + Sync + 'static,
) -> Setup {
    each(operation, move || Counted::Exposition(exposition()))
}

/// A format that is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus; OpenMetrics by an implementation that has nothing else.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

/// Many series with three labels, of one counter or one histogram.
pub trait Store: Send + Sync {
    /// Counts one, or records 0.02, in the series with these labels, as an application would.
    fn touch(&self, labels: [&str; 3]);

    /// Does what the implementation has put off.
    fn settle(&self) {}

    /// What a scraper is shown; `None` where the implementation has no such format.
    fn render(&self, format: Format) -> Option<String>;

    /// Does what is done for a scrape, and says how many bytes that gave.
    fn scrape(&self, format: Format) -> Option<usize> {
        self.render(format).map(|text| black_box(text).len())
    }
}

/// A store made of closures.
struct Stored<T, R> {
    touch: T,
    render: R,
}

impl<T: Fn([&str; 3]) + Send + Sync, R: Fn(Format) -> Option<String> + Send + Sync> Store for Stored<T, R> {
    fn touch(&self, labels: [&str; 3]) {
        (self.touch)(labels);
    }

    fn render(&self, format: Format) -> Option<String> {
        (self.render)(format)
    }
}

/// A store that touches and renders so.
///
/// # Errors
///
/// Never; the form is that of a [`StoreSetup`].
pub fn stored(
    touch: impl Fn([&str; 3]) + Send + Sync + 'static,
    render: impl Fn(Format) -> Option<String> + Send + Sync + 'static,
) -> StoreSetup {
    Ok(Some(Box::new(Stored { touch, render })))
}
