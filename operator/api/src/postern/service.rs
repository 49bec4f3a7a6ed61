//! `spec.service`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::value::{Port, non_empty};

/// The Service in front of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.externalTrafficPolicy) || !has(self.type) || self.type != 'ClusterIP'",
        "message": "externalTrafficPolicy needs type LoadBalancer or NodePort",
    },
    {
        "rule": "!(has(self.loadBalancerIP) || has(self.loadBalancerClass) || has(self.loadBalancerSourceRanges)) \
                 || !has(self.type) || self.type == 'LoadBalancer'",
        "message": "loadBalancerIP, loadBalancerClass and loadBalancerSourceRanges need type LoadBalancer",
    },
    {
        "rule": "!has(self.type) || self.type != 'ClusterIP' || !has(self.ports) \
                 || self.ports.all(port, !has(port.nodePort))",
        "message": "nodePort needs type LoadBalancer or NodePort",
    },
]))]
pub struct ServiceSettings {
    /// Default LoadBalancer.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// Annotations, which load balancers of clouds are configured with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether traffic from outside may take another hop between nodes. `Local` keeps the client's address and
    /// sends traffic only to nodes that have a pod of the ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// The address to ask the load balancer for, where it can be asked.
    #[serde(
        rename = "loadBalancerIP",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 45))]
    pub load_balancer_ip: Option<String>,
    /// The networks that the load balancer lets in, as `192.0.2.0/24`. None means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::networks")]
    pub load_balancer_source_ranges: Vec<String>,
    /// The implementation of load balancers to use. It cannot be changed once the Service has one.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub load_balancer_class: Option<String>,
    /// More about the ports of Gateways, by their numbers, and more ports. Ports of Gateways need not be named
    /// here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["port"])
    )]
    pub ports: Vec<ServicePort>,
}

impl ServiceSettings {
    /// The type; LoadBalancer if it is left out.
    #[must_use]
    pub fn type_(&self) -> ServiceType {
        self.type_.unwrap_or(ServiceType::LoadBalancer)
    }
}

/// How a Service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From within the cluster.
    ClusterIP,
    /// On a port of each node too.
    NodePort,
    /// At an address of its own.
    LoadBalancer,
}

impl ServiceType {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Where traffic from outside may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// To all pods.
    Cluster,
    /// To pods of the node where it arrives.
    Local,
}

impl ExternalTrafficPolicy {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// A port of the Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// A name, unique in the Service. Default: the one that the port of the Gateway has, or else `tcp-` and the
    /// number.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::dns_label")]
    pub name: Option<String>,
    /// The port of the Service.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub port: Port,
    /// The port of the pod. Default: the one that the proxy listens on for this port, or else the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u16>", range(min = 1, max = 65535))]
    pub target_port: Option<Port>,
    /// The port of the nodes. Default: the cluster chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u16>", range(min = 1, max = 65535))]
    pub node_port: Option<Port>,
}
