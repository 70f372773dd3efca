//! From the name of a family to the names that an exposition gives its samples.
//!
//! | family | exposed | with UTF-8 names |
//! | --- | --- | --- |
//! | counter `shop.order.count` | `shop_order_total` | `shop.order_total` |
//! | sum `shop.order.size`, bytes | `shop_order_size_bytes_total` | `shop.order.size_bytes_total` |
//! | distribution `shop.order.wait`, seconds | `shop_order_wait_seconds_bucket` … | `shop.order.wait_seconds_bucket` … |
//! | spiral `shop.order.items`, 60 s | `shop_order_items_total`, `shop_order_items_window60s` | `shop.order.items_total` … |
//! | info `shop.build` | `shop_build_info` | `shop.build_info` |
//!
//! Which of the two an application has is its choice, see [`Naming::utf8`]. Names are then escaped as the scraper asks, see
//! [`Escaping`]. Two families may become one on this way: [`check_collisions`] finds them before they are served.

mod collision;
mod escaping;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use telemetry_core::family::{Family, Kind};

pub(crate) use collision::Taken;
pub use collision::{NameCollision, check_collisions};
pub use escaping::Escaping;
pub(crate) use escaping::{is_plain_label, is_plain_metric};

/// How the names of definitions become those of an exposition: what the application wants, and what the scraper can read.
///
/// ```
/// use telemetry_core::family::{Family, Kind};
/// use telemetry_exporter::name::{Escaping, Naming};
///
/// let family = Family::new("http.server.errors", Kind::Counter);
/// assert_eq!(Naming::default().names(&family).main(), "http_server_errors_total");
///
/// let naming = Naming::default().utf8(true);
/// assert_eq!(naming.escaping(Escaping::AllowUtf8).names(&family).main(), "http.server.errors_total");
/// assert_eq!(naming.escaping(Escaping::Values).names(&family).main(), "U__http_2e_server_2e_errors__total");
/// assert_eq!(naming.names(&family).main(), "http_server_errors_total");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    utf8: bool,
    escaping: Escaping,
}

impl Naming {
    /// Keeps names as they are defined, dots and all, for scrapers that can read them; without it every character that is
    /// not plain becomes `_` for every scraper.
    #[must_use]
    pub const fn utf8(mut self, utf8: bool) -> Self {
        self.utf8 = utf8;
        self
    }

    /// Escapes names in this way; `underscores` unless told.
    #[must_use]
    pub const fn escaping(mut self, escaping: Escaping) -> Self {
        self.escaping = escaping;
        self
    }

    /// Makes the names of `family`.
    #[must_use]
    pub fn names(self, family: &Family) -> Names {
        Names::exposed(family, self)
    }

    /// Makes the name of a label.
    #[must_use]
    pub fn label(self, name: &str) -> Cow<'_, str> {
        escape(self.given_label(name), |name| self.escaping.label(name))
    }

    fn metric(self, name: &str) -> Cow<'_, str> {
        self.escaping.metric(name)
    }

    /// What is escaped: the name as it is, or with nothing to escape in it.
    fn given_label(self, name: &str) -> Cow<'_, str> {
        given(self.utf8, name, is_plain_after_label)
    }

    fn given_metric(self, name: &str) -> Cow<'_, str> {
        given(self.utf8, name, |c| c == ':' || is_plain_after_label(c))
    }
}

fn given(utf8: bool, name: &str, is_plain: impl Fn(char) -> bool) -> Cow<'_, str> {
    match name {
        _ if !utf8 || name.is_empty() => sanitized(name, is_plain),
        // Prometheus refuses the whole scrape for it, in quotes too.
        _ if name.contains('\0') => name.replace('\0', "_").into(),
        _ => name.into(),
    }
}

/// Applies `escape` to a text that may be borrowed or owned.
fn escape<'a>(name: Cow<'a, str>, escape: impl Fn(&str) -> Cow<'_, str>) -> Cow<'a, str> {
    match name {
        Cow::Borrowed(name) => escape(name),
        Cow::Owned(name) => escape(&name).into_owned().into(),
    }
}

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
    /// Makes the names of `family` as they are unless the application or the scraper asks for others: see [`Naming`].
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
        Self::exposed(family, Naming::default())
    }

    fn exposed(family: &Family, naming: Naming) -> Self {
        let (kind, mut name) = (family.kind(), family.name());
        if matches!(kind, Kind::Counter | Kind::Spiral) {
            // That it is a count is what `_total` says.
            name = name.strip_suffix(".count").filter(|rest| !rest.is_empty()).unwrap_or(name);
        }
        let mut given = match kind {
            // The name is that of a label, too.
            Kind::StateSet => naming.given_label(name),
            _ => naming.given_metric(name),
        }
        .into_owned();
        let suffix = suffix(kind);
        if let Some(rest) = without_segment(&given, suffix.trim_start_matches('_')) {
            given.truncate(rest.len());
        }

        let mut unit = family.values_unit().map(|unit| label(unit.plural())).filter(|unit| !unit.is_empty());
        if let Some(text) = &unit
            && given != **text
            && without_segment(&given, text).is_none()
        {
            given.push('_');
            given.push_str(text);
        }

        let window = (kind == Kind::Spiral).then(|| {
            let length = family.window_length().map(|length| Compact(length).to_string()).unwrap_or_default();
            naming.metric(&format!("{given}_window{length}")).into_owned()
        });
        // A suffix that every sample of the family has is a part of the name, and escaped with it. The others are told
        // apart from the name by their readers, so they stand behind it as they are.
        given.push_str(suffix);
        let mut base = match kind {
            Kind::StateSet => naming.escaping.label(&given),
            _ => naming.metric(&given),
        }
        .into_owned();
        // What is escaped still ends in it: no escaping changes the last letters.
        base.truncate(base.len() - suffix.len());

        unit = unit.filter(|unit| base.strip_suffix(&**unit).is_some_and(|rest| rest.ends_with('_')));
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
        match suffix(self.kind) {
            "" => self.base.as_str().into(),
            suffix => format!("{}{suffix}", self.base).into(),
        }
    }

    /// The name of the gauge that shows what fell into a spiral's window.
    #[must_use]
    pub fn window(&self) -> Option<&str> {
        self.window.as_deref()
    }

    /// The label that names the state, of a state set.
    #[must_use]
    pub fn state_label(&self) -> Option<&str> {
        (self.kind == Kind::StateSet).then_some(&*self.base)
    }

    /// Every name that the family takes in one format or another, so that no other may have it.
    #[must_use]
    pub fn occupied(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter | Kind::Sum | Kind::Spiral => &["", TOTAL, "_created"],
            Kind::Distribution => &["", "_bucket", "_sum", "_count", "_created"],
            Kind::Summary => &["", "_sum", "_count", "_created"],
            Kind::Info => &["", INFO],
            _ => &[""],
        };
        let suffixed = suffixes.iter().map(|suffix| format!("{}{suffix}", self.base));
        suffixed.chain(self.window.clone()).collect()
    }
}

const TOTAL: &str = "_total";
const INFO: &str = "_info";

/// What the names of all samples of such a family end in.
const fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter | Kind::Sum | Kind::Spiral => TOTAL,
        Kind::Info => INFO,
        _ => "",
    }
}

/// What stands before the last segment of `name` and its separator, if that is `segment`.
fn without_segment<'a>(name: &'a str, segment: &str) -> Option<&'a str> {
    let rest = name.strip_suffix(segment).filter(|_| !segment.is_empty())?;
    let separator = rest.chars().next_back().filter(|c| !c.is_ascii_alphanumeric() && *c != ':')?;
    Some(&rest[..rest.len() - separator.len_utf8()]).filter(|rest| !rest.is_empty())
}

/// The name of a label as an exposition writes it unless UTF-8 names are asked for: what is neither a letter, a digit nor
/// `_` becomes `_`, and a leading digit gets one before it.
#[must_use]
pub fn label(name: &str) -> Cow<'_, str> {
    sanitized(name, is_plain_after_label)
}

/// Whether a character behind the first is plain in the name of a label.
fn is_plain_after_label(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
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
