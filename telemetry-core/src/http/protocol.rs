//! The scheme and the version of a request, as tags.

use ::http::Uri;

use crate::TagValue;

/// The scheme of a request's target: the tag `url.scheme`.
///
/// There are two, and no others: what a client writes into a request makes no series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TagValue)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    // Invariant: in the order of the declaration, so that `scheme as usize` is its place.
    pub(super) const ALL: [Self; 2] = [Self::Http, Self::Https];

    /// The scheme of `uri`, where it says one that is known.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        match uri.scheme_str()? {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// The port that is meant where none is given.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The version of HTTP that a request was sent with: the tag `network.protocol.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TagValue)]
pub enum Version {
    /// HTTP/0.9.
    #[tag(rename = "0.9")]
    Http09,
    /// HTTP/1.0.
    #[tag(rename = "1.0")]
    Http10,
    /// HTTP/1.1.
    #[tag(rename = "1.1")]
    Http11,
    /// HTTP/2.
    #[tag(rename = "2")]
    Http2,
    /// HTTP/3.
    #[tag(rename = "3")]
    Http3,
}

impl Version {
    /// `None` for a version that the crate `http` has and this one does not.
    pub(super) fn of(version: ::http::Version) -> Option<Self> {
        Some(match version {
            ::http::Version::HTTP_09 => Self::Http09,
            ::http::Version::HTTP_10 => Self::Http10,
            ::http::Version::HTTP_11 => Self::Http11,
            ::http::Version::HTTP_2 => Self::Http2,
            ::http::Version::HTTP_3 => Self::Http3,
            _ => return None,
        })
    }
}

/// How a request ended: the tag `outcome`, as spans have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TagValue)]
pub enum Outcome {
    /// With a whole response that is no error.
    Ok,
    /// With a response that is an error, or that broke off.
    Error,
    /// Whoever was to have the response did not want it any more.
    Cancelled,
}
