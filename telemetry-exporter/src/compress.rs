//! Smaller bodies, for clients that take them: content codings, their negotiation, and coding as a body is made.
//!
//! Nothing is coded unless the client offers it. Bodies are coded at the lowest level: the text of an exposition repeats
//! itself so much that higher ones take several times as long for little.
//!
//! ```
//! use telemetry_exporter::compress::Coding;
//!
//! let coding = Coding::negotiate(Some(b"br, *;q=0"), Coding::ALL);
//! assert_eq!((coding, coding.header()), (Coding::Identity, None));
//! ```

use std::io;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use std::io::Write as _;

use crate::negotiate::{quality, split, split_at};

/// A body that is shorter is sent as it is: one packet carries it either way.
pub(crate) const WORTHWHILE: usize = 1024;

/// How a body is coded on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// As it is.
    Identity,
    /// gzip.
    #[cfg(feature = "gzip")]
    Gzip,
    /// Zstandard.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Coding {
    /// Every coding that was built in, the one to be preferred first.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "zstd")]
        Self::Zstd,
        #[cfg(feature = "gzip")]
        Self::Gzip,
        Self::Identity,
    ];

    /// The value of the `Content-Encoding` header; none for what is not coded.
    #[must_use]
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            #[cfg(feature = "gzip")]
            Self::Gzip => Some("gzip"),
            #[cfg(feature = "zstd")]
            Self::Zstd => Some("zstd"),
        }
    }

    /// Picks the coding for a request, from its `Accept-Encoding` header.
    ///
    /// The highest `q` wins, of equal ones the one that stands first in `offers`. `q=0` excludes, and `*` stands for
    /// gzip alone, which everybody can read. When nothing fits, the body is not coded, whatever the header says of that:
    /// a client can read plain text sooner than an error.
    #[must_use]
    pub fn negotiate(accept_encoding: Option<&[u8]>, offers: &[Self]) -> Self {
        let clauses: Vec<(&[u8], f32)> =
            accept_encoding.map(|header| split(header, b',').filter_map(clause).collect()).unwrap_or_default();
        let mut best = (Self::Identity, Self::Identity.judge(&clauses).unwrap_or(0.0));
        let mut is_chosen = false;
        for offer in offers {
            let Some(quality) = offer.judge(&clauses).filter(|quality| *quality > 0.0) else { continue };
            if quality > best.1 || (quality == best.1 && !is_chosen) {
                best = (*offer, quality);
                is_chosen = true;
            }
        }
        best.0
    }

    /// What the header says of this coding; `None` where it doesn't mention it.
    fn judge(self, clauses: &[(&[u8], f32)]) -> Option<f32> {
        let quality_of = |name: &str| {
            clauses.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name.as_bytes())).map(|(_, quality)| *quality)
        };
        match self {
            // Never asked for by name, it is taken all the same, but anything that is asked for comes first.
            Self::Identity => quality_of("identity"),
            #[cfg(feature = "gzip")]
            Self::Gzip => quality_of("gzip").or_else(|| quality_of("x-gzip")).or_else(|| quality_of("*")),
            #[cfg(feature = "zstd")]
            Self::Zstd => quality_of("zstd"),
        }
    }

    /// Codes a whole body, for those who serve it in a way of their own; see [`render`](crate::render).
    ///
    /// ```
    /// use telemetry_core::Registry;
    /// use telemetry_exporter::compress::Coding;
    /// use telemetry_exporter::{Format, render};
    ///
    /// let body = render(&Registry::new(), Format::OpenMetrics);
    /// let coding = Coding::negotiate(None, Coding::ALL);
    /// assert_eq!(coding.compress(body.as_bytes())?, b"# EOF\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the coder has no memory.
    pub fn compress(self, body: &[u8]) -> io::Result<Vec<u8>> {
        let (mut coder, mut out) = (Coder::new(self)?, Vec::new());
        coder.code(body, &mut out)?;
        coder.finish(&mut out)?;
        Ok(out)
    }
}

/// One element of the header: a coding and its `q`; `None` when it is not one.
fn clause(text: &[u8]) -> Option<(&[u8], f32)> {
    let mut parts = split(text, b';');
    let coding = parts.next().filter(|coding| !coding.is_empty())?;
    let mut q = 1.0;
    for (name, value) in parts.filter_map(|part| split_at(part, b'=')) {
        if name.eq_ignore_ascii_case(b"q") {
            q = quality(value)?;
        }
    }
    Some((coding, q))
}

/// Codes one body, part by part.
pub(crate) struct Coder(State);

enum State {
    Identity,
    #[cfg(feature = "gzip")]
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Coder {
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        Ok(Self(match coding {
            Coding::Identity => State::Identity,
            #[cfg(feature = "gzip")]
            // Without a time in it, so that equal bodies are equal.
            Coding::Gzip => {
                State::Gzip(Box::new(flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast())))
            }
            #[cfg(feature = "zstd")]
            Coding::Zstd => State::Zstd(Box::new(zstd::stream::write::Encoder::new(Vec::new(), 1)?)),
        }))
    }

    /// Codes `bytes`, and appends to `out` what is ready; it may keep some back.
    pub(crate) fn code(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            State::Identity => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            #[cfg(feature = "gzip")]
            State::Gzip(encoder) => {
                std::mem::swap(encoder.get_mut(), out);
                let written = encoder.write_all(bytes);
                std::mem::swap(encoder.get_mut(), out);
                written
            }
            #[cfg(feature = "zstd")]
            State::Zstd(encoder) => {
                std::mem::swap(encoder.get_mut(), out);
                let written = encoder.write_all(bytes);
                std::mem::swap(encoder.get_mut(), out);
                written
            }
        }
    }

    /// Appends what was kept back, and the end.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd")),
        allow(unused_variables, clippy::ptr_arg, reason = "nothing is kept back of what is not coded")
    )]
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.0 {
            State::Identity => {}
            #[cfg(feature = "gzip")]
            State::Gzip(encoder) => out.extend_from_slice(&encoder.finish()?),
            #[cfg(feature = "zstd")]
            State::Zstd(encoder) => out.extend_from_slice(&encoder.finish()?),
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<&'static str> {
        Coding::negotiate(Some(text.as_bytes()), Coding::ALL).header()
    }

    #[test]
    fn nothing_is_coded_unless_it_is_asked_for() {
        assert_eq!(Coding::negotiate(None, Coding::ALL), Coding::Identity);
        for text in ["", "identity", "br", "deflate, br;q=0.5", "gzip;q=0", "*;q=0", "gzip;q=2", "gzip;q=0.0", ",;,"] {
            assert_eq!(header(text), None, "{text:?}");
        }
    }

    #[test]
    fn gzip_is_taken_in_every_way_it_is_asked_for() {
        for text in
            ["gzip", "GZIP", "x-gzip", "gzip;q=0.1", "gzip, gzip", "br, gzip;q=0.8", "*", "identity;q=0, gzip;q=0.1"]
        {
            assert_eq!(header(text), Some("gzip"), "{text:?}");
        }
    }

    #[test]
    fn the_highest_quality_wins() {
        assert_eq!(header("gzip;q=0.5, identity"), None);
        assert_eq!(header("gzip;q=0.5, identity;q=0.4"), Some("gzip"));
        assert_eq!(header("gzip, identity"), Some("gzip"), "of equal ones the smaller");
        assert_eq!(header("*, gzip;q=0"), None, "a name says more than the star");
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn of_equal_codings_zstd_is_preferred() {
        assert_eq!(header("gzip, zstd"), Some("zstd"));
        assert_eq!(header("gzip, zstd;q=0.9"), Some("gzip"));
        assert_eq!(header("gzip, zstd;q=0"), Some("gzip"));
    }

    #[test]
    fn what_is_not_offered_is_not_chosen() {
        assert_eq!(Coding::negotiate(Some(b"gzip, zstd"), &[]), Coding::Identity);
        assert_eq!(Coding::negotiate(Some(b"gzip;q=1"), &[Coding::Identity]), Coding::Identity);
    }
}
