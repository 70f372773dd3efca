//! The name of the server that a client asks, kept beside the request.

use ::http::header::HOST;
use ::http::{HeaderMap, Uri, uri::Authority};

/// How long a name may be without an allocation: nearly all are shorter.
const SHORT: usize = 46;

/// The name or the IP of a host, in lower case and without the brackets of IPv6: one host is one series.
#[derive(Debug)]
pub(super) struct Address(Form);

#[derive(Debug)]
enum Form {
    // Invariant: the first `length` bytes are UTF-8; held by `Address::new`.
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl Address {
    fn new(host: &str) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut bytes = [0; SHORT];
        match (u8::try_from(host.len()), bytes.get_mut(..host.len())) {
            (Ok(length), Some(room)) => {
                room.copy_from_slice(host.as_bytes());
                room.make_ascii_lowercase();
                Self(Form::Short { length, bytes })
            }
            _ => Self(Form::Long(host.to_ascii_lowercase().into())),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match &self.0 {
            // By the invariant this never falls back.
            Form::Short { length, bytes } => std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default(),
            Form::Long(text) => text,
        }
    }
}

/// The address and the port that a request is for: of its URI, else of its `Host`.
///
/// The port is `None` where neither says one.
pub(super) fn target(uri: &Uri, headers: &HeaderMap) -> (Option<Address>, Option<u16>) {
    let of = |authority: &Authority| (Some(Address::new(authority.host())), authority.port_u16());
    if let Some(authority) = uri.authority() {
        return of(authority);
    }
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    host.as_ref().map_or((None, None), of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_host_in_one_form() {
        for (host, expected) in [("Example.COM", "example.com"), ("[::1]", "::1"), ("10.1.2.80", "10.1.2.80"), ("", "")]
        {
            assert_eq!(Address::new(host).as_str(), expected);
        }
        for length in [SHORT - 1, SHORT, SHORT + 1, 300] {
            assert_eq!(Address::new(&"A".repeat(length)).as_str(), "a".repeat(length), "{length}");
        }
    }

    #[test]
    fn the_target_is_that_of_the_uri_or_of_the_host_header() {
        let target = |uri: &'static str, host: Option<&'static str>| {
            let headers = host.map(|host| (HOST, ::http::HeaderValue::from_static(host))).into_iter().collect();
            let (address, port) = target(&Uri::from_static(uri), &headers);
            (address.map(|address| address.as_str().to_owned()), port)
        };
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(target("http://shop.test:8080/x", Some("other")), (named("shop.test"), Some(8080)));
        assert_eq!(target("https://user:secret@shop.test/x", None), (named("shop.test"), None));
        assert_eq!(target("/x", Some("shop.test:81")), (named("shop.test"), Some(81)));
        assert_eq!(target("/x", Some("[::1]:81")), (named("::1"), Some(81)));
        assert_eq!(target("/x", None), (None, None));
        assert_eq!(target("/x", Some("no host")), (None, None));
    }
}
