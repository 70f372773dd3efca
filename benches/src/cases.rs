//! The cases, and how each is measured.

use crate::case::{Expected, Format, Setup, StoreSetup};
use crate::implementation::Implementation;
use crate::patterns::{self, Pattern};
use crate::tags::Tags;

/// One case.
#[derive(Debug)]
pub struct Definition {
    /// Its name in tables and files.
    pub name: String,
    /// What it does, in one line.
    pub about: String,
    /// How it is measured.
    pub shape: Shape,
}

/// How a case is measured.
#[derive(Debug)]
#[allow(missing_docs)] // What makes it, how much of it, and what must come of it.
pub enum Shape {
    /// Time per operation, by this many threads.
    Operations { make: fn(&dyn Implementation) -> Setup, threads: &'static [usize], expected: Expected },
    /// The same, by one thread, after many threads have come and gone.
    AfterThreads { make: fn(&dyn Implementation) -> Setup, expected: Expected },
    /// The 99.9th percentile of an operation's time, beside another thread.
    Percentile { make: fn(&dyn Implementation) -> Setup, expected: Expected, beside: Beside },
    /// Time of one scrape.
    Render { make: Make, series: usize, format: Format, histogram: bool },
    /// Heap bytes per series.
    Bytes { make: Make, series: usize },
    /// Time to make a series, and the longest that one took.
    Creation { make: Make, series: usize },
    /// An event pattern of one's own, with the implementations that it brings along.
    Pattern(Pattern),
}

/// What another thread does meanwhile.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The names tell.
pub enum Beside {
    Scrapes,
    Copies,
    Nothing,
}

/// Makes a store for so many series.
pub type Make = fn(&dyn Implementation, usize) -> StoreSetup;

const ONE: &[usize] = &[1];
const ONE_AND_TWO: &[usize] = &[1, 2];
const NOTHING: Expected = Expected { tags: None, counter: false, histogram: false, timed: false, gauge: false };
const COUNTER: Expected = Expected { counter: true, ..NOTHING };
const HISTOGRAM: Expected = Expected { histogram: true, ..NOTHING };
const BOTH: Expected = Expected { counter: true, histogram: true, ..NOTHING };

const fn of(tags: fn() -> &'static Tags, expected: Expected) -> Expected {
    Expected { tags: Some(tags), ..expected }
}

fn operations(
    name: &str,
    about: &str,
    threads: &'static [usize],
    expected: Expected,
    make: fn(&dyn Implementation) -> Setup,
) -> Definition {
    Definition { name: name.to_owned(), about: about.to_owned(), shape: Shape::Operations { make, threads, expected } }
}

/// All cases, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Definition> {
    let mut all = emissions();
    all.extend(stores());
    all.extend(patterns::all().into_iter().map(|pattern| Definition {
        name: pattern.name.to_owned(),
        about: pattern.about.to_owned(),
        shape: Shape::Pattern(pattern),
    }));
    all
}

fn emissions() -> Vec<Definition> {
    let other = |name: &str, about: &str, shape| Definition { name: name.to_owned(), about: about.to_owned(), shape };
    let percentile = |beside| Shape::Percentile {
        make: |one| one.counter_two_tags(Tags::many()),
        expected: of(Tags::many, COUNTER),
        beside,
    };
    vec![
        operations(
            "emit_disabled",
            "an event or a count that nobody wants, literal tags",
            ONE_AND_TWO,
            NOTHING,
            |one| one.emit_disabled(),
        ),
        operations("emit_disabled_two_tags", "the same with 2 tags of the moment", ONE_AND_TWO, NOTHING, |one| {
            one.emit_disabled_two_tags(Tags::few())
        }),
        operations("counter_held", "a counter whose handle is held", ONE_AND_TWO, COUNTER, |one| one.counter_held()),
        operations("counter_two_tags", "a counter, 2 tags, 128 series", ONE_AND_TWO, of(Tags::few, COUNTER), |one| {
            one.counter_two_tags(Tags::few())
        }),
        operations(
            "counter_two_tags_100k_series",
            "a counter, 2 tags, 100,000 series",
            ONE_AND_TWO,
            of(Tags::many, COUNTER),
            |one| one.counter_two_tags(Tags::many()),
        ),
        operations(
            "counter_enum_tags",
            "a counter, 2 tags that are enums or literals, 128 series",
            ONE_AND_TWO,
            of(Tags::words, COUNTER),
            |one| one.counter_enum_tags(),
        ),
        operations("histogram_held", "a histogram of 11 bounds whose handle is held", ONE_AND_TWO, HISTOGRAM, |one| {
            one.histogram_held()
        }),
        operations(
            "histogram_two_tags",
            "a histogram of 11 bounds, 2 tags, 128 series",
            ONE_AND_TWO,
            of(Tags::few, HISTOGRAM),
            |one| one.histogram_two_tags(Tags::few()),
        ),
        operations(
            "counter_and_histogram_two_tags",
            "a request: both, with the same 2 tags, 128 series",
            ONE_AND_TWO,
            of(Tags::few, BOTH),
            |one| one.counter_and_histogram_two_tags(Tags::few()),
        ),
        operations(
            "counter_and_histogram_enum_tags",
            "a request: both, with the same 2 tags that are enums or literals",
            ONE_AND_TWO,
            of(Tags::words, BOTH),
            |one| one.counter_and_histogram_enum_tags(),
        ),
        operations(
            "gauge_set",
            "a gauge whose handle is held",
            ONE_AND_TWO,
            Expected { gauge: true, ..NOTHING },
            |one| one.gauge_set(),
        ),
        operations("spiral_mark", "a count over a sliding window, handle held", ONE_AND_TWO, NOTHING, |one| {
            one.spiral_mark()
        }),
        operations("emit_to_lane", "an event with 2 tags, handed to another thread", ONE, NOTHING, |one| {
            one.emit_to_lane(Tags::few())
        }),
        operations(
            "span",
            "an empty body, timed into a histogram with 2 tags",
            ONE,
            of(Tags::few, Expected { timed: true, ..NOTHING }),
            |one| one.span(Tags::few()),
        ),
        other(
            "emit_while_scraping_p999",
            "a counter, 2 tags, 100,000 series, while another thread scrapes: 99.9th percentile, two clock reads included",
            percentile(Beside::Scrapes),
        ),
        other(
            "emit_while_copying_p999",
            "the same while another thread copies as much text, which is what any neighbour costs",
            percentile(Beside::Copies),
        ),
        other("emit_while_idle_p999", "the same while there is no other thread", percentile(Beside::Nothing)),
        other(
            "emit_after_thread_churn",
            "a counter, 2 tags, 128 series, after 1,024 threads have come and gone",
            Shape::AfterThreads { make: |one| one.counter_two_tags(Tags::few()), expected: of(Tags::few, COUNTER) },
        ),
    ]
}

fn stores() -> Vec<Definition> {
    let counters: Make = |one, series| one.counter_series(series);
    let histograms: Make = |one, series| one.histogram_series(series);
    let scraped_counters: Make = |one, series| one.scraped_counter_series(series);
    let scraped_histograms: Make = |one, series| one.scraped_histogram_series(series);
    let define = |name: &str, about: &str, shape| Definition { name: name.to_owned(), about: about.to_owned(), shape };
    let render = |series, format| Shape::Render { make: scraped_counters, series, format, histogram: false };
    let render_histograms =
        |format| Shape::Render { make: scraped_histograms, series: 10_000, format, histogram: true };
    vec![
        define("render_100k_counters", "a scrape, 3 labels, text", render(100_000, Format::Text)),
        define(
            "render_100k_counters_openmetrics",
            "a scrape, 3 labels, OpenMetrics",
            render(100_000, Format::OpenMetrics),
        ),
        define("render_1m_counters", "a scrape, 3 labels, text", render(1_000_000, Format::Text)),
        define("render_10k_histograms", "a scrape of 11 bounds, 3 labels, text", render_histograms(Format::Text)),
        define(
            "render_10k_histograms_openmetrics",
            "a scrape of 11 bounds, 3 labels, OpenMetrics",
            render_histograms(Format::OpenMetrics),
        ),
        define(
            "bytes_per_counter",
            "heap, 100,000 series, 3 labels of 31 bytes",
            Shape::Bytes { make: counters, series: 100_000 },
        ),
        define(
            "bytes_per_histogram",
            "heap, 100,000 series of 11 bounds, 3 labels of 31 bytes",
            Shape::Bytes { make: histograms, series: 100_000 },
        ),
        define(
            "create_1m_counters",
            "the first count of each series, 3 labels; in us the longest that one took",
            Shape::Creation { make: counters, series: 1_000_000 },
        ),
    ]
}
