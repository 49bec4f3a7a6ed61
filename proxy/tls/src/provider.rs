//! The cryptography: aws-lc-rs, and nothing else.

use std::sync::{Arc, LazyLock};

use postern_snapshot::model::CipherSuite;
use rustls::{
    SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The one provider of cryptography: aws-lc-rs with its suites of TLS 1.3 and 1.2. X25519MLKEM768, which is safe
/// from quantum computers, is the preferred key exchange.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// [`provider`] with these suites for TLS 1.2, in this order; empty: all. Those of TLS 1.3 always stay (Istio and
/// Envoy do not let them be chosen).
pub(crate) fn provider_with_suites(suites: &[CipherSuite]) -> Arc<CryptoProvider> {
    if suites.is_empty() {
        return provider();
    }
    let tls13 = PROVIDER.cipher_suites.iter().filter(|suite| suite.tls13().is_some()).copied();
    let cipher_suites = tls13.chain(suites.iter().map(|&suite| tls12_suite(suite))).collect();
    Arc::new(CryptoProvider { cipher_suites, ..(**PROVIDER).clone() })
}

fn tls12_suite(suite: CipherSuite) -> SupportedCipherSuite {
    use aws_lc_rs::cipher_suite as s;
    match suite {
        CipherSuite::EcdheEcdsaAes128Gcm => s::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256Gcm => s::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChaCha20 => s::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheRsaAes128Gcm => s::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes256Gcm => s::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaChaCha20 => s::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn the_post_quantum_group_comes_first() {
        assert_eq!(provider().kx_groups.first().map(|group| group.name()), Some(NamedGroup::X25519MLKEM768));
    }

    #[test]
    fn suites_of_tls12_are_chosen_in_order_and_those_of_tls13_stay() {
        let chosen = [CipherSuite::EcdheRsaAes256Gcm, CipherSuite::EcdheEcdsaAes128Gcm];
        let provider = provider_with_suites(&chosen);
        let suites = |tls13: bool| -> Vec<_> {
            let mut suites = provider.cipher_suites.clone();
            suites.retain(|suite| suite.tls13().is_some() == tls13);
            suites.iter().map(SupportedCipherSuite::suite).collect()
        };
        assert_eq!(suites(true).len(), 3);
        assert_eq!(
            suites(false),
            [
                rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            ]
        );
    }
}
