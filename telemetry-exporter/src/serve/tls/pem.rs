//! Certificates and keys, as PEM.

use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use crate::serve::reload::Files;

/// Where certificates or a key are.
#[derive(Clone)]
pub(in crate::serve) enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

impl Pem {
    fn read(&self, files: &mut Files, what: &'static str) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => files.read(path).map_err(|source| TlsError::Read { what, path: path.clone(), source }),
        }
    }

    /// All certificates in it; at least one.
    pub(super) fn certificates(
        &self,
        files: &mut Files,
        what: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read(files, what)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|error| self.broken(what, &error))?;
        if certificates.is_empty() {
            return Err(TlsError::Missing { what, from: self.to_string(), hint: "" });
        }
        Ok(certificates)
    }

    /// The first private key in it.
    pub(super) fn key(&self, files: &mut Files) -> Result<PrivateKeyDer<'static>, TlsError> {
        let what = "private key";
        let text = self.read(files, what)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
                let hint = if is_encrypted {
                    "; it is encrypted, so take the password off it with `openssl pkey -in FILE -out FILE.plain`"
                } else {
                    ""
                };
                TlsError::Missing { what, from: self.to_string(), hint }
            }
            error => self.broken(what, &error),
        })
    }

    fn broken(&self, what: &'static str, error: &pem::Error) -> TlsError {
        TlsError::Pem { what, from: self.to_string(), problem: error.to_string() }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Text(_) => f.write_str("the given text"),
        }
    }
}
