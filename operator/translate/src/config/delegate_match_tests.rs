use super::*;
use serde_json::{Value, json};

fn request(value: Value) -> HttpMatchRequest {
    serde_json::from_value(value).unwrap()
}

fn within(inner: Value, outer: Value) -> bool {
    lies_within(&request(inner), &request(outer))
}

#[test]
fn paths_lie_within_prefixes() {
    let prefix = |path: &str| json!({ "uri": { "prefix": path } });
    let exact = |path: &str| json!({ "uri": { "exact": path } });
    assert!(within(prefix("/api/v1"), prefix("/api")));
    assert!(within(exact("/api/v1"), prefix("/api")));
    assert!(within(prefix("/api"), prefix("/api")));
    assert!(!within(prefix("/a"), prefix("/api")));
    assert!(!within(prefix("/api"), exact("/api")));
    assert!(!within(exact("/b"), exact("/a")));
    let regex = json!({ "uri": { "regex": "/api.*" } });
    assert!(!within(exact("/api"), regex.clone()));
    assert!(!within(regex.clone(), prefix("/api")));
    assert!(within(json!({}), regex));
}

#[test]
fn other_conditions_agree() {
    let header = |value: Value| json!({ "headers": { "x": value } });
    assert!(within(header(json!({ "exact": "a" })), header(json!({ "prefix": "a" }))));
    assert!(within(header(json!({ "exact": "a" })), header(json!({}))));
    assert!(!within(header(json!({})), header(json!({ "exact": "a" }))));
    let without = |value: &str| json!({ "withoutHeaders": { "x": { "prefix": value } } });
    assert!(within(without("a"), without("a")));
    assert!(!within(without("ab"), without("a")));
    assert!(!within(json!({ "port": 80 }), json!({ "port": 81 })));
    assert!(within(json!({ "port": 80 }), json!({})));
    assert!(!within(json!({ "gateways": ["a", "b"] }), json!({ "gateways": ["a"] })));
    assert!(!within(json!({ "ignoreUriCase": true }), json!({})));
    assert!(!within(json!({}), json!({ "sourceNamespace": "a" })));
}

#[test]
fn every_match_of_the_delegate_must_have_a_place() {
    let api = request(json!({ "uri": { "prefix": "/api" }, "name": "api" }));
    let web = request(json!({ "uri": { "prefix": "/web" }, "headers": { "x": {} } }));
    let inner = request(json!({ "uri": { "prefix": "/api/a" }, "name": "a", "method": { "exact": "GET" } }));
    let merged = merge_matches(&[api.clone(), web.clone()], std::slice::from_ref(&inner)).unwrap();
    assert_eq!(merged.len(), 1);
    let expected = json!({ "uri": { "prefix": "/api/a" }, "name": "api-a", "method": { "exact": "GET" } });
    assert_eq!(merged.first(), Some(&request(expected)));
    assert_eq!(merge_matches(&[web], &[inner]), None);
    assert_eq!(merge_matches(&[], std::slice::from_ref(&api)), Some(vec![api.clone()]));
    assert_eq!(merge_matches(std::slice::from_ref(&api), &[]), Some(vec![api]));
}
