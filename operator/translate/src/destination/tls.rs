//! A DestinationRule's TLS settings → how the proxy plays the TLS client.
//!
//! What should be encrypted is never sent in plain: settings that cannot be met cost the destination, whose requests get
//! 503 then.

use postern_api::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use postern_snapshot::CertificateName;
use postern_snapshot::model::{ServerIdentity, UpstreamTls, UpstreamTrust};

use super::policy::Policy;
use crate::at::At;
use crate::finding::{Findings, Problem, Reason};
use crate::gateway::tls::TlsBuilder;
use crate::names::origin;

/// Istio's name for the authorities of the operating system.
const SYSTEM: &str = "system";

/// The settings of a policy, `None` for plaintext. An error where they cannot be met, which is a finding.
pub(super) fn upstream_tls(
    policy: &Policy<'_>,
    builder: &mut TlsBuilder<'_>,
    findings: &mut Findings,
) -> Result<Option<UpstreamTls>, Unmet> {
    let Some(tls) = policy.tls else { return Ok(None) };
    let origin = origin(policy.key());
    policy.at_tls(|at| match tls.mode() {
        ClientTlsMode::Disable => Ok(None),
        ClientTlsMode::IstioMutual => {
            let message = "ISTIO_MUTUAL needs the certificates of a mesh, which Postern is no part of; requests for this \
                           host get 503. With mode DISABLE they are sent in plain";
            findings.error(
                &at.field("mode"),
                Problem::programmed(Reason::UnsupportedValue, message),
            );
            Err(Unmet)
        }
        ClientTlsMode::Simple => {
            let trust = trust(tls, &origin, builder, at, findings)?;
            Ok(Some(with(tls, trust, None)))
        }
        ClientTlsMode::Mutual => {
            let certificate = client_certificate(tls, &origin, builder, at, findings);
            let trust = trust(tls, &origin, builder, at, findings)?;
            Ok(Some(with(tls, trust, Some(certificate?))))
        }
    })
}

/// Settings that cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unmet;

fn with(
    tls: &ClientTlsSettings,
    trust: UpstreamTrust,
    client_certificate: Option<CertificateName>,
) -> UpstreamTls {
    let subject_alt_names = identities(&tls.subject_alt_names);
    UpstreamTls { sni: tls.sni.clone(), trust, subject_alt_names, client_certificate }
}

/// The names of which a server's certificate must have one: DNS names, and URIs such as SPIFFE's.
pub(super) fn identities(names: &[String]) -> Vec<ServerIdentity> {
    let identity = |name: &String| match name.contains("://") {
        true => ServerIdentity::Uri(name.clone()),
        false => ServerIdentity::Dns(name.clone()),
    };
    names.iter().map(identity).collect()
}

/// Whom to trust: what comes with the credential, or a file, or else the operating system's authorities (Istio).
fn trust(
    tls: &ClientTlsSettings,
    origin: &str,
    builder: &mut TlsBuilder<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Result<UpstreamTrust, Unmet> {
    if tls.insecure_skip_verify == Some(true) {
        return Ok(UpstreamTrust::InsecureSkipVerify);
    }
    if let Some(name) = &tls.credential_name {
        let ca = builder.ca_beside_credential(name, &at.field("credentialName"), findings);
        return ca.map(UpstreamTrust::Ca).ok_or(Unmet);
    }
    Ok(match tls.ca_certificates.as_deref() {
        None | Some(SYSTEM) => UpstreamTrust::System,
        Some(path) => UpstreamTrust::Ca(builder.file_authorities(origin, path, tls.ca_crl.as_deref())),
    })
}

/// What the proxy shows: the credential's, or that of files.
fn client_certificate(
    tls: &ClientTlsSettings,
    origin: &str,
    builder: &mut TlsBuilder<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Result<CertificateName, Unmet> {
    if let Some(name) = &tls.credential_name {
        return builder.secret_certificate(name, &at.field("credentialName"), findings).ok_or(Unmet);
    }
    match (&tls.client_certificate, &tls.private_key) {
        (Some(chain), Some(key)) => Ok(builder.file_certificate(origin, chain, key)),
        _ => {
            let message = "MUTUAL needs credentialName, or clientCertificate and privateKey; requests for this host get 503";
            findings.error(at, Problem::accepted(Reason::Invalid, message));
            Err(Unmet)
        }
    }
}
