//! Client certificates of X.509 version 1.
//!
//! webpki, and so rustls, takes only version 3. But `openssl x509 -req` before OpenSSL 3.2 makes version 1 unless it is
//! given extensions, Istio's own task for mutual TLS makes clients' certificates with it, and Envoy takes them. Version 1
//! says nothing about purposes, names or constraints, so only what is certain is accepted: a certificate that one of the
//! authorities has signed itself.

use rustls::{
    CertificateError, DigitallySignedStruct, Error,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use crate::{provider, store::check_validity};

/// Authorities that may have signed certificates of version 1: those whose reach is not limited by name constraints.
#[derive(Debug)]
pub(crate) struct Issuers(Vec<Issuer>);

#[derive(Debug)]
struct Issuer {
    /// The DER of its name.
    subject: Vec<u8>,
    key: SubjectPublicKeyInfoDer<'static>,
}

impl Issuers {
    pub(crate) fn of(authorities: &[CertificateDer<'_>]) -> Self {
        let issuer = |der: &CertificateDer<'_>| {
            let (_, authority) = X509Certificate::from_der(der).ok()?;
            let unlimited = matches!(authority.name_constraints(), Ok(None));
            unlimited.then(|| Issuer {
                subject: authority.subject().as_raw().to_vec(),
                key: SubjectPublicKeyInfoDer::from(authority.public_key().raw.to_vec()),
            })
        };
        Self(authorities.iter().filter_map(issuer).collect())
    }

    /// Is it of version 1, in its time, and signed by one of these? `None`: it is not of version 1.
    pub(crate) fn verify(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Option<Result<(), Error>> {
        let leaf = parse(leaf)?;
        let issuers = self.0.iter().filter(|issuer| issuer.subject == leaf.issuer().as_raw());
        let mut verdict = Err(CertificateError::UnknownIssuer.into());
        for issuer in issuers {
            if is_signed_by(&leaf, &issuer.key) {
                return Some(check_validity(&leaf, now));
            }
            verdict = Err(CertificateError::BadSignature.into());
        }
        Some(verdict)
    }
}

fn is_signed_by(leaf: &X509Certificate<'_>, key: &SubjectPublicKeyInfoDer<'_>) -> bool {
    let Ok(key) = webpki::RawPublicKeyEntity::try_from(key) else { return false };
    // What is signed names the algorithm too, so that it cannot be exchanged.
    if leaf.signature_algorithm != leaf.tbs_certificate.signature {
        return false;
    }
    let oid = leaf.signature_algorithm.algorithm.as_bytes();
    let signed = leaf.tbs_certificate.as_ref();
    provider()
        .signature_verification_algorithms
        .all
        .iter()
        .filter(|algorithm| has_oid(&algorithm.signature_alg_id(), oid))
        .any(|algorithm| key.verify_signature(*algorithm, signed, &leaf.signature_value.data).is_ok())
}

/// Does an `AlgorithmIdentifier` without its outer tag begin with this OID?
fn has_oid(algorithm: &[u8], oid: &[u8]) -> bool {
    const OID_TAG: u8 = 6;
    match algorithm {
        [OID_TAG, length, rest @ ..] => usize::from(*length) == oid.len() && rest.starts_with(oid),
        _ => false,
    }
}

/// Second thoughts about a signature in a handshake of TLS 1.2 that was refused with `error`.
pub(crate) fn verify_tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
    error: Error,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(key) = public_key(certificate) else { return Err(error) };
    let Ok(key) = webpki::RawPublicKeyEntity::try_from(&key) else { return Err(error) };
    let candidates = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
    let is_valid = candidates
        .flat_map(|(_, algorithms)| *algorithms)
        .any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok());
    if is_valid {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// Second thoughts about a signature in a handshake of TLS 1.3 that was refused with `error`.
pub(crate) fn verify_tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
    error: Error,
) -> Result<HandshakeSignatureValid, Error> {
    match public_key(certificate) {
        Some(key) => verify_tls13_signature_with_raw_key(message, &key, dss, algorithms),
        None => Err(error),
    }
}

fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'a>> {
    let parsed: X509Certificate<'a> = parse(certificate)?;
    Some(SubjectPublicKeyInfoDer::from(parsed.tbs_certificate.subject_pki.raw))
}

/// If it is of version 1.
fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    let is_version1 =
        parsed.version() == X509Version::V1 && parsed.extensions().is_empty() && rest.is_empty();
    is_version1.then_some(parsed)
}
