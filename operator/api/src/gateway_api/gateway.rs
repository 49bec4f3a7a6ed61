//! `Gateway`: an ingress of its own, and the ports that it opens.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use super::listener::Listener;
use super::reference::{LocalObjectReference, ObjectReference, SecretObjectReference};
use super::status::GatewayApiStatus;
use crate::object::istio_object;
use crate::value::Port;

istio_object! {
    /// An ingress of its own, and the ports that it opens.
    #[derive(Default)]
    Gateway { spec: GatewaySpec, status: GatewayApiStatus }
    group: "gateway.networking.k8s.io",
    plural: "gateways",
    versions: ["v1", "v1beta1"],
    parts: ["listeners"],
}

/// The spec of a [`Gateway`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The name of its GatewayClass.
    pub gateway_class_name: String,
    /// What is listened on; at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// The addresses that are asked for; none means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewaySpecAddress>,
    /// What the objects that run it carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<GatewayInfrastructure>,
    /// The namespaces whose ListenerSets may add listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<AllowedListeners>,
    /// TLS settings of the whole Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTlsConfig>,
    /// Experimental: whether routes without parents are attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<String>,
}

/// An address that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaySpecAddress {
    /// As written; see [`Self::type_`].
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// The address; none means any of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl GatewaySpecAddress {
    /// `IPAddress`, `Hostname`, or an implementation's own; the first if it is left out.
    #[must_use]
    pub fn type_(&self) -> &str {
        self.type_.as_deref().unwrap_or("IPAddress")
    }
}

/// What the objects that run a Gateway carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewayInfrastructure {
    /// Their labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Their annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// More settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<LocalObjectReference>,
}

/// Whose ListenerSets may add listeners.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedListeners {
    /// Those of these namespaces; none at all if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<ListenerNamespaces>,
}

/// Namespaces of ListenerSets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerNamespaces {
    /// Which; `None` if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<FromNamespaces>,
    /// Those with these labels, for `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNamespaces {
    /// All.
    All,
    /// Those that the selector selects.
    Selector,
    /// That of the Gateway.
    Same,
    /// None.
    None,
}

/// TLS settings of a whole Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayTlsConfig {
    /// Towards backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<GatewayBackendTls>,
    /// Towards clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<FrontendTlsConfig>,
}

/// TLS towards backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewayBackendTls {
    /// The certificate that is shown to backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretObjectReference>,
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsConfig {
    /// On every HTTPS port without settings of its own.
    pub default: FrontendTls,
    /// On some ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_port: Vec<PortFrontendTls>,
}

/// TLS towards the clients of one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortFrontendTls {
    /// The port.
    pub port: Port,
    /// What is done there.
    pub tls: FrontendTls,
}

/// What is done about the certificates of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontendTls {
    /// How they are checked; none means that clients are not asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<FrontendTlsValidation>,
}

/// How certificates of clients are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsValidation {
    /// Who must have signed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// As written; see [`Self::mode`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FrontendValidationMode>,
}

impl FrontendTlsValidation {
    /// The mode; `AllowValidOnly` if it is left out.
    #[must_use]
    pub fn mode(&self) -> FrontendValidationMode {
        self.mode.unwrap_or(FrontendValidationMode::AllowValidOnly)
    }
}

/// What becomes of a client without a good certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrontendValidationMode {
    /// Its handshake fails.
    AllowValidOnly,
    /// It is let in.
    AllowInsecureFallback,
}
