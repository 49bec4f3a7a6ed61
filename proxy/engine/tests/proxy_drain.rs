//! The end of a proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use http::StatusCode;
use postern_engine::Stop;
use postern_snapshot::model::{ListenerProtocol, Snapshot};
use postern_telemetry::access_log::ENVOY_TEXT_FORMAT;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TCP: u16 = 9000;
/// Longer than any test: whoever waits for it is found out.
const FOREVER: Duration = Duration::from_secs(300);

/// HTTP, HTTPS and TCP to one backend.
fn everything(authority: &Authority, backend: &Backend) -> Snapshot {
    let mut snapshot = tls_snapshot(vec![https("web", &["example.com"])]);
    snapshot.http_listener(HTTP, "web").listener(TCP, ListenerProtocol::Tcp(tcp_forward(&[("app", 1)])));
    snapshot.certificate("web", &authority.issue(&["example.com"]));
    snapshot.routes("web", &["*"], vec![answer("/direct", "direct"), to_cluster("/", "app")]);
    snapshot.cluster("app", &[backend.address]);
    snapshot
}

struct Scene {
    proxy: Proxy,
    backend: Backend,
    http1: ClientTls,
    http2: ClientTls,
    _volume: Volume,
}

impl Scene {
    async fn start(options: Options) -> Self {
        let authority = Authority::new("ca");
        let backend = Backend::start("one").await;
        let volume = Volume::kubelet();
        let hash = volume.publish(&everything(&authority, &backend));
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;
        let [http1, http2] = [["http/1.1"], ["h2"]].map(|alpn| ClientTls::new(&authority, &alpn));
        Self { proxy, backend, http1, http2, _volume: volume }
    }

    /// One connection of each kind.
    async fn clients(&self) -> [Client; 4] {
        [
            Client::plain(self.proxy.at(HTTP)).await,
            Client::plain_http2(self.proxy.at(HTTP)).await,
            Client::tls(self.proxy.at(HTTPS), &self.http1, "example.com").await,
            Client::tls(self.proxy.at(HTTPS), &self.http2, "example.com").await,
        ]
    }
}

#[test]
fn first_it_is_not_ready_then_it_drains_then_it_ends() {
    run(async {
        let delay = Duration::from_secs(2);
        let options = Options { drain_delay: delay, drain_grace: FOREVER, workers: 2, ..Options::default() };
        let mut scene = Scene::start(options).await;
        let mut idle = scene.clients().await;
        let mut busy = Vec::new();
        for client in &mut idle {
            assert_eq!(client.get("example.com", "/").await.text, "one /");
        }
        for mut client in scene.clients().await {
            busy.push(tokio::spawn(async move { (client.get("example.com", "/hold").await, client) }));
            scene.backend.holds().await;
        }

        scene.proxy.stop(Stop::Gracefully);
        let stopped = Instant::now();
        let not_ready = || async { (scene.proxy.ready().await != StatusCode::OK).then_some(()) };
        eventually(not_ready).await;
        // Not everybody knows yet: all goes on as before.
        let mut late = scene.clients().await;
        for client in late.iter_mut().chain(&mut idle) {
            let answer = client.get("example.com", "/").await;
            let before = stopped.elapsed() < delay;
            assert!(before && answer.status == StatusCode::OK && !answer.closes(), "{before} {answer:?}");
        }

        eventually(|| async { TcpStream::connect(scene.proxy.at(HTTP)).await.is_err().then_some(()) }).await;
        assert!(stopped.elapsed() >= delay);
        for client in late.into_iter().chain(idle) {
            client.closed().await.unwrap();
        }
        assert!(!scene.proxy.has_ended(), "requests are under way");
        let metrics = scene.proxy.metrics().await;
        assert!(metrics.contains("postern_downstream_connections_active"), "{metrics}");
        for _ in &busy {
            scene.backend.release();
        }
        for client in busy {
            let (answer, client) = client.await.unwrap();
            assert_eq!(answer.text, "one /hold");
            assert_eq!(answer.closes(), answer.version == http::Version::HTTP_11);
            client.closed().await.unwrap();
        }
        let address = scene.proxy.ended().await;
        for port in [HTTP, HTTPS, TCP, 15021, 15020, 15000] {
            let refused = TcpStream::connect(address.port(port)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{port}");
        }
    });
}

#[test]
fn a_connection_that_was_used_for_an_answer_of_the_proxy_itself_drains_as_any_other() {
    run(async {
        let mut scene = Scene::start(Options { drain_grace: FOREVER, ..Options::default() }).await;
        let mut clients = scene.clients().await;
        for client in &mut clients {
            assert_eq!(client.get("example.com", "/direct").await.text, "direct");
        }
        scene.proxy.stop(Stop::Now);
        for client in clients {
            client.closed().await.unwrap();
        }
        scene.proxy.ended().await;
    });
}

#[test]
fn a_request_on_an_idle_connection_at_the_drain_is_answered() {
    run(async {
        let mut scene = Scene::start(Options { drain_grace: FOREVER, ..Options::default() }).await;
        let [mut client, ..] = scene.clients().await;
        client.get("example.com", "/").await;
        scene.proxy.stop(Stop::Now);
        eventually(|| async { TcpStream::connect(scene.proxy.at(HTTP)).await.is_err().then_some(()) }).await;
        let answer = client.get("example.com", "/").await;
        assert!(answer.closes() && answer.text == "one /", "{answer:?}");
        client.closed().await.unwrap();
        scene.proxy.ended().await;
    });
}

#[test]
fn what_hangs_is_cut_off_after_the_grace_period() {
    run(async {
        let grace = Duration::from_millis(300);
        let options = Options {
            drain_grace: grace,
            access_log: Some(ENVOY_TEXT_FORMAT),
            workers: 2,
            ..Options::default()
        };
        let mut scene = Scene::start(options).await;
        let mut hanging = Vec::new();
        for mut client in scene.clients().await {
            hanging.push(tokio::spawn(async move { client.try_get("example.com", "/hold").await.is_err() }));
            scene.backend.holds().await;
        }
        // A websocket would be the same as these bytes that nobody answers.
        let mut tcp = TcpStream::connect(scene.proxy.at(TCP)).await.unwrap();
        tcp.write_all(b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        scene.backend.holds().await;
        // Clients that have not said what they want: half a ClientHello, half a request, nothing.
        let mut silent = Vec::new();
        for (port, start) in [(HTTPS, &[22, 3, 1, 2, 0][..]), (HTTP, b"GET / HT"), (HTTP, b""), (HTTPS, b"")]
        {
            let mut stream = TcpStream::connect(scene.proxy.at(port)).await.unwrap();
            stream.write_all(start).await.unwrap();
            silent.push(stream);
        }
        scene.proxy.metric("postern_downstream_connections_active", &["8443"], 4.0).await;

        scene.proxy.stop(Stop::Now);
        let stopped = Instant::now();
        for client in hanging {
            assert!(client.await.unwrap(), "it gets no answer");
        }
        silent.push(tcp);
        for mut stream in silent {
            assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        }
        let log = scene.proxy.log_lines(5).await;
        assert_eq!(log.len(), 5, "what was cut off is logged: {log:?}");
        scene.proxy.ended().await;
        let took = stopped.elapsed();
        eprintln!("a drain with a grace period of {grace:?} took {took:?}");
        assert!(took >= grace && took < grace + Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn connections_that_wait_to_be_accepted_are_served() {
    run(async {
        let options = Options { drain_grace: FOREVER, workers: 2, ..Options::default() };
        let mut scene = Scene::start(options).await;
        // All at once, without giving the workers time; the kernel has completed them when they are here.
        let connect = |port| {
            let address = scene.proxy.at(port);
            std::iter::repeat_with(move || std::net::TcpStream::connect(address).unwrap()).take(150)
        };
        let waiting: Vec<_> = connect(HTTP).chain(connect(HTTPS)).collect();
        scene.proxy.stop(Stop::Now);
        let mut answers = Vec::new();
        for (index, stream) in waiting.into_iter().enumerate() {
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream).unwrap();
            answers.push(tokio::spawn(async move {
                // To the TLS port that is wrong, but gets an answer too.
                stream.write_all(b"GET /direct HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                let status = if index < 150 { "HTTP/1.1 200 OK" } else { "HTTP/1.1 400 Bad Request" };
                assert!(text.starts_with(status), "{text}");
            }));
        }
        for answer in answers {
            answer.await.unwrap();
        }
        scene.proxy.ended().await;
    });
}

#[test]
fn a_handshake_that_is_under_way_is_finished() {
    run(async {
        let mut scene = Scene::start(Options { drain_grace: FOREVER, ..Options::default() }).await;
        let stream = TcpStream::connect(scene.proxy.at(HTTPS)).await.unwrap();
        scene.proxy.metric("postern_downstream_connections_active", &["8443"], 1.0).await;
        scene.proxy.stop(Stop::Now);
        eventually(|| async { TcpStream::connect(scene.proxy.at(HTTP)).await.is_err().then_some(()) }).await;
        let name = rustls::pki_types::ServerName::try_from("example.com").unwrap();
        let connector = tokio_rustls::TlsConnector::from(scene.http1.0.clone());
        let mut client = Client::http1(connector.connect(name, stream).await.unwrap()).await;
        let answer = client.get("example.com", "/direct").await;
        assert!(answer.closes() && answer.text == "direct", "{answer:?}");
        scene.proxy.ended().await;
    });
}

#[test]
fn the_proxy_ends_at_once_when_nobody_is_there() {
    run(async {
        let mut scene = Scene::start(Options { drain_delay: FOREVER, ..Options::default() }).await;
        scene.proxy.stop(Stop::Now);
        let stopped = Instant::now();
        scene.proxy.ended().await;
        assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    });
}
