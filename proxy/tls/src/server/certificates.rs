//! Which of a chain's certificates a client gets.

use std::sync::Arc;

use postern_snapshot::CertificateName;
use rustls::{
    CipherSuite, SupportedCipherSuite,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{CertificateStore, TlsError};

/// Certificates with different kinds of keys (RSA and ECDSA), in order of preference.
#[derive(Debug)]
pub(super) struct CertificatesByKind {
    first: Choice,
    others: Vec<Choice>,
}

#[derive(Debug)]
struct Choice {
    key: Arc<CertifiedKey>,
    /// The suites of TLS 1.2 that go with this kind of key.
    tls12: Vec<CipherSuite>,
}

impl CertificatesByKind {
    /// Those that the store has, and the names that it has not.
    pub(super) fn find(
        names: &[CertificateName],
        store: &CertificateStore,
        provider: &CryptoProvider,
    ) -> Result<(Self, Vec<CertificateName>), TlsError> {
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for name in names {
            match store.certificate(name) {
                Some(certificate) => found.push(Choice::new(certificate.certified_key(), provider)),
                None => missing.push(name.clone()),
            }
        }
        let mut found = found.into_iter();
        match found.next() {
            Some(first) => Ok((Self { first, others: found.collect() }, missing)),
            None => Err(TlsError::NoCertificate(missing)),
        }
    }

    fn choose(&self, client_hello: &ClientHello<'_>) -> &Choice {
        if self.others.is_empty() {
            return &self.first;
        }
        let all = || std::iter::once(&self.first).chain(&self.others);
        let can_sign =
            |choice: &&Choice| choice.key.key.choose_scheme(client_hello.signature_schemes()).is_some();
        let has_suite =
            |choice: &&Choice| client_hello.cipher_suites().iter().any(|suite| choice.tls12.contains(suite));
        // rustls does not say here which version it will be. In TLS 1.2 the suite must go with the key; in TLS 1.3 it does
        // not matter. So first look for one that is good for either.
        all()
            .find(|choice| can_sign(choice) && has_suite(choice))
            .or_else(|| all().find(can_sign))
            .unwrap_or(&self.first)
    }
}

impl Choice {
    fn new(key: &Arc<CertifiedKey>, provider: &CryptoProvider) -> Self {
        let goes_with = |suite: &&SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls12(suite) => key.key.choose_scheme(suite.sign).is_some(),
            SupportedCipherSuite::Tls13(_) => false,
        };
        let tls12 =
            provider.cipher_suites.iter().filter(goes_with).map(SupportedCipherSuite::suite).collect();
        Self { key: key.clone(), tls12 }
    }
}

impl ResolvesServerCert for CertificatesByKind {
    /// The first that can sign as the client wants. If none can, the first: rustls then ends the handshake with
    /// `handshake_failure`, as it should be, where no certificate at all would be `access_denied`.
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(&client_hello).key.clone())
    }
}
