//! From the name of a family to the names that an exposition gives its samples.
//!
//! | family | exposed |
//! | --- | --- |
//! | counter `http.server.request.stop.count` | `http_server_request_stop_total` |
//! | sum `http.server.request.stop.body`, bytes | `http_server_request_stop_body_bytes_total` |
//! | distribution `http.server.request.stop.duration`, seconds | `http_server_request_stop_duration_seconds_bucket` … |
//! | spiral `shop.cart.checkout.items`, 60 s | `shop_cart_checkout_items_total`, `shop_cart_checkout_items_window60s` |
//!
//! Two families may become one on this way: [`check_collisions`] finds them before they are served.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use telemetry_core::family::{Family, Kind};

/// The names of one family in an exposition, the same for each of its formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    base: String,
    // Invariant: when it is given, `base` ends in `_` and it.
    unit: Option<Cow<'static, str>>,
    window: Option<String>,
    kind: Kind,
}

impl Names {
    /// Makes the names of `family`.
    ///
    /// ```
    /// use telemetry_core::Unit;
    /// use telemetry_core::family::{Family, Kind};
    /// use telemetry_exporter::name::Names;
    ///
    /// let family = Family::new("http.server.request.stop.body", Kind::Sum).unit(Some(Unit::Byte));
    /// assert_eq!(Names::new(&family).main(), "http_server_request_stop_body_bytes_total");
    /// ```
    #[must_use]
    pub fn new(family: &Family) -> Self {
        let (kind, mut name) = (family.kind(), family.name());
        if matches!(kind, Kind::Counter | Kind::Spiral) {
            // That it is a count is what `_total` says.
            name = name.strip_suffix(".count").filter(|rest| !rest.is_empty()).unwrap_or(name);
        }
        let mut base = metric(name).into_owned();
        if ends_in_total(kind) && base.len() > TOTAL.len() && base.ends_with(TOTAL) {
            base.truncate(base.len() - TOTAL.len());
        }

        let mut unit = family.values_unit().map(|unit| label(unit.plural())).filter(|unit| !unit.is_empty());
        if let Some(text) = &unit {
            if base == **text {
                unit = None;
            } else if !ends_in_segment(&base, text) {
                base.push('_');
                base.push_str(text);
            }
        }

        let window = (kind == Kind::Spiral).then(|| match family.window_length() {
            Some(length) => format!("{base}_window{}", Compact(length)),
            None => format!("{base}_window"),
        });
        Self { base, unit, window, kind }
    }

    /// The name without any suffix of a sample: what OpenMetrics calls the name of the family.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The unit in plural, where the name ends in it.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The name of the family's first sample; of a histogram, the name that its suffixes follow.
    #[must_use]
    pub fn main(&self) -> Cow<'_, str> {
        if ends_in_total(self.kind) { format!("{}{TOTAL}", self.base).into() } else { self.base.as_str().into() }
    }

    /// The name of the gauge that shows what fell into a spiral's window.
    #[must_use]
    pub fn window(&self) -> Option<&str> {
        self.window.as_deref()
    }

    /// Every name that the family takes in one format or another, so that no other may have it.
    #[must_use]
    pub fn occupied(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter | Kind::Sum | Kind::Spiral => &["", TOTAL, "_created"],
            Kind::Distribution => &["", "_bucket", "_sum", "_count", "_created"],
            Kind::Summary => &["", "_sum", "_count", "_created"],
            _ => &[""],
        };
        let suffixed = suffixes.iter().map(|suffix| format!("{}{suffix}", self.base));
        suffixed.chain(self.window.clone()).collect()
    }
}

const TOTAL: &str = "_total";

const fn ends_in_total(kind: Kind) -> bool {
    matches!(kind, Kind::Counter | Kind::Sum | Kind::Spiral)
}

fn ends_in_segment(name: &str, segment: &str) -> bool {
    name.strip_suffix(segment).is_some_and(|rest| rest.ends_with('_'))
}

/// The name of a label as an exposition writes it: what is neither a letter, a digit nor `_` becomes `_`, and a leading
/// digit gets one before it.
#[must_use]
pub fn label(name: &str) -> Cow<'_, str> {
    sanitized(name, |c| c == '_' || c.is_ascii_alphanumeric())
}

/// The same for the name of a metric, which may have `:` in it.
fn metric(name: &str) -> Cow<'_, str> {
    sanitized(name, |c| c == '_' || c == ':' || c.is_ascii_alphanumeric())
}

fn sanitized(name: &str, is_legal: impl Fn(char) -> bool) -> Cow<'_, str> {
    let leading_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !leading_digit && !name.is_empty() && name.chars().all(&is_legal) {
        return name.into();
    }
    let first = (leading_digit || name.is_empty()).then_some('_');
    first.into_iter().chain(name.chars().map(|c| if is_legal(c) { c } else { '_' })).collect::<String>().into()
}

/// A length of time in one unit: seconds when they are whole, else the largest unit in which it is.
struct Compact(Duration);

impl fmt::Display for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (size, unit) = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
            .into_iter()
            .find(|(size, _)| nanos.is_multiple_of(*size))
            .unwrap_or((1, "ns"));
        write!(f, "{}{unit}", nanos / size)
    }
}

/// Two families, or two labels of one, that an exposition can't tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameCollision {
    /// Two families take one name.
    Families {
        /// The name and the kind of the one that came first.
        first: (String, Kind),
        /// The name and the kind of the other.
        second: (String, Kind),
        /// The name that both take.
        exposed: String,
    },
    /// Two labels of one family become one.
    Labels {
        /// The family's name.
        family: String,
        /// The label that stands first.
        first: String,
        /// The other.
        second: String,
        /// The name that both become.
        exposed: String,
    },
}

impl fmt::Display for NameCollision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Families { first, second, exposed } if first == second => write!(
                f,
                "the {} {:?} is defined twice, and both would be exposed as {exposed:?}: remove one, or give it another name",
                first.1.name(),
                first.0,
            ),
            Self::Families { first, second, exposed } => write!(
                f,
                "the {} {:?} and the {} {:?} would both be exposed as {exposed:?}: give one of them another name",
                first.1.name(),
                first.0,
                second.1.name(),
                second.0,
            ),
            Self::Labels { family, first, second, exposed } => write!(
                f,
                "the labels {first:?} and {second:?} of {family:?} would both be exposed as {exposed:?}: rename one of them",
            ),
        }
    }
}

impl std::error::Error for NameCollision {}

/// Checks that no two of `families` take the same name, and no two labels of one.
///
/// # Errors
///
/// [`NameCollision`], which names both.
///
/// ```
/// use telemetry_core::family::{Family, Kind};
/// use telemetry_exporter::name::check_collisions;
///
/// let families = [Family::new("jobs.done", Kind::LastValue), Family::new("jobs_done", Kind::LastValue)];
/// assert_eq!(
///     check_collisions(&families).unwrap_err().to_string(),
///     "the last_value \"jobs.done\" and the last_value \"jobs_done\" would both be exposed as \"jobs_done\": give one of them another name",
/// );
/// ```
pub fn check_collisions<'a>(families: impl IntoIterator<Item = &'a Family>) -> Result<(), NameCollision> {
    let mut taken = Taken::default();
    for family in families {
        check_labels(family)?;
        taken.take(family, &Names::new(family))?;
    }
    Ok(())
}

fn check_labels(family: &Family) -> Result<(), NameCollision> {
    let mut seen = HashMap::new();
    for name in family.label_names() {
        if let Some(first) = seen.insert(label(name), name) {
            return Err(NameCollision::Labels {
                family: family.name().to_owned(),
                first: first.to_string(),
                second: name.to_string(),
                exposed: label(name).into_owned(),
            });
        }
    }
    Ok(())
}

/// The names that families took so far.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    families: Vec<(String, Kind)>,
    // By name, the index of the family that took it.
    by_name: HashMap<String, usize>,
}

impl Taken {
    /// Takes the names of `family`, or none of them if another has one.
    pub(crate) fn take(&mut self, family: &Family, names: &Names) -> Result<(), NameCollision> {
        let occupied = names.occupied();
        if let Some((exposed, first)) = occupied.iter().find_map(|name| Some((name, *self.by_name.get(name)?))) {
            return Err(NameCollision::Families {
                first: self.families[first].clone(),
                second: (family.name().to_owned(), family.kind()),
                exposed: exposed.clone(),
            });
        }
        let index = self.families.len();
        self.families.push((family.name().to_owned(), family.kind()));
        self.by_name.extend(occupied.into_iter().map(|name| (name, index)));
        Ok(())
    }
}
