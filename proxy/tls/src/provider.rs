//! The cryptography: aws-lc-rs, and nothing else.

use std::sync::{Arc, LazyLock};

use postern_snapshot::model::CipherSuite;
use rustls::{
    ALL_VERSIONS, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The one provider of cryptography: aws-lc-rs with its suites of TLS 1.3 and 1.2. X25519MLKEM768, which is safe
/// from quantum computers, is the preferred key exchange.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// [`provider`] with the suites of these versions only, and of TLS 1.2 these in this order (none: all). Those of
/// TLS 1.3 cannot be chosen (Istio, Envoy).
///
/// rustls offers to choose a certificate by all suites in common with the client, also those of versions that are off.
pub(crate) fn provider_for(
    versions: &[&'static SupportedProtocolVersion],
    tls12: &[CipherSuite],
) -> Arc<CryptoProvider> {
    if tls12.is_empty() && versions.len() == ALL_VERSIONS.len() {
        return provider();
    }
    let all = || PROVIDER.cipher_suites.iter().copied();
    let mut cipher_suites: Vec<_> = all().filter(|suite| suite.tls13().is_some()).collect();
    if tls12.is_empty() {
        cipher_suites.extend(all().filter(|suite| suite.tls13().is_none()));
    } else {
        cipher_suites.extend(tls12.iter().map(|&suite| tls12_suite(suite)));
    }
    cipher_suites.retain(|suite| versions.contains(&suite.version()));
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
    use rustls::{
        NamedGroup,
        version::{TLS12, TLS13},
    };

    use super::*;

    #[test]
    fn the_post_quantum_group_comes_first() {
        assert_eq!(provider().kx_groups.first().map(|group| group.name()), Some(NamedGroup::X25519MLKEM768));
    }

    fn suites(versions: &[&'static SupportedProtocolVersion], tls12: &[CipherSuite]) -> Vec<String> {
        let provider = provider_for(versions, tls12);
        provider.cipher_suites.iter().map(|suite| crate::cipher_name(suite.suite()).to_owned()).collect()
    }

    #[test]
    fn suites_of_tls12_are_chosen_in_order_and_those_of_tls13_stay() {
        let chosen = [CipherSuite::EcdheRsaAes256Gcm, CipherSuite::EcdheEcdsaAes128Gcm];
        let suites = suites(ALL_VERSIONS, &chosen);
        assert!(suites.iter().take(3).all(|suite| suite.starts_with("TLS_")));
        assert_eq!(suites[3..], ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]);
    }

    #[test]
    fn suites_of_versions_that_are_off_are_left_out() {
        assert_eq!(suites(ALL_VERSIONS, &[]).len(), 9);
        assert_eq!(suites(&[&TLS12], &[]).len(), 6);
        assert_eq!(suites(&[&TLS13], &[CipherSuite::EcdheRsaAes256Gcm]).len(), 3);
        assert_eq!(suites(&[&TLS12], &[CipherSuite::EcdheRsaChaCha20]), ["ECDHE-RSA-CHACHA20-POLY1305"]);
    }
}
