//! `VirtualService`: which requests and connections go where.

mod cors;
mod destination;
mod fault;
mod headers;
mod http_action;
mod http_match;
mod http_mirror;
mod http_retry;
mod http_route;
mod l4_route;
mod string_match;

use serde::{Deserialize, Serialize};

pub use cors::{CorsPolicy, UnmatchedPreflights};
pub use destination::{Destination, HttpRouteDestination, PortSelector, RouteDestination};
pub use fault::{Abort, AbortKind, Delay, DelayKind, HttpFaultInjection};
pub use headers::{HeaderOperations, Headers};
pub use http_action::{
    Delegate, HttpBody, HttpDirectResponse, HttpRedirect, HttpRewrite, RedirectPort, RedirectPortSelection,
    RegexRewrite,
};
pub use http_match::HttpMatchRequest;
pub use http_mirror::HttpMirrorPolicy;
pub use http_retry::HttpRetry;
pub use http_route::{HttpAction, HttpRoute};
pub use l4_route::{L4MatchAttributes, TcpRoute, TlsMatchAttributes, TlsRoute};
pub use string_match::{StringMatch, ValueMatch};

use super::status::IstioStatus;
use crate::object::istio_object;
use crate::value::{GatewayName, HostPattern, Visibility};

istio_object! {
    /// Which requests and connections to some hosts go where.
    #[derive(Default)]
    VirtualService { spec: VirtualServiceSpec, status: IstioStatus }
    plural: "virtualservices",
    versions: ["v1", "v1beta1", "v1alpha3"],
    parts: ["http", "tls", "tcp"],
}

/// The spec of a [`VirtualService`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// The hosts. A short name is one in the VirtualService's namespace. None only in a delegate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// The gateways that serve this. None means `mesh`, so no ingress.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayName>,
    /// Rules for HTTP (and for HTTPS that the gateway terminates); the first that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRoute>,
    /// Rules for TLS that is passed through; the first that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<TlsRoute>,
    /// Rules for other TCP; the first that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpRoute>,
    /// The namespaces that see this. None means all, unless the mesh says else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<Visibility>,
}
