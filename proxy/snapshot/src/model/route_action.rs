//! What is done with a request whose rule is known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use crate::{ClusterName, Port};

/// Changes to headers, in this order: remove, set, add. Names are lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOps {
    /// Removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Set, over what was there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// Added to what was there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<(String, String)>,
}

impl HeaderOps {
    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteAction {
    /// Send it to an upstream.
    Forward(Forward),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// Answer at once.
    DirectResponse(DirectResponse),
}

/// Sending a request to an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Forward {
    /// Chosen by weight, once a request.
    pub targets: Vec<WeightedTarget>,
    /// The upstream sees another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_rewrite: Option<PathRewrite>,
    /// The upstream sees another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_rewrite: Option<String>,
    /// From the end of the request to the end of the response, retries included; then 504. Default: none.
    #[serde(with = "millis::optional", rename = "timeoutMs", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// When and how often to try again; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Who gets copies of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
}

/// Who gets a copy of a request, and of how many. What becomes of it changes nothing about the request (Istio's
/// `mirrors`, Envoy's `request_mirror_policies`).
///
/// The copy has what the route and the virtual host change, not what the target changes; its host has the suffix
/// `-shadow` (Envoy).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// A cluster of this snapshot.
    pub cluster: ClusterName,
    /// So many of a million requests, 1 to 1,000,000; drawn for each request.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub per_million: u32,
}

const fn all() -> u32 {
    1_000_000
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_all(per_million: &u32) -> bool {
    *per_million >= all()
}

/// A share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedTarget {
    /// Where to.
    pub target: Target,
    /// Relative to the others' sum. At least 1: entries of weight 0 are left out.
    pub weight: u32,
    /// The upstream sees another host. The route's own [`Forward::host_rewrite`] goes before this one (Istio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_rewrite: Option<String>,
    /// Changes to the request's headers for this target, after the route's.
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub request_headers: HeaderOps,
    /// Changes to the response's headers for this target, before the route's.
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub response_headers: HeaderOps,
}

/// Where a share of the traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A cluster of this snapshot.
    Cluster(ClusterName),
    /// Nowhere: the destination does not exist. HTTP requests get this status (Istio 503 with flag NC, the Gateway
    /// API 500); connections are closed.
    Unavailable {
        /// 500 or 503.
        status: u16,
    },
}

/// How the path changes on its way; the query stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathRewrite {
    /// What the prefix match took is replaced; after an exact or regex match, or none, the whole path (Istio's
    /// `rewrite.uri`).
    Prefix(String),
    /// The whole path is replaced.
    Full(String),
    /// Every match of the RE2 expression is replaced; `\1` names a group (Istio's `uriRegexRewrite`).
    Regex {
        /// RE2.
        pattern: String,
        /// With `\0` to `\9`.
        substitution: String,
    },
}

/// An answer with a `location`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// 300 to 399.
    pub status: u16,
    /// Default: the request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Default: the request's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Which port is named.
    #[serde(default)]
    pub port: RedirectPort,
    /// Default: the request's path. The query stays unless a whole path with a query is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RedirectPath>,
}

/// The port of a redirect's location.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RedirectPort {
    /// The one in the request's host, unless scheme or host changes; then none (Envoy).
    #[default]
    FromHost,
    /// This one; not named when it is the scheme's default.
    Number(Port),
    /// None: the scheme's default (Istio's FROM_PROTOCOL_DEFAULT).
    ProtocolDefault,
    /// The listener's service port (Istio's FROM_REQUEST_PORT); not named when it is the scheme's default.
    RequestPort,
}

/// The path of a redirect's location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RedirectPath {
    /// The whole path, and the query if this has one.
    Full(String),
    /// What the prefix match took is replaced.
    Prefix(String),
}

/// An answer made here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectResponse {
    /// 200 to 599.
    pub status: u16,
    /// Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<ResponseBody>,
}

/// The body of an answer made here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResponseBody {
    /// UTF-8 text, with `content-type: text/plain`.
    Text(String),
    /// Base64 of any bytes, with `content-type: application/octet-stream`.
    Base64(String),
}

/// When a failed try is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Tries after the first, at least 1.
    pub attempts: u32,
    /// Each try's own limit, from the request's end to the response's head. Default: the route's timeout.
    #[serde(
        default,
        with = "millis::optional",
        rename = "perTryTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub per_try_timeout: Option<Duration>,
    /// What counts as a failure worth another try, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RetryCondition>,
    /// Response status codes that are worth another try, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status_codes: Vec<u16>,
    /// The first pause's upper bound; it doubles with each try up to ten times this (Envoy). Default 25 ms (Istio).
    #[serde(
        default,
        with = "millis::optional",
        rename = "backoffMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub backoff: Option<Duration>,
    /// Prefer an endpoint that was not tried yet (Istio's default).
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub ignore_previous_hosts: bool,
}

const fn yes() -> bool {
    true
}

/// Envoy's names of `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryCondition {
    /// Any 5xx, or no response at all.
    #[serde(rename = "5xx")]
    ServerError,
    /// 502, 503 or 504.
    GatewayError,
    /// No response: disconnect, reset or timeout.
    Reset,
    /// The same, and the request was not sent yet.
    ResetBeforeRequest,
    /// The connection could not be made.
    ConnectFailure,
    /// 409.
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    /// The upstream refused the stream: it was not processed (REFUSED_STREAM, or GOAWAY before it).
    RefusedStream,
    /// gRPC status 1.
    Cancelled,
    /// gRPC status 4.
    DeadlineExceeded,
    /// gRPC status 13.
    Internal,
    /// gRPC status 8.
    ResourceExhausted,
    /// gRPC status 14.
    Unavailable,
}
