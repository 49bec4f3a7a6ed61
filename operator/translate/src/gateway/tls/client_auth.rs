//! Which client certificates a server takes.

use std::path::PathBuf;

use postern_api::istio::gateway::ServerTlsSettings;
use postern_snapshot::CaName;
use postern_snapshot::manifest::Hash;
use postern_snapshot::model::{CaBundle, ClientAuth, ClientAuthMode, PemSource};

use super::certificates::bad_secret;
use super::{Credentials, TlsBuilder};
use crate::at::At;
use crate::finding::{Findings, Problem, Reason, code};
use crate::gateway::ServerRef;
use crate::secret::{self, SecretError};

impl TlsBuilder<'_> {
    /// Which client certificates are taken. `None` when nobody says whom to trust: then the server is not served, as
    /// a server that asks nobody would be an open door.
    pub(super) fn client_auth(
        &mut self,
        server: ServerRef<'_>,
        tls: &ServerTlsSettings,
        mode: ClientAuthMode,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<ClientAuth> {
        let ca = if tls.insecure_skip_verify == Some(true) {
            None
        } else {
            Some(self.authorities(server, tls, at, findings)?)
        };
        Some(ClientAuth {
            mode,
            ca,
            subject_alt_names: tls.subject_alt_names.clone(),
            spki: tls.verify_certificate_spki.clone(),
            hashes: tls.verify_certificate_hash.clone(),
        })
    }

    /// Whom to trust: `caCertCredentialName`, or else what comes with the server's credential, or else a file.
    fn authorities(
        &mut self,
        server: ServerRef<'_>,
        tls: &ServerTlsSettings,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<CaName> {
        if let Some(name) = &tls.ca_cert_credential_name {
            return self.ca_from_secret(name, &at.field("caCertCredentialName"), findings);
        }
        if let Some(name) = &tls.credential_name {
            return self.ca_beside_credential(name, &at.field("credentialName"), findings);
        }
        if let Some(name) = tls.credential_names.first() {
            return self.ca_beside_credential(name, &at.field("credentialNames").index(0), findings);
        }
        // Istio takes that of the first certificate when they are given in a list.
        let listed = tls.tls_certificates.iter().find_map(|files| files.ca_certificates.as_deref());
        let Some(path) = tls.ca_certificates.as_deref().or(listed) else {
            let message =
                "clients must show a certificate, but nothing says whose to trust: caCertificates is missing";
            findings.error(at, Problem::accepted(Reason::Invalid, message));
            return None;
        };
        Some(self.file_authorities(&server.origin(), path, tls.ca_crl.as_deref()))
    }

    /// Authorities in a file of the proxy's pod. `origin` is the object that names it.
    pub(crate) fn file_authorities(&mut self, origin: &str, path: &str, crl: Option<&str>) -> CaName {
        let hash = Hash::of(format!("{path}\n{}", crl.unwrap_or_default()).as_bytes()).short();
        let name = CaName::new(format!("files/{hash}"));
        let file = |path: &str| PemSource::File(PathBuf::from(path));
        let bundle = CaBundle { origin: origin.to_owned(), certificates: file(path), crl: crl.map(file) };
        self.certificates.authorities.entry(name.clone()).or_insert(bundle);
        name
    }

    /// `<name>-cacert`, or the Secret itself (Istio).
    pub(crate) fn ca_beside_credential(
        &mut self,
        name: &str,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<CaName> {
        let (namespace, name) = self.secret_name(name, at, findings)?;
        let companion = format!("{name}-cacert");
        if self.world.secrets.get(namespace, &companion).is_some() {
            return self.ca_from_secret(&companion, at, findings);
        }
        let secret = self.world.secrets.get(namespace, name);
        if secret.is_some_and(|secret| secret::authorities(secret) == Err(SecretError::NoAuthorities)) {
            let message = format!(
                "nothing says whose certificates to trust: Secret {namespace}/{name} has neither ca.crt nor cacert, and \
                 there is no Secret {namespace}/{companion}"
            );
            let problem = Problem::resolved_refs(Reason::InvalidCertificateRef, message);
            findings.error(at, problem.code(code::INVALID_GATEWAY_CREDENTIAL));
            return None;
        }
        self.ca_from_secret(name, at, findings)
    }

    fn ca_from_secret(&mut self, name: &str, at: &At<'_>, findings: &mut Findings) -> Option<CaName> {
        if let Some(path) = name.strip_prefix("configmap://")
            && self.credentials == Credentials::Granted
        {
            return self.ca_from_config_map(path, at, findings);
        }
        let (namespace, name) = self.secret_name(name, at, findings)?;
        let id = CaName::new(format!("{namespace}/{name}"));
        let Some(found) = self.world.secrets.get(namespace, name) else {
            findings.error(at, self.missing_secret(namespace, name));
            return None;
        };
        let authorities = match secret::authorities(found) {
            Ok(authorities) => authorities,
            Err(error) => {
                findings.error(at, bad_secret(namespace, name, &error));
                return None;
            }
        };
        let bundle = CaBundle {
            origin: format!("Secret/{namespace}/{name}"),
            certificates: PemSource::Inline(authorities.certificates),
            crl: authorities.crl.map(PemSource::Inline),
        };
        self.certificates.authorities.insert(id.clone(), bundle);
        Some(id)
    }

    /// The authorities in a ConfigMap, `NAMESPACE/NAME`, which the translation of the Gateway API has looked at.
    fn ca_from_config_map(&mut self, path: &str, at: &At<'_>, findings: &mut Findings) -> Option<CaName> {
        let (namespace, name) = path.split_once('/')?;
        let found = self.world.config_maps.get(namespace, name);
        let certificates = found.map(|found| secret::config_map_authorities(found));
        let Some(Ok(certificates)) = certificates else {
            let message = format!("ConfigMap {namespace}/{name} has no authorities");
            findings.error(at, Problem::resolved_refs(Reason::InvalidCACertificateRef, message));
            return None;
        };
        let origin = format!("ConfigMap/{namespace}/{name}");
        Some(self.inline_authorities(format!("configmap/{namespace}/{name}"), origin, certificates))
    }

    /// These authorities, as PEM. `origin` is the object that names them.
    pub(crate) fn inline_authorities(
        &mut self,
        name: String,
        origin: String,
        certificates: String,
    ) -> CaName {
        let id = CaName::new(name);
        let bundle = CaBundle { origin, certificates: PemSource::Inline(certificates), crl: None };
        self.certificates.authorities.entry(id.clone()).or_insert(bundle);
        id
    }
}
