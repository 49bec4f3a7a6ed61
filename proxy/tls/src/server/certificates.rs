//! Which of a chain's certificates a client gets.

use std::sync::Arc;

use postern_snapshot::CertificateName;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{CertificateStore, TlsError};

/// Certificates with different kinds of keys (RSA and ECDSA), in order of preference.
#[derive(Debug)]
pub(super) struct CertificatesByKind {
    first: Arc<CertifiedKey>,
    others: Vec<Arc<CertifiedKey>>,
}

impl CertificatesByKind {
    /// Those that the store has, and the names that it has not.
    pub(super) fn find(
        names: &[CertificateName],
        store: &CertificateStore,
    ) -> Result<(Self, Vec<CertificateName>), TlsError> {
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for name in names {
            match store.certificate(name) {
                Some(certificate) => found.push(certificate.certified_key().clone()),
                None => missing.push(name.clone()),
            }
        }
        let mut found = found.into_iter();
        match found.next() {
            Some(first) => Ok((Self { first, others: found.collect() }, missing)),
            None => Err(TlsError::NoCertificate(missing)),
        }
    }
}

impl ResolvesServerCert for CertificatesByKind {
    /// The first that can sign as the client wants. If none can, the first: rustls then ends the handshake with
    /// `handshake_failure`, as it should be, where no certificate at all would be `access_denied`.
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits = |c: &&Arc<CertifiedKey>| c.key.choose_scheme(client_hello.signature_schemes()).is_some();
        let suitable = if self.others.is_empty() {
            None
        } else {
            std::iter::once(&self.first).chain(&self.others).find(suits)
        };
        Some(suitable.unwrap_or(&self.first).clone())
    }
}
