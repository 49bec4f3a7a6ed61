//! `HTTPRoute`: which HTTP requests go where.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::RouteFilter;
use super::hostname::Hostname;
use super::reference::{BackendObjectReference, BackendRef, ParentReference, Weight};
use super::route_match::{NamedMatch, PathMatch, TextMatch};
use super::status::GatewayApiStatus;
use crate::finding::SchemaFinding;
use crate::object::istio_object;
use crate::place::Place;
use crate::validate::{Findings, Validate, common};
use crate::value::{Duration, Port};

istio_object! {
    /// Which HTTP requests go where.
    #[derive(Default)]
    HttpRoute { kind: "HTTPRoute", spec: HttpRouteSpec, status: GatewayApiStatus }
    scope: NamespaceResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "httproutes",
    versions: ["v1", "v1beta1"],
    parts: ["rules"],
}

/// The spec of an [`HttpRoute`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The listeners that serve it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Experimental: whether default Gateways serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<String>,
    /// The hosts; none means those of the listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<Hostname>,
    /// The rules, as written; see [`Self::rules`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<HttpRouteRule>>,
}

impl HttpRouteSpec {
    /// The rules; one for every request if they are left out.
    #[must_use]
    pub fn rules(&self) -> &[HttpRouteRule] {
        const EVERYTHING: &[HttpRouteRule] = &[HttpRouteRule {
            name: None,
            matches: Vec::new(),
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
            retry: None,
            session_persistence: None,
        }];
        self.rules.as_deref().unwrap_or(EVERYTHING)
    }
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Its name, unique in the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests: one of these must match; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpRouteMatch>,
    /// What is changed, or answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<RouteFilter>,
    /// Forward to one of these, by weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    /// Experimental: when to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    /// Experimental: as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<Value>,
}

/// What a request must be like: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRouteMatch {
    /// The path; every path if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Headers. Of several with one name the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<NamedMatch>,
    /// Query parameters. Of several with one name the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<NamedMatch>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A backend with its share, and what is changed for it (`HTTPBackendRef`, `GRPCBackendRef`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "HttpBackendFields", into = "HttpBackendFields")]
pub struct HttpBackendRef {
    /// Where to, and how much.
    pub backend: BackendRef,
    /// What is changed for it.
    pub filters: Vec<RouteFilter>,
}

/// In one level, as it is written: `flatten` of serde would not tell of unknown fields.
#[derive(Clone, Serialize, Deserialize)]
struct HttpBackendFields {
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    filters: Vec<RouteFilter>,
}

impl From<HttpBackendFields> for HttpBackendRef {
    fn from(fields: HttpBackendFields) -> Self {
        let HttpBackendFields { group, kind, name, namespace, port, weight, filters } = fields;
        let object = BackendObjectReference { group, kind, name, namespace, port };
        Self { backend: BackendRef { object, weight }, filters }
    }
}

impl From<HttpBackendRef> for HttpBackendFields {
    fn from(backend: HttpBackendRef) -> Self {
        let HttpBackendRef { backend: BackendRef { object, weight }, filters } = backend;
        let BackendObjectReference { group, kind, name, namespace, port } = object;
        Self { group, kind, name, namespace, port, weight, filters }
    }
}

/// How long a request may take; `0s` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRouteTimeouts {
    /// From the request to the whole response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// From the gateway to a backend and back, each try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Duration>,
}

/// When to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpRouteRetry {
    /// Status codes, 400 to 599, that are worth another try.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u16>,
    /// Tries after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The least pause between tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
}

impl Validate for HttpRoute {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let spec = Place::Field(&Place::Object, "spec");
        let rules = spec.field("rules");
        for (index, rule) in self.spec.rules.iter().flatten().enumerate() {
            validate_rule(rule, &rules.index(index), &mut findings);
        }
        findings.0
    }
}

/// Two rules of the API's own validation that matter here: what answers does not forward, and expressions are such.
fn validate_rule(rule: &HttpRouteRule, at: &Place<'_>, findings: &mut Findings) {
    let redirects = rule.filters.iter().any(|filter| matches!(filter, RouteFilter::RequestRedirect(_)));
    let rewrites = rule.filters.iter().any(|filter| matches!(filter, RouteFilter::UrlRewrite(_)));
    if redirects && !rule.backend_refs.is_empty() {
        let message = "a rule with a RequestRedirect filter has no backendRefs";
        findings.error(&at.field("backendRefs"), message);
    }
    if redirects && rewrites {
        findings.error(&at.field("filters"), "RequestRedirect and URLRewrite exclude each other");
    }
    let matches = at.field("matches");
    for (index, found) in rule.matches.iter().enumerate() {
        let at = matches.index(index);
        if let Some(PathMatch::RegularExpression(regex)) = &found.path {
            common::regex(regex, &at.field("path").field("value"), findings);
        }
        named(&found.headers, &at.field("headers"), findings);
        named(&found.query_params, &at.field("queryParams"), findings);
    }
}

/// Expressions in conditions on headers and parameters are such.
pub(super) fn named(list: &[NamedMatch], at: &Place<'_>, findings: &mut Findings) {
    for (index, found) in list.iter().enumerate() {
        if let TextMatch::RegularExpression(regex) = &found.value {
            common::regex(regex, &at.index(index).field("value"), findings);
        }
    }
}
