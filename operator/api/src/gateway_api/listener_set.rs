//! `ListenerSet`: more listeners for a Gateway, from another object, and maybe another namespace.

use serde::{Deserialize, Serialize};

use super::GROUP;
use super::listener::Listener;
use super::status::GatewayApiStatus;
use crate::object::istio_object;

istio_object! {
    /// More listeners for a Gateway.
    ListenerSet { spec: ListenerSetSpec, status: GatewayApiStatus }
    group: "gateway.networking.k8s.io",
    plural: "listenersets",
    versions: ["v1"],
    parts: ["listeners"],
}

/// The spec of a [`ListenerSet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    /// Whose listeners these are.
    pub parent_ref: ParentGatewayReference,
    /// What is listened on; at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
}

/// The Gateway of a ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentGatewayReference {
    /// As written; see [`Self::group`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As written; see [`Self::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name.
    pub name: String,
    /// The namespace; the default is the ListenerSet's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl ParentGatewayReference {
    /// The API group; the Gateway API's if it is left out.
    #[must_use]
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(GROUP)
    }

    /// The kind; `Gateway` if it is left out.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("Gateway")
    }
}
