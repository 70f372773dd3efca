//! TLS 1.2 and 1.3, with certificates of clients.

mod client;
mod error;
mod pem;
mod suite;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion};

pub use error::TlsError;
pub(super) use pem::Pem;

use super::reload::Files;

/// What a client may ask for by ALPN: each that knows HTTP/2 knows this too.
const PROTOCOL: &[u8] = b"http/1.1";

/// How an endpoint speaks TLS; one that is told does not answer in plain text.
///
/// Files are read when the server starts, and again when they change, for connections that begin afterwards. If they can't
/// be used then, those from before stay in use, and [`Server::guard`](super::Server::guard) tells why.
///
/// ```no_run
/// use telemetry_exporter::Exporter;
/// use telemetry_exporter::serve::Tls;
///
/// let exporter = Exporter::builder()
///     .listen("0.0.0.0:9464")
///     .tls(Tls::files("/etc/shop/server.crt", "/etc/shop/server.key").client_ca_file("/etc/shop/scrapers.crt"))
///     .serve()?;
/// # Ok::<(), telemetry_exporter::ExporterError>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is encrypted until a server is given it"]
pub struct Tls {
    certificate: Pem,
    key: Pem,
    client_ca: Option<Pem>,
    client_auth: Option<ClientAuth>,
    client_sans: Option<Vec<String>>,
    min_version: TlsVersion,
    max_version: TlsVersion,
    cipher_suites: Vec<String>,
    prefer_server: bool,
    curves: Vec<String>,
}

/// A version of TLS. Older ones than these are not spoken, as they can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Whether clients have to show a certificate, and whether it is verified. Only
/// [`RequireAndVerify`](Self::RequireAndVerify) keeps anybody out: a certificate that is not verified can be made by all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Clients are not asked.
    #[default]
    None,
    /// Clients are asked, and need not answer; no certificate is verified.
    Request,
    /// Clients have to show some certificate; it is not verified.
    RequireAny,
    /// Clients need not show a certificate; one that is shown is verified.
    VerifyIfGiven,
    /// Clients have to show a certificate that the authority has signed.
    RequireAndVerify,
}

impl ClientAuth {
    fn asks(self) -> bool {
        self != Self::None
    }

    fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

impl Tls {
    /// The server's certificate, with the chain that leads from it to its authority, and its private key, as PEM files.
    pub fn files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Pem::File(certificate.into()), Pem::File(key.into()))
    }

    /// The same, as PEM texts.
    pub fn pem(certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self::new(Pem::Text(certificate.into()), Pem::Text(key.into()))
    }

    pub(super) fn new(certificate: Pem, key: Pem) -> Self {
        Self {
            certificate,
            key,
            client_ca: None,
            client_auth: None,
            client_sans: None,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
            prefer_server: true,
            curves: Vec::new(),
        }
    }

    /// The authorities that sign certificates of clients, as a PEM file. Clients then have to show one, unless
    /// [`client_auth`](Self::client_auth) says otherwise.
    pub fn client_ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.client_ca(Pem::File(path.into()))
    }

    /// The same, as a PEM text.
    pub fn client_ca_pem(self, text: impl Into<Vec<u8>>) -> Self {
        self.client_ca(Pem::Text(text.into()))
    }

    pub(super) fn client_ca(self, authorities: Pem) -> Self {
        Self { client_ca: Some(authorities), ..self }
    }

    /// Whether clients have to show a certificate.
    pub fn client_auth(self, client_auth: ClientAuth) -> Self {
        Self { client_auth: Some(client_auth), ..self }
    }

    /// The names that a client's certificate may have as an alternative name of its subject (DNS name, IP, e-mail or URI,
    /// compared exactly); one of them is enough.
    pub fn client_allowed_sans(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { client_sans: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// The oldest version that is spoken; TLS 1.2 unless told.
    pub fn min_version(self, version: TlsVersion) -> Self {
        Self { min_version: version, ..self }
    }

    /// The newest version that is spoken; TLS 1.3 unless told.
    pub fn max_version(self, version: TlsVersion) -> Self {
        Self { max_version: version, ..self }
    }

    /// The cipher suites of TLS 1.2, best first, by the names of IANA, as in `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
    ///
    /// Those that are known to be weak are passed over. If none is left, only TLS 1.3 is spoken, whose suites are all
    /// good.
    pub fn cipher_suites(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { cipher_suites: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whether the order of the server's suites counts (unless told), or that of the client's.
    pub fn prefer_server_cipher_suites(self, prefer: bool) -> Self {
        Self { prefer_server: prefer, ..self }
    }

    /// The curves that keys are exchanged on, best first: `X25519`, `CurveP256`, `CurveP384`. `CurveP521` is passed over.
    pub fn curves(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { curves: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// The same as what handshakes are made with.
    pub(super) fn build(&self, files: &mut Files) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(self.provider()?);
        let versions = self.versions(&provider)?;
        let chain = self.certificate.certificates(files, "certificate")?;
        let key = self.key.key(files)?;
        let verifier = self.verifier(&provider, files)?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| TlsError::Settings { problem: error.to_string() })?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::KeyMismatch { certificate: self.certificate.to_string(), key: self.key.to_string() }
            }
            rustls::Error::InvalidCertificate(_) => {
                TlsError::Certificate { what: "certificate", from: self.certificate.to_string() }
            }
            // What remains is that the key is of a kind that nobody signs with.
            error => TlsError::Key { from: self.key.to_string(), problem: error.to_string() },
        })?;
        config.ignore_client_order = self.prefer_server;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }

    fn provider(&self) -> Result<CryptoProvider, TlsError> {
        let mut provider = ring::default_provider();
        if !self.cipher_suites.is_empty() {
            provider.cipher_suites = suite::suites(&self.cipher_suites, &provider.cipher_suites)?;
        }
        if !self.curves.is_empty() {
            provider.kx_groups = suite::curves(&self.curves)?;
        }
        Ok(provider)
    }

    fn versions(&self, provider: &CryptoProvider) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        if self.min_version > self.max_version {
            return Err(TlsError::Versions);
        }
        let range = self.min_version..=self.max_version;
        let mut versions = Vec::new();
        if range.contains(&TlsVersion::Tls13) {
            versions.push(&TLS13);
        }
        if range.contains(&TlsVersion::Tls12) && provider.cipher_suites.iter().any(|suite| suite.tls13().is_none()) {
            versions.push(&TLS12);
        }
        if versions.is_empty() { Err(TlsError::NoSuite) } else { Ok(versions) }
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        files: &mut Files,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let fallback = if self.client_ca.is_some() { ClientAuth::RequireAndVerify } else { ClientAuth::None };
        let auth = self.client_auth.unwrap_or(fallback);
        if self.client_sans.is_some() && !auth.requires() {
            return Err(TlsError::SansWithoutCertificate);
        }
        let authorities = match &self.client_ca {
            Some(_) if !auth.asks() => return Err(TlsError::AuthorityUnused),
            Some(pem) => pem.certificates(files, "client CA")?,
            None if auth.verifies() => return Err(TlsError::AuthorityMissing),
            None => Vec::new(),
        };
        if !auth.asks() {
            return Ok(None);
        }
        let verifier = if auth.verifies() {
            let from = self.client_ca.as_ref().map(Pem::to_string).unwrap_or_default();
            client::verified(authorities, auth.requires(), provider)
                .ok_or(TlsError::Certificate { what: "client CA", from })?
        } else {
            client::asked(auth.requires(), provider)
        };
        Ok(Some(match &self.client_sans {
            Some(names) => client::named(verifier, names.clone()),
            None => verifier,
        }))
    }
}

/// Where everything is from; no key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.certificate.to_string())
            .field("key", &self.key.to_string())
            .field("client_ca", &self.client_ca.as_ref().map(Pem::to_string))
            .field("client_auth", &self.client_auth)
            .field("client_sans", &self.client_sans)
            .field("min_version", &self.min_version)
            .field("max_version", &self.max_version)
            .field("cipher_suites", &self.cipher_suites)
            .field("curves", &self.curves)
            .finish_non_exhaustive()
    }
}
