//! `spec.tls` of a Gateway: certificates of clients, and the certificate that backends are shown.
//!
//! A listener whose clients cannot be checked as they should be is not served: it would be an open door.

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use postern_api::gateway_api::gateway::{FrontendTlsValidation, FrontendValidationMode, Gateway};
use postern_api::gateway_api::reference::ObjectReference;
use postern_api::meta::ObjectKey;
use postern_api::value::Port;

use super::Context;
use super::backend_tls::config_map_authorities;
use super::certificates;
use super::denial::Denial;
use super::grants::{Referent, Referrer};
use crate::finding::Reason;
use crate::secret;

/// How the certificates of a listener's clients are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientCertificates {
    /// The credential with the authorities.
    pub(super) credential: String,
    /// Clients without a good certificate are let in.
    pub(super) fallback: bool,
}

/// What is said about the clients of an HTTPS port. `None`: they are not asked for certificates.
pub(super) fn validation(gateway: &Gateway, port: Port) -> Option<&FrontendTlsValidation> {
    let frontend = gateway.spec.tls.as_ref()?.frontend.as_ref()?;
    let own = frontend.per_port.iter().find(|entry| entry.port == port).map(|entry| &entry.tls);
    own.unwrap_or(&frontend.default).validation.as_ref()
}

/// How clients are checked: the first authority that can be used, and what is wrong with others. An error when none can.
pub(super) fn client_certificates(
    validation: &FrontendTlsValidation,
    owner: &ObjectKey,
    context: Context<'_>,
) -> (Result<ClientCertificates, Denial>, Result<(), Denial>) {
    let mut found = None;
    let mut resolved = Ok(());
    for reference in &validation.ca_certificate_refs {
        match authorities(reference, owner, context) {
            Ok(credential) => {
                found.get_or_insert(credential);
            }
            Err(denial) => resolved = resolved.and(Err(denial)),
        }
    }
    let fallback = validation.mode() == FrontendValidationMode::AllowInsecureFallback;
    let message = "none of the authorities for certificates of clients can be used, so nobody is let in";
    let found = found.map(|credential| ClientCertificates { credential, fallback });
    (found.ok_or_else(|| Denial::new(Reason::NoValidCACertificate, message)), resolved)
}

/// The name of the credential with authorities.
fn authorities(
    reference: &ObjectReference,
    owner: &ObjectKey,
    context: Context<'_>,
) -> Result<String, Denial> {
    let (group, kind) = (reference.group.as_str(), reference.kind.as_str());
    if !group.is_empty() || ![ConfigMap::KIND, Secret::KIND].contains(&kind) {
        let message = format!("authorities are in a ConfigMap or a Secret, not in a {kind}");
        return Err(Denial::new(Reason::InvalidCACertificateKind, message));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.namespace);
    let name = reference.name.as_str();
    let from = Referrer { kind: Gateway::KIND, namespace: &owner.namespace };
    if !context.grants.allow(from, Referent { group, kind, namespace, name }) {
        let message = format!(
            "no ReferenceGrant in {namespace} lets a Gateway of {} use {kind} {name}",
            owner.namespace
        );
        return Err(Denial::new(Reason::RefNotPermitted, message));
    }
    if kind == ConfigMap::KIND {
        config_map_authorities(namespace, name, context)?;
        return Ok(format!("configmap://{namespace}/{name}"));
    }
    let invalid = |message: String| Denial::new(Reason::InvalidCACertificateRef, message);
    let found = context.world.secrets.get(namespace, name);
    let found = found.ok_or_else(|| invalid(format!("there is no Secret {namespace}/{name}")))?;
    secret::authorities(found)
        .map_err(|error| invalid(format!("Secret {namespace}/{name} cannot be used: {error}")))?;
    Ok(format!("kubernetes-gateway://{namespace}/{name}"))
}

/// The credential that backends are shown, as namespace and name.
pub(super) fn backend_certificate(
    gateway: &Gateway,
    owner: &ObjectKey,
    context: Context<'_>,
) -> Result<Option<(String, String)>, Denial> {
    let backend = gateway.spec.tls.as_ref().and_then(|tls| tls.backend.as_ref());
    let Some(reference) = backend.and_then(|backend| backend.client_certificate_ref.as_ref()) else {
        return Ok(None);
    };
    match certificates::credential(reference, owner, context) {
        Ok(_) => {
            let namespace = reference.namespace.clone().unwrap_or_else(|| owner.namespace.clone());
            Ok(Some((namespace, reference.name.clone())))
        }
        Err(denial) if denial.reason == Reason::RefNotPermitted => Err(denial),
        Err(denial) => Err(Denial::new(Reason::InvalidClientCertificateRef, denial.message)),
    }
}
