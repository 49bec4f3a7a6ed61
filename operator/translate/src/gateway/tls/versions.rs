//! Protocol versions and cipher suites. The proxy speaks TLS 1.2 and 1.3, with forward secrecy and authenticated
//! encryption only.

use postern_api::istio::gateway::{ServerTlsSettings, TlsProtocol};
use postern_snapshot::model::{CipherSuite, TlsVersion};

use crate::at::At;
use crate::finding::{Findings, Problem, Reason};

/// Minimum and maximum; `None` inside is the proxy's default. `None` when no version is left.
pub(super) fn versions(
    tls: &ServerTlsSettings,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<(Option<TlsVersion>, Option<TlsVersion>)> {
    let min = match tls.min_protocol_version {
        None | Some(TlsProtocol::Auto) => None,
        Some(old @ (TlsProtocol::V1_0 | TlsProtocol::V1_1)) => {
            let message = format!("{} is not spoken; the oldest version is TLS 1.2", name(old));
            findings.warn(
                &at.field("minProtocolVersion"),
                Problem::programmed(Reason::UnsupportedValue, message),
            );
            Some(TlsVersion::V1_2)
        }
        Some(TlsProtocol::V1_2) => Some(TlsVersion::V1_2),
        Some(TlsProtocol::V1_3) => Some(TlsVersion::V1_3),
    };
    let max = match tls.max_protocol_version {
        None | Some(TlsProtocol::Auto) => None,
        Some(old @ (TlsProtocol::V1_0 | TlsProtocol::V1_1)) => {
            let message = format!(
                "{} is not spoken, and nothing newer is allowed: this server is not served",
                name(old)
            );
            findings
                .error(&at.field("maxProtocolVersion"), Problem::accepted(Reason::UnsupportedValue, message));
            return None;
        }
        Some(TlsProtocol::V1_2) => Some(TlsVersion::V1_2),
        Some(TlsProtocol::V1_3) => Some(TlsVersion::V1_3),
    };
    if (min, max) == (Some(TlsVersion::V1_3), Some(TlsVersion::V1_2)) {
        let message = "the newest version is older than the oldest: this server is not served";
        findings.error(&at.field("maxProtocolVersion"), Problem::accepted(Reason::Invalid, message));
        return None;
    }
    Some((min, max))
}

const fn name(version: TlsProtocol) -> &'static str {
    match version {
        TlsProtocol::Auto => "TLS",
        TlsProtocol::V1_0 => "TLS 1.0",
        TlsProtocol::V1_1 => "TLS 1.1",
        TlsProtocol::V1_2 => "TLS 1.2",
        TlsProtocol::V1_3 => "TLS 1.3",
    }
}

/// The suites that the proxy knows, in their order. None left means all, as in Istio, which leaves out those that it
/// does not know.
pub(super) fn cipher_suites(
    tls: &ServerTlsSettings,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<CipherSuite> {
    let at = at.field("cipherSuites");
    let mut suites = Vec::new();
    for (index, name) in tls.cipher_suites.iter().enumerate() {
        match cipher_suite(name) {
            Some(suite) if suites.contains(&suite) => {}
            Some(suite) => suites.push(suite),
            None => {
                let message = format!(
                    "{name:?} is not a cipher suite that Postern speaks, and is left out; it has ECDHE with AES-GCM or \
                     ChaCha20 for TLS 1.2, and those of TLS 1.3 are always on"
                );
                findings.warn(&at.index(index), Problem::programmed(Reason::UnsupportedValue, message));
            }
        }
    }
    if suites.is_empty() && !tls.cipher_suites.is_empty() {
        let message = "no cipher suite is left, so all that Postern speaks are allowed";
        findings.warn(&at, Problem::programmed(Reason::UnsupportedValue, message));
    }
    suites
}

fn cipher_suite(name: &str) -> Option<CipherSuite> {
    Some(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => CipherSuite::EcdheEcdsaAes128Gcm,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => CipherSuite::EcdheEcdsaAes256Gcm,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => CipherSuite::EcdheEcdsaChaCha20,
        "ECDHE-RSA-AES128-GCM-SHA256" => CipherSuite::EcdheRsaAes128Gcm,
        "ECDHE-RSA-AES256-GCM-SHA384" => CipherSuite::EcdheRsaAes256Gcm,
        "ECDHE-RSA-CHACHA20-POLY1305" => CipherSuite::EcdheRsaChaCha20,
        _ => return None,
    })
}
