//! `ServiceEntry`: services that Kubernetes does not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::status::{AnalysisMessageBase, IstioCondition};
use crate::meta::Generation;
use crate::object::istio_object;
use crate::value::{HostPattern, Port, Protocol, Subnet, Visibility, non_empty};

istio_object! {
    /// Services that Kubernetes does not know, or endpoints that it does not know of a service.
    ServiceEntry { spec: ServiceEntrySpec, status: ServiceEntryStatus }
    plural: "serviceentries",
    versions: ["v1", "v1beta1", "v1alpha3"],
    // Not its endpoints: without any, others would be looked up in DNS.
    parts: ["ports"],
}

/// The spec of a [`ServiceEntry`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntrySpec {
    /// The names of the service, 1 to 256.
    pub hosts: Vec<HostPattern>,
    /// Virtual addresses of the service; blocks only with resolution NONE or STATIC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Subnet>,
    /// The ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// As written; see [`Self::location`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// As written; see [`Self::resolution`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// The endpoints. Not beside `workloadSelector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<WorkloadEntry>,
    /// Endpoints by their labels: pods and WorkloadEntry objects of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<WorkloadSelector>,
    /// The namespaces that see this. None means all, unless the mesh says else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<Visibility>,
    /// The names of which the server's certificate must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
}

impl ServiceEntrySpec {
    /// Whether the service is part of the mesh; not if it is left out.
    #[must_use]
    pub fn location(&self) -> Location {
        self.location.unwrap_or(Location::MeshExternal)
    }

    /// How addresses are found; NONE if it is left out.
    #[must_use]
    pub fn resolution(&self) -> Resolution {
        self.resolution.unwrap_or(Resolution::None)
    }
}

/// A port of a ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The number, unique in the entry.
    pub number: Port,
    /// As written; see [`Self::protocol`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// A name, unique in the entry.
    pub name: String,
    /// As written; see [`Self::target_port`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<Port>,
}

impl ServicePort {
    /// What is spoken; TCP if it is left out.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(Protocol::Tcp)
    }

    /// The port of the endpoints; `number` if it is left out.
    #[must_use]
    pub fn target_port(&self) -> Port {
        self.target_port.unwrap_or(self.number)
    }
}

/// Whether a service is part of the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// It is not.
    MeshExternal,
    /// It is.
    MeshInternal,
}

/// How the addresses of a service are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// Not at all: a connection goes where the client meant it to go.
    None,
    /// They are those of the endpoints.
    Static,
    /// By DNS, all addresses of the endpoints' names (or of the host).
    Dns,
    /// By DNS, and a new connection takes the first address of the newest answer.
    DnsRoundRobin,
    /// By DNS, for the host of each request (for wildcard hosts).
    DynamicDns,
}

/// An endpoint that is no pod: the spec of Istio's `WorkloadEntry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WorkloadEntry {
    /// An IP address, a DNS name (with resolution DNS), or a Unix socket: `unix:///path`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The ports, by the names of the ServiceEntry's; what is missing is its `targetPort`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, Port>,
    /// Labels, for subsets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Which network it is in. Only endpoints of the client's network are reached at their address.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `region/zone/subzone`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// As written; see [`Self::weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The service account, of workloads in the mesh.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

impl WorkloadEntry {
    /// The share relative to the other endpoints; 1 if it is left out (or 0).
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.filter(|weight| *weight > 0).unwrap_or(1)
    }
}

/// Workloads by their labels (`networking` of Istio's API).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadSelector {
    /// The labels, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The status of a [`ServiceEntry`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceEntryStatus {
    /// The state, one entry for each type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<IstioCondition>,
    /// Findings of Istio's analysis.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_messages: Vec<AnalysisMessageBase>,
    /// The generation that all of this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<Generation>,
    /// Addresses that were given to the hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ServiceEntryAddress>,
}

/// An address that was given to a host of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceEntryAddress {
    /// The address.
    pub value: String,
    /// The host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
}
