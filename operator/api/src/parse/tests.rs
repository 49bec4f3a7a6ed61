#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::istio::destination_rule::DestinationRule;
use crate::istio::gateway::Gateway;
use crate::istio::service_entry::ServiceEntry;
use crate::istio::virtual_service::VirtualService;
use crate::validate::Validate as _;
use crate::value::Protocol;
use proptest::prelude::*;
use serde_json::json;

fn gateway(servers: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "web", "namespace": "edge"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": servers},
    })
}

fn server(name: &str) -> Value {
    json!({"port": {"number": 80, "protocol": "HTTP", "name": name}, "hosts": ["a.com"]})
}

fn lines<T>(parsed: &Parsed<T>) -> Vec<String> {
    parsed.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_object_has_no_findings() {
    let parsed = parse::<Gateway>(gateway(&json!([server("http")])));
    assert_eq!(lines(&parsed), [""; 0]);
    let object = parsed.object.unwrap();
    assert_eq!(object.metadata.name.as_deref(), Some("web"));
    assert_eq!(object.spec.servers[0].port.protocol, Protocol::Http);
}

#[test]
fn unknown_fields_are_warnings_and_all_errors_are_found() {
    let parsed = parse::<Gateway>(gateway(&json!([
        {
            "port": {"number": "80", "protocol": "SCTP", "name": "a", "nodePort": 1},
            "hosts": ["ok.com", "not a host"],
            "tls": {"mode": "EASY", "minProtocolVersion": 12, "httpsRedirect": "yes"},
        },
        {"hosts": 5},
        {"port": {"number": 80, "protocol": "HTTP", "name": "b"}, "hosts": ["b.com"], "tsl": {}},
    ])));
    let expected = [
        r#"error: spec.servers[0].hosts[1]: "not a host" is not a host; write a DNS name (letters, digits and dashes between dots, 255 characters at most), "*." with a DNS name, "*" or an IP address [IST0106]"#,
        r#"warning: spec.servers[0].port.nodePort: unknown field "nodePort"; it is ignored [IST0133]"#,
        r#"error: spec.servers[0].port.number: invalid type: string "80", expected an integer from 0 to 65535 [IST0106]"#,
        r#"error: spec.servers[0].port.protocol: "SCTP" is not a protocol; it must be one of HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, REDIS, MYSQL, UDP [IST0106]"#,
        r#"error: spec.servers[0].tls.httpsRedirect: invalid type: string "yes", expected a boolean [IST0106]"#,
        r#"error: spec.servers[0].tls.minProtocolVersion: invalid type: integer `12`, expected a string [IST0106]"#,
        r#"error: spec.servers[0].tls.mode: unknown variant `EASY`, expected one of `PASSTHROUGH`, `SIMPLE`, `MUTUAL`, `AUTO_PASSTHROUGH`, `ISTIO_MUTUAL`, `OPTIONAL_MUTUAL` [IST0106]"#,
        r#"error: spec.servers[1]: the required field "port" is missing [IST0106]"#,
        r#"error: spec.servers[1].hosts: invalid type: integer `5`, expected a list [IST0106]"#,
        r#"warning: spec.servers[2].tsl: unknown field "tsl"; it is ignored [IST0133]"#,
    ];
    assert_eq!(lines(&parsed), expected);

    // Only the good server is left, and its place in the source can be told.
    let object = parsed.object.unwrap();
    assert_eq!(object.spec.servers.len(), 1);
    let here = FieldPath::spec().field("servers").index(0).field("tls");
    assert_eq!(parsed.dropped.in_source(&here).as_str(), "spec.servers[2].tls");
    let dropped: Vec<String> = parsed.dropped.paths().map(|path| path.to_string()).collect();
    assert_eq!(dropped, ["spec.servers[0]", "spec.servers[1]"]);
}

#[test]
fn an_error_outside_of_the_parts_costs_the_object() {
    let mut source = gateway(&json!([server("a")]));
    source["spec"]["selector"]["istio"] = json!(5);
    let parsed = parse::<Gateway>(source);
    assert_eq!(parsed.object, None);
    assert_eq!(
        lines(&parsed),
        ["error: spec.selector.istio: invalid type: integer `5`, expected a string [IST0106]"]
    );
}

#[test]
fn a_bad_rule_is_left_out_as_a_whole() {
    let parsed = parse::<VirtualService>(json!({
        "spec": {
            "hosts": ["a.com"],
            "gateways": ["web"],
            "http": [
                {"match": [{"uri": {"prefix": "/admin", "exact": "/admin"}}], "route": [{"destination": {"host": "admin"}}]},
                {"route": [{"destination": {"host": "app", "port": {"number": 0}}}], "timeout": "5"},
                {"route": [{"destination": {"host": "app"}}]},
            ],
        },
    }));
    assert_eq!(
        lines(&parsed),
        [
            "error: spec.http[0].match[0].uri: only one of exact, prefix and regex may be set [IST0106]",
            "error: spec.http[1].route[0].destination.port.number: 0 is not a port number; it must be from 1 to 65535 [IST0106]",
            r#"error: spec.http[1].timeout: "5" is not a duration; write numbers with units, such as 5s, 1.5s, 100ms or 1h30m [IST0106]"#,
        ]
    );
    assert_eq!(parsed.object.unwrap().spec.http.len(), 1);
}

#[test]
fn a_traffic_policy_with_an_error_is_left_out_as_a_whole() {
    let rule = |policy: Value| {
        parse::<DestinationRule>(json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "app", "namespace": "shop"},
            "spec": {"host": "app", "trafficPolicy": policy, "subsets": [{"name": "v1"}]},
        }))
    };
    for policy in [json!({"tls": {"mode": "EASY"}}), json!({"tls": {"mode": "MUTUAL"}})] {
        let parsed = rule(policy);
        assert!(parsed.has_errors());
        let spec = parsed.object.unwrap().spec;
        assert_eq!((spec.traffic_policy, spec.subsets.len()), (None, 1));
        let dropped: Vec<String> = parsed.dropped.paths().map(|path| path.to_string()).collect();
        assert_eq!(dropped, ["spec.trafficPolicy"]);
        let subset = FieldPath::spec().field("subsets").index(0);
        assert_eq!(parsed.dropped.in_source(&subset), subset);
    }
    let empty = rule(json!({}));
    assert!(empty.has_errors() && empty.dropped.paths().next().is_none(), "nothing is lost with it");
}

#[test]
fn a_missing_field_is_said_once_where_it_is_missing() {
    let parsed = parse::<DestinationRule>(json!({"spec": {}}));
    assert_eq!(lines(&parsed), [r#"error: spec: the required field "host" is missing [IST0106]"#]);
    // `host` is there but wrong: only that is said.
    let parsed = parse::<DestinationRule>(json!({"spec": {"host": "-"}}));
    assert_eq!(parsed.findings.len(), 1);
    assert_eq!(parsed.findings[0].path.as_str(), "spec.host");
    assert_eq!(parsed.object, None);
}

#[test]
fn what_is_wrong_in_the_status_costs_only_the_status() {
    let mut source = gateway(&json!([server("a")]));
    source["status"] = json!({"observedGeneration": [], "fromTheFuture": 1});
    let parsed = parse::<Gateway>(source);
    assert_eq!(parsed.findings.len(), 1);
    assert_eq!(parsed.findings[0].level, Level::Warning);
    assert_eq!(parsed.object.unwrap().status, None);
}

#[test]
fn other_kinds_and_versions_are_refused() {
    let parsed = parse::<Gateway>(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
    }));
    assert_eq!(
        lines(&parsed),
        [
            r#"error: kind: got "HTTPRoute"; it must be "Gateway" [IST0106]"#,
            r#"error: apiVersion: got "gateway.networking.k8s.io/v1"; it must be one of "networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3" [IST0106]"#,
        ]
    );
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let mut source = gateway(&json!([server("a")]));
        source["apiVersion"] = json!(format!("networking.istio.io/{version}"));
        assert_eq!(lines(&parse::<Gateway>(source)), [""; 0]);
    }
    assert_eq!(parse::<Gateway>(json!([])).object, None);
}

#[test]
fn what_breaks_istios_rules_costs_its_part() {
    let tls = |name: &str, tls: Value| json!({"port": {"number": 443, "protocol": "HTTPS", "name": name}, "hosts": ["a.com"], "tls": tls});
    let parsed = parse::<Gateway>(gateway(&json!([
        {"hosts": ["a.com"]},
        tls("a", json!({"mode": "PASSTHROUGH", "credentialName": "unused"})),
        tls("b", json!({"mode": "SIMPLE"})),
        tls("c", json!({"mode": "SIMPLE", "credentialName": "cert"})),
    ])));
    assert_eq!(
        lines(&parsed),
        [
            r#"error: spec.servers[0]: the required field "port" is missing [IST0106]"#,
            "warning: spec.servers[1].tls.credentialName: PASSTHROUGH does not end TLS, so there is no use for certificates; it is ignored [IST0133]",
            "error: spec.servers[2].tls: a server certificate and its key are needed: serverCertificate and privateKey are missing; or give a credentialName [IST0106]",
        ]
    );
    let names = parsed.object.map(|object| object.spec.servers.into_iter().map(|server| server.port.name));
    assert_eq!(names.unwrap().collect::<Vec<_>>(), ["a", "c"]);
    let here = FieldPath::spec().field("servers").index(1);
    assert_eq!(parsed.dropped.in_source(&here).as_str(), "spec.servers[3]");
}

#[test]
fn a_rule_that_the_whole_object_breaks_costs_the_object() {
    let mut source = gateway(&json!([server("a")]));
    source["metadata"]["name"] = json!("not.a.label");
    let parsed = parse::<Gateway>(source);
    assert_eq!(parsed.findings.len(), 1);
    assert_eq!(parsed.object, None);
}

/// An ingress must not go away because of a mistake in its last server.
#[test]
fn an_object_without_parts_is_kept() {
    let parsed = parse::<Gateway>(gateway(&json!([{"hosts": ["a.com"]}])));
    assert_eq!(lines(&parsed), [r#"error: spec.servers[0]: the required field "port" is missing [IST0106]"#]);
    assert_eq!(parsed.object.unwrap().spec.servers, []);
    let parsed = parse::<Gateway>(gateway(&json!([])));
    assert_eq!(lines(&parsed), ["error: spec.servers: a Gateway must have at least one server [IST0106]"]);
    assert!(parsed.object.is_some());
}

#[test]
fn errors_have_an_end() {
    let servers: Vec<Value> = (0..1000).map(|_| json!(5)).collect();
    let parsed = parse::<Gateway>(gateway(&json!(servers)));
    assert_eq!(parsed.findings.len(), 101);
    assert_eq!(parsed.findings[0].message, "there are more than 100 errors; the rest is not shown");
    assert_eq!(parsed.object, None);
}

#[test]
fn keys_of_maps_are_quoted_in_paths() {
    let parsed = parse::<ServiceEntry>(json!({
        "spec": {"hosts": ["a.com"], "endpoints": [{"address": "1.1.1.1", "labels": {"app.k8s.io/name": 1}}]},
    }));
    assert_eq!(parsed.findings[0].path.as_str(), r#"spec.endpoints[0].labels["app.k8s.io/name"]"#);
}

#[test]
fn an_empty_text_is_a_text_that_is_not_set() {
    let mut source = gateway(&json!([server("a")]));
    source["spec"]["servers"][0]["tls"] = json!({"credentialName": "", "httpsRedirect": true});
    let object = parse::<Gateway>(source).object.unwrap();
    assert_eq!(object.spec.servers[0].tls.as_ref().unwrap().credential_name, None);
}

/// Any JSON, with the names of fields that matter.
fn any_json() -> impl Strategy<Value = Value> {
    let names = "hosts|http|match|uri|prefix|exact|route|destination|host|port|number|spec|timeout|weight|x";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z/*.0-9]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever comes in: no panic, never silence about a part that is missing, and findings point to
    /// what is there (or to the place where something is missing).
    #[test]
    fn any_json_is_read_or_refused_with_a_reason(spec in any_json()) {
        let source = json!({"spec": spec});
        let parsed = parse::<VirtualService>(source);
        let lost = parsed.object.is_none() || parsed.dropped.paths().next().is_some();
        let mut errors = parsed.findings.iter().filter(|finding| finding.level == Level::Error);
        let nothing_to_lose = errors.all(|finding| finding.path == FieldPath::spec());
        prop_assert!(parsed.has_errors() || !lost);
        prop_assert!(lost || !parsed.has_errors() || nothing_to_lose);
    }

    /// What is read and written is read the same again.
    #[test]
    fn reading_and_writing_agree(spec in any_json()) {
        let parsed = parse::<VirtualService>(json!({"spec": spec}));
        if let Some(object) = parsed.object {
            let again = parse::<VirtualService>(serde_json::to_value(&object).unwrap());
            prop_assert_eq!(again.findings, object.validate());
            prop_assert_eq!(again.object, Some(object));
        }
    }
}
