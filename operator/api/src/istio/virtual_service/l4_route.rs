//! Rules for TLS that is passed through, and for other TCP.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RouteDestination;
use crate::value::{GatewayName, HostPattern, Port, Subnet, non_empty};

/// One rule for TLS connections that the gateway passes through (or forwards after termination, for
/// servers of protocol TLS).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRoute {
    /// Which connections: one of these must match.
    #[serde(rename = "match")]
    pub match_: Vec<TlsMatchAttributes>,
    /// Forward to one of these, by weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<RouteDestination>,
}

/// What a TLS connection must be like: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsMatchAttributes {
    /// The server names (SNI): one of these must match; at least one, within the VirtualService's hosts.
    pub sni_hosts: Vec<HostPattern>,
    /// The address that the client meant. At a gateway that is the gateway's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination_subnets: Vec<Subnet>,
    /// The port of the gateway's server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// The labels of the client's pod. For sidecars.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_labels: BTreeMap<String, String>,
    /// The gateways, in place of the VirtualService's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayName>,
    /// The namespace of the client's pod. For sidecars.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub source_namespace: Option<String>,
}

/// One rule for TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpRoute {
    /// Which connections: one of these must match; none means all.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub match_: Vec<L4MatchAttributes>,
    /// Forward to one of these, by weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<RouteDestination>,
}

/// What a TCP connection must be like: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct L4MatchAttributes {
    /// The address that the client meant. At a gateway that is the gateway's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_subnets: Vec<Subnet>,
    /// The port of the gateway's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// The client's address. Hidden in Istio's documentation and not implemented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_subnet: Option<Subnet>,
    /// The labels of the client's pod. For sidecars.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub source_labels: BTreeMap<String, String>,
    /// The gateways, in place of the VirtualService's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayName>,
    /// The namespace of the client's pod. For sidecars.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub source_namespace: Option<String>,
}
