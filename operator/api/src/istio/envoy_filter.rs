//! `EnvoyFilter`: changes of Envoy's configuration, of which Postern honours a published list.

mod envoy_match;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use envoy_match::{
    ClusterMatch, EnvoyConfigObjectMatch, FilterChainMatch, FilterMatch, ListenerMatch, ObjectMatch,
    PatchContext, ProxyMatch, RouteAction, RouteConfigurationMatch, RouteMatch, SubFilterMatch,
    VirtualHostMatch, WaypointMatch, WaypointRouteMatch,
};

use super::service_entry::WorkloadSelector;
use super::status::IstioStatus;
use crate::object::istio_object;
use crate::value::non_empty;

istio_object! {
    /// Changes of Envoy's configuration.
    #[derive(Default)]
    EnvoyFilter { spec: EnvoyFilterSpec, status: IstioStatus }
    plural: "envoyfilters",
    versions: ["v1alpha3"],
    parts: ["configPatches"],
}

/// The spec of an [`EnvoyFilter`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvoyFilterSpec {
    /// The proxies by their pods' labels; nothing means all of the namespace (of all, in the root one).
    /// Not beside `targetRefs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<WorkloadSelector>,
    /// The objects whose proxies this is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// The changes, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config_patches: Vec<EnvoyConfigObjectPatch>,
    /// Lower ones are applied first; 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// An object that a policy is for (`type/v1beta1` of Istio's API).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTargetReference {
    /// The API group; none is Kubernetes' core.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace. Only the policy's own is supported, by leaving this out.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// One change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvoyConfigObjectPatch {
    /// What kind of object is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply_to: Option<ApplyTo>,
    /// Which ones.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_: Option<EnvoyConfigObjectMatch>,
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
}

/// What kind of object a patch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplyTo {
    /// Nothing.
    Invalid,
    /// A listener.
    Listener,
    /// A filter chain of a listener.
    FilterChain,
    /// A filter in a filter chain.
    NetworkFilter,
    /// A filter in the HTTP connection manager.
    HttpFilter,
    /// A route table.
    RouteConfiguration,
    /// A virtual host in a route table.
    VirtualHost,
    /// A route in a virtual host.
    HttpRoute,
    /// A cluster.
    Cluster,
    /// An extension's configuration.
    ExtensionConfig,
    /// The proxy's bootstrap.
    Bootstrap,
    /// A filter of a listener.
    ListenerFilter,
}

/// How an object is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Patch {
    /// What is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<PatchOperation>,
    /// With what: a message of Envoy's API in JSON.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub value: Map<String, Value>,
    /// Where among the filters one is added, if not by its neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_class: Option<FilterClass>,
}

/// What a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchOperation {
    /// Nothing.
    Invalid,
    /// Merge the value in; lists are appended to.
    Merge,
    /// Add the value at the end.
    Add,
    /// Remove the object.
    Remove,
    /// Add the value before what matches.
    InsertBefore,
    /// Add the value after what matches.
    InsertAfter,
    /// Add the value at the front.
    InsertFirst,
    /// Put the value in place of what matches.
    Replace,
    /// Merge the value in; lists are replaced.
    MergeAndReplaceList,
}

/// Where among the filters one is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FilterClass {
    /// Wherever the operation says.
    Unspecified,
    /// After Istio's filters for authentication.
    Authn,
    /// After Istio's filters for authorization.
    Authz,
    /// Before Istio's filters for statistics.
    Stats,
}
