//! `TLSRoute`, `TCPRoute` and `UDPRoute`: where connections and datagrams go.

use serde::{Deserialize, Serialize};

use super::hostname::Hostname;
use super::reference::{BackendRef, ParentReference};
use super::status::GatewayApiStatus;
use crate::finding::SchemaFinding;
use crate::object::istio_object;
use crate::validate::Validate;

istio_object! {
    /// Where TLS connections go, by the server name of their ClientHello.
    #[derive(Default)]
    TlsRoute { kind: "TLSRoute", spec: TlsRouteSpec, status: GatewayApiStatus }
    scope: NamespaceResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "tlsroutes",
    versions: ["v1", "v1alpha3", "v1alpha2"],
    parts: ["rules"],
}

istio_object! {
    /// Where TCP connections go.
    #[derive(Default)]
    TcpRoute { kind: "TCPRoute", spec: L4RouteSpec, status: GatewayApiStatus }
    scope: NamespaceResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "tcproutes",
    versions: ["v1", "v1alpha2"],
    parts: ["rules"],
}

istio_object! {
    /// Where UDP datagrams go.
    #[derive(Default)]
    UdpRoute { kind: "UDPRoute", spec: L4RouteSpec, status: GatewayApiStatus }
    scope: NamespaceResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "udproutes",
    versions: ["v1", "v1alpha2"],
    parts: ["rules"],
}

/// The spec of a [`TlsRoute`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// The listeners that serve it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Experimental: whether default Gateways serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<String>,
    /// The server names; at least one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<Hostname>,
    /// The rules; one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<L4RouteRule>,
}

/// The spec of a [`TcpRoute`] or a [`UdpRoute`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct L4RouteSpec {
    /// The listeners that serve it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Experimental: whether default Gateways serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<String>,
    /// The rules; one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<L4RouteRule>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct L4RouteRule {
    /// Its name, unique in the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Forward to one of these, by weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

impl Validate for TlsRoute {
    fn validate(&self) -> Vec<SchemaFinding> {
        Vec::new()
    }
}

impl Validate for TcpRoute {
    fn validate(&self) -> Vec<SchemaFinding> {
        Vec::new()
    }
}

impl Validate for UdpRoute {
    fn validate(&self) -> Vec<SchemaFinding> {
        Vec::new()
    }
}
