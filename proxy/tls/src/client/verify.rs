//! Certificates of upstreams.

use std::{fmt, sync::Arc};

use postern_snapshot::model::ServerIdentity;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{LoadedAuthorities, SubjectAltName, TlsError, provider, san::subject_alt_names};

/// Checks the chain against authorities, and then the name.
#[derive(Debug)]
pub(super) struct AuthorityVerifier {
    authorities: Arc<LoadedAuthorities>,
    /// One of these must be in the certificate; empty: the name that was asked for.
    identities: Vec<Identity>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Identity {
    Dns(ServerName<'static>),
    Uri(String),
}

#[derive(thiserror::Error)]
#[error("the server's certificate has none of the wanted subject alternative names")]
struct OtherName;

// rustls shows errors of others by `Debug`.
impl fmt::Debug for OtherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AuthorityVerifier {
    pub(super) fn new(
        authorities: Arc<LoadedAuthorities>,
        identities: &[ServerIdentity],
    ) -> Result<Self, TlsError> {
        let parse = |identity: &ServerIdentity| match identity {
            ServerIdentity::Dns(name) => super::parse_name(name).map(Identity::Dns),
            ServerIdentity::Uri(uri) => Ok(Identity::Uri(uri.clone())),
        };
        let identities = identities.iter().map(parse).collect::<Result<_, _>>()?;
        let algorithms = provider().signature_verification_algorithms;
        Ok(Self { authorities, identities, algorithms })
    }

    fn verify_name(
        &self,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        if self.identities.is_empty() {
            return verify_server_name(&parsed, server_name);
        }
        let has = |identity: &Identity| match identity {
            Identity::Dns(name) => verify_server_name(&parsed, name).is_ok(),
            Identity::Uri(uri) => has_uri(end_entity, uri),
        };
        if self.identities.iter().any(has) {
            Ok(())
        } else {
            Err(CertificateError::Other(OtherError(Arc::new(OtherName))).into())
        }
    }
}

fn has_uri(certificate: &CertificateDer<'_>, uri: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    subject_alt_names(&parsed).iter().any(|name| matches!(name, SubjectAltName::Uri(has) if has == uri))
}

impl ServerCertVerifier for AuthorityVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.authorities.verify_server(end_entity, intermediates, server_name, now)?;
        self.verify_name(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes any certificate. The signature of the handshake is not checked either: whoever is between could sign with a
/// certificate of its own, and the check would refuse certificates that webpki cannot read (X.509 version 1).
#[derive(Debug)]
pub(super) struct NoVerification {
    schemes: Vec<SignatureScheme>,
}

impl Default for NoVerification {
    fn default() -> Self {
        Self { schemes: provider().signature_verification_algorithms.supported_schemes() }
    }
}

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
