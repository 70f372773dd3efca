//! The file that exporters of Prometheus configure TLS and passwords with, read as it is.

mod bucket;
mod headers;
mod yaml;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use hyper::header::{HeaderName, HeaderValue};

pub(super) use bucket::{Bucket, Rate};
use yaml::{Fields, Node, Problem};

use super::access::{Access, AccessError};
use super::reload::Files;
use super::tls::{ClientAuth, Pem, Tls, TlsError, TlsVersion};

/// What a file says.
pub(super) struct WebConfig {
    pub(super) tls: Option<std::sync::Arc<rustls::ServerConfig>>,
    pub(super) users: Vec<(String, String)>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) rate: Option<Rate>,
}

/// Reads a web configuration file with all files that it names, and says what is wrong with it, if anything.
///
/// It is what a server does when it [starts](super::Builder::web_config); this is for checking a file beforehand.
///
/// # Errors
///
/// [`WebConfigError`] names the file, the line and the key.
pub fn check_web_config(path: impl AsRef<Path>) -> Result<(), WebConfigError> {
    read(path.as_ref(), &mut Files::default()).map(drop)
}

pub(super) fn read(path: &Path, files: &mut Files) -> Result<WebConfig, WebConfigError> {
    let bytes = files.read(path).map_err(|source| WebConfigError::Read { path: path.to_owned(), source })?;
    let at = |problem: Problem| WebConfigError::Key {
        path: path.to_owned(),
        line: problem.line,
        key: problem.key,
        problem: problem.text,
    };
    let text = String::from_utf8(bytes).map_err(|_| at(Problem::of_file("it is not UTF-8; save it as such")))?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let file = parse(&text, directory).map_err(at)?;
    let tls = file.tls.map(TlsSection::definition).transpose().map_err(at)?;
    let tls = tls.map(|tls| tls.build(files)).transpose();
    let tls = tls.map_err(|error| WebConfigError::Tls { path: path.to_owned(), error })?;
    let access = file.users.iter().fold(Access::new(), |access, (name, hash)| access.user(name, hash));
    access.rules().map_err(|error| WebConfigError::Access { path: path.to_owned(), error })?;
    Ok(WebConfig { tls, users: file.users, headers: file.headers, rate: file.rate })
}

/// For the fuzz targets: what is wrong with a text, and in which line.
#[cfg(fuzzing)]
pub(crate) fn parse_web_config(text: &str) -> Result<(), (usize, String)> {
    parse(text, Path::new("")).map(drop).map_err(|problem| (problem.line, problem.text))
}

/// The file, without those that it names.
struct File {
    tls: Option<TlsSection>,
    users: Vec<(String, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate: Option<Rate>,
}

fn parse(text: &str, directory: &Path) -> Result<File, Problem> {
    let document = yaml::parse(text)?;
    let mut fields = Fields::of(&document, "")?;
    let tls = match fields.take("tls_server_config") {
        Some(node) => TlsSection::parse(Fields::of(node, "tls_server_config")?, directory)?,
        None => None,
    };
    let mut headers = Vec::new();
    if let Some(node) = fields.take("http_server_config") {
        let mut fields = Fields::of(node, "http_server_config")?;
        // HTTP/1.1 is spoken either way: it is allowed to, and whoever knows HTTP/2 knows that too.
        fields.boolean("http2")?;
        if let Some(node) = fields.take("headers") {
            headers = headers::parse(Fields::of(node, "http_server_config.headers")?)?;
        }
        fields.end()?;
    }
    let users = match fields.take("basic_auth_users") {
        Some(node) => Fields::of(node, "basic_auth_users")?.texts()?,
        None => Vec::new(),
    };
    let rate = match fields.take("rate_limit") {
        Some(node) => bucket::parse(Fields::of(node, "rate_limit")?)?,
        None => None,
    };
    fields.end()?;
    Ok(File { tls, users, headers, rate })
}

/// `tls_server_config`, with the lines of what can be wrong only together.
struct TlsSection {
    line: usize,
    certificate: Pem,
    key: Pem,
    client_ca: Option<Pem>,
    client_auth: ClientAuth,
    sans: Option<Vec<String>>,
    min_version: TlsVersion,
    max_version: TlsVersion,
    cipher_suites: Vec<String>,
    prefer_server: bool,
    curves: Vec<String>,
}

impl TlsSection {
    fn parse(mut fields: Fields<'_>, directory: &Path) -> Result<Option<Self>, Problem> {
        let line = fields.line();
        let certificate = pem(&mut fields, "cert", "cert_file", directory)?;
        let key = pem(&mut fields, "key", "key_file", directory)?;
        let client_ca = pem(&mut fields, "client_ca", "client_ca_file", directory)?;
        let auth = fields.text("client_auth_type")?;
        let sans = fields.list("client_allowed_sans")?;
        let min_version =
            fields.take("min_version").map(|node| oldest(node, fields.path("min_version"))).transpose()?;
        let max_version =
            fields.take("max_version").map(|node| newest(node, fields.path("max_version"))).transpose()?;
        let cipher_suites = fields.list("cipher_suites")?.unwrap_or_default();
        let prefer_server = fields.boolean("prefer_server_cipher_suites")?.unwrap_or(true);
        let curves = fields.list("curve_preferences")?.unwrap_or_default();
        let auth_line = fields.line_of("client_auth_type");
        let auth_path = fields.path("client_auth_type");
        fields.end()?;
        // The reference takes a section without any of these for none.
        if certificate.is_none() && key.is_none() && client_ca.is_none() && auth.is_none() {
            return Ok(None);
        }
        let client_auth = match auth.as_deref() {
            None | Some("NoClientCert") => ClientAuth::None,
            Some("RequestClientCert") => ClientAuth::Request,
            Some("RequireAnyClientCert" | "RequireClientCert") => ClientAuth::RequireAny,
            Some("VerifyClientCertIfGiven") => ClientAuth::VerifyIfGiven,
            Some("RequireAndVerifyClientCert") => ClientAuth::RequireAndVerify,
            Some(other) => {
                let text = format!(
                    "{other:?} is none; use NoClientCert, RequestClientCert, RequireAnyClientCert, \
                     VerifyClientCertIfGiven or RequireAndVerifyClientCert"
                );
                return Err(Problem { line: auth_line.unwrap_or(line), key: auth_path, text });
            }
        };
        let missing = |name: &str| {
            let text = format!("it is missing; name the file as {name}_file, relative to this one");
            Problem { line, key: format!("tls_server_config.{name}_file"), text }
        };
        Ok(Some(Self {
            line,
            certificate: certificate.ok_or_else(|| missing("cert"))?,
            key: key.ok_or_else(|| missing("key"))?,
            client_ca,
            client_auth,
            sans,
            min_version: min_version.unwrap_or(TlsVersion::Tls12),
            max_version: max_version.unwrap_or(TlsVersion::Tls13),
            cipher_suites,
            prefer_server,
            curves,
        }))
    }

    /// The same as what a builder would have been told.
    fn definition(self) -> Result<Tls, Problem> {
        if self.min_version > self.max_version {
            let key = "tls_server_config.max_version".to_owned();
            return Err(Problem { line: self.line, key, text: TlsError::Versions.to_string() });
        }
        let tls = Tls::new(self.certificate, self.key);
        let tls = match self.client_ca {
            Some(pem) => tls.client_ca(pem),
            None => tls,
        };
        let tls = match self.sans {
            Some(names) => tls.client_allowed_sans(names),
            None => tls,
        };
        Ok(tls
            .client_auth(self.client_auth)
            .min_version(self.min_version)
            .max_version(self.max_version)
            .cipher_suites(self.cipher_suites)
            .prefer_server_cipher_suites(self.prefer_server)
            .curves(self.curves))
    }
}

/// What is given as a text or as a file; a file counts, as it does for the reference.
fn pem(fields: &mut Fields<'_>, text: &str, file: &str, directory: &Path) -> Result<Option<Pem>, Problem> {
    let (text, file) = (fields.text(text)?, fields.text(file)?);
    Ok(file.map(|path| Pem::File(directory.join(path))).or(text.map(|text| Pem::Text(text.into_bytes()))))
}

/// The oldest version that may be spoken. Older ones than ours are no error: the file allows them, and does not demand them.
fn oldest(node: &Node, path: String) -> Result<TlsVersion, Problem> {
    match version(node, &path)? {
        "TLS13" => Ok(TlsVersion::Tls13),
        _ => Ok(TlsVersion::Tls12),
    }
}

/// The newest version that may be spoken.
fn newest(node: &Node, path: String) -> Result<TlsVersion, Problem> {
    match version(node, &path)? {
        "TLS13" => Ok(TlsVersion::Tls13),
        "TLS12" => Ok(TlsVersion::Tls12),
        old => {
            let text = format!("{old} can be broken, and is not spoken; raise it to TLS12 or TLS13");
            Err(Problem { line: node.line(), key: path, text })
        }
    }
}

fn version<'a>(node: &'a Node, path: &str) -> Result<&'a str, Problem> {
    match node.text(path)? {
        version @ ("TLS13" | "TLS12" | "TLS11" | "TLS10") => Ok(version),
        other => {
            let text = format!("{other:?} is no version; use TLS12 or TLS13");
            Err(Problem { line: node.line(), key: path.to_owned(), text })
        }
    }
}

/// What is wrong with a web configuration file.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebConfigError {
    /// It can't be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key, or the form of the file, is wrong.
    Key {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key with those it is below, as in `tls_server_config.cert_file`; empty for the file as a whole.
        key: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// What is below `tls_server_config` can't be used.
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: TlsError,
    },
    /// What is below `basic_auth_users` can't be used.
    Access {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: AccessError,
    },
}

impl fmt::Display for WebConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(
                f,
                "cannot read the web configuration {}; check the path, and that this process may read it",
                path.display()
            ),
            Self::Key { path, line, key, problem } if key.is_empty() => {
                write!(f, "{}:{line}: {problem}", path.display())
            }
            Self::Key { path, line, key, problem } => write!(f, "{}:{line}: {key}: {problem}", path.display()),
            Self::Tls { path, error } => write!(f, "{}: tls_server_config: {error}", path.display()),
            Self::Access { path, error } => write!(f, "{}: basic_auth_users: {error}", path.display()),
        }
    }
}

impl std::error::Error for WebConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            // What it says is said already; what remains is what the system said.
            Self::Tls { error, .. } => error.source(),
            Self::Access { error, .. } => error.source(),
            Self::Key { .. } => None,
        }
    }
}
