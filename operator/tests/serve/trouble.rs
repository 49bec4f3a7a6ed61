//! Objects that are wrong cost only themselves.

use rustls::{AlertDescription, Error};

use crate::client::Client;
use crate::system::System;

#[tokio::test]
async fn a_missing_secret_costs_only_its_server() {
    let system = System::start_with("multi-domain", |folder| folder.remove("api-tls-secret.yaml")).await;
    let said = system.said();
    assert!(said.contains("api-gateway.yaml:"), "{said}");
    assert!(
        said.contains("error: Gateway istio-system/api-gateway: spec.servers[0].tls.credentialName: "),
        "{said}"
    );
    let refused = Client::new().tls(system.https(), "api.example.com").await.err();
    assert_eq!(refused, Some(Error::AlertReceived(AlertDescription::UnrecognisedName)));
    assert_eq!(system.connect("example.com").await.get("example.com", "/app").await.status, 200);
}

#[tokio::test]
async fn the_last_good_certificate_is_kept_when_its_secret_goes_or_gets_bad() {
    let mut system = System::start("multi-domain").await;
    let secret = system.folder.read("api-tls-secret.yaml");
    let shown = system.connect("api.example.com").await.leaf;
    system.folder.remove("api-tls-secret.yaml");
    system.hear("not served by").await;
    let refused = system.ack(0).await.applied.unwrap().refused;
    let [kept] = &refused[..] else { panic!("{refused:?}") };
    assert!(kept.problem.contains("the last good one stays in use"), "{kept:?}");
    let mut connection = system.connect("api.example.com").await;
    assert_eq!(connection.leaf, shown);
    assert_eq!(connection.get("api.example.com", "/v1").await.status, 200);

    system.folder.write("api-tls-secret.yaml", &secret.replace("tls.crt:", "tls.cert:"));
    system.hear("Secret istio-system/api-tls-secret cannot be used").await;
    assert_eq!(system.connect("api.example.com").await.leaf, shown);
    system.folder.write("api-tls-secret.yaml", &secret);
    let started = std::time::Instant::now();
    while !system.ack(0).await.applied.unwrap().refused.is_empty() {
        assert!(started.elapsed().as_secs() < 10, "it is there again");
    }
    assert_eq!(system.connect("api.example.com").await.leaf, shown);
}

#[tokio::test]
async fn a_secret_that_comes_later_is_served() {
    let mut secret = String::new();
    let mut system = System::start_with("multi-domain", |folder| {
        secret = folder.read("api-tls-secret.yaml");
        folder.remove("api-tls-secret.yaml");
    })
    .await;
    system.folder.write("api-tls-secret.yaml", &secret);
    system.hear("serves").await;
    assert_eq!(system.connect("api.example.com").await.get("api.example.com", "/v1").await.status, 200);
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_costs_only_its_server() {
    let mut system = System::start_with("multi-domain", |folder| {
        let key = |name: &str| {
            let text = folder.read(name);
            text.lines().find(|line| line.contains("tls.key:")).unwrap().to_owned()
        };
        let (web, api) = (key("tls-secret.yaml"), key("api-tls-secret.yaml"));
        folder.edit("api-tls-secret.yaml", &api, &web);
    })
    .await;
    let said = system.said();
    assert!(
        said.contains(
            "not served by istio-system/istio-ingressgateway: Certificate istio-system/api-tls-secret"
        ),
        "{said}"
    );
    let refused = system.ack(0).await.applied.unwrap().refused;
    assert!(refused.iter().any(|part| part.origin == "Secret/istio-system/api-tls-secret"), "{refused:?}");
    assert!(Client::new().tls(system.https(), "api.example.com").await.is_err());
    let mut connection = system.connect("example.com").await;
    assert_eq!(connection.get("example.com", "/app").await.status, 200);

    let good =
        std::fs::read_to_string(crate::system::examples().join("multi-domain/api-tls-secret.yaml")).unwrap();
    system.folder.write("api-tls-secret.yaml", &good);
    system.hear("serves").await;
    assert_eq!(system.connect("api.example.com").await.get("api.example.com", "/v1").await.status, 200);
    assert_eq!(connection.get("example.com", "/app").await.status, 200);
}

#[tokio::test]
async fn a_route_to_a_missing_service_answers_503() {
    let system = System::start_with("multi-domain", |folder| folder.remove("api-service.yaml")).await;
    let said = system.said();
    assert!(
        said.contains("error: VirtualService default/api-routing: spec.http[0].route[0].destination"),
        "{said}"
    );
    assert_eq!(system.connect("api.example.com").await.get("api.example.com", "/v1").await.status, 503);
    assert_eq!(system.connect("example.com").await.get("example.com", "/app").await.status, 200);
}

#[tokio::test]
async fn plain_text_in_a_secret_is_taken_as_kubectl_takes_it() {
    let system = System::start_with("web-gateway", |folder| {
        let secret: serde_json::Value = serde_saphyr::from_str(&folder.read("tls-secret.yaml")).unwrap();
        let plain = |key: &str| {
            let encoded = secret["data"][key].as_str().unwrap();
            String::from_utf8(serde_json::from_value::<k8s_openapi::ByteString>(encoded.into()).unwrap().0)
                .unwrap()
        };
        let data = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "tls-secret", "namespace": "istio-system"},
            "stringData": {"tls.crt": plain("tls.crt"), "tls.key": plain("tls.key")},
        });
        folder.write("tls-secret.yaml", &data.to_string());
    })
    .await;
    assert_eq!(system.connect("example.com").await.get("example.com", "/app").await.status, 200);
}

#[tokio::test]
async fn errors_at_the_start_are_waited_out() {
    let mut good = String::new();
    let mut system = System::start_with("web-gateway", |folder| {
        good = folder.read("gateway.yaml");
        folder.edit("gateway.yaml", "number: 443", "number: 0");
    })
    .await;
    let said = system.said();
    assert!(said.contains("not served: 1 error in the files; nothing is served yet"), "{said}");
    assert!(
        said.contains(
            "gateway.yaml:11:7: error: Gateway istio-system/web-gateway: spec.servers[0].port.number: "
        ),
        "{said}"
    );
    system.folder.write("gateway.yaml", &good);
    let said = system.hear("/snapshot").await;
    assert!(said.contains("mended"), "{said}");
    assert_eq!(system.connect("example.com").await.get("example.com", "/app").await.status, 200);
}
