//! From YAML to a World, as the golden and property tests need it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use postern_api::gateway_api::GROUP;
use postern_api::gateway_api::backend_tls_policy::BackendTlsPolicy;
use postern_api::gateway_api::gateway::Gateway as KubernetesGateway;
use postern_api::gateway_api::gateway_class::GatewayClass;
use postern_api::gateway_api::grpc_route::GrpcRoute;
use postern_api::gateway_api::http_route::HttpRoute;
use postern_api::gateway_api::l4_route::{TcpRoute, TlsRoute, UdpRoute};
use postern_api::gateway_api::listener_set::ListenerSet;
use postern_api::gateway_api::reference_grant::ReferenceGrant;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::envoy_filter::EnvoyFilter;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::ObjectKey;
use postern_api::object::ApiObject;
use postern_api::parse::parse;
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_translate::{WorldBuilder, WorldObject};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The documents of a YAML file.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Adds one document to a World.
pub(crate) fn add(world: &mut WorldBuilder, document: Value) {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let gateway_api = version.starts_with(GROUP);
    match kind.as_str() {
        "GatewayClass" => {
            let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let key = ObjectKey::new::<GatewayClass>("", name);
            world.parsed::<GatewayClass>(key, parse(document));
        }
        "Gateway" if gateway_api => add_api::<KubernetesGateway>(world, document),
        "ListenerSet" => add_api::<ListenerSet>(world, document),
        "HTTPRoute" => add_api::<HttpRoute>(world, document),
        "GRPCRoute" => add_api::<GrpcRoute>(world, document),
        "TLSRoute" => add_api::<TlsRoute>(world, document),
        "TCPRoute" => add_api::<TcpRoute>(world, document),
        "UDPRoute" => add_api::<UdpRoute>(world, document),
        "ReferenceGrant" => add_api::<ReferenceGrant>(world, document),
        "BackendTLSPolicy" => add_api::<BackendTlsPolicy>(world, document),
        "IngressGateway" => add_api::<IngressGateway>(world, document),
        "ConfigMap" => add_core::<ConfigMap>(world, document),
        "Gateway" => add_api::<Gateway>(world, document),
        "VirtualService" => add_api::<VirtualService>(world, document),
        "DestinationRule" => add_api::<DestinationRule>(world, document),
        "ServiceEntry" => add_api::<ServiceEntry>(world, document),
        "EnvoyFilter" => add_api::<EnvoyFilter>(world, document),
        "Service" => add_core::<Service>(world, document),
        "EndpointSlice" => add_core::<EndpointSlice>(world, document),
        "Pod" => add_core::<Pod>(world, document),
        "Secret" => add_core::<Secret>(world, document),
        "Namespace" => add_core::<Namespace>(world, document),
        other => panic!("kind {other:?} is not known here"),
    }
}

fn add_api<T: ApiObject + Into<WorldObject>>(world: &mut WorldBuilder, document: Value) {
    let metadata = |field: &str| {
        let value = document.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        value.unwrap_or(if field == "namespace" { "default" } else { "" }).to_owned()
    };
    let key = ObjectKey::new::<T>(metadata("namespace"), metadata("name"));
    world.parsed::<T>(key, parse::<T>(document));
}

fn add_core<T: DeserializeOwned>(world: &mut WorldBuilder, document: Value)
where
    Arc<T>: Into<WorldObject>,
{
    let object: T = serde_json::from_value(document).unwrap();
    world.object(Arc::new(object));
}
