use serde_json::{Value, json};

use crate::istio::service_entry::ServiceEntry;
use crate::validate::testing::lines;

const NONE: [&str; 0] = [];

fn entry(changes: Value) -> Vec<String> {
    let mut spec = json!({
        "hosts": ["a.com"],
        "ports": [{"number": 443, "name": "https", "protocol": "HTTPS"}],
        "resolution": "STATIC",
    });
    if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
        spec.extend(changes);
    }
    lines::<ServiceEntry>(&spec)
}

#[test]
fn a_good_entry_has_no_findings() {
    assert_eq!(entry(json!({"endpoints": [{"address": "10.0.0.1", "ports": {"https": 8443}}]})), NONE);
    assert_eq!(entry(json!({"resolution": "DNS"})), NONE);
    assert_eq!(entry(json!({"resolution": "DNS", "endpoints": [{"address": "b.com"}]})), NONE);
    assert_eq!(entry(json!({"resolution": "NONE", "hosts": ["*.a.com"], "addresses": ["10.0.0.0/8"]})), NONE);
    assert_eq!(entry(json!({"resolution": "STATIC", "workloadSelector": {"labels": {"app": "a"}}})), NONE);
}

#[test]
fn hosts_are_names() {
    assert_eq!(
        entry(json!({"hosts": []})),
        ["error: spec.hosts: a ServiceEntry must have at least one host [IST0106]"]
    );
    assert_eq!(
        entry(json!({"hosts": ["*"]})),
        [r#"error: spec.hosts[0]: "*" cannot be a host of a ServiceEntry [IST0106]"#]
    );
    let many: Vec<String> = (0..257).map(|index| format!("h{index}.com")).collect();
    assert_eq!(
        entry(json!({ "hosts": many })),
        ["error: spec.hosts: there are 257; at most 256 are allowed [IST0106]"]
    );
}

#[test]
fn blocks_of_addresses_need_no_dns() {
    assert_eq!(
        entry(json!({"resolution": "DNS", "addresses": ["10.0.0.1", "10.0.0.0/8"]})),
        [
            "error: spec.addresses[1]: 10.0.0.0/8 is a block, which only resolution NONE or STATIC can have [IST0106]"
        ]
    );
}

#[test]
fn ports_are_unique() {
    let ports = json!([
        {"number": 80, "name": "a", "protocol": "HTTP"},
        {"number": 80, "name": "a", "protocol": "HTTP"},
        {"number": 81, "name": "a b", "protocol": "HTTP"},
    ]);
    assert_eq!(
        entry(json!({ "ports": ports })),
        [
            "error: spec.ports[1].name: a is there twice; it must be unique [IST0106]",
            "error: spec.ports[1].number: 80 is there twice; it must be unique [IST0106]",
            r#"error: spec.ports[2].name: "a b" is not a port's name; write letters, digits and dashes, 63 at most [IST0106]"#,
        ]
    );
}

#[test]
fn tcp_has_one_host() {
    let ports = json!([{"number": 5432, "name": "db"}]);
    assert_eq!(entry(json!({"ports": ports})), NONE);
    assert_eq!(entry(json!({"ports": ports, "hosts": ["a.com", "b.com"], "resolution": "NONE"})), NONE);
    assert_eq!(
        entry(json!({"ports": ports, "hosts": ["a.com", "b.com"]})),
        [
            "error: spec.ports[0].protocol: TCP cannot tell several hosts apart; give one host, or resolution NONE [IST0106]"
        ]
    );
}

#[test]
fn endpoints_are_told_in_one_way() {
    let selector = json!({"labels": {"app": "a"}});
    assert_eq!(
        entry(json!({"workloadSelector": selector, "endpoints": [{"address": "10.0.0.1"}]})),
        ["error: spec.workloadSelector: only one of workloadSelector and endpoints may be set [IST0106]"]
    );
    assert_eq!(
        entry(json!({"workloadSelector": selector, "resolution": "NONE"})),
        ["warning: spec.workloadSelector: resolution NONE takes no endpoints; this has no effect [IST0133]"]
    );
    assert_eq!(
        entry(json!({"endpoints": [{"address": "10.0.0.1"}], "resolution": "NONE"})),
        ["error: spec.endpoints: resolution NONE (or none given) takes no endpoints [IST0106]"]
    );
}

#[test]
fn dns_needs_names_to_look_up() {
    assert_eq!(
        entry(json!({"resolution": "DNS", "hosts": ["*.a.com"]})),
        ["error: spec.hosts[0]: *.a.com cannot be looked up in DNS; give endpoints [IST0106]"]
    );
    let endpoints = json!([{"address": "b.com"}, {"address": "c.com"}]);
    assert_eq!(
        entry(json!({"resolution": "DNS_ROUND_ROBIN", "endpoints": endpoints})),
        ["error: spec.endpoints: resolution DNS_ROUND_ROBIN takes one endpoint at most [IST0106]"]
    );
}

#[test]
fn dynamic_dns_has_wildcards_only() {
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    assert_eq!(entry(json!({"resolution": "DYNAMIC_DNS", "hosts": ["*.a.com"], "ports": ports})), NONE);
    assert_eq!(
        entry(json!({
            "resolution": "DYNAMIC_DNS", "addresses": ["10.0.0.1"], "endpoints": [{"address": "10.0.0.1"}],
        })),
        [
            "error: spec.hosts[0]: a.com has no wildcard, as DYNAMIC_DNS needs it [IST0106]",
            "error: spec.addresses: addresses cannot stand beside resolution DYNAMIC_DNS [IST0106]",
            "error: spec.endpoints: endpoints cannot stand beside resolution DYNAMIC_DNS [IST0106]",
            "error: spec.ports[0].protocol: got HTTPS; with DYNAMIC_DNS it must be one of HTTP, HTTP2, GRPC, TLS [IST0106]",
        ]
    );
}

#[test]
fn endpoints_have_addresses_and_known_ports() {
    let endpoint = |endpoint: Value| entry(json!({ "endpoints": [endpoint] }));
    assert_eq!(endpoint(json!({})), ["error: spec.endpoints[0].address: an address is needed [IST0106]"]);
    assert_eq!(
        endpoint(json!({"network": "n"})),
        [r#"warning: spec.endpoints[0].address: without an address only the network "n" is known [IST0133]"#]
    );
    assert_eq!(
        endpoint(json!({"address": "a b"})),
        [r#"error: spec.endpoints[0].address: "a b" is not a DNS name or an IP address [IST0106]"#]
    );
    assert_eq!(
        endpoint(json!({"address": "10.0.0.1", "ports": {"http": 80}, "labels": {"": "a"}})),
        [
            r#"error: spec.endpoints[0].ports.http: there is no port "http" in this ServiceEntry [IST0106]"#,
            r#"error: spec.endpoints[0].labels[""]: "" is not the name of a label [IST0106]"#,
        ]
    );
}

#[test]
fn unix_sockets_have_no_ports() {
    let socket = |changes: Value| {
        let mut spec = json!({"endpoints": [{"address": "unix:///run/a"}]});
        if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
            spec.extend(changes);
        }
        entry(spec)
    };
    assert_eq!(socket(json!({})), NONE);
    let at = "error: spec.endpoints[0].address:";
    assert_eq!(
        socket(json!({"resolution": "DNS"})),
        [format!("{at} a Unix socket needs resolution STATIC [IST0106]")]
    );
    assert_eq!(
        socket(json!({"endpoints": [{"address": "unix:///run/a", "ports": {"https": 1}}]})),
        [format!("{at} a Unix socket has no ports [IST0106]")]
    );
    assert_eq!(
        socket(json!({"ports": []})),
        [format!("{at} a Unix socket needs exactly one port in the ServiceEntry [IST0106]")]
    );
    assert_eq!(socket(json!({"endpoints": [{"address": "unix://a"}]})).len(), 1);
}
