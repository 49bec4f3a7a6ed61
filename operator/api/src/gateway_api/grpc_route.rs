//! `GRPCRoute`: which gRPC calls go where.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::filter::RouteFilter;
use super::hostname::Hostname;
use super::http_route::{HttpBackendRef, named};
use super::reference::ParentReference;
use super::route_match::{GrpcMethodMatch, NamedMatch, TextMatch};
use super::status::GatewayApiStatus;
use crate::finding::SchemaFinding;
use crate::object::istio_object;
use crate::place::Place;
use crate::validate::{Findings, Validate, common};

istio_object! {
    /// Which gRPC calls go where.
    #[derive(Default)]
    GrpcRoute { kind: "GRPCRoute", spec: GrpcRouteSpec, status: GatewayApiStatus }
    scope: NamespaceResourceScope,
    group: "gateway.networking.k8s.io",
    plural: "grpcroutes",
    versions: ["v1"],
    parts: ["rules"],
}

/// The spec of a [`GrpcRoute`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// The listeners that serve it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Experimental: whether default Gateways serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<String>,
    /// The hosts; none means those of the listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<Hostname>,
    /// The rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<GrpcRouteRule>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcRouteRule {
    /// Its name, unique in the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which calls: one of these must match; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<GrpcRouteMatch>,
    /// What is changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<RouteFilter>,
    /// Forward to one of these, by weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// Experimental: as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<Value>,
}

/// What a call must be like: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrpcRouteMatch {
    /// The called method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Headers. Of several with one name the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<NamedMatch>,
}

impl Validate for GrpcRoute {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let spec = Place::Field(&Place::Object, "spec");
        let rules = spec.field("rules");
        for (index, rule) in self.spec.rules.iter().enumerate() {
            let rule_at = rules.index(index);
            let matches = rule_at.field("matches");
            for (index, found) in rule.matches.iter().enumerate() {
                validate_match(found, &matches.index(index), &mut findings);
            }
        }
        findings.0
    }
}

fn validate_match(found: &GrpcRouteMatch, at: &Place<'_>, findings: &mut Findings) {
    named(&found.headers, &at.field("headers"), findings);
    let Some(method) = &found.method else { return };
    for (field, part) in [("service", &method.service), ("method", &method.method)] {
        if let Some(TextMatch::RegularExpression(regex)) = part {
            common::regex(regex, &at.field("method").field(field), findings);
        }
    }
}
