use super::*;
use serde_json::{Value, json};

fn found(service: &Value, slices: &[Value]) -> Vec<String> {
    let service: Service = serde_json::from_value(json!({ "spec": service })).unwrap();
    let port = service.spec.as_ref().unwrap().ports.as_ref().unwrap().first().unwrap().clone();
    let slices: Vec<EndpointSlice> =
        slices.iter().map(|slice| serde_json::from_value(slice.clone()).unwrap()).collect();
    endpoints(&service, &port, slices.iter(), |_| true)
        .into_iter()
        .map(|endpoint| format!("{}:{}", endpoint.address, endpoint.port))
        .collect()
}

fn slice(family: &str, ports: &Value, endpoints: &Value) -> Value {
    json!({ "addressType": family, "ports": ports, "endpoints": endpoints })
}

#[test]
fn ports_are_found_by_name() {
    let service = json!({ "ports": [{ "name": "http", "port": 80 }] });
    let ports = json!([{ "name": "metrics", "port": 9090 }, { "name": "http", "port": 8080 }]);
    let endpoints = json!([{ "addresses": ["10.0.0.2"] }, { "addresses": ["10.0.0.1"] }]);
    let same = slice("IPv4", &ports, &endpoints);
    assert_eq!(found(&service, &[same.clone(), same]), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    let other = slice("IPv4", &json!([{ "name": "grpc", "port": 1 }]), &endpoints);
    assert!(found(&service, &[other]).is_empty());
}

#[test]
fn a_slice_without_ports_takes_the_services() {
    let endpoints = json!([{ "addresses": ["10.0.0.1"] }]);
    let service = |target: Value| json!({ "ports": [{ "port": 80, "targetPort": target }] });
    let bare = slice("IPv4", &json!([]), &endpoints);
    assert_eq!(found(&service(json!(8080)), std::slice::from_ref(&bare)), ["10.0.0.1:8080"]);
    assert_eq!(found(&json!({ "ports": [{ "port": 80 }] }), std::slice::from_ref(&bare)), ["10.0.0.1:80"]);
    assert!(found(&service(json!("http")), &[bare]).is_empty());
}

#[test]
fn those_that_are_not_ready_stay_out() {
    let service = json!({ "ports": [{ "port": 80 }] });
    let ports = json!([{ "port": 8080 }]);
    let terminating = json!({ "ready": false, "serving": true, "terminating": true });
    let unready = json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": false } });
    let draining = json!({ "addresses": ["10.0.0.2"], "conditions": terminating });
    let ready = json!({ "addresses": ["10.0.0.3"], "conditions": { "ready": true } });
    let of = |endpoints: Value| found(&service, &[slice("IPv4", &ports, &endpoints)]);
    assert_eq!(of(json!([unready, draining, ready])), ["10.0.0.3:8080"]);
    assert_eq!(of(json!([unready, draining])), ["10.0.0.2:8080"]);
    assert!(of(json!([unready])).is_empty());
}

#[test]
fn one_family_counts() {
    let ports = json!([{ "port": 8080 }]);
    let v4 = slice("IPv4", &ports, &json!([{ "addresses": ["10.0.0.1"] }]));
    let v6 = slice("IPv6", &ports, &json!([{ "addresses": ["fd00::1"] }]));
    let service = |families: Value| json!({ "ports": [{ "port": 80 }], "ipFamilies": families });
    let both = [v4, v6.clone()];
    assert_eq!(found(&service(json!(["IPv4", "IPv6"])), &both), ["10.0.0.1:8080"]);
    assert_eq!(found(&service(json!(["IPv6", "IPv4"])), &both), ["fd00::1:8080"]);
    assert_eq!(found(&service(json!(["IPv4", "IPv6"])), &[v6]), ["fd00::1:8080"]);
}

#[test]
fn names_in_place_of_addresses_are_left_out() {
    let service = json!({ "ports": [{ "port": 80 }] });
    let fqdn = slice("FQDN", &json!([{ "port": 8080 }]), &json!([{ "addresses": ["a.example.com"] }]));
    assert!(found(&service, &[fqdn]).is_empty());
}
