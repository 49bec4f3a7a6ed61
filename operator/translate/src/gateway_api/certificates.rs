//! The certificates of a listener.
//!
//! Whether a certificate of another namespace may be used is asked before it is looked for: who may not use it does not
//! learn whether it exists.

use postern_api::gateway_api::listener::{self as api, TlsMode};
use postern_api::gateway_api::reference::SecretObjectReference;
use postern_api::meta::ObjectKey;

use super::Context;
use super::denial::Denial;
use super::grants::{Referent, Referrer};
use super::listener::Protocol;
use crate::finding::Reason;
use crate::secret;

/// Istio's mark of a credential that was checked by its translation of the Gateway API.
const SCHEME: &str = "kubernetes-gateway://";

/// The certificates that a listener shows, as names of credentials, and what is wrong with one.
pub(super) fn of_listener(
    listener: &api::Listener,
    protocol: Option<Protocol>,
    owner: &ObjectKey,
    context: Context<'_>,
) -> (Vec<String>, Result<(), Denial>) {
    if !matches!(protocol, Some(Protocol::Https | Protocol::Tls(TlsMode::Terminate))) {
        return (Vec::new(), Ok(()));
    }
    let refs = listener.tls.as_ref().map_or(&[][..], |tls| tls.certificate_refs.as_slice());
    if refs.is_empty() {
        let message = "it terminates TLS, and tls.certificateRefs names no certificate";
        return (Vec::new(), Err(Denial::new(Reason::InvalidCertificateRef, message)));
    }
    let mut credentials = Vec::new();
    let mut verdict = Ok(());
    for reference in refs {
        match credential(reference, owner, context) {
            Ok(name) => credentials.push(name),
            Err(denial) => verdict = verdict.and(Err(denial)),
        }
    }
    (credentials, verdict)
}

/// The name of the credential that a reference means.
pub(super) fn credential(
    reference: &SecretObjectReference,
    owner: &ObjectKey,
    context: Context<'_>,
) -> Result<String, Denial> {
    let invalid = |message: String| Denial::new(Reason::InvalidCertificateRef, message);
    if (reference.group(), reference.kind()) != ("", "Secret") {
        return Err(invalid(format!("a certificate is in a Secret, not in a {}", reference.kind())));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.namespace);
    let name = reference.name.as_str();
    let from = Referrer { kind: owner.kind.name, namespace: &owner.namespace };
    if !context.grants.allow(from, Referent { group: "", kind: "Secret", namespace, name }) {
        let message = format!(
            "no ReferenceGrant in {namespace} lets a {} of {} use Secret {name}",
            from.kind, from.namespace
        );
        return Err(Denial::new(Reason::RefNotPermitted, message));
    }
    let Some(found) = context.world.secrets.get(namespace, name) else {
        return Err(invalid(format!("there is no Secret {namespace}/{name}")));
    };
    if let Err(error) = secret::server_certificate(found) {
        return Err(invalid(format!("Secret {namespace}/{name} cannot be used: {error}")));
    }
    Ok(format!("{SCHEME}{namespace}/{name}"))
}
