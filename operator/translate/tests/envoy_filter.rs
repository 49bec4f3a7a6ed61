//! What holds for every EnvoyFilter: it changes the ingresses that it selects and no other, and no patch of whatever
//! content makes the translation panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use postern_api::finding::Level;
use postern_snapshot::codec::{EncodeOptions, decode, encode};
use postern_translate::{ConditionType, Options, Outcome, Plan, Reason, World, translate};
use proptest::prelude::*;
use serde_json::{Value, json};

const GATEWAYS: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: stable, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: canary, namespace: istio-system }
spec:
  selector: { istio: canary-ingressgateway }
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app, namespace: istio-system }
spec:
  hosts: [a.example.com, b.example.com]
  gateways: [stable, canary]
  http:
    - name: app
      route: [{ destination: { host: app } }]
---
apiVersion: v1
kind: Service
metadata: { name: app, namespace: istio-system }
spec:
  ports: [{ name: http, port: 80, targetPort: 8080 }]
"#;

fn translated(filters: &[Value]) -> Outcome {
    let mut world = World::builder();
    for document in common::documents(GATEWAYS).into_iter().chain(filters.iter().cloned()) {
        common::add(&mut world, document);
    }
    translate(&world.build(), &Options::default())
}

fn filter(patches: &[Value]) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": { "name": "canary", "namespace": "istio-system" },
        "spec": {
            "workloadSelector": { "labels": { "istio": "canary-ingressgateway" } },
            "configPatches": patches,
        },
    })
}

fn plan<'o>(outcome: &'o Outcome, ingress: &str) -> &'o Plan {
    outcome.plans.iter().find(|(name, _)| name.name == ingress).unwrap().1
}

/// The bytes of an ingress's snapshot.
fn snapshot(outcome: &Outcome, ingress: &str) -> BTreeMap<String, Vec<u8>> {
    let encoded = encode(&plan(outcome, ingress).snapshot, &EncodeOptions::default()).unwrap();
    encoded.files.into_iter().chain(encoded.secret_files).collect()
}

fn is_programmed(outcome: &Outcome, ingress: &str) -> bool {
    plan(outcome, ingress).programmed.keys().any(|key| key.kind.name == "EnvoyFilter")
}

const CANARY: &str = "istio-canary-ingressgateway";
const STABLE: &str = "istio-ingressgateway";

/// One patch of each kind that is honoured.
fn honoured() -> Vec<Value> {
    let manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let limit = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    let bucket = json!({ "max_tokens": 1, "fill_interval": "1s" });
    let always = json!({ "default_value": { "numerator": 100 } });
    let patch = |apply_to: &str, operation: &str, value: Value| {
        json!({
            "applyTo": apply_to,
            "match": { "context": "GATEWAY" },
            "patch": { "operation": operation, "value": value },
        })
    };
    vec![
        patch("NETWORK_FILTER", "MERGE", json!({ "typed_config": { "@type": manager, "server_name": "x" } })),
        patch(
            "HTTP_FILTER",
            "INSERT_BEFORE",
            json!({ "name": "l", "typed_config": { "@type": limit, "stat_prefix": "l", "token_bucket": bucket,
                "filter_enabled": always, "filter_enforced": always } }),
        ),
        patch("VIRTUAL_HOST", "MERGE", json!({ "request_headers_to_remove": ["x-a"] })),
        patch("HTTP_ROUTE", "MERGE", json!({ "response_headers_to_remove": ["x-a"] })),
        patch("ROUTE_CONFIGURATION", "MERGE", json!({ "response_headers_to_remove": ["x-b"] })),
        patch("CLUSTER", "MERGE", json!({ "connect_timeout": "1s" })),
    ]
}

#[test]
fn only_the_ingress_that_is_selected_changes() {
    let without = translated(&[]);
    let (stable, canary) = (snapshot(&without, STABLE), snapshot(&without, CANARY));
    for patch in honoured() {
        let with = translated(&[filter(std::slice::from_ref(&patch))]);
        assert_eq!(with.findings, without.findings, "{patch}");
        assert_eq!(snapshot(&with, STABLE), stable, "{patch}");
        assert_ne!(snapshot(&with, CANARY), canary, "{patch}");
        assert!(is_programmed(&with, CANARY) && !is_programmed(&with, STABLE), "{patch}");
    }
}

#[test]
fn what_is_refused_or_matches_nothing_is_not_programmed() {
    let without = translated(&[]);
    let refused = json!({
        "applyTo": "CLUSTER",
        "patch": { "operation": "MERGE", "value": { "connect_timeout": "1s", "lb_policy": "RANDOM" } },
    });
    let nothing = json!({
        "applyTo": "CLUSTER",
        "match": { "cluster": { "service": "other" } },
        "patch": { "operation": "MERGE", "value": { "connect_timeout": "1s" } },
    });
    for (patch, level, reason) in
        [(refused, Level::Error, Reason::UnsupportedPatch), (nothing, Level::Warning, Reason::Ineffective)]
    {
        let with = translated(&[filter(std::slice::from_ref(&patch))]);
        assert_eq!(snapshot(&with, CANARY), snapshot(&without, CANARY), "{patch}");
        let findings: Vec<_> = with.findings.values().flatten().collect();
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.level, finding.reason), (level, reason));
        assert_eq!(finding.condition, ConditionType::Programmed);
        assert!(finding.path.as_str().starts_with("spec.configPatches[0]"), "{}", finding.path);
    }
}

/// Values as they occur in patches, and others.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(FIELDS), inner), 0..8).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

const TEXTS: &[&str] = &[
    "1s",
    "-1s",
    "999999999999s",
    "0.05s",
    "100%",
    "%%",
    "%REQ(x)%",
    "HUNDRED",
    "DEFAULT",
    "envoy.filters.network.http_connection_manager",
    "envoy.filters.http.router",
    "type.googleapis.com/udpa.type.v1.TypedStruct",
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
    "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
    "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
    "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip",
    "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
];

const FIELDS: &[&str] = &[
    "@type",
    "type_url",
    "value",
    "name",
    "typed_config",
    "typedConfig",
    "stat_prefix",
    "token_bucket",
    "max_tokens",
    "fill_interval",
    "filter_enabled",
    "default_value",
    "numerator",
    "status",
    "code",
    "access_log",
    "path",
    "log_format",
    "json_format",
    "compressor_library",
    "response_direction_config",
    "common_config",
    "enabled",
    "max_request_bytes",
    "request_headers_to_add",
    "response_headers_to_remove",
    "header",
    "key",
    "typed_per_filter_config",
    "envoy.filters.http.local_ratelimit",
    "connect_timeout",
    "circuit_breakers",
    "thresholds",
    "max_requests",
    "listener_filters",
    "idle_timeout",
    "common_http_protocol_options",
    "xff_num_trusted_hops",
    "server_name",
];

const KINDS: &[&str] = &[
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
];

const OPERATIONS: &[&str] = &[
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// A patch says anything: either it changes the canary, or a finding says why not. The stable ingress stays.
    #[test]
    fn no_patch_panics_or_passes_in_silence(
        kind in prop::sample::select(KINDS),
        operation in prop::sample::select(OPERATIONS),
        fields in prop::collection::btree_map(prop::sample::select(FIELDS), value(), 0..6),
    ) {
        let patch = json!({
            "applyTo": kind,
            "match": { "context": "GATEWAY" },
            "patch": { "operation": operation, "value": fields },
        });
        check(&patch)?;
    }

    /// A patch that is honoured, with one value changed.
    #[test]
    fn no_change_of_a_patch_panics_or_passes_in_silence(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        put in value(),
    ) {
        let honoured = honoured();
        let mut patch = which.get(&honoured).clone();
        let places = places(&patch["patch"]["value"], "/patch/value");
        let place: &String = place.get(&places);
        *patch.pointer_mut(place).unwrap() = put;
        check(&patch)?;
    }
}

fn places(value: &Value, path: &str) -> Vec<String> {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let inner: Vec<String> = match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| places(value, &format!("{path}/{}", escape(key)))).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(i, value)| places(value, &format!("{path}/{i}"))).collect()
        }
        _ => Vec::new(),
    };
    [path.to_owned()].into_iter().chain(inner).collect()
}

fn check(patch: &Value) -> Result<(), TestCaseError> {
    let without = translated(&[]);
    let with = translated(&[filter(std::slice::from_ref(patch))]);
    prop_assert_eq!(snapshot(&with, STABLE), snapshot(&without, STABLE));
    prop_assert!(is_programmed(&with, CANARY) || !with.findings.is_empty(), "nothing is said of {}", patch);
    let (_, read) = decode(&snapshot(&with, CANARY)).unwrap();
    prop_assert_eq!(&read, &plan(&with, CANARY).snapshot);
    Ok(())
}
