//! Rules about Gateways.

use std::collections::BTreeSet;

use super::{Findings, Validate, common};
use crate::finding::SchemaFinding;
use crate::istio::gateway::{Gateway, Server, ServerTlsSettings, TlsCertificate, TlsMode};
use crate::place::Place;
use crate::value::{Bind, Protocol, is_dns_label};

/// Marks what the translation from Gateway API made; other names are allowed there.
const GATEWAY_SEMANTICS: &str = "internal.istio.io/gateway-semantics";

impl Validate for Gateway {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let from_gateway_api = self
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(GATEWAY_SEMANTICS))
            .is_some_and(|semantics| semantics == "gateway");
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if !from_gateway_api && !is_dns_label(name) {
            let at = Place::Object;
            findings.error(
                &at.field("metadata").field("name"),
                format!("{name:?} cannot be the name of a Gateway; write letters, digits and dashes (no dots), 63 at most"),
            );
        }
        let spec = Place::Object;
        let spec = spec.field("spec");
        let at = spec.field("servers");
        if self.spec.servers.is_empty() {
            findings.error(&at, "a Gateway must have at least one server");
        }
        let mut port_names = BTreeSet::new();
        for (index, server) in self.spec.servers.iter().enumerate() {
            let at = at.index(index);
            let port = at.field("port");
            common::unique(server.port.name.as_str(), &mut port_names, &port.field("name"), &mut findings);
            validate_server(server, &at, &mut findings);
        }
        findings.0
    }
}

fn validate_server(server: &Server, at: &Place<'_>, findings: &mut Findings) {
    validate_port(server, at, findings);
    validate_hosts(server, at, findings);
    let protocol = server.port.protocol;
    let tls_at = at.field("tls");
    let Some(tls) = &server.tls else {
        if protocol.is_tls() {
            findings.error(&tls_at, format!("protocol {protocol} needs TLS settings"));
        }
        return;
    };
    // Of protocol HTTPS, translation says the same.
    if tls.https_redirect && protocol == Protocol::Tls {
        let message = "only a server of protocol HTTP redirects to HTTPS; this one is TLS";
        findings.warn(&tls_at.field("httpsRedirect"), message);
    }
    if protocol.is_tls() {
        validate_tls(tls, &tls_at, findings);
    } else if protocol.is_http() {
        if tls.mode() != TlsMode::Passthrough || !certificate_fields(tls).is_empty() {
            let message = format!(
                "protocol {protocol} is plaintext and can have httpsRedirect only; for TLS the protocol must be HTTPS"
            );
            findings.error(&tls_at, message);
        }
    } else {
        findings
            .error(&tls_at, format!("protocol {protocol} cannot have TLS settings; for TLS it must be TLS"));
    }
}

fn validate_port(server: &Server, at: &Place<'_>, findings: &mut Findings) {
    let at = at.field("port");
    let number = at.field("number");
    let on_unix_socket = matches!(server.bind, Some(Bind::Unix(_)));
    match (server.port.number, on_unix_socket) {
        (0, false) => findings.error(&number, "0 is not a port number; it must be from 1 to 65535"),
        (1.., true) => {
            findings.error(&number, "beside a Unix socket in bind the port number must be 0");
        }
        _ => {}
    }
    if server.port.name.is_empty() {
        findings.error(&at.field("name"), "the name of a port must not be empty");
    }
}

fn validate_hosts(server: &Server, at: &Place<'_>, findings: &mut Findings) {
    let at = at.field("hosts");
    if server.hosts.is_empty() {
        findings.error(&at, "a server must have at least one host");
    }
}

fn validate_tls(tls: &ServerTlsSettings, at: &Place<'_>, findings: &mut Findings) {
    common::at_most(&tls.credential_names, 2, &at.field("credentialNames"), findings);
    common::at_most(&tls.tls_certificates, 2, &at.field("tlsCertificates"), findings);
    let set = certificate_fields(tls);
    match tls.mode() {
        TlsMode::IstioMutual => {
            for field in set {
                findings.error(
                    &at.field(field),
                    "ISTIO_MUTUAL uses the mesh's certificates and cannot have others",
                );
            }
            return;
        }
        mode @ (TlsMode::Passthrough | TlsMode::AutoPassthrough) => {
            let mode = if mode == TlsMode::Passthrough { "PASSTHROUGH" } else { "AUTO_PASSTHROUGH" };
            for field in set {
                findings.warn(
                    &at.field(field),
                    format!("{mode} does not end TLS, so there is no use for certificates; it is ignored"),
                );
            }
            return;
        }
        TlsMode::Simple | TlsMode::Mutual | TlsMode::OptionalMutual => {}
    }
    one_source(tls, at, findings);
    if tls.credentials().next().is_none() {
        validate_files(tls, at, findings);
    }
}

/// The certificates come from one place.
fn one_source(tls: &ServerTlsSettings, at: &Place<'_>, findings: &mut Findings) {
    let sources = [
        ("credentialName", tls.credential_name.is_some()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("serverCertificate with privateKey", tls.server_certificate.is_some() && tls.private_key.is_some()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ];
    let set: Vec<&str> = sources.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    if set.len() > 1 {
        findings.error(
            at,
            format!("only one source of certificates may be given; here are {}", set.join(" and ")),
        );
    }
}

/// Certificates in files are whole.
fn validate_files(tls: &ServerTlsSettings, at: &Place<'_>, findings: &mut Findings) {
    let mutual = matches!(tls.mode(), TlsMode::Mutual | TlsMode::OptionalMutual);
    let has_ca = tls.ca_certificates.is_some()
        || tls.ca_cert_credential_name.is_some()
        || tls.tls_certificates.iter().any(|pair| pair.ca_certificates.is_some());
    if mutual && !has_ca && tls.insecure_skip_verify != Some(true) {
        findings.error(
            at,
            "to check client certificates a CA is needed: credentialName, caCertificates or caCertCredentialName",
        );
    }
    if tls.ca_crl.is_some() && !mutual {
        findings.error(
            &at.field("caCrl"),
            "without client certificates (mode MUTUAL) there is nothing to revoke",
        );
    }
    if tls.tls_certificates.is_empty() {
        let single = TlsCertificate {
            server_certificate: tls.server_certificate.clone(),
            private_key: tls.private_key.clone(),
            ca_certificates: None,
        };
        validate_pair(&single, "; or give a credentialName", at, findings);
    }
    let at = at.field("tlsCertificates");
    for (index, pair) in tls.tls_certificates.iter().enumerate() {
        validate_pair(pair, "", &at.index(index), findings);
    }
}

fn validate_pair(pair: &TlsCertificate, hint: &str, at: &Place<'_>, findings: &mut Findings) {
    let missing = match (&pair.server_certificate, &pair.private_key) {
        (Some(_), Some(_)) => return,
        (None, None) => "serverCertificate and privateKey are missing",
        (None, Some(_)) => "serverCertificate is missing",
        (Some(_), None) => "privateKey is missing",
    };
    findings.error(at, format!("a server certificate and its key are needed: {missing}{hint}"));
}

/// The fields that name certificates and are set.
fn certificate_fields(tls: &ServerTlsSettings) -> Vec<&'static str> {
    let fields = [
        ("serverCertificate", tls.server_certificate.is_some()),
        ("privateKey", tls.private_key.is_some()),
        ("caCertificates", tls.ca_certificates.is_some()),
        ("caCrl", tls.ca_crl.is_some()),
        ("credentialName", tls.credential_name.is_some()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("caCertCredentialName", tls.ca_cert_credential_name.is_some()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ];
    fields.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
