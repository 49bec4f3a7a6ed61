//! Which requests a rule is for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{StringMatch, ValueMatch};
use crate::value::{GatewayName, Port, is_false, non_empty};

/// What a request must be like: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpMatchRequest {
    /// A name that is joined to the route's in access logs.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The path; with a regular expression, without the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<StringMatch>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<StringMatch>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
    /// The authority (`Host` in HTTP/1.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<StringMatch>,
    /// Headers, by their names in lower case. `@request.auth.claims.x` is a claim of the request's JWT.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, ValueMatch>,
    /// The port of the gateway's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// The labels of the client's pod. For sidecars: at a gateway they are the gateway's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub source_labels: BTreeMap<String, String>,
    /// The gateways, in place of the VirtualService's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayName>,
    /// Query parameters; Istio documents `exact`, `prefix` and `regex`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, ValueMatch>,
    /// Let `exact` and `prefix` of `uri` match in any case.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_uri_case: bool,
    /// Headers that must not be like this; [`ValueMatch::Present`] must not be there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub without_headers: BTreeMap<String, ValueMatch>,
    /// The namespace of the client's pod. For sidecars: at a gateway it is the gateway's own.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub source_namespace: Option<String>,
    /// A prefix for statistics of this route.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub stat_prefix: Option<String>,
}
