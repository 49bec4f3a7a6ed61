//! The example folders, as a user tries them.

use std::net::SocketAddr;

use rustls::{AlertDescription, Error};
use tokio::net::TcpStream;

use crate::client::{Client, raw};
use crate::system::System;

#[tokio::test]
async fn web_gateway() {
    let system = System::start("web-gateway").await;
    let mut connection = system.connect("example.com").await;
    let hello = connection.get("example.com", "/app/hello").await;
    assert_eq!((hello.status, hello.service().as_str()), (200, "app-service"));
    assert_eq!(connection.get("example.com", "/other").await.status, 404);
    // Istio's prefix is of text, not of segments.
    assert_eq!(connection.get("example.com", "/apple").await.status, 200);

    let other = Client::new().tls(system.https(), "other.com").await.err();
    assert_eq!(other, Some(Error::AlertReceived(AlertDescription::UnrecognisedName)));
    let none = Client::new().without_sni().tls(system.https(), "example.com").await.err();
    assert_eq!(none, Some(Error::AlertReceived(AlertDescription::UnrecognisedName)));

    let plain = raw(system.https(), b"GET /app/hello HTTP/1.1\r\nhost: example.com\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 400 "), "{plain}");
}

#[tokio::test]
async fn what_to_try_is_printed_and_works() {
    let system = System::start("web-gateway").await;
    let said = system.said();
    let address = system.address;
    for command in [
        format!(
            "curl --resolve example.com:8443:{address} --cacert ca.crt https://example.com:8443/app/hello  # app-service"
        ),
        format!(
            "curl --resolve example.com:8443:{address} --cacert ca.crt https://example.com:8443/other  # 404"
        ),
        format!("curl http://{address}:15020/stats/prometheus  # metrics"),
        format!("curl http://{address}:15021/snapshot  # "),
    ] {
        assert!(said.contains(&command), "no {command:?} in:\n{said}");
    }
    assert!(
        said.contains(&format!("istio-system/istio-ingressgateway on {address}: 1 listener, 1 host")),
        "{said}"
    );

    let mut connection = system.connect("example.com").await;
    connection.get("example.com", "/app/hello").await;
    let metrics = SocketAddr::new(address, 15020);
    let metrics = Client::new().plain(metrics).await.unwrap().get("metrics", "/stats/prometheus").await;
    assert!(metrics.body.contains("istio_requests_total{"), "{}", metrics.body);
}

#[tokio::test]
async fn multi_domain() {
    let system = System::start("multi-domain").await;
    let mut web = system.connect("example.com").await;
    let mut api = system.connect("api.example.com").await;
    assert_ne!(web.leaf, api.leaf, "two certificates, chosen by SNI");
    assert_eq!(web.get("example.com", "/app/hello").await.service(), "app-service");
    assert_eq!(api.get("api.example.com", "/v1/items").await.service(), "api-service");
    assert_eq!(api.get("api.example.com", "/app/hello").await.status, 404);
    assert_eq!(api.get("example.com", "/app/hello").await.status, 421, "that host has another certificate");

    let http = SocketAddr::new(system.address, 8080);
    let mut plain = Client::new().plain(http).await.unwrap();
    let redirect = plain.get("example.com:8080", "/app/hello?a=b").await;
    assert_eq!(redirect.status, 301);
    assert_eq!(redirect.headers["location"], "https://example.com:8443/app/hello?a=b");
    assert_eq!(plain.get("api.example.com", "/v1/items").await.status, 404, "only HTTPS has it");
}

#[tokio::test]
async fn canary() {
    let system = System::start("canary").await;
    let (first, second) = (system.ack(0).await.applied.unwrap(), system.ack(1).await.applied.unwrap());
    assert_eq!(first.ingress, "istio-system/istio-ingressgateway");
    assert_eq!(second.ingress, "istio-system/istio-canary-ingressgateway");
    assert_ne!(first.hash, second.hash, "each has its own snapshot");
    assert_eq!((first.refused, second.refused), (vec![], vec![]));
    assert!(second.sources.iter().any(|source| source.name == "canary-gateway"));
    assert!(!first.sources.iter().any(|source| source.name == "canary-gateway"));
    assert!(second.sources.iter().any(|source| source.name == "canary-filter"));
    assert!(!first.sources.iter().any(|source| source.name == "canary-filter"));

    let canary = SocketAddr::new(system.ingress(1), 8443);
    let mut connection = Client::new().tls(canary, "example.com").await.unwrap();
    let answer = connection.get("example.com", "/app/hello").await;
    assert_eq!(answer.service(), "app-service");
    assert_eq!(answer.headers["x-ingress"], "canary", "the EnvoyFilter is for the canary");
    let stable = system.connect("example.com").await.get("example.com", "/app/hello").await;
    assert!(!stable.headers.contains_key("x-ingress"), "and for it alone");
    assert!(Client::new().tls(canary, "api.example.com").await.is_err(), "that is the other's");
    assert!(TcpStream::connect(SocketAddr::new(system.ingress(1), 8080)).await.is_err(), "so is HTTP");
    assert_eq!(system.connect("api.example.com").await.get("api.example.com", "/v1/a").await.status, 200);
}

#[tokio::test]
async fn gateway_api() {
    let system = System::start("gateway-api").await;
    let applied = system.ack(0).await.applied.unwrap();
    assert_eq!((applied.ingress.as_str(), applied.refused.as_slice()), ("default/web-postern", &[][..]));
    let mut connection = system.connect("example.com").await;
    let hello = connection.get("example.com", "/app/hello").await;
    assert_eq!((hello.status, hello.service().as_str()), (200, "app-service"));
    // The Gateway API's prefix is of segments, not of text.
    assert_eq!(connection.get("example.com", "/apple").await.status, 404);
    let items = connection.get("example.com", "/app/v1/items").await;
    assert_eq!((items.status, items.service().as_str()), (200, "api-service"));
    assert_eq!(items.headers["x-served-by"], "api");
    assert!(items.body.contains("\"/v1/items\""), "{}", items.body);

    let http = SocketAddr::new(system.address, 8080);
    let mut plain = Client::new().plain(http).await.unwrap();
    let redirect = plain.get("example.com:8080", "/app/hello?a=b").await;
    assert_eq!(redirect.status, 301);
    assert_eq!(redirect.headers["location"], "https://example.com/app/hello?a=b");
    assert_eq!(plain.get("other.com", "/app/hello").await.status, 404, "no listener has it");
}

#[tokio::test]
async fn changes_of_the_gateway_api_are_followed() {
    let system = System::start("gateway-api").await;
    system.until_status("example.com", "/app/hello", 200).await;
    // A backend that does not exist answers 500, and so does one without a grant.
    system.folder.edit("http-route.yaml", "    - name: app-service\n", "    - name: missing\n");
    system.until_status("example.com", "/app/hello", 500).await;
    assert_eq!(system.connect("example.com").await.get("example.com", "/app/v1/a").await.status, 200);
    system.folder.edit("http-route.yaml", "    - name: missing\n", "    - name: app-service\n");
    system.until_status("example.com", "/app/hello", 200).await;
}
