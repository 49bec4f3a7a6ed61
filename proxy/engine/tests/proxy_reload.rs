//! New snapshots while the proxy serves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    cell::Cell,
    io::ErrorKind,
    rc::Rc,
    time::{Duration, Instant},
};

use http::StatusCode;
use postern_snapshot::model::{CertificateSource, Snapshot};
use support::*;
use tokio::{
    net::TcpStream,
    task::{JoinHandle, LocalSet},
};

/// Sends requests on one connection, one after the other, until told to stop. Returns how many.
fn load(
    mut client: Client,
    host: &'static str,
    path: &'static str,
    stop: Rc<Cell<bool>>,
) -> JoinHandle<usize> {
    tokio::task::spawn_local(async move {
        let mut count = 0;
        while !stop.get() {
            let answer = client.get(host, path).await;
            assert_eq!(answer.status, StatusCode::OK, "request {count}");
            assert!(!answer.closes() && !client.is_closed(), "request {count}");
            count += 1;
        }
        count
    })
}

/// HTTP and HTTPS, a stable path to one of two backends, and everything else.
async fn loaded_snapshot(authority: &Authority, backends: &[Backend]) -> Snapshot {
    let mut snapshot = tls_snapshot(vec![https("web", &["example.com"]), https("other", &["other.org"])]);
    snapshot.http_listener(HTTP, "web");
    snapshot.certificate("web", &authority.issue(&["example.com"]));
    snapshot.certificate("other", &authority.issue(&["other.org"]));
    snapshot.cluster("app", &backends.iter().map(|backend| backend.address).collect::<Vec<_>>());
    snapshot.routes("web", &["example.com"], vec![to_cluster("/app", "app")]);
    snapshot
}

#[test]
fn under_load_no_request_fails_and_no_connection_ends() {
    let local = LocalSet::new();
    run(local.run_until(async {
        let authority = Authority::new("ca");
        let backends = [Backend::start("one").await, Backend::start("two").await];
        let mut snapshot = loaded_snapshot(&authority, &backends).await;
        let volume = Volume::kubelet();
        let hash = volume.publish(&snapshot);
        let proxy = Proxy::start(volume.path(), Options { workers: 2, ..Options::default() }).await;
        proxy.applied(hash).await;

        let stop = Rc::new(Cell::new(false));
        let mut loads = Vec::new();
        let (http1, http2) = (ClientTls::new(&authority, &["http/1.1"]), ClientTls::new(&authority, &["h2"]));
        for _ in 0..2 {
            for client in [
                Client::plain(proxy.at(HTTP)).await,
                Client::plain_http2(proxy.at(HTTP)).await,
                Client::tls(proxy.at(HTTPS), &http1, "example.com").await,
                Client::tls(proxy.at(HTTPS), &http2, "example.com").await,
            ] {
                loads.push(load(client, "example.com", "/app/load", Rc::clone(&stop)));
            }
        }

        let mut times = Vec::new();
        let addresses = backends.each_ref().map(|backend| backend.address);
        for version in 0..50_usize {
            match version % 4 {
                0 => {
                    snapshot.endpoints("app", &addresses[..1 + version / 4 % 2]);
                }
                1 => {
                    snapshot.certificate("web", &authority.issue(&["example.com"]));
                }
                2 => {
                    snapshot.cluster(&format!("new-{version}"), &addresses);
                }
                _ => {}
            }
            // The new route goes first; each asks for what was there before with the one that is new.
            let routes = vec![answer(&format!("/version-{version}"), "new"), to_cluster("/app", "app")];
            snapshot.routes("web", &["example.com"], routes);
            let started = Instant::now();
            proxy.applied(volume.publish(&snapshot)).await;
            times.push(started.elapsed());
            let path = format!("/version-{version}");
            assert_eq!(
                get_text(proxy.at(HTTP), "example.com", &path).await,
                "new",
                "served right after the ack"
            );
        }
        stop.set(true);
        let mut requests = 0;
        for load in loads {
            let count = load.await.unwrap();
            assert!(count > 0);
            requests += count;
        }
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        eprintln!("write to ack under load: median {median:?}, worst {worst:?}; {requests} requests");
        assert!(median < Duration::from_millis(200), "{times:?}");
    }));
}

#[test]
fn listeners_come_and_go_and_one_that_goes_finishes_its_requests() {
    run(async {
        let backend = Backend::start("one").await;
        let mut snapshot = http_snapshot(vec![to_cluster("/", "app")]);
        snapshot.cluster("app", &[backend.address]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let without = snapshot.clone();
        let new = HTTP + 1;
        assert_eq!(TcpStream::connect(proxy.at(new)).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        snapshot.http_listener(new, "http");
        proxy.applied(volume.publish(&snapshot)).await;
        let mut stays = Client::plain(proxy.at(HTTP)).await;
        let mut busy = Client::plain(proxy.at(new)).await;
        let mut multiplexed = Client::plain_http2(proxy.at(new)).await;
        let mut idle = Client::plain(proxy.at(new)).await;
        assert_eq!(idle.get("example.com", "/a").await.text, "one /a");
        let held = tokio::spawn(async move { (busy.get("example.com", "/hold/1").await, busy) });
        let held2 =
            tokio::spawn(async move { (multiplexed.get("example.com", "/hold/2").await, multiplexed) });
        backend.holds().await;
        backend.holds().await;

        proxy.applied(volume.publish(&without)).await;
        eventually(|| async { TcpStream::connect(proxy.at(new)).await.is_err().then_some(()) }).await;
        idle.closed().await.unwrap();
        assert_eq!(stays.get("example.com", "/b").await.text, "one /b");
        backend.release();
        backend.release();
        let (answer, client) = held.await.unwrap();
        assert_eq!((answer.text.as_str(), answer.closes()), ("one /hold/1", true));
        client.closed().await.unwrap();
        let (answer, client) = held2.await.unwrap();
        assert_eq!(answer.text, "one /hold/2");
        client.closed().await.unwrap();
        assert!(!stays.get("example.com", "/c").await.closes());

        // And back again.
        proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(get_text(proxy.at(new), "example.com", "/d").await, "one /d");
    });
}

#[test]
fn endpoints_alone_change_nothing_else() {
    run(async {
        let backends = [Backend::start("one").await, Backend::start("two").await];
        let mut snapshot = http_snapshot(vec![to_cluster("/", "app")]);
        snapshot.cluster("app", &[backends[0].address]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let mut client = Client::plain(proxy.at(HTTP)).await;
        assert_eq!(client.get("example.com", "/").await.text, "one /");
        for backend in [1, 0, 1] {
            snapshot.endpoints("app", &[backends[backend].address]);
            proxy.applied(volume.publish(&snapshot)).await;
            let expected = ["one /", "two /"][backend];
            assert_eq!(client.get("example.com", "/").await.text, expected, "the next request already");
        }
        snapshot.endpoints("app", &[]);
        proxy.applied(volume.publish(&snapshot)).await;
        let answer = client.get("example.com", "/").await;
        assert_eq!((answer.status, answer.closes()), (StatusCode::SERVICE_UNAVAILABLE, false));
    });
}

#[test]
fn a_plain_directory_and_one_that_appears_later_are_followed() {
    run(async {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("later");
        let proxy = Proxy::start(&path, Options::default()).await;
        assert_eq!(proxy.ready().await, StatusCode::SERVICE_UNAVAILABLE);
        let volume = Volume::plain();
        let mut snapshot = http_snapshot(vec![answer("/", "one")]);
        let hash = volume.publish(&snapshot);
        std::os::unix::fs::symlink(volume.path(), &path).unwrap();
        proxy.applied(hash).await;
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "one");
        snapshot.routes("http", &["*"], vec![answer("/", "two")]);
        proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "two");
    });
}

#[test]
fn a_change_is_served_within_a_fraction_of_a_second() {
    run(async {
        let mut snapshot = http_snapshot(vec![]);
        // As large as an ingress gets: 5,000 routes.
        for host in 0..500 {
            let routes = (0..10).map(|route| answer(&format!("/route-{route}"), "text")).collect();
            snapshot.routes("http", &[&format!("host-{host}.example.com")], routes);
        }
        for volume in [Volume::kubelet(), Volume::plain()] {
            let hash = volume.publish(&snapshot);
            let state = tempfile::tempdir().unwrap();
            let options = Options { state: Some(state.path().to_owned()), ..Options::default() };
            let proxy = Proxy::start(volume.path(), options).await;
            proxy.applied(hash).await;
            let mut times = Vec::new();
            for version in 0..5 {
                snapshot.routes("http", &["*"], vec![answer("/", &format!("version {version}"))]);
                let encoded = Volume::encode(&snapshot);
                let started = Instant::now();
                volume.publish(&snapshot);
                proxy.applied(encoded.manifest.hash).await;
                times.push(started.elapsed());
            }
            times.sort();
            eprintln!("5,000 routes: write to ack: median {:?}, worst {:?}", times[2], times[4]);
            assert!(times[2] < Duration::from_secs(10), "{times:?}");

            let mut times = Vec::new();
            let mut small = http_snapshot(vec![answer("/", "small")]);
            for version in 0..9 {
                small.sources = vec![source("Gateway", "web-gateway", version)];
                small.routes("http", &["*"], vec![answer("/", &format!("version {version}"))]);
                let started = Instant::now();
                proxy.applied(volume.publish(&small)).await;
                times.push(started.elapsed());
            }
            times.sort();
            eprintln!("one route: write to ack: median {:?}, worst {:?}", times[4], times[8]);
            assert!(times[4] < Duration::from_millis(200), "{times:?}");
        }
    });
}

#[test]
fn a_certificate_in_files_of_the_pod_is_renewed_without_a_snapshot() {
    run(async {
        let authority = Authority::new("ca");
        let files = tempfile::tempdir().unwrap();
        let (chain, key) = (files.path().join("tls.crt"), files.path().join("tls.key"));
        let write = |issued: &Issued| {
            std::fs::write(&chain, &issued.chain).unwrap();
            std::fs::write(&key, &issued.key).unwrap();
        };
        let first = authority.issue(&["example.com"]);
        write(&first);
        let mut snapshot = tls_snapshot(vec![https("web", &["example.com"])]);
        let source = CertificateSource::Files { chain: chain.clone(), key: key.clone() };
        snapshot.certificate_source("web", source).routes("web", &["*"], vec![answer("/", "web")]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let tls = ClientTls::new(&authority, &["http/1.1"]);
        let connect = || Client::tls(proxy.at(HTTPS), &tls, "example.com");
        let mut old = connect().await;
        assert_eq!(old.certificate, Some(first.der()));

        let second = authority.issue(&["example.com"]);
        write(&second);
        let renewed = |shown: Option<_>, issued: &Issued| (shown == Some(issued.der())).then_some(());
        eventually(|| async { renewed(connect().await.certificate, &second) }).await;
        assert_eq!(old.get("example.com", "/").await.text, "web");
        assert_eq!(proxy.ack().await.applied.unwrap().refused, []);

        // A chain that does not fit its key is told; the last good one stays.
        let third = authority.issue(&["example.com"]);
        std::fs::write(&chain, &third.chain).unwrap();
        let ack = proxy.ack_when(|ack| !ack.applied.as_ref().unwrap().refused.is_empty()).await;
        assert_eq!(ack.applied.unwrap().refused[0].origin, "Secret/istio-system/web");
        assert_eq!(connect().await.certificate, Some(second.der()));
        std::fs::write(&key, &third.key).unwrap();
        proxy.ack_when(|ack| ack.applied.as_ref().unwrap().refused.is_empty()).await;
        assert_eq!(connect().await.certificate, Some(third.der()));
    });
}
