//! Several workers share what comes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use support::*;

#[test]
fn each_worker_gets_connections() {
    run(async {
        let backend = Backend::start("one").await;
        let mut snapshot = http_snapshot(vec![to_cluster("/", "app")]);
        snapshot.cluster("app", &[backend.address]);
        let volume = Volume::kubelet();
        let hash = volume.publish(&snapshot);
        let proxy = Proxy::start(volume.path(), Options { workers: 2, ..Options::default() }).await;
        proxy.applied(hash).await;
        // Each worker has a pool of its own, and one request at a time needs one upstream connection of it.
        let mut clients = Vec::new();
        for _ in 0..24 {
            let mut client = Client::plain(proxy.at(HTTP)).await;
            assert_eq!(client.get("example.com", "/").await.text, "one /");
            clients.push(client);
        }
        // All 24 on one worker: one chance in 8 million.
        assert_eq!(backend.connections(), 2);
        assert_eq!(backend.requests(), 24);
        proxy.metric("postern_upstream_connections_active", &["cluster=\"app\""], 2.0).await;
        proxy.metric("istio_requests_total", &["response_code=\"200\""], 24.0).await;
    });
}
