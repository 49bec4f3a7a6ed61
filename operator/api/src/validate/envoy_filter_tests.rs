#![allow(clippy::needless_pass_by_value, reason = "`json!` at each call reads better without `&`")]

use serde_json::{Value, json};

use crate::istio::envoy_filter::EnvoyFilter;
use crate::validate::testing::lines;

const NONE: [&str; 0] = [];

/// The findings of one patch, without its place.
fn patch(apply_to: &str, match_: Value, operation: &str) -> Vec<String> {
    raw(json!({"applyTo": apply_to, "match": match_, "patch": {"operation": operation, "value": {"a": 1}}}))
}

fn raw(patch: Value) -> Vec<String> {
    let lines = lines::<EnvoyFilter>(&json!({ "configPatches": [patch] })).into_iter();
    lines.map(|line| line.replacen("spec.configPatches[0].", "", 1)).collect()
}

fn filter(filter: Value) -> Value {
    json!({"context": "GATEWAY", "listener": {"filterChain": {"filter": filter}}})
}

#[test]
fn a_good_filter_has_no_findings() {
    assert_eq!(patch("LISTENER", json!({"context": "GATEWAY"}), "MERGE"), NONE);
    let manager = "envoy.filters.network.http_connection_manager";
    let router = json!({"name": manager, "subFilter": {"name": "envoy.filters.http.router"}});
    assert_eq!(patch("HTTP_FILTER", filter(router), "INSERT_BEFORE"), NONE);
    assert_eq!(raw(json!({"applyTo": "CLUSTER", "patch": {"operation": "REMOVE"}})), NONE);
}

#[test]
fn proxies_are_told_in_one_way() {
    let targets = json!([
        {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "web"},
        {"kind": "Pod", "name": "", "namespace": "other"},
    ]);
    assert_eq!(
        lines::<EnvoyFilter>(&json!({"workloadSelector": {"labels": {"a": "*"}}, "targetRefs": targets})),
        [
            "error: spec.workloadSelector.labels.a: wildcards are not supported in a selector [IST0106]",
            "error: spec.workloadSelector: only one of workloadSelector and targetRefs may be set [IST0106]",
            "error: spec.targetRefs[1].name: a name is needed [IST0106]",
            "error: spec.targetRefs[1].namespace: targets are of the same namespace; leave this out [IST0106]",
            r#"error: spec.targetRefs[1]: Pod of group "" cannot be a target; it must be a Service, a ServiceEntry, or a Gateway or GatewayClass of Gateway API [IST0106]"#,
        ]
    );
    let target = json!({"kind": "Service", "name": "a"});
    let many: Vec<&Value> = (0..17).map(|_| &target).collect();
    assert_eq!(
        lines::<EnvoyFilter>(&json!({ "targetRefs": many })),
        ["error: spec.targetRefs: there are 17; at most 16 are allowed [IST0106]"]
    );
}

#[test]
fn patches_are_whole() {
    assert_eq!(raw(json!({})), ["error: applyTo: what the patch applies to is missing [IST0106]"]);
    assert_eq!(
        raw(json!({"applyTo": "CLUSTER"})),
        ["error: patch.operation: what the patch does is missing [IST0106]"]
    );
    assert_eq!(
        raw(json!({"applyTo": "CLUSTER", "patch": {"operation": "INVALID"}})),
        ["error: patch.operation: INVALID does nothing [IST0106]"]
    );
    assert_eq!(
        raw(json!({"applyTo": "CLUSTER", "patch": {"operation": "MERGE"}})),
        ["error: patch.value: a value is needed unless the operation is REMOVE [IST0106]"]
    );
}

#[test]
fn matches_fit_what_they_apply_to() {
    assert_eq!(
        patch("CLUSTER", json!({"listener": {}}), "MERGE"),
        [
            "error: match: a match of listener does not fit what the patch applies to; it must be cluster [IST0106]"
        ]
    );
    assert_eq!(
        patch("HTTP_ROUTE", json!({"cluster": {}}), "MERGE"),
        [
            "error: match: a match of cluster does not fit what the patch applies to; it must be routeConfiguration [IST0106]"
        ]
    );
    let together = ["error: match: waypoint and context WAYPOINT need each other [IST0106]"];
    assert_eq!(patch("CLUSTER", json!({"context": "WAYPOINT"}), "MERGE"), together);
    assert_eq!(
        patch("CLUSTER", json!({"proxy": {"proxyVersion": "["}}), "MERGE"),
        [
            r#"error: match.proxy.proxyVersion: "[" is not a regular expression of RE2: unclosed character class [IST0106]"#
        ]
    );
}

#[test]
fn matches_of_filters_name_them() {
    let at = "match.listener.filterChain.filter";
    assert_eq!(
        patch("NETWORK_FILTER", filter(json!({})), "MERGE"),
        [format!("error: {at}.name: the filter's name is needed [IST0106]")]
    );
    assert_eq!(
        patch("LISTENER", filter(json!({"name": "a"})), "MERGE"),
        [format!(
            "warning: {at}: a match of a filter has no effect on listeners and filter chains [IST0133]"
        )]
    );
    assert_eq!(
        patch("NETWORK_FILTER", filter(json!({"name": "a", "subFilter": {"name": "b"}})), "MERGE"),
        [format!("error: {at}.subFilter: subFilter is for HTTP_FILTER only [IST0106]")]
    );
    assert_eq!(
        patch("HTTP_FILTER", filter(json!({"name": "a", "subFilter": {"name": "b"}})), "MERGE"),
        [format!(
            "error: {at}.subFilter: only envoy.filters.network.http_connection_manager has filters in it [IST0106]"
        )]
    );
    let manager = json!({"name": "envoy.filters.network.http_connection_manager", "subFilter": {}});
    assert_eq!(
        patch("HTTP_FILTER", filter(manager), "MERGE"),
        [format!("error: {at}.subFilter.name: the filter's name is needed [IST0106]")]
    );
}

#[test]
fn operations_have_an_effect() {
    assert_eq!(
        patch("HTTP_ROUTE", json!({}), "ADD"),
        ["error: patch.operation: ADD has no effect on route tables and routes [IST0153]"]
    );
    assert_eq!(
        patch("ROUTE_CONFIGURATION", json!({}), "REMOVE"),
        ["error: patch.operation: REMOVE has no effect on route tables and routes [IST0154]"]
    );
    assert_eq!(
        patch("CLUSTER", json!({}), "REPLACE"),
        [
            "error: patch.operation: REPLACE is for NETWORK_FILTER, HTTP_FILTER and VIRTUAL_HOST only [IST0152]"
        ]
    );
}
