//! How it ends: nobody is left behind.

use std::net::SocketAddr;

use crate::system::{System, until_closed};

#[tokio::test]
async fn a_signal_ends_everything_in_order() {
    for signal in ["TERM", "INT"] {
        let mut system = System::start("canary").await;
        let status = system.end(signal).await;
        assert!(status.success(), "{signal}: {status}");
        for index in [0, 1] {
            until_closed(SocketAddr::new(system.ingress(index), 15021)).await;
        }
    }
}

#[tokio::test]
async fn proxies_do_not_outlive_a_killed_parent() {
    let mut system = System::start("canary").await;
    assert_eq!(system.proxies().len(), 2);
    assert!(!system.end("KILL").await.success());
    for index in [0, 1] {
        until_closed(SocketAddr::new(system.ingress(index), 15021)).await;
    }
}

#[tokio::test]
async fn a_request_under_way_is_finished() {
    let mut system = System::start("web-gateway").await;
    let mut connection = system.connect("example.com").await;
    let (response, status) = tokio::join!(connection.get("example.com", "/app/delay/500"), async {
        // The backend's delay begins when the request has arrived there.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        system.end("TERM").await
    });
    assert_eq!(response.status, 200);
    assert!(status.success());
}
