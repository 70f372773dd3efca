//! A request to a response.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::admission::Admission;
use super::body::{Body, Source};
use super::figures::Figures;
use super::flow::Key;
use super::progress::Progress;
use super::{BadRequest, Exposition, Limits, Scrape, ScrapeError, Target, landing};
use crate::compress::Coding;

const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NEGOTIATED: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");
const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// What is kept back of a scraper's deadline for the way to it.
const WAY: Duration = Duration::from_millis(500);

/// What the endpoint has to show.
pub(super) struct Site {
    exposition: Box<dyn Exposition>,
    landing: String,
    limits: Limits,
    events: bool,
    codings: Vec<Coding>,
    figures: Arc<Figures>,
}

/// What is shown beside the exposition.
pub(super) struct Pages<'a> {
    pub(super) title: &'a str,
    pub(super) events: bool,
}

impl Site {
    pub(super) fn new(
        exposition: Box<dyn Exposition>,
        pages: Pages<'_>,
        limits: Limits,
        codings: Vec<Coding>,
        figures: Arc<Figures>,
    ) -> Self {
        let Pages { title, events } = pages;
        Self { exposition, landing: landing::page(title, events), limits, events, codings, figures }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// The response; hyper leaves out its body where the method is `HEAD`.
    pub(super) async fn respond(
        &self,
        request: &Request<Incoming>,
        admission: &Rc<Admission>,
        progress: &Rc<Progress>,
    ) -> Response<Body> {
        progress.request(budget(request.headers()), !request.body().is_end_stream());
        let mut response = self.route(request, admission, progress).await;
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        progress.answered();
        self.figures.responded(response.status().as_u16());
        response
    }

    async fn route(
        &self,
        request: &Request<Incoming>,
        admission: &Rc<Admission>,
        progress: &Rc<Progress>,
    ) -> Response<Body> {
        if request.uri().query().is_some_and(|query| query.len() > self.limits.query_bytes) {
            let text = format!("the query is longer than {} bytes\n", self.limits.query_bytes);
            return message(StatusCode::URI_TOO_LONG, &text, progress);
        }
        let page = match request.uri().path() {
            "/metrics" => Page::Scrape(Target::Metrics),
            "/metrics.json" => Page::Scrape(Target::Json),
            "/events" if self.events => Page::Scrape(Target::Events),
            "/-/healthy" => Page::Whole(TEXT, "ok"),
            "/" => Page::Whole(HTML, &self.landing),
            // `OPTIONS *` asks about the server.
            "*" if *request.method() == Method::OPTIONS => Page::Whole(TEXT, ""),
            _ => return message(StatusCode::NOT_FOUND, "not found; the metrics are at /metrics\n", progress),
        };
        match *request.method() {
            Method::GET | Method::HEAD => match page {
                Page::Scrape(target) => self.scrape(target, request, admission, progress).await,
                Page::Whole(kind, text) => whole(StatusCode::OK, kind, text, progress),
            },
            Method::OPTIONS => {
                let mut response = Response::new(Body::whole(Vec::new(), progress));
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().insert(ALLOW, ALLOWED);
                response
            }
            _ => {
                let text = "method not allowed; use GET, HEAD or OPTIONS\n";
                let mut response = message(StatusCode::METHOD_NOT_ALLOWED, text, progress);
                response.headers_mut().insert(ALLOW, ALLOWED);
                response
            }
        }
    }

    async fn scrape(
        &self,
        target: Target,
        request: &Request<Incoming>,
        admission: &Rc<Admission>,
        progress: &Rc<Progress>,
    ) -> Response<Body> {
        let begun = Instant::now();
        let key = Key {
            target,
            accept: joined(request.headers(), ACCEPT).map(Cow::into_owned),
            accept_encoding: joined(request.headers(), ACCEPT_ENCODING).map(Cow::into_owned),
            query: request.uri().query().map(str::to_owned),
        };
        let mut reader = match admission.flows().join(&key) {
            Some(reader) => reader,
            None => {
                let Some(place) = admission.begin_scrape() else {
                    return later("too many scrapes at once; try again\n", progress);
                };
                let scrape = Scrape {
                    target,
                    accept: key.accept.as_deref(),
                    accept_encoding: key.accept_encoding.as_deref(),
                    query: key.query.as_deref(),
                    time: progress.time_of_response().saturating_duration_since(begun),
                };
                let coding = Coding::negotiate(scrape.accept_encoding, &self.codings);
                match Source::open(|| self.exposition.open(&scrape)) {
                    Ok(source) => admission.flows().begin(key, source, coding, place),
                    Err(error) => return failure(&error, progress),
                }
            }
        };
        // The first part is made before the status is sent, so that an exposition that fails at once can say so, and
        // a small one gets its length.
        let head = timeout_at(progress.time_of_response(), reader.head()).await;
        let head = match head {
            Ok(Ok(_)) if Instant::now() >= progress.time_of_response() => None,
            Ok(Ok(head)) => Some(head),
            Ok(Err(error)) => return failure(&error, progress),
            Err(_) => None,
        };
        let Some(head) = head else {
            return later("the exposition was not ready within the time for a scrape\n", progress);
        };
        let kind = HeaderValue::from_str(head.content_type);
        let encoding = head.content_encoding.map(HeaderValue::from_str).transpose();
        let (Ok(kind), Ok(encoding)) = (kind, encoding) else {
            let text = "the scrape failed: its content type or encoding is no header value\n";
            return message(StatusCode::INTERNAL_SERVER_ERROR, text, progress);
        };
        let body = Body::scrape(reader, begun, head.content_encoding, &self.figures, progress);
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, encoding);
        }
        headers.insert(VARY, NEGOTIATED);
        response
    }
}

enum Page<'a> {
    Scrape(Target),
    Whole(HeaderValue, &'a str),
}

fn whole(status: StatusCode, kind: HeaderValue, text: &str, progress: &Rc<Progress>) -> Response<Body> {
    let mut response = Response::new(Body::whole(text.as_bytes().to_vec(), progress));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn message(status: StatusCode, text: &str, progress: &Rc<Progress>) -> Response<Body> {
    whole(status, TEXT, text, progress)
}

/// A scrape that failed before anything of it was sent.
fn failure(error: &ScrapeError, progress: &Rc<Progress>) -> Response<Body> {
    match error.downcast_ref::<BadRequest>() {
        Some(error) => message(StatusCode::BAD_REQUEST, &format!("{error}\n"), progress),
        None => message(StatusCode::INTERNAL_SERVER_ERROR, &format!("the scrape failed: {error}\n"), progress),
    }
}

fn later(text: &str, progress: &Rc<Progress>) -> Response<Body> {
    let mut response = message(StatusCode::SERVICE_UNAVAILABLE, text, progress);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The value of a list header; one line is as good as several.
fn joined(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, [u8]>> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = lines.next()?;
    Some(lines.fold(Cow::Borrowed(first), |list, line| {
        let mut list = list.into_owned();
        list.push(b',');
        list.extend_from_slice(line);
        Cow::Owned(list)
    }))
}

/// What a scraper that tells its deadline leaves us of it.
fn budget(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero())?;
    // Half of a timeout that is shorter than twice the way.
    Some(timeout.saturating_sub(WAY).max(timeout / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn several_lines_of_a_list_header_are_one_list() {
        let joined = |lines| joined(&headers(ACCEPT, lines), ACCEPT).map(Cow::into_owned);
        assert_eq!(joined(&[]), None);
        assert_eq!(joined(&["a"]), Some(b"a".to_vec()));
        assert_eq!(joined(&["a", "b;q=1", "c"]), Some(b"a,b;q=1,c".to_vec()));
    }

    #[test]
    fn a_scrapers_deadline_is_kept_with_time_for_the_way() {
        let budget = |text| budget(&headers(SCRAPE_TIMEOUT, &[text]));
        assert_eq!(budget("10"), Some(Duration::from_millis(9_500)));
        assert_eq!(budget("0.900"), Some(Duration::from_millis(450)));
        for nonsense in ["", "0", "-1", "NaN", "inf", "1e300", "ten"] {
            assert_eq!(budget(nonsense), None, "{nonsense:?}");
        }
    }
}
