//! Connections while clusters and endpoints change.

use postern_snapshot::model::UpstreamProtocol;

use crate::{
    server::Server,
    support::{ask, compile, endpoints, get, local, name, pool, send, settings, text},
};

#[tokio::test]
async fn connections_to_endpoints_that_stay_are_kept() {
    local(async {
        let (a, b) = (Server::http1().await, Server::http1().await);
        let settings = settings(UpstreamProtocol::Http1);
        let both = endpoints(&[("x", &[a.address, b.address])]);
        let clusters = compile(&[("x", settings.clone())], &both, None);
        let (pool, seen) = pool();
        pool.retain(&clusters);
        let cluster = clusters.get(&name("x")).unwrap();
        for _ in 0..2 {
            ask(&pool, &cluster, "/").await;
        }
        assert_eq!(seen.counts().connected, 2);

        // The endpoints change behind the same handle.
        assert_eq!(clusters.update_endpoints(&endpoints(&[("x", &[a.address])])), 1);
        pool.retain(&clusters);
        seen.until(|counts| counts.closed == 1).await;
        for _ in 0..4 {
            ask(&pool, &cluster, "/").await;
        }
        assert_eq!((a.requests.get(), b.requests.get()), (5, 1));
        assert_eq!(seen.counts().connected, 2, "the connection to the endpoint that stayed is used");

        // The cluster goes, another has the endpoint: its connections stay.
        let clusters = compile(&[("y", settings)], &endpoints(&[("y", &[a.address])]), Some(&clusters));
        pool.retain(&clusters);
        ask(&pool, &clusters.get(&name("y")).unwrap(), "/").await;
        assert_eq!(a.connections.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn requests_under_way_end_in_peace_and_their_connections_are_not_kept() {
    local(async {
        for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
            let server = match protocol {
                UpstreamProtocol::Http2 => Server::http2(100).await,
                _ => Server::http1().await,
            };
            let clusters =
                compile(&[("x", settings(protocol))], &endpoints(&[("x", &[server.address])]), None);
            let (pool, seen) = pool();
            let cluster = clusters.get(&name("x")).unwrap();
            let response = send(&pool, &cluster, get("/")).await.unwrap();
            clusters.update_endpoints(&endpoints(&[]));
            pool.retain(&clusters);
            assert_eq!(text(response).await, "1");
            seen.until(|counts| counts.closed == 1).await;
            assert!(send(&pool, &cluster, get("/")).await.is_err(), "no endpoints are left");
        }
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_leaves_and_returns_gets_requests_again() {
    local(async {
        let server = Server::http1().await;
        let there = endpoints(&[("x", &[server.address])]);
        let clusters = compile(&[("x", settings(UpstreamProtocol::Http1))], &there, None);
        let (pool, _) = pool();
        let cluster = clusters.get(&name("x")).unwrap();
        for _ in 0..3 {
            ask(&pool, &cluster, "/").await;
            clusters.update_endpoints(&endpoints(&[]));
            pool.retain(&clusters);
            clusters.update_endpoints(&there);
            pool.retain(&clusters);
        }
        let before = server.connections.get();
        ask(&pool, &cluster, "/").await;
        ask(&pool, &cluster, "/").await;
        assert!(server.connections.get() <= before + 1, "and connections to it are kept again");
    })
    .await;
}
