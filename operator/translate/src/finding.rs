//! What is wrong, or noteworthy, about one object of the World: a condition of its status from birth.

use std::collections::BTreeMap;
use std::fmt;

use postern_api::finding::{FieldPath, Level, SchemaFinding};
use postern_api::meta::ObjectKey;
use serde::{Serialize, Serializer};

use crate::at::At;
use crate::world::ReadReport;

/// What is wrong, or noteworthy, about one field of one object.
///
/// An [`Level::Error`] makes the condition `False`; lesser ones leave it `True` and are told beside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The object that is at fault.
    #[serde(serialize_with = "as_text")]
    pub object: ObjectKey,
    /// The field, `spec.servers[0].tls.credentialName`; empty for the whole object.
    pub path: FieldPath,
    /// How bad it is.
    pub level: Level,
    /// The condition of the object's status that this belongs to.
    pub condition: ConditionType,
    /// The condition's reason.
    pub reason: Reason,
    /// For a person: what was got, what is done instead, and what would help.
    pub message: String,
    /// The code of Istio's analysis that fits, for example `IST0101`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

impl Finding {
    /// What reading an object said about it.
    #[must_use]
    pub fn of_schema(object: &ObjectKey, finding: &SchemaFinding) -> Self {
        Self {
            object: object.clone(),
            path: finding.path.clone(),
            level: finding.level,
            condition: ConditionType::Accepted,
            reason: Reason::Invalid,
            message: finding.message.clone(),
            code: finding.code,
        }
    }
}

fn as_text<S: Serializer>(object: &ObjectKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(object)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.object, self.level)?;
        if !self.path.as_str().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match self.code {
            Some(code) => write!(f, " [{code}]"),
            None => Ok(()),
        }
    }
}

/// The conditions that Postern writes. The names are the Gateway API's; those of Istio's objects are the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ConditionType {
    /// The object is valid, and no other one forbids it.
    Accepted,
    /// Everything that it names exists and may be used.
    ResolvedRefs,
    /// The proxies do what it says.
    Programmed,
    /// A listener cannot be told from another one.
    Conflicted,
    /// Some rules of a route are not served as they are written.
    PartiallyInvalid,
    /// Clients without a good certificate are let in.
    InsecureFrontendValidationMode,
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why, in one word for programs. It is written as it is called here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Reason {
    /// A value breaks the schema or a rule of Istio's validation.
    Invalid,
    /// A field that Postern does not honour (yet).
    UnsupportedField,
    /// A value of a field that Postern does not honour (yet).
    UnsupportedValue,
    /// A patch of an EnvoyFilter that Postern does not honour (yet).
    UnsupportedPatch,
    /// Another server, older, has this port with another protocol, or is the only one that may have it.
    ProtocolConflict,
    /// Another server or rule, older, has this host on this port.
    HostnameConflict,
    /// The port is taken by the proxy itself, or by another port of the ingress.
    PortUnavailable,
    /// A Secret with a certificate is missing, or does not hold one.
    InvalidCertificateRef,
    /// A VirtualService that is delegated to does not exist, or is none that may be.
    DelegateNotFound,
    /// A match of a delegate is not within the matches of the rule that delegates.
    DelegateConflict,
    /// A Gateway that is named does not exist.
    GatewayNotFound,
    /// The Gateway has no server for this host, or none that this namespace may use.
    NoMatchingListenerHostname,
    /// The object's `exportTo` does not reach the Gateway.
    NotExported,
    /// A destination does not exist.
    BackendNotFound,
    /// A destination must say which port of the Service is meant.
    PortRequired,
    /// Nothing arrives at this rule or match: an earlier one takes it all.
    Unreachable,
    /// Another object, older, has a rule for the same requests.
    ConflictingRoute,
    /// The field says something, but here it changes nothing.
    Ineffective,
    /// The object is for the mesh, not for ingresses.
    MeshOnly,
    /// There is nothing to serve.
    NoRoutes,
    /// Another object, older, has the same to say about the same ingress.
    Conflicted,
    /// The listener's protocol is not one that Postern serves.
    UnsupportedProtocol,
    /// A kind of route that the listener's protocol does not take.
    InvalidRouteKinds,
    /// No ReferenceGrant lets it refer to an object of another namespace.
    RefNotPermitted,
    /// It refers to an object of a kind that does not fit.
    InvalidKind,
    /// Some listeners are not valid.
    ListenersNotValid,
    /// The parent has no such listener.
    NoMatchingParent,
    /// No listener of the parent takes routes of this kind from this namespace.
    NotAllowedByListeners,
    /// The Gateway takes no ListenerSets from this namespace.
    NotAllowed,
    /// The Gateway of a ListenerSet is not accepted.
    ParentNotAccepted,
    /// The settings that are referred to do not exist, or are none.
    InvalidParameters,
    /// An address of a type that Postern does not assign.
    UnsupportedAddress,
    /// Filters of a rule exclude each other.
    IncompatibleFilters,
    /// There is no such Service.
    TargetNotFound,
    /// No authority is left that could be trusted.
    NoValidCACertificate,
    /// A ConfigMap with authorities is missing, or does not hold any.
    InvalidCACertificateRef,
    /// A reference to authorities is of another kind than ConfigMap or Secret.
    InvalidCACertificateKind,
    /// The Secret with the certificate for backends is missing, or does not hold one.
    InvalidClientCertificateRef,
    /// Some listeners refer to what does not exist.
    ListenersNotResolved,
    /// Clients without a good certificate are let in.
    ConfigurationChanged,
    /// Pods that Postern does not manage have the labels of the selector: another ingress controller's.
    ManagedElsewhere,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The codes of Istio's analysis that the translation uses, beside those in [`postern_api::finding::code`].
pub mod code {
    /// ReferencedResourceNotFound (error).
    pub const REFERENCED_RESOURCE_NOT_FOUND: &str = "IST0101";
    /// VirtualServiceDestinationPortSelectorRequired (error).
    pub const PORT_SELECTOR_REQUIRED: &str = "IST0112";
    /// VirtualServiceUnreachableRule (warning).
    pub const UNREACHABLE_RULE: &str = "IST0130";
    /// VirtualServiceIneffectiveMatch (info).
    pub const INEFFECTIVE_MATCH: &str = "IST0131";
    /// VirtualServiceHostNotFoundInGateway (warning).
    pub const HOST_NOT_FOUND_IN_GATEWAY: &str = "IST0132";
    /// ConflictingGateways (error).
    pub const CONFLICTING_GATEWAYS: &str = "IST0145";
    /// JwtClaimBasedRoutingWithoutRequestAuthN (error).
    pub const JWT_CLAIM_ROUTING: &str = "IST0149";
    /// InvalidGatewayCredential (error).
    pub const INVALID_GATEWAY_CREDENTIAL: &str = "IST0161";
}

/// What a finding says, apart from where and how bad.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    condition: ConditionType,
    reason: Reason,
    message: String,
    code: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, reason, message: message.into(), code: None }
    }

    /// An [`ConditionType::Accepted`] problem.
    pub(crate) fn accepted(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(ConditionType::Accepted, reason, message)
    }

    /// A [`ConditionType::ResolvedRefs`] problem.
    pub(crate) fn resolved_refs(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(ConditionType::ResolvedRefs, reason, message)
    }

    /// A [`ConditionType::Programmed`] problem.
    pub(crate) fn programmed(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(ConditionType::Programmed, reason, message)
    }

    pub(crate) const fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

/// Gathers findings.
#[derive(Debug, Default)]
pub(crate) struct Findings(BTreeMap<ObjectKey, Vec<Finding>>);

impl Findings {
    /// Part of the object is refused.
    pub(crate) fn error(&mut self, at: &At<'_>, problem: Problem) {
        self.push(at, Level::Error, problem);
    }

    /// Part of the object has no effect, or not the likely one.
    pub(crate) fn warn(&mut self, at: &At<'_>, problem: Problem) {
        self.push(at, Level::Warning, problem);
    }

    /// Good to know.
    pub(crate) fn info(&mut self, at: &At<'_>, problem: Problem) {
        self.push(at, Level::Info, problem);
    }

    /// A field that is not honoured: the systematic way to say so, see [`crate::unsupported`].
    pub(crate) fn unsupported(&mut self, at: &At<'_>, consequence: &str) {
        let problem = Problem::programmed(
            Reason::UnsupportedField,
            format!("Postern does not honour this field yet: {consequence}"),
        );
        self.warn(at, problem);
    }

    fn push(&mut self, at: &At<'_>, level: Level, problem: Problem) {
        self.at_path(at.key(), at.path(), level, problem);
    }

    /// Something about the field at this path.
    pub(crate) fn at_path(&mut self, object: &ObjectKey, path: FieldPath, level: Level, problem: Problem) {
        let Problem { condition, reason, message, code } = problem;
        let finding = Finding { object: object.clone(), path, level, condition, reason, message, code };
        self.0.entry(object.clone()).or_default().push(finding);
    }

    /// The findings of each object, in the order of their paths. What several servers or ingresses found is
    /// said once. Places are those of the source, also when parts of the object were left out on reading.
    pub(crate) fn into_map(
        mut self,
        read: &BTreeMap<ObjectKey, ReadReport>,
    ) -> BTreeMap<ObjectKey, Vec<Finding>> {
        for (key, list) in &mut self.0 {
            if let Some(report) = read.get(key) {
                for finding in list.iter_mut() {
                    finding.path = report.dropped.in_source(&finding.path);
                }
                list.extend(report.findings.iter().map(|finding| Finding::of_schema(key, finding)));
            }
            list.sort();
            list.dedup();
        }
        for (key, report) in read.iter().filter(|(_, report)| !report.findings.is_empty()) {
            self.0.entry(key.clone()).or_insert_with(|| {
                report.findings.iter().map(|finding| Finding::of_schema(key, finding)).collect()
            });
        }
        self.0
    }
}
