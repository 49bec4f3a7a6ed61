//! What a peer's certificate says, for logs and for headers that are forwarded.

mod distinguished_name;

use std::{fmt, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Fingerprint, SubjectAltName, Validity, fingerprint::write_hex, san::subject_alt_names};

/// The certificate of a peer. It is parsed when something is asked for the first time.
pub struct PeerCertificate {
    chain: Vec<CertificateDer<'static>>,
    hash: OnceLock<String>,
    facts: OnceLock<Facts>,
}

#[derive(Default)]
struct Facts {
    subject: String,
    issuer: String,
    serial: String,
    sans: Vec<SubjectAltName>,
    validity: Option<Validity>,
}

impl PeerCertificate {
    /// From a chain, the peer's own certificate first; `None` when it is empty.
    #[must_use]
    pub fn new(chain: &[CertificateDer<'_>]) -> Option<Self> {
        if chain.is_empty() {
            return None;
        }
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Some(Self { chain, hash: OnceLock::new(), facts: OnceLock::new() })
    }

    /// The SHA-256 of the certificate in lower-case hexadecimal (Envoy's `%DOWNSTREAM_PEER_FINGERPRINT_256%`, `Hash` of
    /// `x-forwarded-client-cert`).
    #[must_use]
    pub fn hash(&self) -> &str {
        self.hash.get_or_init(|| Fingerprint::of(self.leaf()).to_string())
    }

    /// The subject as RFC 2253 writes it, last part first: `CN=client,O=Example` (Envoy's `%DOWNSTREAM_PEER_SUBJECT%`).
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.facts().subject
    }

    /// The issuer, likewise.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.facts().issuer
    }

    /// The serial number in lower-case hexadecimal (Envoy's `%DOWNSTREAM_PEER_SERIAL%`).
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.facts().serial
    }

    /// The subject alternative names, in the order of the certificate.
    #[must_use]
    pub fn sans(&self) -> &[SubjectAltName] {
        &self.facts().sans
    }

    /// When it may be used.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.facts().validity
    }

    /// The chain as the peer has sent it.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The peer's own certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem(self.leaf())
    }

    /// The whole chain as PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem(der)).collect()
    }

    fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |der| der)
    }

    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| match X509Certificate::from_der(self.leaf()) {
            Ok((_, certificate)) => Facts::of(&certificate),
            Err(_) => Facts::default(),
        })
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field("subject", &self.subject())
            .field("hash", &self.hash())
            .finish()
    }
}

impl Facts {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            subject: distinguished_name::rfc2253(certificate.subject()),
            issuer: distinguished_name::rfc2253(certificate.issuer()),
            serial: serial(certificate.raw_serial()),
            sans: subject_alt_names(certificate),
            validity: Some(Validity {
                not_before: validity.not_before.timestamp(),
                not_after: validity.not_after.timestamp(),
            }),
        }
    }
}

/// Without the zero bytes that DER puts before numbers whose first bit is set.
fn serial(bytes: &[u8]) -> String {
    let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut text = String::new();
    // Invariant: writing to a String cannot fail.
    let _ = write_hex(&mut text, bytes.get(significant..).unwrap_or_default());
    text
}

fn pem(der: &[u8]) -> String {
    const WIDTH: usize = 64;
    let base64 = STANDARD.encode(der);
    let mut text = String::with_capacity(base64.len() + base64.len() / WIDTH + 64);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
