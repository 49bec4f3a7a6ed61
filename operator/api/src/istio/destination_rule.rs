//! `DestinationRule`: how connections to a service are made, and its subsets.

mod connection_pool;
mod consistent_hash;
mod load_balancer;
mod locality;
mod outlier_detection;
mod traffic_policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use connection_pool::{
    ConnectionPoolSettings, H2UpgradePolicy, Http2KeepAlive, HttpSettings, TcpKeepalive, TcpSettings,
};
pub use consistent_hash::{ConsistentHashAlgorithm, ConsistentHashLb, CookieAttribute, HashKey, HttpCookie};
pub use load_balancer::{LbPolicy, LoadBalancerSettings, SimpleLb, WarmupConfiguration};
pub use locality::{
    LocalityDistribute, LocalityFailover, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting,
};
pub use outlier_detection::OutlierDetection;
pub use traffic_policy::{
    ClientTlsMode, ClientTlsSettings, PortTrafficPolicy, ProxyProtocol, ProxyProtocolVersion, RetryBudget,
    TrafficPolicy, TunnelSettings,
};

use super::status::IstioStatus;
use crate::object::istio_object;
use crate::value::{HostPattern, Visibility};

istio_object! {
    /// How connections to a service are made, and which subsets it has.
    DestinationRule { spec: DestinationRuleSpec, status: IstioStatus }
    plural: "destinationrules",
    versions: ["v1", "v1beta1", "v1alpha3"],
    parts: ["subsets", "trafficPolicy"],
}

/// The spec of a [`DestinationRule`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRuleSpec {
    /// The service, as in a VirtualService's destination; wildcards name many.
    pub host: HostPattern,
    /// For all ports and subsets that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
    /// Parts of the service's endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Subset>,
    /// The namespaces that see this. None means all, unless the mesh says else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<Visibility>,
    /// The clients that this is for, in its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<PodSelector>,
}

/// The endpoints of a service that have some labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// The name that routes use.
    pub name: String,
    /// The labels, all of them. None selects all endpoints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// In place of the rule's, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
}

/// Pods by their labels (`type/v1beta1` of Istio's API).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSelector {
    /// The labels, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}
