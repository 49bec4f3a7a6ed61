//! Certificates of clients.

use std::{fmt, sync::Arc};

use postern_snapshot::model::{ClientAuth, ClientAuthMode};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pins::Pins;
use crate::{CertificateStore, LoadedAuthorities, TlsError, provider, san::subject_alt_names, version1};

/// Checks, in this order: the chain against the authorities, the pins, the names. What is not set is not checked.
/// That the client holds the key is always checked.
#[derive(Debug)]
pub(super) struct ClientAuthVerifier {
    mandatory: bool,
    authorities: Option<Arc<LoadedAuthorities>>,
    pins: Pins,
    subject_alt_names: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a client's certificate is refused though its chain is good.
#[derive(thiserror::Error)]
enum Refusal {
    #[error("the client's certificate is none of those that are pinned")]
    NotPinned,
    #[error("the client's certificate has none of the wanted subject alternative names")]
    OtherName,
}

// rustls shows errors of others by `Debug`.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

impl ClientAuthVerifier {
    pub(super) fn new(auth: &ClientAuth, store: &CertificateStore) -> Result<Self, TlsError> {
        let authorities = match &auth.ca {
            None => None,
            Some(name) => {
                let found = store.authorities(name);
                Some(found.ok_or_else(|| TlsError::NoAuthorities(name.clone()))?.clone())
            }
        };
        Ok(Self {
            mandatory: auth.mode == ClientAuthMode::Required,
            authorities,
            pins: Pins::parse(auth)?,
            subject_alt_names: auth.subject_alt_names.clone(),
            algorithms: provider().signature_verification_algorithms,
        })
    }

    fn has_wanted_name(&self, certificate: &CertificateDer<'_>) -> bool {
        if self.subject_alt_names.is_empty() {
            return true;
        }
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
        let names = subject_alt_names(&parsed);
        self.subject_alt_names.iter().any(|wanted| names.iter().any(|name| name.is(wanted)))
    }
}

impl ClientCertVerifier for ClientAuthVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.as_ref().map_or(&[], |authorities| authorities.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.verify_client(end_entity, intermediates, now)?;
        }
        if !self.pins.accept(end_entity) {
            return Err(Refusal::NotPinned.into());
        }
        if !self.has_wanted_name(end_entity) {
            return Err(Refusal::OtherName.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
            .or_else(|error| version1::verify_tls12_signature(message, cert, dss, &self.algorithms, error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
            .or_else(|error| version1::verify_tls13_signature(message, cert, dss, &self.algorithms, error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
