//! `GatewayClass`: which controller looks after a Gateway.

use serde::{Deserialize, Serialize};

use super::reference::ObjectReference;
use super::status::GatewayApiStatus;
use crate::finding::SchemaFinding;
use crate::object::istio_object;
use crate::validate::Validate;

istio_object! {
    /// Which controller looks after the Gateways of this class. It has no namespace.
    #[derive(Default)]
    GatewayClass { spec: GatewayClassSpec, status: GatewayApiStatus }
    scope: ClusterResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "gatewayclasses",
    versions: ["v1", "v1beta1"],
    parts: [],
}

/// The spec of a [`GatewayClass`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The controller, a domain with a path: `postern.dev/gateway-controller`.
    pub controller_name: String,
    /// Settings for all of its Gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ObjectReference>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Validate for GatewayClass {
    fn validate(&self) -> Vec<SchemaFinding> {
        Vec::new()
    }
}
