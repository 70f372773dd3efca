//! Which format a scraper gets: the `Accept` header, read.
//!
//! Each format that is offered is judged by the most specific clause that matches it: a media type with a version before
//! one without, that before `text/*`, and that before `*/*`. The format with the highest `q` wins; of equal ones the one
//! whose clause stands first. `q=0` excludes. A clause for a version that is not offered matches nothing. When nothing
//! matches, the answer is the text format all the same, never an error: a scraper that asks for something else can still
//! read that.

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0; also for who asks for OpenMetrics and no version.
    OpenMetrics,
    /// OpenMetrics 0.0.1, the draft, for who asks for that version alone. What is written is valid in both, so the body is
    /// that of 1.0.0, under the version that was asked for.
    OpenMetricsDraft,
    /// JSON. No header asks for it: a server has it under a path of its own.
    Json,
}

impl Format {
    /// The value of the `Content-Type` header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::OpenMetricsDraft => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// A format that can be asked for.
struct Offer {
    format: Format,
    kind: &'static str,
    subtype: &'static str,
    version: &'static str,
}

/// In the order in which they are preferred by a clause that matches several.
const OFFERS: [Offer; 3] = [
    Offer { format: Format::Text, kind: "text", subtype: "plain", version: "0.0.4" },
    Offer { format: Format::OpenMetrics, kind: "application", subtype: "openmetrics-text", version: "1.0.0" },
    Offer { format: Format::OpenMetricsDraft, kind: "application", subtype: "openmetrics-text", version: "0.0.1" },
];

/// Picks the format for a request, from the values of all its `Accept` headers in their order.
///
/// ```
/// use telemetry_exporter::negotiate::{Format, negotiate};
///
/// assert_eq!(negotiate([]), Format::Text);
/// assert_eq!(negotiate([b"application/openmetrics-text;version=1.0.0,*/*;q=0.1".as_slice()]), Format::OpenMetrics);
/// ```
#[must_use]
pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> Format {
    let clauses: Vec<Clause<'_>> =
        accept.into_iter().flat_map(|header| split(header, b',')).filter_map(Clause::parse).collect();
    let judged = OFFERS.iter().map(|offer| (offer.format, judge(offer, &clauses)));

    let mut best: Option<(Format, Verdict)> = None;
    for (format, verdict) in judged.clone().filter_map(|(format, verdict)| Some((format, verdict?))) {
        if verdict.quality > 0.0 && best.is_none_or(|(_, best)| verdict.beats(best)) {
            best = Some((format, verdict));
        }
    }
    let not_excluded = || judged.clone().find(|(_, verdict)| verdict.is_none()).map(|(format, _)| format);
    best.map(|(format, _)| format).or_else(not_excluded).unwrap_or(Format::Text)
}

/// What the header says of an offer.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    quality: f32,
    // Of the clause, in the header.
    position: usize,
}

impl Verdict {
    fn beats(self, other: Self) -> bool {
        self.quality > other.quality || (self.quality == other.quality && self.position < other.position)
    }
}

/// What the most specific clause says of `offer`, the first of several such; `None` when no clause matches.
fn judge(offer: &Offer, clauses: &[Clause<'_>]) -> Option<Verdict> {
    let mut verdict = None;
    for (position, clause) in clauses.iter().enumerate() {
        if let Some(specificity) = clause.specificity(offer)
            && verdict.is_none_or(|(before, _)| specificity > before)
        {
            verdict = Some((specificity, Verdict { quality: clause.quality, position }));
        }
    }
    verdict.map(|(_, verdict)| verdict)
}

/// One media range of the header.
struct Clause<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    version: Option<&'a [u8]>,
    quality: f32,
}

impl<'a> Clause<'a> {
    /// Reads a clause; `None` when it is not one.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = split(text, b';');
        let (kind, subtype) = split_at(parts.next()?, b'/')?;
        let mut clause = Self { kind, subtype, version: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|part| split_at(part, b'=')) {
            if name.eq_ignore_ascii_case(b"q") {
                clause.quality = quality(value)?;
            } else if name.eq_ignore_ascii_case(b"version") {
                clause.version = Some(unquoted(value));
            }
        }
        Some(clause)
    }

    /// How closely this clause describes `offer`; `None` when it doesn't.
    fn specificity(&self, offer: &Offer) -> Option<u8> {
        if self.version.is_some_and(|version| version != offer.version.as_bytes()) {
            return None;
        }
        let is = |range: &[u8], name: &str| range.eq_ignore_ascii_case(name.as_bytes());
        if is(self.kind, offer.kind) && is(self.subtype, offer.subtype) {
            return Some(if self.version.is_some() { 3 } else { 2 });
        }
        if is(self.kind, offer.kind) && self.subtype == b"*" {
            return Some(1);
        }
        (self.kind == b"*" && self.subtype == b"*").then_some(0)
    }
}

/// Reads a `q`: a decimal from 0 to 1.
pub(crate) fn quality(value: &[u8]) -> Option<f32> {
    // `f32` would also read "1e-1", "inf" and "NaN".
    let text = str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))?;
    text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))
}

/// The parts of `text` between separators that stand outside of quotes, trimmed.
pub(crate) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(move |byte| {
        if is_escaped {
            is_escaped = false;
        } else if *byte == b'"' {
            is_quoted = !is_quoted;
        } else if *byte == b'\\' {
            is_escaped = is_quoted;
        }
        *byte == separator && !is_quoted
    });
    parts.map(<[u8]>::trim_ascii)
}

/// What stands before and behind the first `separator`, trimmed.
pub(crate) fn split_at(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((text[..at].trim_ascii(), text[at + 1..].trim_ascii()))
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}
