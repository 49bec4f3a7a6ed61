//! BackendTLSPolicies: which Services are spoken to with TLS, and whom is trusted there.
//!
//! A policy that cannot be carried out costs its Service: requests get 500, as what should be encrypted is never sent in
//! plain. Of several policies for one target the oldest counts (GEP-713); one that names a port goes before one for all.

use std::collections::BTreeMap;

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use postern_api::gateway_api::backend_tls_policy::{BackendTlsPolicy, PolicyTargetReference, SubjectAltName};
use postern_api::gateway_api::reference::LocalObjectReference;
use postern_api::meta::{Generation, ObjectKey};
use postern_snapshot::model::ServerIdentity;

use super::Context;
use super::denial::Denial;
use crate::at::At;
use crate::config::{BackendTls, BackendTrust};
use crate::finding::{ConditionType, Findings, Reason};
use crate::secret;
use crate::world::key_of;

/// All policies, the oldest first.
pub(super) struct Policies<'a>(Vec<Policy<'a>>);

/// A policy.
pub(super) struct Policy<'a> {
    pub(super) key: ObjectKey,
    pub(super) generation: Generation,
    pub(super) object: &'a BackendTlsPolicy,
    pub(super) accepted: Result<(), Denial>,
    pub(super) resolved_refs: Result<(), Denial>,
    trust: Option<BackendTrust>,
    /// The Services that it is for.
    hosts: Vec<Target>,
    /// Those, and others that an older policy is for.
    pub(super) targets: Vec<Target>,
}

/// A Service, or a port of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) host: String,
    section: Option<String>,
}

impl<'a> Policies<'a> {
    pub(super) fn new(context: Context<'a>) -> Self {
        let mut policies: Vec<_> = context
            .world
            .backend_tls_policies
            .iter()
            .map(|object| (key_of(object.as_ref()), object.as_ref()))
            .collect();
        policies.sort_by_key(|(key, object)| {
            (object.metadata.creation_timestamp.clone(), key.namespace.clone(), key.name.clone())
        });
        let mut taken: BTreeMap<Target, ObjectKey> = BTreeMap::new();
        Self(
            policies.into_iter().map(|(key, object)| Policy::new(key, object, &mut taken, context)).collect(),
        )
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Policy<'a>> {
        self.0.iter()
    }

    /// What they mean for connections, by the whole names of the Services.
    pub(super) fn settings(&self) -> BTreeMap<String, Vec<BackendTls>> {
        let mut settings: BTreeMap<String, Vec<BackendTls>> = BTreeMap::new();
        for policy in &self.0 {
            for target in &policy.hosts {
                settings.entry(target.host.clone()).or_default().push(BackendTls {
                    key: policy.key.clone(),
                    generation: policy.generation,
                    port: target.section.clone(),
                    hostname: policy.object.spec.validation.hostname.to_string(),
                    subject_alt_names: identities(&policy.object.spec.validation.subject_alt_names),
                    trust: policy.trust.clone().filter(|_| policy.accepted.is_ok()),
                });
            }
        }
        settings
    }

    /// Says what is wrong with them.
    pub(super) fn report(&self, findings: &mut Findings) {
        for policy in &self.0 {
            let at = At::object(&policy.key);
            let at = at.field("spec");
            if let Err(denial) = &policy.accepted {
                findings.error(&at, denial.problem(ConditionType::Accepted));
            }
            if let Err(denial) = &policy.resolved_refs {
                findings.error(&at.field("validation"), denial.problem(ConditionType::ResolvedRefs));
            }
        }
    }
}

impl<'a> Policy<'a> {
    fn new(
        key: ObjectKey,
        object: &'a BackendTlsPolicy,
        taken: &mut BTreeMap<Target, ObjectKey>,
        context: Context<'a>,
    ) -> Self {
        let mut accepted = Ok(());
        let (mut hosts, mut targets) = (Vec::new(), Vec::new());
        for reference in &object.spec.target_refs {
            match target(reference, &key, context) {
                Err(denial) => accepted = accepted.and(Err(denial)),
                Ok(target) => {
                    targets.push(target.clone());
                    if let Some(winner) = taken.get(&target) {
                        let message = format!("{winner} is older, and for the same target");
                        accepted = accepted.and(Err(Denial::new(Reason::Conflicted, message)));
                    } else {
                        taken.insert(target.clone(), key.clone());
                        hosts.push(target);
                    }
                }
            }
        }
        let (trust, resolved_refs, usable) = trust(object, &key, context);
        Self {
            generation: Generation::of(object),
            object,
            accepted: accepted.and(usable),
            resolved_refs,
            trust,
            hosts,
            targets,
            key,
        }
    }
}

fn target(
    reference: &PolicyTargetReference,
    owner: &ObjectKey,
    context: Context<'_>,
) -> Result<Target, Denial> {
    let (namespace, name) = (owner.namespace.as_str(), reference.name.as_str());
    let found = (reference.group.as_str(), reference.kind.as_str()) == ("", Service::KIND);
    let service = context.world.services.get(namespace, name).filter(|_| found);
    let Some(service) = service else {
        let message =
            format!("there is no {} {namespace}/{name} that could be spoken to with TLS", reference.kind);
        return Err(Denial::new(Reason::TargetNotFound, message));
    };
    if let Some(section) = &reference.section_name {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        if !ports.iter().any(|port| port.name.as_ref() == Some(section)) {
            let message = format!("Service {namespace}/{name} has no port {section:?}");
            return Err(Denial::new(Reason::TargetNotFound, message));
        }
    }
    let host = format!("{name}.{namespace}.svc.{}", context.options.cluster_domain);
    Ok(Target { host, section: reference.section_name.clone() })
}

/// Whom a policy trusts; what is wrong with one of its references; and whether there is anybody to trust.
fn trust(
    policy: &BackendTlsPolicy,
    owner: &ObjectKey,
    context: Context<'_>,
) -> (Option<BackendTrust>, Result<(), Denial>, Result<(), Denial>) {
    let validation = &policy.spec.validation;
    match validation.well_known_ca_certificates.as_deref() {
        Some("System") => return (Some(BackendTrust::System), Ok(()), Ok(())),
        Some(other) => {
            let message = format!("wellKnownCACertificates: {other:?} is not known; System is");
            return (None, Ok(()), Err(Denial::new(Reason::Invalid, message)));
        }
        None => {}
    }
    let mut certificates = String::new();
    let mut names = Vec::new();
    let mut resolved = Ok(());
    for reference in &validation.ca_certificate_refs {
        match authorities(reference, &owner.namespace, context) {
            Ok(pem) => {
                certificates.push_str(&pem);
                names.push(format!("{}/{}", owner.namespace, reference.name));
            }
            Err(denial) => resolved = resolved.and(Err(denial)),
        }
    }
    if names.is_empty() {
        let message = "none of the authorities that it names can be used; requests for the Service get 500";
        return (None, resolved, Err(Denial::new(Reason::NoValidCACertificate, message)));
    }
    (
        Some(BackendTrust::Ca { name: format!("configmap/{}", names.join("+")), certificates }),
        resolved,
        Ok(()),
    )
}

/// The authorities in a ConfigMap, as PEM.
fn authorities(
    reference: &LocalObjectReference,
    namespace: &str,
    context: Context<'_>,
) -> Result<String, Denial> {
    if (reference.group.as_str(), reference.kind.as_str()) != ("", ConfigMap::KIND) {
        let message = format!("authorities are in a ConfigMap, not in a {}", reference.kind);
        return Err(Denial::new(Reason::InvalidKind, message));
    }
    config_map_authorities(namespace, &reference.name, context)
}

/// The authorities in a ConfigMap, as PEM.
pub(super) fn config_map_authorities(
    namespace: &str,
    name: &str,
    context: Context<'_>,
) -> Result<String, Denial> {
    let invalid = |message: String| Denial::new(Reason::InvalidCACertificateRef, message);
    let Some(found) = context.world.config_maps.get(namespace, name) else {
        return Err(invalid(format!("there is no ConfigMap {namespace}/{name}")));
    };
    secret::config_map_authorities(found)
        .map_err(|error| invalid(format!("ConfigMap {namespace}/{name} cannot be used: {error}")))
}

fn identities(names: &[SubjectAltName]) -> Vec<ServerIdentity> {
    let identity = |name: &SubjectAltName| match name {
        SubjectAltName::Hostname(hostname) => ServerIdentity::Dns(hostname.to_string()),
        SubjectAltName::Uri(uri) => ServerIdentity::Uri(uri.clone()),
    };
    names.iter().map(identity).collect()
}
