//! Which format a scraper gets: the `Accept` header, read.
//!
//! Each format that is offered is judged by the most specific clause that matches it: a media type with a version before
//! one without, that before `text/*`, and that before `*/*`. The format with the highest `q` wins; of equal ones the one
//! whose clause stands first. `q=0` excludes. A clause for a version that is not offered matches nothing. Protobuf goes to who
//! names its message and its encoding, and to nobody else. When nothing
//! matches, the answer is the text format all the same, never an error: a scraper that asks for something else can still
//! read that.
//!
//! How names are to be escaped is read from the whole header: see [`Negotiated::escaping`].

use crate::name::Escaping;

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format 0.0.4.
    Text,
    /// The Prometheus text format 1.0.0: the same, for scrapers that may ask for UTF-8 names.
    Text1,
    /// OpenMetrics 1.0.0; also for who asks for OpenMetrics and no version.
    OpenMetrics,
    /// OpenMetrics 0.0.1, the draft, for who asks for that version alone. What is written is valid in both, so the body is
    /// that of 1.0.0, under the version that was asked for.
    OpenMetricsDraft,
    /// OpenMetrics 2.0.0, whose specification is a draft still, for who asks for that version alone.
    #[cfg(feature = "openmetrics2")]
    #[cfg_attr(docsrs, doc(cfg(feature = "openmetrics2")))]
    OpenMetrics2,
    /// Delimited protobuf: the format of native histograms. Only for who asks for it by its full name.
    Protobuf,
    /// JSON. No header asks for it: a server has it under a path of its own.
    Json,
}

impl Format {
    /// The value of the `Content-Type` header for a scraper that asked for no escaping.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        Negotiated { format: self, asked: None }.content_type()
    }
}

/// What a scraper gets: a format, and names that it can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Negotiated {
    format: Format,
    asked: Option<Escaping>,
}

/// A content type, and the escaping where there is one to tell.
macro_rules! content_type {
    ($type:literal, $escaping:expr) => {
        match $escaping {
            None => $type,
            Some(Escaping::AllowUtf8) => concat!($type, "; escaping=allow-utf-8"),
            Some(Escaping::Underscores) => concat!($type, "; escaping=underscores"),
            Some(Escaping::Dots) => concat!($type, "; escaping=dots"),
            Some(Escaping::Values) => concat!($type, "; escaping=values"),
        }
    };
}

impl Negotiated {
    /// This format, with names as they are for a scraper that asks for none.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, asked: None }
    }

    /// The format.
    #[must_use]
    pub const fn format(self) -> Format {
        self.format
    }

    /// How names are escaped: as was asked, else with underscores.
    #[must_use]
    pub const fn escaping(self) -> Escaping {
        match self.asked {
            Some(escaping) => escaping,
            None => Escaping::Underscores,
        }
    }

    /// The value of the `Content-Type` header: it repeats the escaping where one was asked for. The text format 1.0.0
    /// always tells it, and the text format 0.0.4 only one that differs from what it always had.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self.format {
            Format::Text => {
                let told = match self.asked {
                    Some(Escaping::Underscores) | None => None,
                    told => told,
                };
                content_type!("text/plain; version=0.0.4; charset=utf-8", told)
            }
            Format::Text1 => content_type!("text/plain; version=1.0.0; charset=utf-8", Some(self.escaping())),
            Format::OpenMetrics => {
                content_type!("application/openmetrics-text; version=1.0.0; charset=utf-8", self.asked)
            }
            Format::OpenMetricsDraft => {
                content_type!("application/openmetrics-text; version=0.0.1; charset=utf-8", self.asked)
            }
            #[cfg(feature = "openmetrics2")]
            Format::OpenMetrics2 => {
                content_type!("application/openmetrics-text; version=2.0.0; charset=utf-8", self.asked)
            }
            Format::Protobuf => content_type!(
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                self.asked
            ),
            Format::Json => "application/json",
        }
    }
}

/// A format that can be asked for.
struct Offer {
    format: Format,
    kind: &'static str,
    subtype: &'static str,
    version: &'static str,
    // Whether it goes to who names the version alone, and not to who names the type, or any.
    only_by_version: bool,
}

const OPENMETRICS: Offer = Offer {
    format: Format::OpenMetrics,
    kind: "application",
    subtype: "openmetrics-text",
    version: "1.0.0",
    only_by_version: false,
};

const TEXT: Offer =
    Offer { format: Format::Text, kind: "text", subtype: "plain", version: "0.0.4", only_by_version: false };

/// In the order in which they are preferred by a clause that matches several.
const OFFERS: &[Offer] = &[
    TEXT,
    OPENMETRICS,
    Offer { format: Format::Text1, version: "1.0.0", only_by_version: true, ..TEXT },
    Offer { format: Format::OpenMetricsDraft, version: "0.0.1", ..OPENMETRICS },
    #[cfg(feature = "openmetrics2")]
    Offer { format: Format::OpenMetrics2, version: "2.0.0", only_by_version: true, ..OPENMETRICS },
    Offer {
        format: Format::Protobuf,
        kind: "application",
        subtype: "vnd.google.protobuf",
        version: "",
        only_by_version: true,
    },
];

/// Picks format and escaping for a request, from the values of all its `Accept` headers in their order.
///
/// ```
/// use telemetry_exporter::name::Escaping;
/// use telemetry_exporter::negotiate::{Format, negotiate};
///
/// assert_eq!(negotiate([]).format(), Format::Text);
///
/// let answer = negotiate([b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,*/*;q=0.1".as_slice()]);
/// assert_eq!(answer.format(), Format::OpenMetrics);
/// assert_eq!(answer.escaping(), Escaping::AllowUtf8);
/// ```
#[must_use]
pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> Negotiated {
    let clauses: Vec<Clause<'_>> =
        accept.into_iter().flat_map(|header| split(header, b',')).filter_map(Clause::parse).collect();
    let judged = || OFFERS.iter().map(|offer| (offer, judge(offer, &clauses)));

    let mut best: Option<(Format, Verdict)> = None;
    for (offer, verdict) in judged().filter_map(|(offer, verdict)| Some((offer, verdict?))) {
        if verdict.quality > 0.0 && best.is_none_or(|(_, best)| verdict.beats(best)) {
            best = Some((offer.format, verdict));
        }
    }
    let not_excluded = || judged().find(|(offer, verdict)| verdict.is_none() && !offer.only_by_version);
    let format = match best {
        Some((format, _)) => format,
        None => not_excluded().map_or(Format::Text, |(offer, _)| offer.format),
    };
    Negotiated { format, asked: escaping(&clauses, best.map(|(_, verdict)| verdict.position)) }
}

/// The escaping that the whole header asks for: that of the clause that won, else that of the one which is liked best.
///
/// Scrapers name it only with some types. A name that depended on which of these wins would change with the format, and a
/// series with it.
fn escaping(clauses: &[Clause<'_>], winner: Option<usize>) -> Option<Escaping> {
    let mut best: Option<(f32, Escaping)> = None;
    for clause in clauses.iter().filter(|clause| clause.quality > 0.0) {
        if let Some(escaping) = clause.escaping
            && best.is_none_or(|(quality, _)| clause.quality > quality)
        {
            best = Some((clause.quality, escaping));
        }
    }
    winner.and_then(|at| clauses[at].escaping).or(best.map(|(_, escaping)| escaping))
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
    escaping: Option<Escaping>,
    /// Of protobuf: which message, and how one is told from the next.
    message: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    quality: f32,
}

impl<'a> Clause<'a> {
    /// Reads a clause; `None` when it is not one.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = split(text, b';');
        let (kind, subtype) = split_at(parts.next()?, b'/')?;
        let mut clause =
            Self { kind, subtype, version: None, escaping: None, message: None, encoding: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|part| split_at(part, b'=')) {
            if name.eq_ignore_ascii_case(b"q") {
                clause.quality = quality(value)?;
            } else if name.eq_ignore_ascii_case(b"version") {
                clause.version = Some(unquoted(value));
            } else if name.eq_ignore_ascii_case(b"escaping") {
                // One that is not known counts as none.
                let named = |escaping: &Escaping| unquoted(value).eq_ignore_ascii_case(escaping.name().as_bytes());
                clause.escaping = Escaping::ALL.into_iter().find(named);
            } else if name.eq_ignore_ascii_case(b"proto") {
                clause.message = Some(unquoted(value));
            } else if name.eq_ignore_ascii_case(b"encoding") {
                clause.encoding = Some(unquoted(value));
            }
        }
        Some(clause)
    }

    /// How closely this clause describes `offer`; `None` when it doesn't.
    fn specificity(&self, offer: &Offer) -> Option<u8> {
        if offer.format == Format::Protobuf {
            // A scraper that would take anything may still fail on this.
            return (self.is(offer) && self.is_delimited_families()).then_some(3);
        }
        if self.version.is_some_and(|version| version != offer.version.as_bytes()) {
            return None;
        }
        if self.version.is_none() && offer.only_by_version && offer.format != Format::Protobuf {
            return None;
        }
        if self.is(offer) {
            return Some(if self.version.is_some() { 3 } else { 2 });
        }
        if self.kind.eq_ignore_ascii_case(offer.kind.as_bytes()) && self.subtype == b"*" {
            return Some(1);
        }
        (self.kind == b"*" && self.subtype == b"*").then_some(0)
    }

    fn is(&self, offer: &Offer) -> bool {
        self.kind.eq_ignore_ascii_case(offer.kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(offer.subtype.as_bytes())
    }

    fn is_delimited_families(&self) -> bool {
        self.message == Some(b"io.prometheus.client.MetricFamily") && self.encoding == Some(b"delimited")
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
