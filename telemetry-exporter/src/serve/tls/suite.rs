//! Cipher suites and curves, by the names that configurations of Prometheus have for them.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite as ours, kx_group};

use super::TlsError;

/// The suites that are offered for TLS 1.2, each with its names.
const OFFERED: [(&str, SupportedCipherSuite); 8] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ours::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ours::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ours::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", ours::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ours::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ours::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ours::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", ours::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Names that configurations have, of suites that are passed over: those of TLS 1.3, which cannot be chosen, and weak ones.
const PASSED_OVER: [&str; 18] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
];

/// All suites of TLS 1.3 among `all`, and those of TLS 1.2 that are named, in that order.
pub(super) fn suites(names: &[String], all: &[SupportedCipherSuite]) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let mut suites: Vec<SupportedCipherSuite> = all.iter().filter(|suite| suite.tls13().is_some()).copied().collect();
    for name in names {
        match OFFERED.iter().find(|(offered, _)| offered == name) {
            Some((_, suite)) if suites.contains(suite) => {}
            Some((_, suite)) => suites.push(*suite),
            None if PASSED_OVER.contains(&&**name) => {}
            None => return Err(TlsError::Suite { name: name.clone() }),
        }
    }
    Ok(suites)
}

/// The curves that are named, in that order.
pub(super) fn curves(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, TlsError> {
    let mut curves = Vec::new();
    for name in names {
        match &**name {
            "X25519" => curves.push(kx_group::X25519),
            "CurveP256" => curves.push(kx_group::SECP256R1),
            "CurveP384" => curves.push(kx_group::SECP384R1),
            "CurveP521" => {}
            _ => return Err(TlsError::Curve { name: name.clone() }),
        }
    }
    if curves.is_empty() { Err(TlsError::NoCurve) } else { Ok(curves) }
}
