//! What stands before the routes: who may ask, in what order that is found out, and with which TLS.
//!
//! ```text
//! connection   TLS, if it is spoken            a handshake that fails: closed
//! request      the rate, if it is limited      429
//!              the network                     403
//!              the password or the token       401, or 503 if too many wait to be checked
//! response     headers, if some are to be set
//! ```
//!
//! Where the rules came from files, these are looked at again when a connection or a request comes, once a second at most.
//! Rules that can't be read leave those in place that are there.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "auth")]
use base64::Engine as _;
use hyper::body::Incoming;
#[cfg(feature = "auth")]
use hyper::header::AUTHORIZATION;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response, StatusCode};

#[cfg(feature = "auth")]
use super::access::password::{Verdict, Verifier};
use super::access::{self, Access};
use super::address::ServeError;
use super::body::Body;
use super::progress::Progress;
#[cfg(feature = "tls")]
use super::reload::{Files, Reload};
#[cfg(feature = "tls")]
use super::tls::Tls;
#[cfg(feature = "web-config")]
use super::web_config::{self, Rate, WebConfig};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// How often an endpoint turned somebody away, and how it fared with files that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardStats {
    /// Handshakes of TLS that failed or took too long.
    pub handshakes_failed: u64,
    /// Requests without the right password or token, answered `401`.
    pub unauthorized: u64,
    /// Requests from elsewhere than a network that is let in, answered `403`.
    pub forbidden: u64,
    /// Requests beyond the limit of their rate, answered `429`.
    pub limited: u64,
    /// Requests whose password could not be checked as too many others waited for that, answered `503`.
    pub busy: u64,
    /// How often bcrypt ran: once for credentials that are right, each time for others.
    pub passwords_checked: u64,
    /// How often changed files were taken over.
    pub reloads: u64,
    /// How often changed files could not be taken over.
    pub reloads_failed: u64,
    /// Why the files as they are now can't be taken over; `None` when they are in use.
    pub reload_error: Option<String>,
}

/// The figures of a guard; counted rarely, so a lock is cheap enough.
pub(super) type Tally = Arc<Mutex<GuardStats>>;

/// A copy of the figures.
pub(super) fn stats(tally: &Tally) -> GuardStats {
    tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What a builder was told of all that.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    pub(super) access: Access,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
    #[cfg(feature = "web-config")]
    pub(super) web_config: Option<std::path::PathBuf>,
}

impl Definition {
    /// The rules as the files are now, which are noted.
    #[cfg(feature = "tls")]
    fn load(&self, files: &mut Files) -> Result<Rules, ServeError> {
        #[cfg(feature = "web-config")]
        if let Some(path) = &self.web_config {
            return self.load_with(path, files);
        }
        let tls = self.tls.as_ref().map(|tls| tls.build(files)).transpose().map_err(ServeError::Tls)?;
        Ok(Rules { tls, ..self.rules()? })
    }

    #[cfg(feature = "web-config")]
    fn load_with(&self, path: &std::path::Path, files: &mut Files) -> Result<Rules, ServeError> {
        let WebConfig { tls, users, headers, rate } = web_config::read(path, files).map_err(ServeError::WebConfig)?;
        let tls = match (tls, &self.tls) {
            (Some(_), Some(_)) => return Err(ServeError::TwoTls { path: path.to_owned() }),
            (Some(tls), None) => Some(tls),
            (None, None) => None,
            (None, Some(tls)) => Some(tls.build(files).map_err(ServeError::Tls)?),
        };
        let access = users.into_iter().fold(self.access.clone(), |access, (name, hash)| access.user(name, hash));
        let access = access.rules().map_err(ServeError::Access)?;
        Ok(Rules { access, tls, headers, rate })
    }

    fn rules(&self) -> Result<Rules, ServeError> {
        Ok(Rules {
            access: self.access.rules().map_err(ServeError::Access)?,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "web-config")]
            headers: Vec::new(),
            #[cfg(feature = "web-config")]
            rate: None,
        })
    }

    /// The guard that begins with the files as they are now.
    pub(super) fn guard(self) -> Result<Guard, ServeError> {
        #[cfg(not(feature = "tls"))]
        let rules = self.rules()?;
        #[cfg(feature = "tls")]
        let (rules, reload) = {
            let mut files = Files::default();
            let rules = self.load(&mut files)?;
            (rules, files.into_reload().map(|reload| RefCell::new((reload, self))))
        };
        Ok(Guard {
            rules: RefCell::new(Arc::new(rules)),
            #[cfg(feature = "auth")]
            verifier: Verifier::default(),
            #[cfg(feature = "tls")]
            reload,
            #[cfg(feature = "web-config")]
            bucket: RefCell::default(),
            tally: Tally::default(),
        })
    }
}

/// What clients and requests are held against.
struct Rules {
    access: access::Rules,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
    #[cfg(feature = "web-config")]
    headers: Vec<(hyper::header::HeaderName, HeaderValue)>,
    #[cfg(feature = "web-config")]
    rate: Option<Rate>,
}

/// Why a request does not come to the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Forbidden,
    #[cfg_attr(not(feature = "auth"), allow(dead_code, reason = "nobody is asked"))]
    Unauthorized,
    #[cfg_attr(not(feature = "auth"), allow(dead_code, reason = "nothing is checked"))]
    Busy,
    #[cfg_attr(not(feature = "web-config"), allow(dead_code, reason = "no rate is limited"))]
    Limited,
}

/// Guards one endpoint.
pub(super) struct Guard {
    // Replaced as a whole; a request goes on with those that it began with.
    rules: RefCell<Arc<Rules>>,
    #[cfg(feature = "auth")]
    verifier: Verifier,
    /// The files behind the rules, and how rules are made of them.
    #[cfg(feature = "tls")]
    reload: Option<RefCell<(Reload, Definition)>>,
    #[cfg(feature = "web-config")]
    bucket: RefCell<web_config::Bucket>,
    tally: Tally,
}

impl Guard {
    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Whether everybody is let in, in plain text: nothing is ever counted then.
    pub(super) fn is_open(&self) -> bool {
        let rules = self.rules();
        #[cfg(feature = "tls")]
        if rules.tls.is_some() || self.reload.is_some() {
            return false;
        }
        rules.access.is_open()
    }

    /// The TLS of a connection that begins now.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<tokio_rustls::TlsAcceptor> {
        self.refresh();
        self.rules().tls.clone().map(Into::into)
    }

    /// A handshake did not come to its end.
    #[cfg(feature = "tls")]
    pub(super) fn handshake_failed(&self) {
        self.count(|tally| tally.handshakes_failed += 1);
    }

    /// Whether a request may go on to the routes.
    pub(super) async fn admit(&self, request: &Request<Incoming>, from: Option<IpAddr>) -> Result<(), Refusal> {
        #[cfg(feature = "tls")]
        self.refresh();
        let rules = self.rules();
        let admitted = self.check(&rules, request, from).await;
        if let Err(refusal) = admitted {
            self.count(|tally| match refusal {
                Refusal::Forbidden => tally.forbidden += 1,
                Refusal::Unauthorized => tally.unauthorized += 1,
                Refusal::Busy => tally.busy += 1,
                Refusal::Limited => tally.limited += 1,
            });
        }
        admitted
    }

    #[cfg_attr(not(feature = "auth"), allow(clippy::unused_async, unused_variables, reason = "nobody is asked"))]
    async fn check(&self, rules: &Rules, request: &Request<Incoming>, from: Option<IpAddr>) -> Result<(), Refusal> {
        #[cfg(feature = "web-config")]
        if !rules.rate.is_none_or(|rate| self.bucket.borrow_mut().take(rate)) {
            return Err(Refusal::Limited);
        }
        if !rules.access.lets_in(from) {
            return Err(Refusal::Forbidden);
        }
        if !rules.access.asks() {
            return Ok(());
        }
        #[cfg(feature = "auth")]
        match self.verdict(&rules.access, request).await {
            Verdict::Right => return Ok(()),
            Verdict::Busy => return Err(Refusal::Busy),
            Verdict::Wrong => {}
        }
        Err(Refusal::Unauthorized)
    }

    #[cfg(feature = "auth")]
    async fn verdict(&self, access: &access::Rules, request: &Request<Incoming>) -> Verdict {
        match request.headers().get(AUTHORIZATION).and_then(Credentials::of) {
            None => Verdict::Wrong,
            Some(Credentials::Token(token)) if access.tokens.hold(token) => Verdict::Right,
            Some(Credentials::Token(_)) => Verdict::Wrong,
            Some(Credentials::Password { name, password }) => {
                let runs = || self.count(|tally| tally.passwords_checked += 1);
                self.verifier.verify(&access.users, &name, &password, runs).await
            }
        }
    }

    /// The answer to who is not let in.
    pub(super) fn refuse(&self, refusal: Refusal, progress: &Rc<Progress>) -> Response<Body> {
        let (status, text) = match refusal {
            Refusal::Forbidden => (StatusCode::FORBIDDEN, "this address may not ask here\n"),
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "the right password or token is needed\n"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many passwords to check at once; try again\n"),
            Refusal::Limited => (StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later\n"),
        };
        let mut response = Response::new(Body::whole(text.as_bytes().to_vec(), progress));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, TEXT);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match refusal {
            Refusal::Forbidden => {}
            Refusal::Busy | Refusal::Limited => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            Refusal::Unauthorized => {
                for challenge in self.rules().access.challenges() {
                    headers.append(WWW_AUTHENTICATE, challenge);
                }
            }
        }
        response
    }

    /// Sets the headers that every response is to have.
    #[cfg_attr(not(feature = "web-config"), allow(unused_variables, clippy::unused_self, reason = "there are none"))]
    pub(super) fn dress(&self, response: &mut Response<Body>) {
        #[cfg(feature = "web-config")]
        for (name, value) in &self.rules().headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.borrow().clone()
    }

    fn count(&self, count: impl FnOnce(&mut GuardStats)) {
        count(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes over files that have changed.
    #[cfg(feature = "tls")]
    fn refresh(&self) {
        let Some(reload) = &self.reload else { return };
        let (reload, definition) = &mut *reload.borrow_mut();
        if !reload.is_due() {
            return;
        }
        let mut files = Files::default();
        let loaded = definition.load(&mut files).and_then(|rules| {
            let (before, after) = (self.rules().tls.is_some(), rules.tls.is_some());
            if before == after { Ok(rules) } else { Err(ServeError::TlsSwitched { before }) }
        });
        match loaded {
            Ok(rules) => {
                reload.succeeded(files);
                #[cfg(feature = "auth")]
                self.verifier.retain(&rules.access.users);
                *self.rules.borrow_mut() = Arc::new(rules);
                self.count(|tally| {
                    tally.reloads += 1;
                    tally.reload_error = None;
                });
            }
            Err(error) => {
                reload.failed();
                let text = described(&error);
                self.count(|tally| {
                    // It is tried again and again, and counted once.
                    if tally.reload_error.as_ref() != Some(&text) {
                        tally.reloads_failed += 1;
                    }
                    tally.reload_error = Some(text);
                });
            }
        }
    }
}

/// An error with what the system said.
#[cfg(feature = "tls")]
fn described(error: &ServeError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What a client shows.
#[cfg(feature = "auth")]
enum Credentials<'a> {
    Password { name: Vec<u8>, password: Vec<u8> },
    Token(&'a [u8]),
}

#[cfg(feature = "auth")]
impl<'a> Credentials<'a> {
    fn of(header: &'a HeaderValue) -> Option<Self> {
        let value = header.as_bytes();
        let space = value.iter().position(|byte| *byte == b' ')?;
        let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Some(Self::Token(rest));
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let mut name = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
        let colon = name.iter().position(|byte| *byte == b':')?;
        let password = name.split_off(colon + 1);
        name.truncate(colon);
        Some(Self::Password { name, password })
    }
}

#[cfg(all(test, feature = "auth"))]
mod tests {
    use super::*;

    fn password(header: &'static str) -> Option<(Vec<u8>, Vec<u8>)> {
        match Credentials::of(&HeaderValue::from_static(header))? {
            Credentials::Password { name, password } => Some((name, password)),
            Credentials::Token(_) => None,
        }
    }

    #[test]
    fn a_password_goes_from_the_first_colon_to_the_end() {
        let expected = Some((b"alice".to_vec(), b"a:b".to_vec()));
        assert_eq!(password("Basic YWxpY2U6YTpi"), expected);
        assert_eq!(password("bAsIc  YWxpY2U6YTpi"), expected, "schemes have no case");
        assert_eq!(password("Basic YWxpY2U="), None, "there is no colon");
        for nonsense in ["", "Basic", "Basic ", "Basic ???", "Digest YWxpY2U6YTpi", "BasicYWxpY2U6YTpi"] {
            assert_eq!(password(nonsense), None, "{nonsense:?}");
        }
    }
}
