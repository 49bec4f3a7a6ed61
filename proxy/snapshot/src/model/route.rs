//! From a host and a request to a rule.

use serde::{Deserialize, Serialize};

use super::{CorsPolicy, HeaderOps, RouteAction, RouteFilters};
use crate::{HostPattern, Port};

/// The virtual hosts of one HTTP listener or TLS chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteTable {
    /// No two share a domain. The choice: exact, then the longest wildcard, then `*`; there is no way back from
    /// a host that was chosen (Envoy, Istio).
    pub virtual_hosts: Vec<VirtualHost>,
}

/// What one set of hosts serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualHost {
    /// For logs and metrics, Istio's form: `example.com:443`.
    pub name: String,
    /// The hosts, without port; the request's port is ignored (Istio's IgnorePortInHostMatching).
    pub domains: Vec<HostPattern>,
    /// Every request that did not come over HTTPS is sent there (Istio's `tls.httpsRedirect`), before any route. A
    /// trusted proxy in front may say that it did (`x-forwarded-proto`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_redirect: Option<HttpsRedirect>,
    /// Changes to the headers of all requests that a route takes, after the route's own (Envoy).
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub request_headers: HeaderOps,
    /// Changes to the headers of all responses to them, after the route's own (Envoy).
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub response_headers: HeaderOps,
    /// What is different from the chain's filters.
    #[serde(default, skip_serializing_if = "RouteFilters::is_empty")]
    pub filters: RouteFilters,
    /// The first that matches is taken; without one, 404.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// A 301 to the same host and path with `https`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpsRedirect {
    /// The port of the HTTPS server where it is known and not 443. Absent: none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Istio's `name`, for the access log; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The object that it comes from, for the status: `VirtualService/istio-system/web-routing`.
    pub origin: String,
    /// One of these must hold; none given: every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// What is done.
    pub action: RouteAction,
    /// Changes to the request's headers.
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub request_headers: HeaderOps,
    /// Changes to the response's headers.
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub response_headers: HeaderOps,
    /// What is different from the chain's filters, or those of the virtual host.
    #[serde(default, skip_serializing_if = "RouteFilters::is_empty")]
    pub filters: RouteFilters,
    /// Which pages of other origins may use it. Rate limits come first. Absent: that is the upstream's concern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsPolicy>,
}

/// A condition on requests: everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMatch {
    /// The path, without query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Exact and prefix paths are compared without regard to ASCII case (Istio's `ignoreUriCase`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_path_case: bool,
    /// `GET`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<StringMatch>,
    /// The host as the client sent it, with port if it sent one. Does not hold when it sent none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<StringMatch>,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// Query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<QueryMatch>,
}

/// A condition on a path. The query is no part of it; a path is compared as the client sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// Starts with this text (Istio's `prefix`): `/app` takes `/apple`.
    Prefix(String),
    /// Starts with these segments (the Gateway API's PathPrefix): `/app` takes `/app` and `/app/x`, not `/apple`.
    /// One trailing slash says nothing; `/` takes every path that starts with `/`.
    PathSeparatedPrefix(String),
    /// The whole path fits this RE2 expression.
    Regex(String),
}

/// A condition on a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StringMatch {
    /// This text.
    Exact(String),
    /// Starts with this text.
    Prefix(String),
    /// The whole text fits this RE2 expression.
    Regex(String),
}

/// A condition on a value that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueMatch {
    /// There is one (Istio: an empty StringMatch).
    Present,
    /// There is one, and it fits.
    #[serde(untagged)]
    String(StringMatch),
}

/// A condition on a header. Several values of one name count as one, joined by `,` (Envoy), those of `cookie` by
/// `; ` (RFC 9113 section 8.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Lower case. Also `:method`, `:scheme`, `:authority` and `:path`, with the query (Istio allows them); `host` is
    /// `:authority`.
    pub name: String,
    /// What its value is.
    pub value: ValueMatch,
    /// It must *not* be so (Istio's `withoutHeaders`). A header that is absent counts as empty then, except where
    /// the value is `Present`: without it "not `a`" holds, "not `.*`" does not (Istio's
    /// `treat_missing_header_as_empty`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
}

/// A condition on a query parameter; the first of a name counts (Envoy). Compared as sent, not decoded (Envoy).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryMatch {
    /// Case-sensitive.
    pub name: String,
    /// What its value is.
    pub value: ValueMatch,
}
