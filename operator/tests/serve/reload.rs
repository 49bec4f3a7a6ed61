//! Changes of files, while it runs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::system::{PATIENCE, System, signal, until_closed};

#[tokio::test]
async fn a_change_is_served_within_200_ms_and_no_connection_is_lost() {
    let mut system = System::start("web-gateway").await;
    let mut connection = system.connect("example.com").await;
    let before = system.ack(0).await.applied.unwrap();
    let mut took = Vec::new();
    for (from, to) in
        [("/app", "/one"), ("/one", "/two"), ("/two", "/three"), ("/three", "/four"), ("/four", "/five")]
    {
        let started = Instant::now();
        system.folder.edit("virtual-service.yaml", from, to);
        // The very connection from the beginning sees it.
        while connection.get("example.com", to).await.status != 200 {
            assert!(started.elapsed() < PATIENCE, "{to} is not served");
        }
        took.push(started.elapsed());
        assert_eq!(connection.get("example.com", from).await.status, 404);
        let said = system.hear("serves").await;
        assert!(said.contains("changed: VirtualService default/web-routing"), "{said}");
    }
    // Others may want the cores too while the tests run: the fastest counts.
    assert!(took.iter().min() < Some(&Duration::from_millis(200)), "{took:?}");

    let after = system.ack(0).await.applied.unwrap();
    assert_ne!(before.hash, after.hash);
    let generation = |name: &str| after.sources.iter().find(|source| source.name == name).unwrap().generation;
    assert_eq!((generation("web-routing"), generation("web-gateway")), (6, 1));
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_the_error_names_file_object_and_field() {
    let mut system = System::start("web-gateway").await;
    let mut connection = system.connect("example.com").await;
    let good = system.folder.read("virtual-service.yaml");
    let before = system.ack(0).await;

    // No YAML at all.
    system.folder.write("virtual-service.yaml", &good.replace("hosts:", "hosts: ["));
    let said = system.hear("virtual-service.yaml:").await;
    assert!(said.contains("not served: 1 error in the files; what was served before stays"), "{said}");

    // A value that cannot be, and beside it a change that could be served.
    system
        .folder
        .write("virtual-service.yaml", &good.replace("number: 80", "number: 0").replace("/app", "/shop"));
    let said = system.hear("virtual-service.yaml:").await;
    assert!(
        said.contains(
            "virtual-service.yaml:19:11: error: VirtualService default/web-routing: \
        spec.http[0].route[0].destination.port.number: 0 is not a port number"
        ),
        "{said}"
    );

    // The same object in two files.
    system.folder.write("virtual-service.yaml", &good);
    system.hear("mended").await;
    system.folder.write("copy.yaml", &good);
    let said = system.hear("virtual-service.yaml:").await;
    assert!(
        said.contains("VirtualService default/web-routing: metadata.name: this object is also in"),
        "{said}"
    );

    assert_eq!(connection.get("example.com", "/app/hello").await.status, 200);
    assert_eq!(connection.get("example.com", "/shop").await.status, 404);
    assert_eq!(system.ack(0).await, before);

    // Mended, and changed with it.
    system.folder.remove("copy.yaml");
    system.hear("mended: there are no more errors").await;
    system.folder.edit("virtual-service.yaml", "/app", "/shop");
    system.hear("istio-system/istio-ingressgateway serves").await;
    assert_eq!(connection.get("example.com", "/shop").await.status, 200);
}

#[tokio::test]
async fn endpoints_that_come_and_go_are_followed() {
    let mut system = System::start("web-gateway").await;
    let mut connection = system.connect("example.com").await;
    let slice = system.folder.read("local/app-endpoints.yaml");
    system.folder.remove("local/app-endpoints.yaml");
    system.hear("serves").await;
    assert_eq!(connection.get("example.com", "/app").await.status, 503, "there is nobody");
    system.folder.write("local/app-endpoints.yaml", &slice);
    system.hear("serves").await;
    assert_eq!(connection.get("example.com", "/app").await.status, 200);
}

#[tokio::test]
async fn an_ingress_comes_and_goes_with_its_gateway() {
    let mut system = System::start("web-gateway").await;
    let gateway = system.folder.read("gateway.yaml");
    let edge = gateway.replace("web-gateway", "edge").replace("istio: ingressgateway", "app: edge");
    system.folder.edit(
        "virtual-service.yaml",
        "  - istio-system/web-gateway\n",
        "  - istio-system/web-gateway\n  - istio-system/edge\n",
    );
    system.hear("spec.gateways[1]: there is no Gateway istio-system/edge").await;
    system.folder.write("edge.yaml", &edge);
    let said = system.hear("/snapshot").await;
    assert!(said.contains(&format!("istio-system/edge on {}", system.ingress(1))), "{said}");
    let https = SocketAddr::new(system.ingress(1), 8443);
    let mut connection = Client::new().tls(https, "example.com").await.unwrap();
    assert_eq!(connection.get("example.com", "/app").await.status, 200);

    system.folder.remove("edge.yaml");
    system.hear("istio-system/edge is gone").await;
    until_closed(https).await;
    assert_eq!(system.connect("example.com").await.get("example.com", "/app").await.status, 200);
}

#[tokio::test]
async fn a_proxy_that_dies_is_started_again() {
    let mut system = System::start("web-gateway").await;
    let [proxy] = system.proxies()[..] else { panic!("one proxy") };
    signal(proxy, "KILL");
    let said = system.hear("is started again").await;
    assert!(said.contains("the proxy of istio-system/istio-ingressgateway ended (signal: 9"), "{said}");
    system.hear("istio-system/istio-ingressgateway serves").await;
    system.until_status("example.com", "/app", 200).await;
}

#[tokio::test]
async fn what_does_not_matter_is_not_talked_about() {
    let mut system = System::start("web-gateway").await;
    let before = system.ack(0).await;
    system.folder.write("notes.txt", "x");
    let service = system.folder.read("app-service.yaml");
    system.folder.write("app-service.yaml", &format!("# A comment.\n{service}"));
    system.folder.write("local/.app-endpoints.yaml.swp", "x");
    system.folder.edit("virtual-service.yaml", "/app", "/shop");
    let said = system.hear("serves").await;
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_ne!(system.ack(0).await, before);
}
