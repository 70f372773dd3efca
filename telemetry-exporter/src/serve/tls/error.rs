//! Why TLS can't be spoken as it was told.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an endpoint can't speak TLS as it was told to.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    Read {
        /// What is in it.
        what: &'static str,
        /// Which it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is none in it.
    Missing {
        /// What should be there.
        what: &'static str,
        /// Where it was looked for.
        from: String,
        /// What to do about it, if that can be told.
        hint: &'static str,
    },
    /// It is no PEM.
    Pem {
        /// What should be there.
        what: &'static str,
        /// Where it was looked for.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// It is no certificate that can be used.
    Certificate {
        /// What it is for.
        what: &'static str,
        /// Where it is from.
        from: String,
    },
    /// The private key is of a kind that can't be used.
    Key {
        /// Where it is from.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// The private key is not that of the certificate.
    KeyMismatch {
        /// Where the certificate is from.
        certificate: String,
        /// Where the key is from.
        key: String,
    },
    /// Certificates of clients are to be verified, and nobody is trusted to sign them.
    AuthorityMissing,
    /// Somebody is trusted to sign certificates of clients, and clients are not asked for any.
    AuthorityUnused,
    /// Names of clients are told, and clients need not show a certificate.
    SansWithoutCertificate,
    /// The oldest version is newer than the newest.
    Versions,
    /// No cipher suite is left for the versions.
    NoSuite,
    /// There is no cipher suite of that name.
    Suite {
        /// What was given.
        name: String,
    },
    /// There is no curve of that name.
    Curve {
        /// What was given.
        name: String,
    },
    /// No curve is left.
    NoCurve,
    /// The settings do not go together for another reason.
    Settings {
        /// What is wrong.
        problem: String,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { what, path, .. } => write!(
                f,
                "cannot read the {what} {}; check the path, and that this process may read it",
                path.display()
            ),
            Self::Missing { what, from, hint } => {
                write!(f, "there is no {what} in {from}; it has to be in PEM form, beginning with -----BEGIN{hint}")
            }
            Self::Pem { what, from, problem } => {
                write!(f, "the {what} in {from} is broken ({problem}); copy it again, whole")
            }
            Self::Certificate { what, from } => {
                write!(f, "the {what} in {from} is not a certificate of X.509 that can be used; make it again")
            }
            Self::Key { from, problem } => write!(
                f,
                "the private key in {from} cannot be used ({problem}); use RSA of 2048 bits or more, ECDSA on P-256 or \
                 P-384, or Ed25519"
            ),
            Self::KeyMismatch { certificate, key } => write!(
                f,
                "the private key in {key} is not that of the certificate in {certificate}; the server's own certificate \
                 has to be the first, and the key its own"
            ),
            Self::AuthorityMissing => f.write_str(
                "certificates of clients are to be verified, but no authority is given that signs them; give one as \
                 client_ca_file",
            ),
            Self::AuthorityUnused => f.write_str(
                "a client CA is given, but clients are not asked for certificates; set client_auth_type to \
                 RequireAndVerifyClientCert",
            ),
            Self::SansWithoutCertificate => f.write_str(
                "client_allowed_sans needs clients to show a certificate; set client_auth_type to \
                 RequireAndVerifyClientCert",
            ),
            Self::Versions => {
                f.write_str("min_version is above max_version, so that no version of TLS is left; raise max_version")
            }
            Self::NoSuite => f.write_str(
                "the cipher suites leave none for the versions of TLS that are allowed; allow TLS 1.3, or name \
                 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ),
            Self::Suite { name } => write!(
                f,
                "{name:?} is no cipher suite; use the names of IANA, as in TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
            ),
            Self::Curve { name } => {
                write!(f, "{name:?} is no curve; use X25519, CurveP256 or CurveP384")
            }
            Self::NoCurve => {
                f.write_str("keys are to be exchanged on CurveP521 only, which is not offered; add CurveP384")
            }
            Self::Settings { problem } => write!(f, "the settings of TLS do not go together: {problem}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
