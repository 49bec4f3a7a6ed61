//! That no field of the Gateway API is forgotten: `gateway_api/full.yaml` has an object of each kind with every field of
//! the vendored CustomResourceDefinitions (manifests/crds/gateway-api/experimental). Each is read without a finding, and
//! written back without loss.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "drift.rs uses the rest")]
mod schema;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use postern_api::gateway_api::backend_tls_policy::BackendTlsPolicy;
use postern_api::gateway_api::gateway::Gateway;
use postern_api::gateway_api::gateway_class::GatewayClass;
use postern_api::gateway_api::grpc_route::GrpcRoute;
use postern_api::gateway_api::http_route::HttpRoute;
use postern_api::gateway_api::l4_route::{TcpRoute, TlsRoute, UdpRoute};
use postern_api::gateway_api::listener_set::ListenerSet;
use postern_api::gateway_api::reference_grant::ReferenceGrant;
use postern_api::object::ApiObject;
use postern_api::parse::parse;
use serde_json::{Value, json};

#[test]
fn gateway_class() {
    check::<GatewayClass>(7);
}

#[test]
fn gateway() {
    check::<Gateway>(70);
}

#[test]
fn listener_set() {
    check::<ListenerSet>(30);
}

#[test]
fn http_route() {
    check::<HttpRoute>(180);
}

#[test]
fn grpc_route() {
    check::<GrpcRoute>(95);
}

#[test]
fn tls_route() {
    check::<TlsRoute>(18);
}

#[test]
fn tcp_route() {
    check::<TcpRoute>(17);
}

#[test]
fn udp_route() {
    check::<UdpRoute>(17);
}

#[test]
fn reference_grant() {
    check::<ReferenceGrant>(8);
}

#[test]
fn backend_tls_policy() {
    check::<BackendTlsPolicy>(17);
}

#[test]
fn unknown_fields_are_told_of() {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"},
        "spec": {"rules": [{"backendRefs": [{"name": "a", "prot": 80}]}]},
    });
    let findings: Vec<_> = parse::<HttpRoute>(route).findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        [r#"warning: spec.rules[0].backendRefs[0].prot: unknown field "prot"; it is ignored [IST0133]"#]
    );
}

#[test]
fn what_is_wrong_costs_a_rule() {
    let route = json!({
        "metadata": {"name": "a"},
        "spec": {"rules": [
            {"matches": [{"path": {"type": "RegularExpression", "value": "("}}]},
            {"matches": [{"path": {"value": "no-slash"}}]},
            {"filters": [{"type": "RequestRedirect", "requestRedirect": {}}], "backendRefs": [{"name": "a"}]},
            {"backendRefs": [{"name": "a", "weight": -1}]},
            {"name": "good"},
        ]},
    });
    let parsed = parse::<HttpRoute>(route);
    let rules = parsed.object.unwrap().spec.rules.unwrap();
    assert_eq!(rules.len(), 1);
    let paths: Vec<_> = parsed.findings.iter().map(|finding| finding.path.as_str().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "spec.rules[0].matches[0].path.value",
            "spec.rules[1].matches[0].path",
            "spec.rules[2].backendRefs",
            "spec.rules[3].backendRefs[0].weight"
        ]
    );
}

/// The full object of a kind holds all fields, and is read and written without loss. `at_least` is how many properties
/// the schema has at least: a walk that goes nowhere finds nothing missing.
fn check<T: ApiObject + serde::Serialize>(at_least: usize) {
    let crd = crd(T::URL_PATH_SEGMENT);
    let spec = &crd["spec"];
    assert_eq!((&spec["group"], &spec["names"]["kind"]), (&json!(T::GROUP), &json!(T::KIND)));
    let served = spec["versions"].as_array().unwrap().iter().filter(|version| version["served"] == true);
    let served: BTreeSet<&str> = served.map(|version| version["name"].as_str().unwrap()).collect();
    let known: BTreeSet<&str> = T::VERSIONS.iter().copied().collect();
    assert!(served.is_subset(&known), "{} is served as {served:?}, known are {known:?}", T::KIND);
    let v1 = spec["versions"].as_array().unwrap().iter().find(|version| version["name"] == "v1").unwrap();
    let mut wanted = BTreeSet::new();
    schema_paths(&v1["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec", &mut wanted);
    assert!(wanted.len() >= at_least, "{} has {} properties", T::KIND, wanted.len());

    let source = full(T::KIND);
    let mut given = BTreeSet::new();
    value_paths(&source["spec"], "spec", &mut given);
    let missing: Vec<_> = wanted.difference(&given).collect();
    assert!(missing.is_empty(), "full.yaml has no {missing:#?} of {}", T::KIND);

    let parsed = parse::<T>(source.clone());
    let findings: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings, [""; 0]);
    let written = serde_json::to_value(parsed.object.unwrap()).unwrap();
    assert_eq!(written["kind"], T::KIND);
    assert_eq!(schema::lost(&source["spec"], &written["spec"], "spec"), [""; 0]);
}

fn crd(plural: &str) -> Value {
    let path =
        format!("../../manifests/crds/gateway-api/experimental/gateway.networking.k8s.io_{plural}.yaml");
    serde_saphyr::from_str(&read(path.as_ref())).unwrap()
}

fn full(kind: &str) -> Value {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&read("tests/gateway_api/full.yaml".as_ref())).unwrap();
    documents.into_iter().find(|document| document["kind"] == kind).unwrap()
}

fn read(path: &Path) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap()
}

/// Every property below a schema: `spec.rules[].name`.
fn schema_paths(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (name, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let at = format!("{at}.{name}");
        found.insert(at.clone());
        schema_paths(below, &at, found);
    }
    if let Some(items) = schema.get("items") {
        schema_paths(items, &format!("{at}[]"), found);
    }
}

/// Every field in a value, in the same form.
fn value_paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                let at = format!("{at}.{name}");
                found.insert(at.clone());
                value_paths(below, &at, found);
            }
        }
        Value::Array(elements) => {
            elements.iter().for_each(|element| value_paths(element, &format!("{at}[]"), found));
        }
        _ => {}
    }
}
