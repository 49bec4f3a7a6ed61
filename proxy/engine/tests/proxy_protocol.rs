//! Listeners whose connections begin with the PROXY protocol's header.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use postern_snapshot::model::{ListenerProtocol, ProxyProtocol, Snapshot};
use rustls::pki_types::ServerName;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

const TCP: u16 = 9000;

/// Version 2: a client at 192.0.2.1:8080 has connected to 198.51.100.2:80.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x1f\x90\0\x50";
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 80\r\n";
const LOG: &str = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(X-FORWARDED-FOR)%";

fn expecting(mut snapshot: Snapshot, allow: bool) -> Snapshot {
    for listener in &mut snapshot.routes.listeners {
        listener.proxy_protocol = Some(ProxyProtocol { allow_requests_without_proxy_protocol: allow });
    }
    snapshot
}

async fn start(snapshot: &Snapshot) -> (Proxy, Volume) {
    let volume = Volume::plain();
    let hash = volume.publish(snapshot);
    let options = Options { access_log: Some(LOG), ..Options::default() };
    let proxy = Proxy::start(volume.path(), options).await;
    proxy.applied(hash).await;
    (proxy, volume)
}

/// A connection that begins with these bytes.
async fn connect(proxy: &Proxy, port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.at(port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

async fn is_closed(mut stream: TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

fn http(allow: bool) -> Snapshot {
    expecting(http_snapshot(vec![answer("/", "here")]), allow)
}

#[test]
fn the_client_is_whom_the_header_names() {
    run(async {
        let (proxy, _volume) = start(&http(false)).await;
        for header in [V1, V2] {
            let stream = connect(&proxy, HTTP, header).await;
            assert_eq!(Client::http1(stream).await.get("a.example", "/").await.text, "here");
        }
        for line in proxy.log_lines(2).await {
            assert_eq!(line, "192.0.2.1:8080 198.51.100.2:80 127.0.0.1 192.0.2.1");
        }
    });
}

#[test]
fn it_comes_before_tls_and_before_bytes_that_are_passed_on() {
    run(async {
        let (authority, backend) = (Authority::new("ca"), TcpBackend::start("one").await);
        let mut snapshot = tls_snapshot(vec![https("a.example", &["a.example"])]);
        snapshot
            .certificate("a.example", &authority.issue(&["a.example"]))
            .routes("a.example", &["*"], vec![answer("/", "secret")])
            .listener(TCP, ListenerProtocol::Tcp(tcp_forward(&[("one", 1)])))
            .cluster("one", &[backend.address]);
        let (proxy, _volume) = start(&expecting(snapshot, false)).await;
        let stream = connect(&proxy, HTTPS, V2).await;
        let tls = TlsConnector::from(Arc::clone(&ClientTls::new(&authority, &[]).0));
        let stream = tls.connect(ServerName::try_from("a.example").unwrap(), stream).await.unwrap();
        assert_eq!(Client::http1(stream).await.get("a.example", "/").await.text, "secret");
        let mut stream = connect(&proxy, TCP, &[V1, b"hello"].concat()).await;
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(
            text,
            "one
hellobye"
        );
        for line in proxy.log_lines(2).await {
            assert!(line.starts_with("192.0.2.1:8080 198.51.100.2:80 "), "{line}");
        }
    });
}

#[test]
fn a_header_that_comes_slowly_and_with_the_request_behind_it() {
    run(async {
        let (proxy, _volume) = start(&http(false)).await;
        let mut stream = TcpStream::connect(proxy.at(HTTP)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
        let (start, end) = V1.split_at(9);
        for piece in [start, &[end, &request[..]].concat()] {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("here"), "{text}");
    });
}

#[test]
fn without_a_header_a_connection_is_closed_unless_that_is_allowed() {
    run(async {
        let (proxy, volume) = start(&http(false)).await;
        for bytes in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"PROXY TCP4 nonsense\r\n"] {
            assert!(is_closed(connect(&proxy, HTTP, bytes).await).await);
        }
        // The listener stays, and says something else from now on.
        proxy.applied(volume.publish(&http(true))).await;
        assert_eq!(get_text(proxy.at(HTTP), "a.example", "/").await, "here");
        let behind = connect(&proxy, HTTP, V2).await;
        assert_eq!(Client::http1(behind).await.get("a.example", "/").await.text, "here");
        assert!(is_closed(connect(&proxy, HTTP, b"PROXY TCP4 nonsense\r\n").await).await);
    });
}
