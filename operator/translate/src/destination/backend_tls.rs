//! The Gateway API's BackendTLSPolicies → how the proxy plays the TLS client.

use postern_snapshot::model::{Cluster, UpstreamTls, UpstreamTrust};

use super::Resolver;
use super::tls::Unmet;
use crate::at::At;
use crate::config::{BackendTls, BackendTrust};
use crate::finding::Findings;
use crate::names::origin;

/// The policy for a port of a Service: one that names it goes before one for all.
pub(super) fn of_port<'p>(policies: &'p [BackendTls], port_name: &str) -> Option<&'p BackendTls> {
    let own = policies.iter().find(|policy| policy.port.as_deref() == Some(port_name));
    own.or_else(|| policies.iter().find(|policy| policy.port.is_none()))
}

impl Resolver<'_> {
    /// Speaks TLS with a cluster as a policy says. An error when that cannot be done; the policy was told why.
    pub(super) fn use_backend_tls(
        &mut self,
        policy: &BackendTls,
        cluster: &mut Cluster,
        findings: &mut Findings,
    ) -> Result<(), Unmet> {
        let trust = match policy.trust.as_ref().ok_or(Unmet)? {
            BackendTrust::System => UpstreamTrust::System,
            BackendTrust::Ca { name, certificates } => {
                let origin = origin(&policy.key);
                UpstreamTrust::Ca(self.tls.inline_authorities(name.clone(), origin, certificates.clone()))
            }
        };
        let client = self.owner.and_then(|own| Some((&own.gateway, own.client_certificate.as_ref()?)));
        let client_certificate = match client {
            None => None,
            Some((gateway, (namespace, name))) => {
                let at = At::object(gateway).closed();
                Some(self.tls.certificate_in(namespace, name, &at, findings).ok_or(Unmet)?)
            }
        };
        cluster.origin = origin(&policy.key);
        cluster.tls = Some(UpstreamTls {
            sni: Some(policy.hostname.clone()),
            trust,
            subject_alt_names: policy.subject_alt_names.clone(),
            client_certificate,
        });
        self.used.insert(policy.key.clone(), policy.generation);
        Ok(())
    }
}
