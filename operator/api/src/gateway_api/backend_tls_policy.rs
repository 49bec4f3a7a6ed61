//! `BackendTLSPolicy`: TLS towards a Service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hostname::Hostname;
use super::reference::LocalObjectReference;
use super::route_match::unknown_type;
use super::status::GatewayApiStatus;
use crate::finding::SchemaFinding;
use crate::object::istio_object;
use crate::validate::Validate;

istio_object! {
    /// How a Service is spoken to with TLS.
    BackendTlsPolicy { kind: "BackendTLSPolicy", spec: BackendTlsPolicySpec, status: GatewayApiStatus }
    scope: NamespaceResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "backendtlspolicies",
    versions: ["v1", "v1alpha3"],
    parts: [],
}

/// The spec of a [`BackendTlsPolicy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    /// The Services, in its namespace.
    pub target_refs: Vec<PolicyTargetReference>,
    /// What the backend's certificate must be like.
    pub validation: BackendTlsPolicyValidation,
    /// Settings of implementations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// An object of the same namespace, or a section of it (`LocalPolicyTargetReferenceWithSectionName`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetReference {
    /// The API group; empty for Kubernetes' core.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// Of a Service: the name of a port; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// What a backend's certificate must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicyValidation {
    /// Who must have signed it: ConfigMaps in the policy's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// Or who must have signed it, in a word: `System`.
    #[serde(default, rename = "wellKnownCACertificates", skip_serializing_if = "Option::is_none")]
    pub well_known_ca_certificates: Option<String>,
    /// What the ClientHello names, and without `subjectAltNames` the certificate too.
    pub hostname: Hostname,
    /// The names of which the certificate must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NameFields", into = "NameFields")]
pub enum SubjectAltName {
    /// A DNS name.
    Hostname(Hostname),
    /// A URI, for example a SPIFFE ID.
    Uri(String),
}

#[derive(Clone, Serialize, Deserialize)]
struct NameFields {
    #[serde(rename = "type")]
    type_: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<Hostname>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

impl TryFrom<NameFields> for SubjectAltName {
    type Error = String;

    fn try_from(fields: NameFields) -> Result<Self, String> {
        match (fields.type_.as_str(), fields.hostname, fields.uri) {
            ("Hostname", Some(hostname), None) => Ok(Self::Hostname(hostname)),
            ("URI", None, Some(uri)) => Ok(Self::Uri(uri)),
            ("Hostname" | "URI", ..) => {
                Err(format!("the field of type {} must be set, and no other", fields.type_))
            }
            (other, ..) => Err(unknown_type(other, "Hostname and URI")),
        }
    }
}

impl From<SubjectAltName> for NameFields {
    fn from(name: SubjectAltName) -> Self {
        match name {
            SubjectAltName::Hostname(hostname) => {
                Self { type_: "Hostname".to_owned(), hostname: Some(hostname), uri: None }
            }
            SubjectAltName::Uri(uri) => Self { type_: "URI".to_owned(), hostname: None, uri: Some(uri) },
        }
    }
}

impl Validate for BackendTlsPolicy {
    fn validate(&self) -> Vec<SchemaFinding> {
        Vec::new()
    }
}
