//! References to other objects.

use serde::{Deserialize, Serialize};

use super::GROUP;
use crate::value::Port;

/// The group and kind of an object that is referred to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKind {
    /// The API group; empty for Kubernetes' core.
    pub group: String,
    /// The kind.
    pub kind: String,
}

/// Which listeners a route is for (`ParentReference`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// As written; see [`Self::group`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As written; see [`Self::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The namespace; the default is the route's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the Gateway or ListenerSet.
    pub name: String,
    /// One listener of it; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The listeners on this port; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
}

impl ParentReference {
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

/// An object that requests go to (`BackendObjectReference`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectReference {
    /// As written; see [`Self::group`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As written; see [`Self::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name.
    pub name: String,
    /// The namespace; the default is that of the object that refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The port; a Service needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
}

impl BackendObjectReference {
    /// The API group; Kubernetes' core if it is left out.
    #[must_use]
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// The kind; `Service` if it is left out.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("Service")
    }
}

/// A backend and its share (`BackendRef`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BackendFields", into = "BackendFields")]
pub struct BackendRef {
    /// Where to.
    pub object: BackendObjectReference,
    /// As written; see [`Self::weight`].
    pub weight: Option<Weight>,
}

/// In one level, as it is written: `flatten` of serde would not tell of unknown fields.
#[derive(Clone, Serialize, Deserialize)]
struct BackendFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<Port>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<Weight>,
}

impl From<BackendFields> for BackendRef {
    fn from(fields: BackendFields) -> Self {
        let BackendFields { group, kind, name, namespace, port, weight } = fields;
        Self { object: BackendObjectReference { group, kind, name, namespace, port }, weight }
    }
}

impl From<BackendRef> for BackendFields {
    fn from(backend: BackendRef) -> Self {
        let BackendRef { object, weight } = backend;
        let BackendObjectReference { group, kind, name, namespace, port } = object;
        Self { group, kind, name, namespace, port, weight }
    }
}

impl BackendRef {
    /// The share, relative to the sum of all of the rule; 1 if it is left out.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.map_or(1, |weight| weight.0)
    }
}

/// A share, 0 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct Weight(u32);

/// A number that is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a weight; it must be from 0 to 1000000")]
pub struct WeightError(i64);

impl TryFrom<i64> for Weight {
    type Error = WeightError;

    fn try_from(number: i64) -> Result<Self, WeightError> {
        let weight = u32::try_from(number).ok().filter(|weight| *weight <= 1_000_000);
        weight.map(Self).ok_or(WeightError(number))
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// A Secret, or another kind of certificate (`SecretObjectReference`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretObjectReference {
    /// As written; see [`Self::group`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As written; see [`Self::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name.
    pub name: String,
    /// The namespace; the default is that of the object that refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl SecretObjectReference {
    /// The API group; Kubernetes' core if it is left out.
    #[must_use]
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// The kind; `Secret` if it is left out.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("Secret")
    }
}

/// An object of any kind (`ObjectReference`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectReference {
    /// The API group; empty for Kubernetes' core.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; the default is that of the object that refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// An object in the same namespace (`LocalObjectReference`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LocalObjectReference {
    /// The API group; empty for Kubernetes' core.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
}
