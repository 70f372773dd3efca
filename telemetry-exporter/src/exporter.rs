//! The exporter: definitions, an aggregator, and an endpoint, in one builder.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use telemetry_core::dispatch::Dispatch;
use telemetry_core::handler::AttachError;
use telemetry_core::metric::{Metric, MetricError};
use telemetry_core::scrape::Source;
use telemetry_core::{Aggregator, Registry};

use crate::compress::Coding;
use crate::encode::Options;
use crate::exposed::{Exposed, SOURCE_TIME};
use crate::name::Names;
use crate::negotiate::Format;
use crate::own::{DispatchFigures, GuardFigures};
use crate::serve::{self, Access, Address, Figures, GuardStats, Limits, ServeError, Server, ShutdownError};
use crate::sources::Sources;

/// The id under which an exporter's metrics are attached unless it says otherwise.
const ID: &str = "telemetry.exporter";

/// Serves metrics over events to Prometheus, on a thread of its own.
///
/// It serves until it is shut down or dropped.
///
/// ```
/// use telemetry_core::metric::counter;
/// use telemetry_exporter::Exporter;
///
/// let exporter = Exporter::builder()
///     .metric(counter("shop.cart.checkout.count").tags(["country"]))
///     .listen("127.0.0.1:0")
///     .serve()?;
/// println!("http://{}/metrics", exporter.local_addr());
/// # Ok::<(), telemetry_exporter::ExporterError>(())
/// ```
#[derive(Debug)]
#[must_use = "an exporter stops when it is dropped"]
pub struct Exporter {
    server: Option<Server>,
    registry: Registry,
    attached: Attached,
}

/// Detaches the metrics when the exporter is gone.
#[derive(Debug)]
struct Attached {
    dispatch: Dispatch,
    id: String,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It may have been detached by hand.
        let _ = self.dispatch.detach(&self.id);
    }
}

/// How an exporter is to be; see [`Exporter::builder`].
#[must_use = "nothing is counted or served before `serve`"]
pub struct Builder {
    registry: Registry,
    metrics: Vec<Metric>,
    sources: Vec<Arc<dyn Source>>,
    source_time: Duration,
    dispatch: Option<Dispatch>,
    id: String,
    options: Options,
    shows_endpoint: bool,
    endpoint: serve::Builder,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("metrics", &self.metrics).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an exporter does not serve. Nothing is left behind.
#[non_exhaustive]
pub enum ExporterError {
    /// A definition can't become a metric.
    Metric(MetricError),
    /// The metrics can't be attached.
    Attach(AttachError),
    /// The endpoint can't be served.
    Serve(ServeError),
}

impl fmt::Display for ExporterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(error) => error.fmt(f),
            Self::Attach(AttachError::Taken { id, .. }) => write!(
                f,
                "metrics are attached as {id:?} already; give this exporter an id of its own with `.id(..)`, or use one exporter for all"
            ),
            Self::Attach(error) => error.fmt(f),
            Self::Serve(error) => error.fmt(f),
        }
    }
}

/// What [`Display`](fmt::Display) says, and what the system said: `unwrap`, and a `main` that returns the error, print this
/// form, and whoever reads it is to see what to do.
impl fmt::Debug for ExporterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self {
            Self::Serve(error) => error.source().map_or(Ok(()), |source| write!(f, ": {source}")),
            Self::Metric(_) | Self::Attach(_) => Ok(()),
        }
    }
}

impl std::error::Error for ExporterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Metric(error) => Some(error),
            Self::Attach(error) => Some(error),
            Self::Serve(error) => Some(error),
        }
    }
}

impl From<MetricError> for ExporterError {
    fn from(error: MetricError) -> Self {
        Self::Metric(error)
    }
}

impl From<AttachError> for ExporterError {
    fn from(error: AttachError) -> Self {
        Self::Attach(error)
    }
}

impl From<ServeError> for ExporterError {
    fn from(error: ServeError) -> Self {
        Self::Serve(error)
    }
}

impl Builder {
    /// Adds a metric over events.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Adds metrics over events.
    pub fn metrics(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.metrics.extend(metrics);
        self
    }

    /// Serves what is in this registry too; without it the exporter has one of its own.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = registry.clone();
        self
    }

    /// Adds figures that are made when they are scraped.
    ///
    /// Each source is read on a thread of its own, one scrape at a time. One that panics, or is not ready within the
    /// [time](Self::source_time), is left out, and counted in `telemetry_source_failures_total`.
    pub fn source(mut self, source: Arc<dyn Source>) -> Self {
        self.sources.push(source);
        self
    }

    /// The longest that a scrape waits for a source, 2 s unless told; half of what the scrape has left, if that is less.
    ///
    /// A source that takes longer is waited for by no further scrape before it has returned.
    pub fn source_time(mut self, time: Duration) -> Self {
        self.source_time = time;
        self
    }

    /// Attaches the metrics to this dispatcher; without it to the current one of this thread.
    pub fn dispatch(mut self, dispatch: &Dispatch) -> Self {
        self.dispatch = Some(dispatch.clone());
        self
    }

    /// The id under which the metrics are attached; `telemetry.exporter` unless told.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// What the formats hold beside what they must.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Where to listen; `127.0.0.1:9464` unless told. Port 0 takes any that is free, see [`Exporter::local_addr`].
    pub fn listen(mut self, address: impl Into<Address>) -> Self {
        self.endpoint = self.endpoint.listen(address);
        self
    }

    /// What clients are allowed.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.endpoint = self.endpoint.limits(limits);
        self
    }

    /// How bodies may be compressed for clients that ask for it, the coding to be preferred first; all that were built in
    /// unless told.
    ///
    /// ```
    /// use telemetry_exporter::Exporter;
    /// use telemetry_exporter::compress::Coding;
    ///
    /// let plain = Exporter::builder().listen("127.0.0.1:0").codings([Coding::Identity]).serve()?;
    /// # drop(plain);
    /// # Ok::<(), telemetry_exporter::ExporterError>(())
    /// ```
    pub fn codings(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        self.endpoint = self.endpoint.codings(codings);
        self
    }

    /// Whether the endpoint's own [figures](Figures) are served with the others: requests, scrapes in flight, their
    /// duration and size, clients sent away or cut off. They are not unless told.
    pub fn endpoint_figures(mut self, shown: bool) -> Self {
        self.shows_endpoint = shown;
        self
    }

    /// Who may ask; everybody unless told.
    pub fn access(mut self, access: Access) -> Self {
        self.endpoint = self.endpoint.access(access);
        self
    }

    /// Speaks TLS, and nothing else.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: serve::Tls) -> Self {
        self.endpoint = self.endpoint.tls(tls);
        self
    }

    /// Takes TLS, passwords, headers and the limit of the rate from a web configuration file, as exporters of Prometheus
    /// do; see [`serve::Builder::web_config`].
    #[cfg(feature = "web-config")]
    pub fn web_config(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.endpoint = self.endpoint.web_config(path);
        self
    }

    /// What the landing page is headed with.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.title(title);
        self
    }

    /// Builds the metrics, attaches them, and serves.
    ///
    /// # Errors
    ///
    /// [`ExporterError`] says what stood in the way and what to do.
    pub fn serve(self) -> Result<Exporter, ExporterError> {
        let Self { registry, metrics, sources, source_time, dispatch, id, options, shows_endpoint, endpoint } = self;
        registry.exposed_names(|family| Names::new(family).occupied())?;
        let aggregator = registry.aggregator(metrics)?;
        let dispatch = dispatch.unwrap_or_else(Dispatch::current);
        let attached = attach(&aggregator, dispatch, id)?;
        let figures = Arc::new(Figures::default());
        let mut own: Vec<Arc<dyn Source>> = vec![Arc::new(DispatchFigures(attached.dispatch.clone()))];
        if shows_endpoint {
            own.push(Arc::clone(&figures) as _);
        }
        for source in own.iter().chain(&sources) {
            registry.source(Arc::clone(source));
        }
        let sources = Arc::new(Sources::new(own, source_time));
        let exposed = Exposed { registry: registry.clone(), options, sources };
        let server = endpoint.figures(&figures).serve(exposed)?;
        if let Some(tally) = server.tally() {
            registry.source(Arc::new(GuardFigures(tally)));
        }
        Ok(Exporter { server: Some(server), registry, attached })
    }
}

fn attach(aggregator: &Aggregator, dispatch: Dispatch, id: String) -> Result<Attached, AttachError> {
    if aggregator.events().next().is_some() {
        aggregator.attach_to(&dispatch, &id)?;
    }
    Ok(Attached { dispatch, id })
}

impl Exporter {
    /// Begins an exporter.
    pub fn builder() -> Builder {
        Builder {
            registry: Registry::new(),
            metrics: Vec::new(),
            sources: Vec::new(),
            source_time: SOURCE_TIME,
            dispatch: None,
            id: ID.to_owned(),
            options: Options::default(),
            shows_endpoint: false,
            endpoint: Server::builder(),
        }
    }

    /// The registry that is served.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where clients connect.
    ///
    /// # Panics
    ///
    /// Never: a server is there until the exporter is shut down, which takes it.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.as_ref().expect("the server is there until `shutdown`").local_addr()
    }

    /// The file that clients of this machine connect to, if the exporter listens on one.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        self.server.as_ref().and_then(Server::local_path)
    }

    /// How often somebody was turned away, and how changed files fared.
    #[must_use]
    pub fn guard(&self) -> GuardStats {
        self.server.as_ref().map(Server::guard).unwrap_or_default()
    }

    /// Detaches the metrics, lets scrapes in flight finish for as long as `grace`, and stops.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] if scrapes had to be cut, or the server's thread did not end.
    pub fn shutdown(mut self, grace: Duration) -> Result<(), ShutdownError> {
        let served = self.server.take().map_or(Ok(()), |server| server.shutdown(grace));
        drop(self.attached);
        served
    }
}

/// Renders a registry at once, for those who have a way of their own to serve it.
///
/// Sources are read on this thread, however long they take. To compress the text, see
/// [`Coding`](crate::compress::Coding::compress).
///
/// ```
/// use telemetry_core::Registry;
/// use telemetry_exporter::{Format, render};
///
/// assert_eq!(render(&Registry::new(), Format::OpenMetrics), "# EOF\n");
/// ```
///
/// # Panics
///
/// Never: every encoder writes UTF-8.
#[must_use]
pub fn render(registry: &Registry, format: Format) -> String {
    let mut encoder = format.encoder(Options::default());
    registry.scrape().run(&mut &mut *encoder);
    encoder.finish();
    String::from_utf8(encoder.take()).expect("encoders write UTF-8")
}
