use postern_snapshot::RouteTableName;
use postern_snapshot::model::{RouteTable, Routes};
use serde_json::{Value, json};

use super::*;

/// A snapshot with these virtual hosts, over HTTP and for `server_names` over HTTPS.
fn snapshot(virtual_hosts: &Value, server_names: &[&str]) -> Snapshot {
    let table: RouteTable = serde_json::from_value(json!({ "virtualHosts": virtual_hosts })).unwrap();
    let mut routes: Routes = serde_json::from_value(json!({
        "listeners": [
            {"name": "http", "port": 8080, "servicePort": 80, "protocol": {"http": {"routeTable": "table"}}},
            {"name": "https", "port": 8443, "servicePort": 443, "protocol": {"tls": {"chains": [{
                "origin": "", "serverNames": server_names,
                "action": {"terminate": {"tls": {"certificates": ["a"]}, "then": {"http": {"routeTable": "table"}}}},
            }]}}},
        ],
    }))
    .unwrap();
    routes.route_tables.insert(RouteTableName::new("table"), table);
    Snapshot { routes, ..Snapshot::default() }
}

fn forward(condition: &Value) -> Value {
    json!({
        "origin": "", "matches": [condition],
        "action": {"forward": {"targets": [{"target": {"cluster": "app"}, "weight": 1}]}},
    })
}

fn lines(snapshot: &Snapshot, cacert: Option<&str>) -> Vec<String> {
    let hints = hints(snapshot, "127.0.0.2".parse().unwrap(), cacert.map(Path::new));
    hints.into_iter().map(|hint| format!("{} → {}", hint.command, hint.outcome)).collect()
}

#[test]
fn a_prefix_gives_a_path_below_it_and_one_that_is_not_there() {
    let hosts = json!([{"name": "a", "domains": ["example.com"], "routes": [forward(&json!({"path": {"prefix": "/app"}}))]}]);
    assert_eq!(
        lines(&snapshot(&hosts, &["example.com"]), Some("my ca.crt")),
        [
            "curl --resolve example.com:8080:127.0.0.2 http://example.com:8080/app/hello → app",
            "curl --resolve example.com:8443:127.0.0.2 --cacert 'my ca.crt' https://example.com:8443/app/hello → app",
            "curl --resolve example.com:8080:127.0.0.2 http://example.com:8080/other → 404",
        ]
    );
}

#[test]
fn conditions_are_fulfilled_and_routes_that_are_hidden_are_not_shown() {
    let hosts = json!([{"name": "a", "domains": ["*.example.com"], "routes": [
        forward(&json!({"path": {"regex": "/x.*"}})),
        forward(&json!({
            "path": {"exact": "/pay"}, "method": {"exact": "POST"},
            "headers": [{"name": "x-user", "value": {"exact": "it's me"}}, {"name": "x-no", "value": "present", "invert": true}],
            "query": [{"name": "v", "value": {"prefix": "2"}}],
        })),
    ]}]);
    assert_eq!(
        lines(&snapshot(&hosts, &["other.com"]), None),
        [
            r"curl --resolve www.example.com:8080:127.0.0.2 -X POST -H 'x-user: it'\''s me' 'http://www.example.com:8080/pay?v=2' → app",
            "curl --resolve www.example.com:8080:127.0.0.2 http://www.example.com:8080/other → 404",
        ]
    );

    let shadowed = json!([{"name": "a", "domains": ["a.com"], "routes": [
        {"origin": "", "matches": [{"path": {"regex": ".*"}}], "action": {"directResponse": {"status": 418}}},
        forward(&json!({"path": {"prefix": "/app"}})),
    ]}]);
    assert_eq!(
        lines(&snapshot(&shadowed, &["x.com"]), None),
        ["curl --resolve a.com:8080:127.0.0.2 http://a.com:8080/app/hello → 418"]
    );
}

#[test]
fn redirects_are_said() {
    let hosts = json!([{"name": "a", "domains": ["*"], "httpsRedirect": {"port": 8443}}]);
    let shown = lines(&snapshot(&hosts, &["*.shop.com"]), None);
    assert_eq!(
        shown,
        [
            "curl --resolve example.com:8080:127.0.0.2 http://example.com:8080/ → 301 to https",
            "curl --resolve www.shop.com:8443:127.0.0.2 https://www.shop.com:8443/other → 404",
        ]
    );
}

#[test]
fn many_hosts_are_cut_short() {
    let hosts: Vec<_> = (0..20)
        .map(|n| json!({"name": n.to_string(), "domains": [format!("h{n}.com")], "routes": [forward(&json!({}))]}))
        .collect();
    let shown = lines(&snapshot(&json!(hosts), &["x.com"]), None);
    assert_eq!(shown.len(), MAX_HINTS + 1);
    assert_eq!(shown[MAX_HINTS], "# … and 12 more → ");
}
