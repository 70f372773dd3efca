//! The exporter: definitions, an aggregator, and an endpoint, in one builder.

use std::error::Error as _;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use telemetry_core::Registry;
use telemetry_core::dispatch::Dispatch;
use telemetry_core::handler::AttachError;
use telemetry_core::metric::{Metric, MetricError};
use telemetry_core::scrape::Source;

use crate::about::About;
use crate::compress::Coding;
use crate::encode::{CHUNK, Options};
use crate::exposed::{Exposed, SOURCE_TIME};
use crate::negotiate::Format;
use crate::own::{DispatchFigures, GuardFigures};
use crate::serve::{self, Access, Address, Figures, GuardStats, Limits, ServeError, Server, ShutdownError};
use crate::sources::Sources;

#[cfg(feature = "tower")]
mod service;

#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub use service::{MetricsBody, MetricsService};

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
    // Labels of `target_info` and `build_info`.
    target: Option<Vec<(String, String)>>,
    build: Option<Vec<(String, String)>>,
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
        // What they say is said already; what remains is what the system said.
        match self {
            Self::Metric(error) => error.source(),
            Self::Attach(error) => error.source(),
            Self::Serve(error) => error.source(),
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

    /// Says what the process is, in `target_info`: one series with these labels, which queries join with the others.
    ///
    /// ```
    /// use telemetry_exporter::Exporter;
    ///
    /// let builder = Exporter::builder()
    ///     .resource([("service.name", "shop"), ("service.instance.id", "eu-7")])
    ///     .build_info([("version", env!("CARGO_PKG_VERSION"))]);
    /// // target_info{service_name="shop",service_instance_id="eu-7"} 1
    /// // build_info{version="0.1.0"} 1
    /// # let _ = builder;
    /// ```
    pub fn resource<N: Into<String>, V: Into<String>>(mut self, labels: impl IntoIterator<Item = (N, V)>) -> Self {
        self.target.get_or_insert_default().extend(owned(labels));
        self
    }

    /// Says what was built, in `build_info`: the version, the revision, what else tells one build from another.
    pub fn build_info<N: Into<String>, V: Into<String>>(mut self, labels: impl IntoIterator<Item = (N, V)>) -> Self {
        self.build.get_or_insert_default().extend(owned(labels));
        self
    }

    /// Keeps the names of metrics and labels as they are defined, dots and all, for scrapers that can read them; without it
    /// every scraper gets `_` for whatever is not a letter, a digit or `_`.
    ///
    /// Prometheus from 3.0 on reads such names, and asks for them; to others they are written with `_` as before. Suffixes
    /// stay: `http.server.errors` is `http.server.errors_total`. This is the same as
    /// [`Options::utf8_names`] in [`options`](Self::options).
    ///
    /// ```
    /// use telemetry_core::metric::counter;
    /// use telemetry_exporter::Exporter;
    ///
    /// let exporter = Exporter::builder()
    ///     .metric(counter("http.server.errors.count").tag_as("status", "http.response.status"))
    ///     .utf8_names(true)
    ///     .listen("127.0.0.1:0")
    ///     .serve()?;
    /// // Prometheus 3: {"http.server.errors_total","http.response.status"="500"} 1
    /// // Prometheus 2: http_server_errors_total{http_response_status="500"} 1
    /// # Ok::<(), telemetry_exporter::ExporterError>(())
    /// ```
    pub fn utf8_names(mut self, utf8_names: bool) -> Self {
        self.options = self.options.utf8_names(utf8_names);
        self
    }

    /// What the formats hold beside what they must, and how names are written.
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

    /// Whether the [catalogue](telemetry_core::catalogue) of events is served as JSON at `/events`, with the metrics and
    /// handlers of now; off unless told, since it shows what the program is made of.
    pub fn events(mut self, events: bool) -> Self {
        self.endpoint = self.endpoint.events(events);
        self
    }

    /// Builds the metrics, attaches them, and serves.
    ///
    /// # Errors
    ///
    /// [`ExporterError`] says what stood in the way and what to do.
    pub fn serve(self) -> Result<Exporter, ExporterError> {
        let Self {
            registry,
            metrics,
            sources,
            target,
            build,
            source_time,
            dispatch,
            id,
            options,
            shows_endpoint,
            endpoint,
        } = self;
        let about = About::all(target, build);
        let attached = attach(&registry, metrics, &about, options, dispatch, id)?;
        let figures = Arc::new(Figures::default());
        let mut own: Vec<Arc<dyn Source>> = vec![Arc::new(DispatchFigures(attached.dispatch.clone()))];
        own.extend(about.into_iter().map(|about| Arc::new(about) as _));
        if shows_endpoint {
            own.push(Arc::clone(&figures) as _);
        }
        for source in own.iter().chain(&sources) {
            registry.source(Arc::clone(source));
        }
        let sources = Arc::new(Sources::new(own, source_time));
        let exposed = Exposed { registry: registry.clone(), dispatch: attached.dispatch.clone(), options, sources };
        let server = endpoint.figures(&figures).serve(exposed)?;
        if let Some(tally) = server.tally() {
            registry.source(Arc::new(GuardFigures(tally)));
        }
        Ok(Exporter { server: Some(server), registry, attached })
    }
}

fn owned<N: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (N, V)>) -> Vec<(String, String)> {
    labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Builds metrics that can be exposed, and attaches them.
fn attach(
    registry: &Registry,
    metrics: Vec<Metric>,
    about: &[About],
    options: Options,
    dispatch: Option<Dispatch>,
    id: String,
) -> Result<Attached, ExporterError> {
    registry.exposed_names(move |family| options.naming().claims(family))?;
    for about in about {
        registry.reserve(about.family().clone())?;
    }
    let aggregator = registry.aggregator(metrics)?;
    let dispatch = dispatch.unwrap_or_else(Dispatch::current);
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
            target: None,
            build: None,
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
/// When the format is not a text: protobuf is for [`render_bytes`].
#[must_use]
pub fn render(registry: &Registry, format: Format) -> String {
    assert!(format != Format::Protobuf, "protobuf is no text; call `render_bytes` for it");
    String::from_utf8(render_bytes(registry, format)).expect("every other encoder writes UTF-8")
}

/// Renders a registry at once, in any format.
///
/// ```
/// use telemetry_core::Registry;
/// use telemetry_exporter::{Format, render_bytes};
///
/// assert_eq!(render_bytes(&Registry::new(), Format::Protobuf), b"");
/// ```
#[must_use]
pub fn render_bytes(registry: &Registry, format: Format) -> Vec<u8> {
    let mut encoder = format.encoder(Options::default());
    registry.scrape().run(&mut &mut *encoder);
    encoder.finish();
    encoder.take()
}

/// Renders a registry piece by piece into a writer, in any format: however many series there are, memory is taken for one
/// piece of about 64 KiB.
///
/// With this, a file for the textfile collector of Prometheus' node exporter is written; it reads files while they are
/// there, so write to another name first, and then rename.
///
/// ```
/// use std::fs::{self, File};
/// use telemetry_core::Registry;
/// use telemetry_exporter::{Format, render_to};
///
/// let folder = std::env::temp_dir();
/// let (whole, half) = (folder.join("batch.prom"), folder.join("batch.prom.half"));
/// render_to(&Registry::new(), Format::Text, &mut File::create(&half)?)?;
/// fs::rename(half, &whole)?;
/// # fs::remove_file(whole)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The writer's. What it took until then is no whole exposition.
pub fn render_to(registry: &Registry, format: Format, writer: &mut impl Write) -> io::Result<()> {
    let mut encoder = format.encoder(Options::default());
    let mut scrape = registry.scrape();
    loop {
        let is_over = !scrape.step(&mut &mut *encoder);
        if is_over {
            encoder.finish();
        }
        let piece = encoder.buffer_mut();
        if is_over || piece.len() >= CHUNK {
            writer.write_all(piece)?;
            piece.clear();
        }
        if is_over {
            return writer.flush();
        }
    }
}
