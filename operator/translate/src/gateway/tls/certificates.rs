//! The certificates that a server shows: from Secrets, or from files in the proxy's pod.

use std::path::PathBuf;

use postern_api::istio::gateway::ServerTlsSettings;
use postern_snapshot::manifest::Hash;
use postern_snapshot::model::{Certificate, CertificateSource};
use postern_snapshot::{CertificateName, KeyId};

use super::{Credentials, TlsBuilder};
use crate::at::At;
use crate::finding::{Findings, Problem, Reason, code};
use crate::gateway::ServerRef;
use crate::secret;

impl<'a> TlsBuilder<'a> {
    /// The certificates of a server, at least one. `None` when it names none; findings say so.
    pub(super) fn server_certificates(
        &mut self,
        server: ServerRef<'_>,
        tls: &ServerTlsSettings,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<CertificateName>> {
        let files = tls.certificate_files();
        let mut names = Vec::new();
        let mut wanted = false;
        if let Some(name) = &tls.credential_name {
            wanted = true;
            names.extend(self.secret_certificate(name, &at.field("credentialName"), findings));
        }
        let list = at.field("credentialNames");
        for (index, name) in tls.credential_names.iter().enumerate() {
            wanted = true;
            names.extend(self.secret_certificate(name, &list.index(index), findings));
        }
        // Istio: a credential goes before files.
        if !wanted {
            wanted = !files.is_empty();
            let origin = server.origin();
            names.extend(files.iter().filter_map(|files| {
                let (chain, key) = (files.server_certificate.as_ref()?, files.private_key.as_ref()?);
                Some(self.file_certificate(&origin, chain, key))
            }));
        }
        names.dedup();
        if names.is_empty() {
            if server.gateway.listener.is_some() {
                // The Gateway API's listener names certificates in another way, and was told what is wrong with them.
            } else if !wanted {
                let message = "it needs credentialName, or serverCertificate and privateKey";
                findings.error(at, Problem::accepted(Reason::Invalid, message));
            } else if !files.is_empty() && tls.credentials().next().is_none() {
                let message = "serverCertificate and privateKey must both be given";
                findings.error(at, Problem::accepted(Reason::Invalid, message));
            }
            return None;
        }
        Some(names)
    }

    /// The certificate in a Secret. `at` is the place of its name. A Secret that is missing or bad is named all the
    /// same: a proxy that has had a good one goes on with that.
    pub(crate) fn secret_certificate(
        &mut self,
        name: &str,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<CertificateName> {
        let (namespace, name) = self.secret_name(name, at, findings)?;
        self.certificate_in(namespace, name, at, findings)
    }

    /// The certificate in the Secret of this namespace and name. Whether it may be used has been asked.
    pub(crate) fn certificate_in(
        &mut self,
        namespace: &str,
        name: &str,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<CertificateName> {
        let id = CertificateName::new(format!("{namespace}/{name}"));
        if self.certificates.certificates.contains_key(&id) {
            return Some(id);
        }
        let Some(found) = self.world.secrets.get(namespace, name) else {
            findings.error(at, self.missing_secret(namespace, name));
            return Some(id);
        };
        let pair = match secret::server_certificate(found) {
            Ok(pair) => pair,
            Err(error) => {
                findings.error(at, bad_secret(namespace, name, &error));
                return Some(id);
            }
        };
        let key = KeyId::new(Hash::of(pair.key.as_bytes()).to_string());
        let source =
            CertificateSource::Inline { chain: pair.chain, key: key.clone(), ocsp_staple: pair.ocsp_staple };
        self.keys.0.insert(key, pair.key);
        let origin = format!("Secret/{namespace}/{name}");
        self.certificates.certificates.insert(id.clone(), Certificate { origin, source });
        Some(id)
    }

    /// The Secret that a credential's name means: one in the namespace of the ingress's pods.
    pub(super) fn secret_name<'n>(
        &self,
        name: &'n str,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<(&'n str, &'n str)>
    where
        'a: 'n,
    {
        match name.split_once("://") {
            None => Some((self.namespace, name)),
            Some(("kubernetes-gateway", path)) if self.credentials == Credentials::Granted => {
                path.split_once('/')
            }
            Some((scheme, _)) => {
                let message = format!("credentials by {scheme}:// are not supported; name a Secret");
                findings.error(at, Problem::resolved_refs(Reason::UnsupportedValue, message));
                None
            }
        }
    }

    /// A certificate in files of the proxy's pod. `origin` is the object that names them.
    pub(crate) fn file_certificate(&mut self, origin: &str, chain: &str, key: &str) -> CertificateName {
        let hash = Hash::of(format!("{chain}\n{key}").as_bytes()).short();
        let name = CertificateName::new(format!("files/{hash}"));
        let source = CertificateSource::Files { chain: PathBuf::from(chain), key: PathBuf::from(key) };
        let certificate = Certificate { origin: origin.to_owned(), source };
        self.certificates.certificates.entry(name.clone()).or_insert(certificate);
        name
    }

    pub(super) fn missing_secret(&self, namespace: &str, name: &str) -> Problem {
        let message = format!("there is no Secret {namespace}/{name}; {}", self.consequence);
        let problem = Problem::resolved_refs(Reason::InvalidCertificateRef, message);
        problem.code(code::REFERENCED_RESOURCE_NOT_FOUND)
    }
}

pub(super) fn bad_secret(namespace: &str, name: &str, error: &secret::SecretError) -> Problem {
    let message = format!("Secret {namespace}/{name} cannot be used: {error}");
    Problem::resolved_refs(Reason::InvalidCertificateRef, message).code(code::INVALID_GATEWAY_CREDENTIAL)
}
