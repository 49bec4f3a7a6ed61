//! A server's TLS settings → how the proxy plays the TLS server.

mod certificates;
mod client_auth;
mod versions;

use std::collections::BTreeSet;

use postern_api::istio::gateway::{ServerTlsSettings, TlsMode};
use postern_snapshot::KeyId;
use postern_snapshot::model::{
    Certificate, CertificateSource, Certificates, ClientAuth, ClientAuthMode, Cluster, Keys, Listener,
    ListenerProtocol, ServerTls, TlsAction, UpstreamTrust,
};

use super::ServerRef;
use crate::at::At;
use crate::finding::{Findings, Problem, Reason};
use crate::ingress::Ingress;
use crate::world::World;

/// Which Secrets a name may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Those in the namespace of the ingress's pods: names come from users.
    OwnNamespace,
    /// Also those of other namespaces, `kubernetes-gateway://NAMESPACE/NAME`, and ConfigMaps, `configmap://NAMESPACE/NAME`:
    /// names come from the translation of the Gateway API, which has checked that they may be used.
    Granted,
}

impl Credentials {
    /// What the servers of an ingress may name.
    pub(crate) const fn of(ingress: &Ingress<'_>) -> Self {
        match ingress.owner {
            Some(_) => Self::Granted,
            None => Self::OwnNamespace,
        }
    }
}

/// Makes TLS settings, of servers or towards upstreams, and gathers their certificates.
#[derive(Debug)]
pub(crate) struct TlsBuilder<'a> {
    world: &'a World,
    /// Where the Secrets are: the namespace of the ingress's pods (Istio), not that of the Gateway.
    namespace: &'a str,
    credentials: Credentials,
    /// What happens while a Secret is missing.
    consequence: &'static str,
    certificates: Certificates,
    keys: Keys,
}

impl<'a> TlsBuilder<'a> {
    /// For servers.
    pub(crate) fn new(world: &'a World, namespace: &'a str, credentials: Credentials) -> Self {
        Self {
            world,
            namespace,
            credentials,
            consequence: "proxies that have had one go on with it, others refuse the TLS handshake for these hosts",
            certificates: Certificates::default(),
            keys: Keys::default(),
        }
    }

    /// For connections to upstreams.
    pub(crate) fn for_upstreams(world: &'a World, namespace: &'a str) -> Self {
        let consequence = "proxies that have had one go on with it, at others requests for it get 503";
        Self { consequence, ..Self::new(world, namespace, Credentials::OwnNamespace) }
    }

    /// How the proxy plays the TLS server for this one. `None` when it cannot; findings say why, and the handshake for
    /// its hosts is refused.
    pub(crate) fn server_tls(
        &mut self,
        server: ServerRef<'_>,
        tls: &ServerTlsSettings,
        alpn: &[&str],
        findings: &mut Findings,
    ) -> Option<ServerTls> {
        server.at(|at| {
            let at = at.field("tls");
            // All are looked at, so that everything that is wrong is said at once.
            let versions = versions::versions(tls, &at, findings);
            let certificates = self.server_certificates(server, tls, &at, findings);
            let client_auth = self.client_auth_of(server, tls, &at, findings);
            let cipher_suites = versions::cipher_suites(tls, &at, findings);
            let (min_version, max_version) = versions?;
            Some(ServerTls {
                certificates: certificates?,
                client_auth: client_auth?,
                min_version,
                max_version,
                cipher_suites,
                alpn: alpn.iter().map(|protocol| (*protocol).to_owned()).collect(),
            })
        })
    }

    /// The certificates that these listeners use, and of those for upstreams what these clusters use. A server that is
    /// not served leaves none behind: above all no key.
    pub(crate) fn finish<'s>(
        mut self,
        upstreams: Self,
        listeners: &[Listener],
        clusters: impl Iterator<Item = &'s Cluster>,
    ) -> (Certificates, Keys) {
        let mut used_certificates = BTreeSet::new();
        let mut used_authorities = BTreeSet::new();
        for tls in listeners.iter().flat_map(terminating) {
            used_certificates.extend(&tls.certificates);
            used_authorities.extend(tls.client_auth.iter().filter_map(|auth| auth.ca.as_ref()));
        }
        for tls in clusters.filter_map(|cluster| cluster.tls.as_ref()) {
            used_certificates.extend(&tls.client_certificate);
            if let UpstreamTrust::Ca(name) = &tls.trust {
                used_authorities.insert(name);
            }
        }
        // The same name is the same Secret, or the same file.
        self.certificates.certificates.extend(upstreams.certificates.certificates);
        self.certificates.authorities.extend(upstreams.certificates.authorities);
        self.keys.0.extend(upstreams.keys.0);
        let Self { mut certificates, mut keys, .. } = self;
        certificates.certificates.retain(|name, _| used_certificates.contains(name));
        certificates.authorities.retain(|name, _| used_authorities.contains(name));
        let used_keys: BTreeSet<_> = certificates.certificates.values().filter_map(inline_key).collect();
        keys.0.retain(|id, _| used_keys.contains(id));
        (certificates, keys)
    }

    fn client_auth_of(
        &mut self,
        server: ServerRef<'_>,
        tls: &ServerTlsSettings,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<Option<ClientAuth>> {
        let mode = match tls.mode() {
            TlsMode::Mutual => ClientAuthMode::Required,
            TlsMode::OptionalMutual => ClientAuthMode::Optional,
            TlsMode::Simple | TlsMode::Passthrough | TlsMode::AutoPassthrough | TlsMode::IstioMutual => {
                warn_about_client_fields(tls, at, findings);
                return Some(None);
            }
        };
        self.client_auth(server, tls, mode, at, findings).map(Some)
    }
}

/// The TLS settings of a listener's chains.
fn terminating(listener: &Listener) -> impl Iterator<Item = &ServerTls> {
    let chains = match &listener.protocol {
        ListenerProtocol::Tls { chains } => chains.as_slice(),
        ListenerProtocol::Http(_) | ListenerProtocol::Tcp(_) | ListenerProtocol::Udp(_) => &[],
    };
    chains.iter().filter_map(|chain| match &chain.action {
        TlsAction::Terminate { tls, .. } => Some(tls.as_ref()),
        TlsAction::Passthrough(_) => None,
    })
}

fn inline_key(certificate: &Certificate) -> Option<&KeyId> {
    match &certificate.source {
        CertificateSource::Inline { key, .. } => Some(key),
        CertificateSource::Files { .. } => None,
    }
}

/// Fields about client certificates where none is asked for.
fn warn_about_client_fields(tls: &ServerTlsSettings, at: &At<'_>, findings: &mut Findings) {
    let fields = [
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ("verifyCertificateSpki", !tls.verify_certificate_spki.is_empty()),
        ("verifyCertificateHash", !tls.verify_certificate_hash.is_empty()),
        ("caCertCredentialName", tls.ca_cert_credential_name.is_some()),
        ("caCertificates", tls.ca_certificates.is_some()),
        ("caCrl", tls.ca_crl.is_some()),
    ];
    for (field, _) in fields.into_iter().filter(|(_, is_set)| *is_set) {
        let message = "clients are not asked for a certificate in mode SIMPLE; use MUTUAL or OPTIONAL_MUTUAL";
        findings.warn(&at.field(field), Problem::programmed(Reason::Ineffective, message));
    }
}
