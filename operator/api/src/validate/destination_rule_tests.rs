#![allow(clippy::needless_pass_by_value, reason = "`json!` at each call reads better without `&`")]

use serde_json::{Value, json};

use crate::istio::destination_rule::DestinationRule;
use crate::validate::testing::lines;

const NONE: [&str; 0] = [];

/// The findings of a rule's traffic policy, without its place.
fn policy(policy: &Value) -> Vec<String> {
    let lines = lines::<DestinationRule>(&json!({"host": "app", "trafficPolicy": policy})).into_iter();
    lines.map(|line| line.replacen("spec.trafficPolicy", "", 1).replacen(": .", ": ", 1)).collect()
}

fn with(field: &str, value: Value) -> Vec<String> {
    policy(&json!({ field: value }))
}

#[test]
fn a_good_rule_has_no_findings() {
    let subsets = json!([{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2"}]);
    assert_eq!(lines::<DestinationRule>(&json!({"host": "app", "subsets": subsets})), NONE);
    assert_eq!(with("loadBalancer", json!({"simple": "ROUND_ROBIN"})), NONE);
}

#[test]
fn subsets_have_names_and_labels() {
    let subsets = json!([
        {"name": "v1"},
        {"name": "v1", "labels": {"a b": "c"}},
        {"name": "V 3", "trafficPolicy": {}},
    ]);
    assert_eq!(
        lines::<DestinationRule>(&json!({"host": "app", "subsets": subsets})),
        [
            "error: spec.subsets[1].name: v1 is there twice; it must be unique [IST0106]",
            r#"error: spec.subsets[1].labels["a b"]: "a b" is not the name of a label [IST0106]"#,
            r#"error: spec.subsets[2].name: "V 3" is not a subset's name; write letters, digits and dashes, 63 at most [IST0106]"#,
            "error: spec.subsets[2].trafficPolicy: a traffic policy must have at least one field [IST0106]",
        ]
    );
}

#[test]
fn a_rule_for_some_workloads_stays_in_its_namespace() {
    let rule = |export_to: Value, labels: Value| {
        lines::<DestinationRule>(
            &json!({"host": "app", "exportTo": export_to, "workloadSelector": {"matchLabels": labels}}),
        )
    };
    assert_eq!(rule(json!([]), json!({"app": "a"})), NONE);
    assert_eq!(rule(json!(["ns"]), json!({"app": "a"})), NONE);
    assert_eq!(
        rule(json!(["*"]), json!({"app": "a*"})),
        [
            "error: spec.workloadSelector.matchLabels.app: wildcards are not supported in a selector [IST0106]",
            r#"error: spec.exportTo: a rule with a workloadSelector is for its own namespace only (".") [IST0106]"#,
        ]
    );
}

#[test]
fn policies_say_something_and_no_two_things() {
    assert_eq!(policy(&json!({})), ["error: : a traffic policy must have at least one field [IST0106]"]);
    let tunnel = json!({"targetHost": "b.com", "targetPort": 443});
    assert_eq!(
        policy(&json!({"tunnel": tunnel, "proxyProtocol": {}})),
        ["error: : only one of tunnel and proxyProtocol may be set [IST0106]"]
    );
    assert_eq!(
        with("tunnel", json!({"protocol": "GET", "targetHost": "*.b.com", "targetPort": 443})),
        [
            r#"error: tunnel.protocol: got "GET"; it must be "CONNECT" or "POST" [IST0106]"#,
            r#"error: tunnel.targetHost: "*.b.com" is not a DNS name or an IP address [IST0106]"#,
        ]
    );
}

#[test]
fn ports_have_numbers_and_settings() {
    assert_eq!(
        with("portLevelSettings", json!([{"port": {"number": 80}}, {"tls": {}}])),
        [
            "error: portLevelSettings[0]: settings for a port must have at least one field beside the port [IST0106]",
            "error: portLevelSettings[1].port: the port's number is missing [IST0106]",
        ]
    );
    let settings = json!([{"port": {"number": 80}, "connectionPool": {}}]);
    assert_eq!(
        with("portLevelSettings", settings),
        ["error: portLevelSettings[0].connectionPool: one of tcp and http is needed [IST0106]"]
    );
}

#[test]
fn outlier_detection_is_consistent() {
    let outlier = |settings: Value| with("outlierDetection", settings);
    assert_eq!(
        outlier(
            json!({"consecutive5xxErrors": 5, "interval": "1s", "outlierDetectionHttpErrorCodes": [500]})
        ),
        NONE
    );
    assert_eq!(
        outlier(json!({
            "baseEjectionTime": "0s", "interval": "1us", "consecutiveErrors": 1, "consecutiveLocalOriginFailures": 1,
            "maxEjectionPercent": 101, "minHealthPercent": 200, "outlierDetectionHttpErrorCodes": [99],
        })),
        [
            "error: outlierDetection.baseEjectionTime: got 0s; a duration must be 1ms or longer [IST0106]",
            "error: outlierDetection.interval: got 0.000001s; a duration must be 1ms or longer [IST0106]",
            "warning: outlierDetection.consecutiveErrors: consecutiveErrors is deprecated; write consecutiveGatewayErrors or consecutive5xxErrors [IST0002]",
            "error: outlierDetection.consecutiveLocalOriginFailures: failures to connect are counted apart only with splitExternalLocalOriginErrors: true [IST0106]",
            "error: outlierDetection.maxEjectionPercent: 101 is not a percentage; it must be from 0 to 100 [IST0106]",
            "error: outlierDetection.minHealthPercent: 200 is not a percentage; it must be from 0 to 100 [IST0106]",
            "error: outlierDetection.outlierDetectionHttpErrorCodes[0]: 99 is not a response's status; it must be from 100 to 599 [IST0106]",
        ]
    );
}

#[test]
fn connection_pools_are_consistent() {
    let tcp = |settings: Value| with("connectionPool", json!({ "tcp": settings }));
    let http = |settings: Value| with("connectionPool", json!({ "http": settings }));
    assert_eq!(tcp(json!({"idleTimeout": "0s"})), NONE);
    assert_eq!(
        tcp(json!({"connectTimeout": "0s", "maxConnectionDuration": "0s", "idleTimeout": "1us",
            "tcpKeepalive": {"time": "0s", "interval": "0s"}}))
        .len(),
        5
    );
    assert_eq!(
        http(json!({"h2UpgradePolicy": "UPGRADE", "useClientProtocol": true, "idleTimeout": "0s"})),
        [
            "error: connectionPool.http.idleTimeout: got 0s; a duration must be 1ms or longer [IST0106]",
            "error: connectionPool.http.useClientProtocol: useClientProtocol cannot stand beside h2UpgradePolicy: UPGRADE [IST0106]",
        ]
    );
    assert_eq!(
        http(json!({"http2KeepAlive": {"interval": "0s"}})),
        [
            "error: connectionPool.http.http2KeepAlive.interval: got 0s; a duration must be 1ms or longer [IST0106]",
            "error: connectionPool.http.http2KeepAlive.timeout: timeout is needed [IST0106]",
        ]
    );
}

#[test]
fn tls_has_what_its_mode_needs() {
    let tls = |settings: Value| with("tls", settings);
    assert_eq!(tls(json!({"mode": "SIMPLE"})), NONE);
    assert_eq!(tls(json!({"mode": "MUTUAL", "credentialName": "client"})), NONE);
    assert_eq!(tls(json!({"mode": "SIMPLE", "credentialName": "configmap://ns/ca"})), NONE);
    assert_eq!(
        tls(json!({"mode": "MUTUAL"})),
        [
            "error: tls.clientCertificate: clientCertificate (or credentialName) is needed for mode MUTUAL [IST0106]",
            "error: tls.privateKey: privateKey (or credentialName) is needed for mode MUTUAL [IST0106]",
        ]
    );
    assert_eq!(
        tls(json!({"mode": "SIMPLE", "credentialName": "a", "caCertificates": "b"})),
        ["error: tls.caCertificates: caCertificates cannot stand beside credentialName [IST0106]"]
    );
    assert_eq!(
        tls(json!({"mode": "SIMPLE", "insecureSkipVerify": true, "subjectAltNames": ["a"]})),
        [
            "error: tls.subjectAltNames: subjectAltNames says what to verify, and insecureSkipVerify not to verify [IST0106]"
        ]
    );
    assert_eq!(
        tls(json!({"mode": "SIMPLE", "credentialName": "configmap://other/ca"})),
        [
            "error: tls.credentialName: a ConfigMap must be of the rule's namespace: configmap://ns/name [IST0106]"
        ]
    );
}

#[test]
fn consistent_hashes_are_consistent() {
    let hash = |hash: Value| with("loadBalancer", json!({ "consistentHash": hash }));
    assert_eq!(hash(json!({"httpCookie": {"name": "a", "ttl": "0s"}, "maglev": {"tableSize": 65537}})), NONE);
    assert_eq!(
        hash(json!({"maglev": {"tableSize": 65536}})),
        [
            "error: loadBalancer.consistentHash.maglev.tableSize: got 65536; it must be a prime number below 5000011 [IST0106]"
        ]
    );
    assert_eq!(
        hash(json!({"minimumRingSize": 5, "ringHash": {}})),
        [
            "warning: loadBalancer.consistentHash.minimumRingSize: minimumRingSize is deprecated; write ringHash.minimumRingSize [IST0002]",
            "error: loadBalancer.consistentHash.minimumRingSize: minimumRingSize cannot stand beside ringHash or maglev [IST0106]",
        ]
    );
    let attributes = json!([{"name": "Secure"}, {"name": ""}, {"name": "Secure"}]);
    assert_eq!(
        hash(json!({"httpCookie": {"name": "", "attributes": attributes}})),
        [
            "error: loadBalancer.consistentHash.httpCookie.name: the name of a cookie must not be empty [IST0106]",
            "error: loadBalancer.consistentHash.httpCookie.attributes[1].name: the name of an attribute must not be empty [IST0106]",
            "error: loadBalancer.consistentHash.httpCookie.attributes[2].name: Secure is there twice; it must be unique [IST0106]",
        ]
    );
}

#[test]
fn warmup_is_longer_than_nothing() {
    let balancer = |settings: Value| with("loadBalancer", settings);
    assert_eq!(
        balancer(json!({"warmup": {"duration": "0s", "aggression": 0}})),
        [
            "error: loadBalancer.warmup.duration: got 0s; a duration must be 1ms or longer [IST0106]",
            "error: loadBalancer.warmup.aggression: got 0; it must be more than 0 [IST0106]",
        ]
    );
    assert_eq!(
        balancer(json!({"simple": "LEAST_CONN", "warmupDurationSecs": "1s"})),
        [
            "warning: loadBalancer.simple: LEAST_CONN is deprecated; write LEAST_REQUEST [IST0002]",
            "warning: loadBalancer.warmupDurationSecs: warmupDurationSecs is deprecated; write warmup.duration [IST0002]",
        ]
    );
}

#[test]
fn localities_do_not_overlap() {
    let distribute = |to: Value| {
        with("loadBalancer", json!({"localityLbSetting": {"distribute": [{"from": "us/*", "to": to}]}}))
    };
    assert_eq!(distribute(json!({"us/west/*": 80, "us/east/a": 20})), NONE);
    assert_eq!(distribute(json!({"*": 100})), NONE);
    let at = "loadBalancer.localityLbSetting.distribute[0].to";
    assert_eq!(
        distribute(json!({"us/*": 80, "us/east": 20})),
        [format!(r#"error: {at}["us/east"]: "us/east" overlaps "us" [IST0106]"#)]
    );
    assert_eq!(
        distribute(json!({"us": 0, "eu": 101})),
        [
            format!("error: {at}.eu: 101 is not a share; it must be from 1 to 100 [IST0106]"),
            format!("error: {at}.us: 0 is not a share; it must be from 1 to 100 [IST0106]"),
            format!("error: {at}: the shares are 101 in all; they must be 100 [IST0106]"),
        ]
    );
    assert_eq!(
        distribute(json!({"us//a": 100})),
        [format!(
            r#"error: {at}["us//a"]: "us//a" is not a locality; write region/zone/subzone, region/zone/*, region/* or * [IST0106]"#
        )]
    );
}

#[test]
fn failover_names_regions_and_needs_outlier_detection() {
    let balancer = |settings: Value| policy(&json!({"loadBalancer": settings, "outlierDetection": {}}));
    let failover = json!([{"from": "us", "to": "eu"}]);
    assert_eq!(balancer(json!({"localityLbSetting": {"failover": failover}})), NONE);
    assert_eq!(
        with("loadBalancer", json!({"localityLbSetting": {"failover": failover}})),
        ["warning: loadBalancer.localityLbSetting: without outlierDetection nothing fails over [IST0133]"]
    );
    let bad = json!([{"from": "us", "to": "us"}, {"from": "us/a", "to": "*"}]);
    assert_eq!(
        balancer(json!({"zoneAwareLbSetting": {
            "failover": bad, "failoverPriority": ["topology.kubernetes.io/zone"], "minClusterSize": 0,
        }})),
        [
            "error: loadBalancer.zoneAwareLbSetting.failoverPriority[0]: topology.kubernetes.io/zone cannot be used here; failover names regions [IST0106]",
            r#"error: loadBalancer.zoneAwareLbSetting.failover[0]: "us" cannot fail over to itself [IST0106]"#,
            r#"error: loadBalancer.zoneAwareLbSetting.failover[1].from: "us/a" is not a region [IST0106]"#,
            r#"error: loadBalancer.zoneAwareLbSetting.failover[1].to: "*" is not a region [IST0106]"#,
            "error: loadBalancer.zoneAwareLbSetting.minClusterSize: got 0; it must be 1 or more [IST0106]",
        ]
    );
    assert_eq!(
        balancer(json!({"localityLbSetting": {
            "distribute": [{"from": "us", "to": {"us": 100}}], "failover": failover,
        }, "zoneAwareLbSetting": {}})),
        [
            "error: loadBalancer: only one of localityLbSetting and zoneAwareLbSetting may be set [IST0106]",
            "error: loadBalancer.localityLbSetting: only one of distribute and failover may be set [IST0106]",
        ]
    );
}
