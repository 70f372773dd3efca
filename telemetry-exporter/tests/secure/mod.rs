//! Certificates, a folder for them, and a client that speaks TLS. Each test file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

/// Far beyond what anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A folder that is gone with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: the number is all that is asked for.
        let number = NEXT.fetch_add(1, Relaxed);
        // Short: paths of sockets have to be.
        let folder = std::env::temp_dir().join(format!("telemetry-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed is the system's to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Who signs certificates.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Programs take a certificate whose names are those of its authority for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// That of a server at loopback.
    pub(crate) fn server(&self) -> Identity {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign(CertificateParams::new(names).unwrap(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// That of a client.
    pub(crate) fn client(&self, names: Vec<SanType>) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Identity {
        params.distinguished_name.push(DnType::CommonName, "end");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// An authority, and a server's certificate that it signed, in a folder.
pub(crate) struct Pki {
    pub(crate) folder: Folder,
    pub(crate) authority: Authority,
    pub(crate) server: Identity,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let server = authority.server();
        folder.write("ca.crt", &authority.pem);
        folder.write("server.crt", &server.certificate);
        folder.write("server.key", &server.key);
        Self { folder, authority, server }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// A client that trusts the authority.
    pub(crate) fn client(&self) -> Https {
        Https::trusting(&self.authority.pem)
    }
}

/// A client that asks once on each connection.
pub(crate) struct Https {
    root: String,
    identity: Option<(String, String)>,
    versions: Vec<&'static SupportedProtocolVersion>,
    headers: String,
    alpn: Vec<Vec<u8>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) protocol: Option<String>,
    pub(crate) suite: String,
    /// The server's certificate.
    pub(crate) certificate: Vec<u8>,
}

impl Answer {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|header| header.eq_ignore_ascii_case(line))
    }
}

impl Https {
    pub(crate) fn trusting(root: &str) -> Self {
        let headers = String::new();
        Self {
            root: root.to_owned(),
            identity: None,
            versions: rustls::DEFAULT_VERSIONS.to_vec(),
            headers,
            alpn: Vec::new(),
        }
    }

    pub(crate) fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some((identity.certificate.clone(), identity.key.clone()));
        self
    }

    pub(crate) fn only(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    pub(crate) fn header(self, header: &str) -> Self {
        Self { headers: self.headers + header + "\r\n", ..self }
    }

    pub(crate) fn alpn(self, protocols: &[&str]) -> Self {
        Self { alpn: protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(), ..self }
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.root.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config
    }

    /// A connection that has shaken hands, as far as the client can tell.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(self.config()), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    pub(crate) fn get(&self, address: SocketAddr, path: &str) -> io::Result<Answer> {
        let mut stream = self.connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", self.headers)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let protocol = stream.conn.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        let suite = format!("{:?}", stream.conn.negotiated_cipher_suite().expect("a suite").suite());
        let certificate = stream.conn.peer_certificates().expect("a certificate")[0].to_vec();
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned(), protocol, suite, certificate })
    }
}

/// The DER of a certificate in PEM.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// Puts a file in the place of another in one step, as those who renew certificates do.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// Waits until something is so.
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
