//! Bytes that are passed on: plain, out of TLS, and TLS unread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use postern_engine::Stop;
use postern_snapshot::ClusterName;
use postern_snapshot::model::{ListenerProtocol, Snapshot, TcpForward, Terminated, TlsAction};
use postern_telemetry::access_log::ENVOY_TEXT_FORMAT;
use rustls::ServerConfig;
use support::*;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const TCP: u16 = 9000;

fn tcp_snapshot(forward: TcpForward, backends: &[(&str, SocketAddr)]) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.listener(TCP, ListenerProtocol::Tcp(forward));
    for (name, address) in backends {
        snapshot.cluster(name, &[*address]);
    }
    snapshot
}

/// Reads a line without its end.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.unwrap() {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

/// What a [`TcpBackend`] makes of `hello`, and how it ends after the client's end.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> (String, String) {
    let name = line(&mut stream).await;
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    (name, rest)
}

/// Is it closed without a byte? A reset is fine too: bytes may have been unread.
async fn is_refused(mut stream: TcpStream) -> bool {
    let _ = stream.write_all(b"hello").await;
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

#[test]
fn bytes_pass_both_ways_and_a_half_close_leaves_the_other_half_open() {
    run(async {
        let backend = TcpBackend::start("one").await;
        let volume = Volume::plain();
        let hash = volume.publish(&tcp_snapshot(tcp_forward(&[("one", 1)]), &[("one", backend.address)]));
        let options = Options { access_log: Some(ENVOY_TEXT_FORMAT), ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;

        let stream = TcpStream::connect(proxy.at(TCP)).await.unwrap();
        assert_eq!(talk(stream).await, ("one".into(), "hellobye".into()));

        let labels = ["destination_service=\"one.default.svc.cluster.local\"", "request_protocol=\"tcp\""];
        for (name, count) in [
            ("istio_tcp_connections_opened_total", 1.0),
            ("istio_tcp_connections_closed_total", 1.0),
            ("istio_tcp_received_bytes_total", 5.0),
            ("istio_tcp_sent_bytes_total", 12.0),
        ] {
            proxy.metric(name, &labels, count).await;
        }
        let log = proxy.log_lines(1).await.remove(0);
        assert!(log.contains("\" 0 - ") && log.contains(" 5 12 "), "{log}");
        assert!(log.contains(&format!("\"{}\"", backend.address)), "{log}");
    });
}

#[test]
fn connections_are_spread_by_weight() {
    run(async {
        let (one, two) = (TcpBackend::start("one").await, TcpBackend::start("two").await);
        let backends = [("one", one.address), ("two", two.address)];
        let snapshot = tcp_snapshot(tcp_forward(&[("one", 80), ("two", 20)]), &backends);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let mut counts: HashMap<String, u32> = HashMap::new();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(proxy.at(TCP)).await.unwrap();
            *counts.entry(line(&mut stream).await).or_default() += 1;
        }
        // Five standard deviations of 5.7 around 160.
        assert!((131..=189).contains(&counts["one"]), "{counts:?}");
        assert_eq!(counts["one"] + counts["two"], 200);
    });
}

#[test]
fn without_a_cluster_or_endpoints_the_connection_is_closed() {
    run(async {
        let mut snapshot = tcp_snapshot(tcp_forward(&[("missing", 1)]), &[]);
        snapshot.listener(TCP + 1, ListenerProtocol::Tcp(tcp_forward(&[("empty", 1)])));
        snapshot.cluster("empty", &[]);
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        snapshot.listener(TCP + 2, ListenerProtocol::Tcp(tcp_forward(&[("down", 1)])));
        snapshot.cluster("down", &[nobody]);
        let volume = Volume::plain();
        let hash = volume.publish(&snapshot);
        let options = Options { access_log: Some(ENVOY_TEXT_FORMAT), ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;
        for (port, flag) in [(TCP, "NC"), (TCP + 1, "UH"), (TCP + 2, "UF")] {
            assert!(is_refused(TcpStream::connect(proxy.at(port)).await.unwrap()).await);
            let label = format!("response_flags=\"{flag}\"");
            proxy.metric("istio_tcp_connections_closed_total", &[&label], 1.0).await;
        }
        let log = proxy.log_lines(3).await;
        for flag in [" NC ", " UH ", " UF "] {
            assert!(log.iter().any(|line| line.contains(flag)), "{flag} in {log:?}");
        }
    });
}

#[test]
fn silence_ends_a_connection() {
    run(async {
        let backend = TcpBackend::start("one").await;
        let idle_timeout = Some(Duration::from_millis(50));
        let forward = TcpForward { idle_timeout, ..tcp_forward(&[("one", 1)]) };
        let (proxy, _volume) = Proxy::serving(&tcp_snapshot(forward, &[("one", backend.address)])).await;
        let mut stream = TcpStream::connect(proxy.at(TCP)).await.unwrap();
        assert_eq!(line(&mut stream).await, "one");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        proxy.metric("istio_tcp_connections_closed_total", &["response_flags=\"SI\""], 1.0).await;
    });
}

#[test]
fn what_was_in_tls_is_passed_on_in_plain() {
    run(async {
        let backend = TcpBackend::start("one").await;
        let authority = Authority::new("ca");
        let mut tls = server_tls(&["web"]);
        tls.alpn.clear();
        let then = Terminated::Tcp(tcp_forward(&[("one", 1)]));
        let action = TlsAction::Terminate { tls: Box::new(tls), then };
        let mut snapshot = tls_snapshot(vec![chain("Gateway/istio-system/tcp", &["example.com"], action)]);
        snapshot.certificate("web", &authority.issue(&["example.com"])).cluster("one", &[backend.address]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let tls = ClientTls::new(&authority, &[]);
        let stream = handshake(proxy.at(HTTPS), &tls, "example.com").await.unwrap();
        assert_eq!(talk(stream).await, ("one".into(), "hellobye".into()));
        assert!(handshake(proxy.at(HTTPS), &tls, "other.org").await.is_err());
    });
}

/// A server that terminates TLS itself and says its name.
async fn tls_backend(name: &'static str, issued: &Issued) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der()], issued.key_der())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            stream.write_all(format!("{name}\n").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    address
}

#[test]
fn who_only_passes_tls_on_says_nothing_to_a_name_that_nobody_has() {
    run(async {
        let authority = Authority::new("ca");
        let action = TlsAction::Passthrough(tcp_forward(&[("a", 1)]));
        let mut snapshot =
            tls_snapshot(vec![chain("VirtualService/istio-system/pass", &["a.pass.org"], action)]);
        snapshot.cluster("a", &[]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let refused =
            handshake(proxy.at(HTTPS), &ClientTls::new(&authority, &[]), "b.pass.org").await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::UnexpectedEof, "{refused}");
        proxy.metric("postern_tls_handshake_failures_total", &["reason=\"unknown_server_name\""], 1.0).await;
    });
}

#[test]
fn tls_is_passed_on_by_server_name_beside_what_is_terminated() {
    run(async {
        let authority = Authority::new("ca");
        let theirs = authority.issue(&["a.pass.org", "b.pass.org"]);
        let backends = [tls_backend("a", &theirs).await, tls_backend("b", &theirs).await];
        let pass_on = |names: &[&str], cluster: &str| {
            let action = TlsAction::Passthrough(tcp_forward(&[(cluster, 1)]));
            chain("VirtualService/istio-system/pass", names, action)
        };
        // Two rules of one object: their chains have the same origin.
        let mut snapshot = tls_snapshot(vec![
            https("web", &["example.com"]),
            pass_on(&["a.pass.org"], "a"),
            pass_on(&["*.pass.org"], "b"),
        ]);
        snapshot.certificate("web", &authority.issue(&["example.com"]));
        snapshot.routes("web", &["*"], vec![answer("/", "web")]);
        snapshot.cluster("a", &[backends[0]]).cluster("b", &[backends[1]]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let tls = ClientTls::new(&authority, &[]);
        for _ in 0..2 {
            for name in ["a", "b"] {
                let host = format!("{name}.pass.org");
                let mut stream = handshake(proxy.at(HTTPS), &tls, &host).await.unwrap();
                assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], theirs.der());
                assert_eq!(line(&mut stream).await, name);
            }
            let mut client = Client::tls(proxy.at(HTTPS), &tls, "example.com").await;
            assert_eq!(client.get("example.com", "/").await.text, "web");
            let refused = handshake(proxy.at(HTTPS), &tls, "pass.org").await.unwrap_err();
            assert!(refused.to_string().contains("alert"), "{refused}");
            // And the same once more after a reload.
            snapshot.sources.push(source("VirtualService", "pass", 2));
            snapshot.routes("web", &["unused.org"], vec![]);
            proxy.applied(volume.publish(&snapshot)).await;
        }
    });
}

#[test]
fn a_rule_that_is_added_or_removed_ends_only_its_own_connections() {
    run(async {
        let authority = Authority::new("ca");
        let backend = TcpBackend::start("one").await;
        let rule = |names: &[&str]| {
            let mut tls = server_tls(&["web"]);
            tls.alpn.clear();
            let then = Terminated::Tcp(tcp_forward(&[("one", 1)]));
            let action = TlsAction::Terminate { tls: Box::new(tls), then };
            chain("VirtualService/istio-system/same", names, action)
        };
        let mut snapshot = tls_snapshot(vec![rule(&["a.org"]), rule(&["b.org"])]);
        snapshot.certificate("web", &authority.issue(&["a.org", "b.org", "new.org"]));
        snapshot.cluster("one", &[backend.address]);
        let volume = Volume::kubelet();
        let hash = volume.publish(&snapshot);
        let options = Options { drain_grace: Duration::from_millis(100), ..Options::default() };
        let mut proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;
        let tls = ClientTls::new(&authority, &[]);
        let mut a = handshake(proxy.at(HTTPS), &tls, "a.org").await.unwrap();
        let mut b = handshake(proxy.at(HTTPS), &tls, "b.org").await.unwrap();
        assert_eq!((line(&mut a).await.as_str(), line(&mut b).await.as_str()), ("one", "one"));

        // Another in front, one less at the front: neither place nor origin tells them apart.
        for rules in [vec![rule(&["new.org"]), rule(&["a.org"]), rule(&["b.org"])], vec![rule(&["b.org"])]] {
            snapshot.routes.listeners.clear();
            snapshot.tls_listener(HTTPS, rules);
            proxy.applied(volume.publish(&snapshot)).await;
        }
        // It knows no better end than to be cut off when the time to drain is over.
        assert!(matches!(a.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        b.write_all(b"still here\n").await.unwrap();
        assert_eq!(line(&mut b).await, "still here");

        proxy.stop(Stop::Now);
        assert!(matches!(b.read(&mut [0; 1]).await, Ok(0) | Err(_)), "at the end too");
        proxy.ended().await;
    });
}

#[test]
fn a_connection_too_many_for_the_cluster_is_closed() {
    run(async {
        let backend = TcpBackend::start("one").await;
        let mut snapshot = tcp_snapshot(tcp_forward(&[("one", 1)]), &[("one", backend.address)]);
        let cluster = snapshot.routes.clusters.get_mut(&ClusterName::new("one")).unwrap();
        cluster.circuit_breakers.max_connections = Some(1);
        let volume = Volume::plain();
        let hash = volume.publish(&snapshot);
        let options = Options { access_log: Some("%RESPONSE_FLAGS%"), ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;

        let mut first = TcpStream::connect(proxy.at(TCP)).await.unwrap();
        assert_eq!(line(&mut first).await, "one");
        assert!(is_refused(TcpStream::connect(proxy.at(TCP)).await.unwrap()).await);
        assert_eq!(proxy.log_lines(1).await, ["UO"]);
        drop(first);
        proxy.log_lines(2).await;
        let next = TcpStream::connect(proxy.at(TCP)).await.unwrap();
        assert_eq!(talk(next).await, ("one".into(), "hellobye".into()));
    });
}
