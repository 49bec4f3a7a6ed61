//! What is in a Secret with a certificate.
//!
//! Istio knows two styles of keys, its own (`cert`, `key`, `cacert`, `crl`) and that of `kubernetes.io/tls`
//! (`tls.crt`, `tls.key`, `ca.crt`, `ca.crl`, `tls.ocsp-staple`). Here only presence and PEM framing are looked at:
//! whether a key fits its certificate is for the proxy to find out, and to say in its ack.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// Certificate and key of a server, as PEM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerCertificate {
    pub(crate) chain: String,
    pub(crate) key: String,
    /// Base64.
    pub(crate) ocsp_staple: Option<String>,
}

/// Certificates that may sign those of clients, as PEM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorities {
    pub(crate) certificates: String,
    pub(crate) crl: Option<String>,
}

/// Why a Secret does not hold what it should.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("it has neither tls.crt and tls.key nor cert and key")]
    NoCertificate,
    #[error("it has {present} but no {missing}")]
    Half { present: &'static str, missing: &'static str },
    #[error("it has neither ca.crt nor cacert")]
    NoAuthorities,
    #[error("its {0} is not text")]
    NotText(&'static str),
    #[error("its {key} holds no PEM block {block}")]
    NoPem { key: &'static str, block: &'static str },
}

/// Certificate and key of a server.
pub(crate) fn server_certificate(secret: &Secret) -> Result<ServerCertificate, SecretError> {
    for (cert, key) in [("cert", "key"), ("tls.crt", "tls.key")] {
        match (value(secret, cert), value(secret, key)) {
            (None, None) => {}
            (Some(_), None) => return Err(SecretError::Half { present: cert, missing: key }),
            (None, Some(_)) => return Err(SecretError::Half { present: key, missing: cert }),
            (Some(chain), Some(private)) => {
                return Ok(ServerCertificate {
                    chain: pem(cert, chain, &["CERTIFICATE"])?,
                    key: pem(key, private, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])?,
                    ocsp_staple: value(secret, "tls.ocsp-staple").map(|bytes| STANDARD.encode(bytes)),
                });
            }
        }
    }
    Err(SecretError::NoCertificate)
}

/// Whom to trust.
pub(crate) fn authorities(secret: &Secret) -> Result<Authorities, SecretError> {
    for (ca, crl) in [("cacert", "crl"), ("ca.crt", "ca.crl")] {
        let Some(certificates) = value(secret, ca) else { continue };
        let crl = value(secret, crl).map(|list| pem(crl, list, &["X509 CRL"])).transpose()?;
        return Ok(Authorities { certificates: pem(ca, certificates, &["CERTIFICATE"])?, crl });
    }
    Err(SecretError::NoAuthorities)
}

/// Whom to trust, of a ConfigMap in the Gateway API's form: `ca.crt`.
pub(crate) fn config_map_authorities(config_map: &ConfigMap) -> Result<String, SecretError> {
    let text = config_map.data.as_ref().and_then(|data| data.get("ca.crt"));
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Err(SecretError::NoAuthorities) };
    pem("ca.crt", text.as_bytes(), &["CERTIFICATE"])
}

/// The bytes under a key; what is empty is absent. A file may have `stringData` in place of `data`.
fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    let text = secret.string_data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let bytes = || secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    text.or_else(bytes).filter(|bytes| !bytes.is_empty())
}

fn pem(key: &'static str, bytes: &[u8], blocks: &[&'static str]) -> Result<String, SecretError> {
    let text = std::str::from_utf8(bytes).map_err(|_| SecretError::NotText(key))?;
    let framed = blocks.iter().any(|block| {
        let begin = text.find(&format!("-----BEGIN {block}-----"));
        begin
            .and_then(|begin| text.get(begin..))
            .is_some_and(|rest| rest.contains(&format!("-----END {block}-----")))
    });
    if framed {
        return Ok(text.to_owned());
    }
    Err(SecretError::NoPem { key, block: blocks.first().copied().unwrap_or_default() })
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
