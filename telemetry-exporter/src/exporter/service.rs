//! The metrics as a `tower` service, for a server of the application's own.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use telemetry_core::Registry;
use telemetry_core::registry::Scrape;
use tower_service::Service;

use super::{Attached, Builder, ExporterError, attach};
use crate::about::About;
use crate::encode::{CHUNK, Encoder, Options};
use crate::filter::{Filter, Filtered};
use crate::negotiate::{Format, Negotiated, negotiate};
use crate::own::DispatchFigures;
use crate::serve::ScrapeError;

const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BY_ACCEPT: HeaderValue = HeaderValue::from_static("Accept");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// Serves metrics from any server of HTTP that takes a `tower` service: axum, hyper, and others.
///
/// [`Builder::service`] makes one with its metrics attached; [`MetricsService::new`] makes one over a registry. It answers
/// to `GET` and `HEAD` at whatever path it is mounted at, in the format that `Accept` asks for and with the families that
/// `name[]` names, just as the endpoint of an [`Exporter`](super::Exporter) does.
///
/// The walk goes on as the body is polled, 64 KiB at a time, on the thread that polls it; so are the sources of the
/// application read, which should not wait for anything. What the endpoint does beside that is the server's here: paths,
/// limits, deadlines, compression. Clones serve the same metrics, which stay attached as
/// long as one of them lives.
///
/// ```
/// use axum::Router;
/// use telemetry_core::metric::counter;
/// use telemetry_exporter::Exporter;
///
/// let metrics = Exporter::builder().metric(counter("service_doc.checkout.count")).id("service_doc").service()?;
/// let app: Router = Router::new()
///     .route_service("/metrics", metrics.clone())
///     .route_service("/metrics.json", metrics.json());
/// # drop(app);
/// # Ok::<(), telemetry_exporter::ExporterError>(())
/// ```
#[derive(Clone)]
pub struct MetricsService {
    registry: Registry,
    options: Options,
    // Whatever is accepted, if there is one.
    format: Option<Format>,
    // `None` where somebody else attached what feeds the registry.
    _attached: Option<Arc<Attached>>,
}

impl Builder {
    /// Builds the metrics and attaches them, and gives a service instead of an endpoint: where to listen, and what an
    /// endpoint allows its clients, means nothing then.
    ///
    /// # Errors
    ///
    /// [`ExporterError`] says what stood in the way and what to do.
    pub fn service(self) -> Result<MetricsService, ExporterError> {
        let Self { registry, metrics, sources, target, build, dispatch, id, options, .. } = self;
        let about = About::all(target, build);
        let attached = attach(&registry, metrics, &about, options, dispatch, id)?;
        registry.source(Arc::new(DispatchFigures(attached.dispatch.clone())));
        about.into_iter().for_each(|about| registry.source(Arc::new(about)));
        for source in sources {
            registry.source(source);
        }
        Ok(MetricsService { registry, options, format: None, _attached: Some(Arc::new(attached)) })
    }
}

impl MetricsService {
    /// Serves what is in `registry`, and no more: an exporter's own figures are not added.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), options: Options::default(), format: None, _attached: None }
    }

    /// What the formats hold beside what they must.
    #[must_use]
    pub const fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Serves JSON, whatever is accepted.
    #[must_use]
    pub const fn json(mut self) -> Self {
        self.format = Some(Format::Json);
        self
    }

    /// The registry that is served.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    fn respond(&self, method: &Method, query: Option<&str>, headers: &HeaderMap) -> Response<MetricsBody> {
        let mut response = match *method {
            Method::GET | Method::HEAD => self.scrape(method, query, headers),
            Method::OPTIONS => plain(StatusCode::NO_CONTENT, String::new()),
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed; use GET, HEAD or OPTIONS\n".to_owned()),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            response.headers_mut().insert(ALLOW, ALLOWED);
        }
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        response
    }

    fn scrape(&self, method: &Method, query: Option<&str>, headers: &HeaderMap) -> Response<MetricsBody> {
        let filter = match Filter::parse(query) {
            Ok(filter) => filter,
            Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let accept = || headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
        let answer = self.format.map_or_else(|| negotiate(accept()), Negotiated::new);
        let body = if *method == Method::HEAD {
            // Nobody reads it, so nobody makes it.
            MetricsBody { is_left_out: true, ..MetricsBody::default() }
        } else {
            match MetricsBody::scrape(&self.registry, filter, answer, self.options) {
                Ok(body) => body,
                Err(error) => {
                    return plain(StatusCode::INTERNAL_SERVER_ERROR, format!("the scrape failed: {error}\n"));
                }
            }
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type()));
        if self.format.is_none() {
            response.headers_mut().insert(VARY, BY_ACCEPT);
        }
        response
    }
}

fn plain(status: StatusCode, text: String) -> Response<MetricsBody> {
    let ready = (!text.is_empty()).then(|| text.into());
    let mut response = Response::new(MetricsBody { ready, ..MetricsBody::default() });
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Response<MetricsBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(request.method(), request.uri().query(), request.headers())))
    }
}

impl fmt::Debug for MetricsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MetricsService");
        debug.field("options", &self.options).field("format", &self.format).finish_non_exhaustive()
    }
}

/// The body of a response of a [`MetricsService`], made as it is polled.
///
/// It ends in an error if the walk panics on its way, as a source that an application wrote may do: a server cuts the
/// response then, so that nobody takes a part for the whole.
#[derive(Default)]
pub struct MetricsBody {
    ready: Option<Bytes>,
    rest: Option<Rest>,
    // Of a response to `HEAD`: it is empty, and its length is not that of the metrics.
    is_left_out: bool,
}

/// What remains of a scrape.
struct Rest {
    walk: Scrape,
    filter: Option<Filter>,
    // Whether the family that is being read is asked for.
    takes: bool,
    encoder: Box<dyn Encoder>,
    // Whether other tasks have had their turn since the last chunk.
    yielded: bool,
}

impl MetricsBody {
    /// A body whose first chunk is made: a scrape that fails at once can still say so, and a small one has its length.
    fn scrape(
        registry: &Registry,
        filter: Option<Filter>,
        answer: Negotiated,
        options: Options,
    ) -> Result<Self, ScrapeError> {
        let options = options.escaping(answer.escaping());
        let filter = filter.map(|filter| filter.naming(options.naming()));
        let mut walk = registry.scrape();
        if let Some(filter) = filter.clone() {
            walk = walk.only(move |family| filter.takes(family));
        }
        let mut rest = Rest { walk, filter, takes: true, encoder: answer.encoder(options), yielded: false };
        let (chunk, goes_on) = rest.next()?;
        Ok(Self { ready: Some(chunk), rest: goes_on.then_some(rest), is_left_out: false })
    }
}

impl Rest {
    /// The next chunk, and whether there are more. After an error it is not to be asked again.
    fn next(&mut self) -> Result<(Bytes, bool), ScrapeError> {
        // A panic leaves the walk as a source's own code does, and the walk is dropped.
        let made = catch_unwind(AssertUnwindSafe(|| {
            let mut goes_on = true;
            while goes_on && self.encoder.buffer_mut().len() < CHUNK {
                // Figures of sources have no part in the walk's own choice.
                let visitor = &mut &mut *self.encoder;
                goes_on =
                    self.walk.step(&mut Filtered { filter: self.filter.as_ref(), takes: &mut self.takes, visitor });
            }
            if goes_on {
                return (self.encoder.take(), true);
            }
            self.encoder.finish();
            (mem::take(self.encoder.buffer_mut()), false)
        }));
        let (chunk, goes_on) = made.map_err(|_| "a source panicked")?;
        Ok((chunk.into(), goes_on))
    }
}

impl Body for MetricsBody {
    type Data = Bytes;
    type Error = ScrapeError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ScrapeError>>> {
        if let Some(chunk) = self.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        if !mem::replace(&mut rest.yielded, true) {
            // A fast reader would otherwise keep the thread to itself for the whole of a large exposition.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        rest.yielded = false;
        Poll::Ready(match rest.next() {
            Ok((chunk, goes_on)) => {
                if !goes_on {
                    self.rest = None;
                }
                // At the end there may be nothing left to say.
                (!chunk.is_empty()).then(|| Ok(Frame::data(chunk)))
            }
            Err(error) => {
                self.rest = None;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(_) => SizeHint::new(),
            None if self.is_left_out => SizeHint::new(),
            None => SizeHint::with_exact(self.ready.as_ref().map_or(0, |ready| ready.len() as u64)),
        }
    }
}

impl fmt::Debug for MetricsBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsBody").field("is_whole", &self.rest.is_none()).finish_non_exhaustive()
    }
}
