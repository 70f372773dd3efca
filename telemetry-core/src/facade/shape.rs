//! How metrics of the facade are kept, chosen by their names.

use std::fmt;
use std::time::Duration;

use metrics::Unit;

use crate::instrument::{Buckets, Exponential, Window};
use crate::metric::{self, DEFAULT_LIMIT, Metric};

/// Which metrics a [`Shape`] is for, by the name that they are recorded under.
///
/// A text is such a name; each `*` in it stands for any characters, or none: `"http_*"`, `"*_seconds"`, `"*"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    // Invariant: at least one. What lies between two of them is any text.
    parts: Vec<String>,
}

impl Matcher {
    /// The metric of this name, which may have a `*` in it.
    #[must_use]
    pub fn exact(name: impl Into<String>) -> Self {
        Self { parts: vec![name.into()] }
    }

    /// Metrics whose names begin so.
    #[must_use]
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { parts: vec![prefix.into(), String::new()] }
    }

    /// Metrics whose names end so.
    #[must_use]
    pub fn suffix(suffix: impl Into<String>) -> Self {
        Self { parts: vec![String::new(), suffix.into()] }
    }

    /// Whether it is for the metric of this name.
    ///
    /// ```
    /// use telemetry_core::facade::Matcher;
    ///
    /// assert!(Matcher::from("http_*_seconds").matches("http_request_seconds"));
    /// assert!(!Matcher::from("http_*_seconds").matches("http_seconds"));
    /// ```
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let [first, between @ .., last] = &self.parts[..] else { return self.parts[0] == name };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
        for part in between {
            // The first place is as good as any: it leaves the most for what follows.
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

impl From<&str> for Matcher {
    fn from(glob: &str) -> Self {
        Self { parts: glob.split('*').map(str::to_owned).collect() }
    }
}

impl From<String> for Matcher {
    fn from(glob: String) -> Self {
        glob.as_str().into()
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("*"))
    }
}

/// How metrics are kept. What it does not say is as another shape for the same name says it, or as usual.
///
/// ```
/// use std::time::Duration;
/// use telemetry_core::facade::Shape;
/// use telemetry_core::instrument::{Buckets, Exponential};
///
/// let durations = Shape::new().buckets(Buckets::latency()).exponential(Exponential::default()).limit(10_000);
/// let sessions = Shape::new().expiry(Duration::from_secs(300), Duration::from_secs(3600));
/// # let _ = (durations, sessions);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a shape does nothing until it is given to a recorder"]
pub struct Shape {
    form: Option<Form>,
    window: Option<Window>,
    limit: Option<u32>,
    expiry: Option<(Duration, Duration)>,
    description: Option<String>,
}

/// What becomes of a histogram, or a counter.
#[derive(Clone, Debug)]
enum Form {
    Distribution { buckets: Option<Buckets>, exponential: Option<Exponential> },
    Summary(Vec<f64>),
    Spiral,
}

impl Shape {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Histograms have these explicit buckets.
    pub fn buckets(mut self, buckets: Buckets) -> Self {
        let exponential = self.distribution().1;
        self.form = Some(Form::Distribution { buckets: Some(buckets), exponential });
        self
    }

    /// Histograms have exponential buckets, beside the explicit ones if this shape has those too.
    pub fn exponential(mut self, exponential: Exponential) -> Self {
        let buckets = self.distribution().0;
        self.form = Some(Form::Distribution { buckets, exponential: Some(exponential) });
        self
    }

    fn distribution(&mut self) -> (Option<Buckets>, Option<Exponential>) {
        match self.form.take() {
            Some(Form::Distribution { buckets, exponential }) => (buckets, exponential),
            _ => (None, None),
        }
    }

    /// Histograms answer these quantiles, over a sliding window; what is not between 0 and 1 is left out.
    pub fn summary(mut self, quantiles: impl IntoIterator<Item = f64>) -> Self {
        let mut quantiles: Vec<f64> = quantiles.into_iter().filter(|q| (0.0..=1.0).contains(q)).collect();
        quantiles.sort_by(f64::total_cmp);
        quantiles.dedup();
        self.form = Some(Form::Summary(quantiles));
        self
    }

    /// Counters count over a sliding window, too; of histograms whole values are added up so.
    pub fn spiral(mut self) -> Self {
        self.form = Some(Form::Spiral);
        self
    }

    /// The sliding window of summaries and spirals; without it a minute.
    pub fn window(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// The most series of each metric, at least one; 2,000 unless told. What lies beyond is counted in one series marked
    /// `otel_metric_overflow="true"`.
    pub fn limit(mut self, series: u32) -> Self {
        self.limit = Some(series.max(1));
        self
    }

    /// Hides a series that nobody wrote to for `hide_after`, and forgets it after `reclaim_after` more, unless somebody
    /// holds a handle to it. Without it series stay.
    pub fn expiry(mut self, hide_after: Duration, reclaim_after: Duration) -> Self {
        // Nothing can be hidden after no time at all.
        self.expiry = Some((hide_after.max(Duration::from_millis(1)), reclaim_after));
        self
    }

    /// What the metric means, until code that records says so itself.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// This shape, and whatever `other` says instead.
    pub(super) fn overridden_by(self, other: &Self) -> Self {
        Self {
            form: other.form.clone().or(self.form),
            window: other.window.or(self.window),
            limit: other.limit.or(self.limit),
            expiry: other.expiry.or(self.expiry),
            description: other.description.clone().or(self.description),
        }
    }

    pub(super) fn says_what_it_means(&self) -> bool {
        self.description.is_some()
    }

    pub(super) const fn is_spiral(&self) -> bool {
        matches!(self.form, Some(Form::Spiral))
    }

    pub(super) const fn is_summary(&self) -> bool {
        matches!(self.form, Some(Form::Summary(_)))
    }

    pub(super) fn counter(&self, name: &str) -> Metric {
        match self.form {
            Some(Form::Spiral) => self.finish(self.windowed(metric::spiral(name))),
            _ => self.finish(metric::counter(name)),
        }
    }

    pub(super) fn gauge(&self, name: &str) -> Metric {
        self.finish(metric::last_value(name))
    }

    pub(super) fn histogram(&self, name: &str, unit: Option<Unit>) -> Metric {
        let metric = match &self.form {
            Some(Form::Spiral) => self.windowed(metric::spiral(name)),
            Some(Form::Summary(quantiles)) => {
                let metric = self.windowed(metric::summary(name));
                if quantiles.is_empty() { metric } else { metric.quantiles(quantiles.iter().copied()) }
            }
            Some(Form::Distribution { buckets, exponential }) => {
                let metric = metric::distribution(name);
                let metric = buckets.iter().cloned().fold(metric, Metric::buckets);
                exponential.iter().copied().fold(metric, Metric::exponential)
            }
            None => metric::distribution(name).buckets(usual_buckets(name, unit)),
        };
        self.finish(metric)
    }

    fn windowed(&self, metric: Metric) -> Metric {
        self.window.iter().copied().fold(metric, Metric::window)
    }

    fn finish(&self, metric: Metric) -> Metric {
        let metric = metric.limit(self.limit.unwrap_or(DEFAULT_LIMIT));
        let metric = self.expiry.iter().fold(metric, |metric, (hide, reclaim)| metric.expiry(*hide, *reclaim));
        self.description.iter().fold(metric, Metric::description)
    }
}

/// Buckets for a histogram of which nobody has said any: 5 ms to 10 s in its unit, or 256 bytes to 1 GiB.
fn usual_buckets(name: &str, unit: Option<Unit>) -> Buckets {
    let scaled = |factor: f64| Buckets::new(Buckets::latency().bounds().iter().map(|bound| bound * factor));
    let sizes = |unit: f64| Buckets::exponential(256.0 / unit, 4.0, 12);
    let buckets = match unit {
        Some(Unit::Milliseconds) => scaled(1e3),
        Some(Unit::Microseconds) => scaled(1e6),
        Some(Unit::Nanoseconds) => scaled(1e9),
        Some(Unit::Bytes) => sizes(1.0),
        Some(Unit::Kibibytes) => sizes(1024.0),
        Some(Unit::Mebibytes) => sizes(1024.0 * 1024.0),
        None if name.ends_with("bytes") => sizes(1.0),
        _ => scaled(1.0),
    };
    buckets.unwrap_or_else(|_| Buckets::latency())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_exact_a_prefix_a_suffix_or_a_glob() {
        for (glob, yes, no) in [
            ("a.b", "a.b", "a.b.c"),
            ("a*", "a", "ba"),
            ("*a", "ba", "ab"),
            ("*", "", "-"),
            ("a*b*c", "axbxbc", "axbx"),
            ("a*a", "aa", "a"),
            ("*b*", "abc", "ac"),
            ("a**", "ab", "b"),
        ] {
            let matcher = Matcher::from(glob);
            assert!(matcher.matches(yes), "{glob} {yes}");
            assert!(no == "-" || !matcher.matches(no), "{glob} {no}");
            assert_eq!(matcher.to_string(), glob);
        }
        assert!(Matcher::exact("a*").matches("a*") && !Matcher::exact("a*").matches("ab"));
        assert!(Matcher::prefix("a*").matches("a*b") && !Matcher::prefix("a*").matches("ab"));
        assert!(Matcher::suffix("*b").matches("a*b") && !Matcher::suffix("*b").matches("ab"));
    }

    #[test]
    fn a_later_shape_overrides_what_it_says_and_no_more() {
        let first = Shape::new().buckets(Buckets::latency()).limit(7);
        let shape = first.overridden_by(&Shape::new().summary([0.9, 2.0, 0.9])).overridden_by(&Shape::new().limit(9));
        assert!(matches!(&shape.form, Some(Form::Summary(quantiles)) if *quantiles == [0.9]));
        assert_eq!(shape.limit, Some(9));
    }

    #[test]
    fn usual_buckets_follow_the_unit() {
        let first = |name, unit| usual_buckets(name, unit).bounds()[0];
        assert_eq!(first("x", None), 0.005);
        assert_eq!(first("x", Some(Unit::Milliseconds)), 5.0);
        assert_eq!(first("x", Some(Unit::Bytes)), 256.0);
        assert_eq!(first("x_bytes", None), 256.0);
        assert_eq!(first("x", Some(Unit::Kibibytes)), 0.25);
    }
}
