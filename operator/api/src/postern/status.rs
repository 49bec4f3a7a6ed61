//! `status` of an `IngressGateway`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressGatewayStatus {
    /// Its state, one entry for each type: `Accepted`, `Programmed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Where the ingress can be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<IngressAddress>,
    /// The pods that there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0))]
    pub replicas: Option<i32>,
    /// The pods that serve what is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0))]
    pub ready_replicas: Option<i32>,
    /// Both, as `2/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// The generation that all of this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl IngressGatewayStatus {
    /// Sets the three fields about pods.
    #[must_use]
    pub fn with_replicas(mut self, ready: i32, replicas: i32) -> Self {
        self.replicas = Some(replicas);
        self.ready_replicas = Some(ready);
        self.ready = Some(format!("{ready}/{replicas}"));
        self
    }
}

/// An address of an ingress, in the form of the Gateway API's `GatewayStatusAddress`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressAddress {
    /// What the value is.
    #[serde(rename = "type")]
    pub type_: AddressType,
    /// The address.
    pub value: String,
}

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AddressType {
    /// IPv4 or IPv6.
    IPAddress,
    /// A name of DNS.
    Hostname,
}
