//! `ReferenceGrant`: who may refer to objects of another namespace.

use serde::{Deserialize, Serialize};

use super::status::GatewayApiStatus;
use crate::finding::SchemaFinding;
use crate::object::istio_object;
use crate::validate::Validate;

istio_object! {
    /// Lets objects of other namespaces refer to objects of its own.
    #[derive(Default)]
    ReferenceGrant { spec: ReferenceGrantSpec, status: GatewayApiStatus }
    group: "gateway.networking.k8s.io",
    plural: "referencegrants",
    versions: ["v1", "v1beta1"],
    parts: ["from", "to"],
}

/// The spec of a [`ReferenceGrant`]: each of `from` may refer to each of `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceGrantSpec {
    /// Who may.
    pub from: Vec<ReferenceGrantFrom>,
    /// To what.
    pub to: Vec<ReferenceGrantTo>,
}

/// Who may refer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceGrantFrom {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
}

/// What may be referred to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceGrantTo {
    /// The API group; empty for Kubernetes' core.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// One object; none means all of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Validate for ReferenceGrant {
    fn validate(&self) -> Vec<SchemaFinding> {
        Vec::new()
    }
}
