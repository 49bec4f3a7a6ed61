//! EnvoyFilters: what they say holds on the ingress that they select, and nothing of it on another.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, Connection};
use crate::system::System;

/// The example with these patches of the canary.
async fn canary(patches: &[Value]) -> (System, SocketAddr) {
    let filter = json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": { "name": "canary-filter", "namespace": "istio-system" },
        "spec": {
            "workloadSelector": { "labels": { "istio": "canary-ingressgateway" } },
            "configPatches": patches,
        },
    });
    // JSON is YAML.
    let system =
        System::start_with("canary", |folder| folder.write("canary-filter.yaml", &filter.to_string())).await;
    let applied = system.ack(1).await.applied.unwrap();
    assert_eq!(applied.refused, vec![]);
    assert!(applied.sources.iter().any(|source| source.name == "canary-filter"), "{}", system.said());
    let address = SocketAddr::new(system.ingress(1), 8443);
    (system, address)
}

fn patch(apply_to: &str, operation: &str, value: &Value) -> Value {
    json!({ "applyTo": apply_to, "match": { "context": "GATEWAY" }, "patch": { "operation": operation, "value": value } })
}

fn filter(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/envoy.extensions.{kind}").into();
    json!({ "name": name, "typed_config": config })
}

/// What the backend says that it got.
async fn described(connection: &mut Connection, path: &str) -> Value {
    let request = Request::get(path).header("host", "example.com").header("x-forwarded-for", "192.0.2.1");
    let response = connection.ask(request.body(Bytes::new().into()).unwrap()).await;
    assert_eq!(response.status(), 200);
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn the_connection_manager_and_http_filters() {
    let manager = "filters.network.http_connection_manager.v3.HttpConnectionManager";
    let settings = json!({ "server_name": "canary", "use_remote_address": false, "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST", "stream_idle_timeout": "0.2s" });
    let gzip = json!({ "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip" });
    let compressor = json!({ "compressor_library": { "name": "gzip", "typed_config": gzip } });
    let (system, address) = canary(&[
        patch(
            "NETWORK_FILTER",
            "MERGE",
            &filter("envoy.filters.network.http_connection_manager", manager, settings),
        ),
        patch(
            "HTTP_FILTER",
            "INSERT_BEFORE",
            &filter("c", "filters.http.compressor.v3.Compressor", compressor),
        ),
        patch(
            "HTTP_FILTER",
            "INSERT_BEFORE",
            &filter("b", "filters.http.buffer.v3.Buffer", json!({ "max_request_bytes": 100 })),
        ),
    ])
    .await;
    let mut canary = Client::new().tls(address, "example.com").await.unwrap();
    let mut stable = system.connect("example.com").await;

    for (connection, server, coding) in
        [(&mut canary, "canary", Some("gzip")), (&mut stable, "postern", None)]
    {
        let request = Request::get("/app").header("host", "example.com").header("accept-encoding", "gzip");
        let response = connection.ask(request.body(Bytes::new().into()).unwrap()).await;
        assert_eq!(response.headers()["server"], server);
        let found = response.headers().get("content-encoding").map(|coding| coding.to_str().unwrap());
        assert_eq!(found, coding, "{server}");
        assert_eq!(response.body().starts_with(b"\x1f\x8b"), coding.is_some(), "{server}");
    }
    let got = described(&mut canary, "/app//hello").await;
    assert_eq!(
        (&got["path"], &got["headers"]["x-forwarded-for"]),
        (&json!("/app/hello"), &json!(["192.0.2.1"]))
    );
    let got = described(&mut stable, "/app//hello").await;
    assert_eq!(got["path"], "/app//hello");
    assert!(got["headers"]["x-forwarded-for"][0].as_str().unwrap().starts_with("192.0.2.1,"), "{got}");

    let large =
        || Request::post("/app").header("host", "example.com").body(Bytes::from(vec![b'x'; 101]).into());
    assert_eq!(stable.ask(large().unwrap()).await.status(), 200);
    assert_eq!(canary.ask(large().unwrap()).await.status(), 413);
    // Each of these answers is the last of its connection.
    for (path, status, stable_status) in [("/app/a%2Fb", 400, 200), ("/app/delay/600", 408, 200)] {
        let mut canary = Client::new().tls(address, "example.com").await.unwrap();
        assert_eq!(canary.get("example.com", path).await.status, status, "{path}");
        assert_eq!(stable.get("example.com", path).await.status, stable_status, "{path}");
    }
}

#[tokio::test]
async fn the_proxy_protocol_and_circuit_breakers() {
    let proxy_protocol = "filters.listener.proxy_protocol.v3.ProxyProtocol";
    let none = json!({ "circuit_breakers": { "thresholds": [{ "max_requests": 0 }] } });
    let (system, address) = canary(&[
        patch("LISTENER_FILTER", "INSERT_FIRST", &filter("p", proxy_protocol, json!({}))),
        patch("CLUSTER", "MERGE", &none),
    ])
    .await;
    let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n";
    let mut canary = Client::new().tls_after(header, address, "example.com").await.unwrap();
    let overloaded = canary.get("example.com", "/app").await;
    assert_eq!(
        (overloaded.status, &overloaded.headers["x-envoy-overloaded"]),
        (503, &"true".parse().unwrap())
    );
    let mut without = TcpStream::connect(address).await.unwrap();
    without.write_all(b"\x16\x03\x01").await.unwrap();
    assert!(matches!(without.read(&mut [0; 1]).await, Ok(0) | Err(_)), "without a header there is nothing");
    assert_eq!(system.connect("example.com").await.get("example.com", "/app").await.status, 200);
}
