//! Connections that leave HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use http_support::*;
use hyper_util::rt::TokioIo;
use postern_snapshot::model::UpstreamProtocol::{Http1, Http2};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// A WebSocket server that sends every message back, and then the request's path.
async fn websocket_echo() -> SocketAddr {
    raw_backend(|stream| async move {
        let mut websocket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = websocket.next().await {
            if message.is_text() || message.is_binary() {
                websocket.send(message).await.unwrap();
            }
        }
    })
    .await
}

async fn websocket(proxy: &Proxy) -> WebSocketStream<TcpStream> {
    let stream = proxy.connect().await;
    let (websocket, response) = tokio_tungstenite::client_async("ws://a/chat?x=1", stream).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "websocket");
    websocket
}

#[test]
fn websocket_messages_pass_both_ways() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[websocket_echo().await]);
        setup.access_log =
            Some("%RESPONSE_CODE% %RESPONSE_FLAGS% %REQ(:PATH)% %BYTES_RECEIVED% %BYTES_SENT% %PROTOCOL%");
        let proxy = setup.start().await;
        let mut websocket = websocket(&proxy).await;
        let large = "x".repeat(300_000);
        for text in ["one", "two", large.as_str()] {
            websocket.send(Message::text(text)).await.unwrap();
            assert_eq!(websocket.next().await.unwrap().unwrap(), Message::text(text));
        }
        websocket.close(None).await.unwrap();
        while websocket.next().await.is_some() {}
        drop(websocket);
        let line = proxy.log_line().await;
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[..3], ["101", "-", "/chat?x=1"]);
        assert!(fields[3].parse::<u64>().unwrap() > 300_000, "{line}");
        assert!(fields[4].parse::<u64>().unwrap() > 300_000, "{line}");
    });
}

#[test]
fn the_routes_timeout_does_not_end_a_tunnel() {
    run(async {
        let mut to = forward();
        to.timeout = Some(Duration::from_millis(50));
        let route = route(postern_snapshot::model::RouteAction::Forward(to));
        let proxy = Setup::routing(Http1, &[websocket_echo().await], route).start().await;
        let mut websocket = websocket(&proxy).await;
        tokio::time::sleep(Duration::from_millis(120)).await;
        websocket.send(Message::text("still here")).await.unwrap();
        assert_eq!(websocket.next().await.unwrap().unwrap(), Message::text("still here"));
    });
}

/// One side may close its direction and go on reading (RFC 9293 section 3.6).
#[test]
fn any_protocol_passes_with_half_closes() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            let head = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
            assert!(head.contains("upgrade: echo\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
            let answer =
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello ";
            stream.write_all(answer).await.unwrap();
            // Answers only when the client has closed its direction.
            let all = read_to_close(&mut stream).await;
            stream.write_all(all.as_bytes()).await.unwrap();
        })
        .await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let mut stream = proxy.connect().await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "hello ").await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        stream.write_all(b"and good bye").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_close(&mut stream).await, "and good bye");
    });
}

#[test]
fn an_upstream_may_decline() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        let request = "GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let mut stream = proxy.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "upgrade: websocket").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        // The connection goes on as HTTP.
        stream.write_all(b"GET /y HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(read_to_close(&mut stream).await.contains("GET /y"));
    });
}

/// An upgrade to HTTP/2 would carry requests past the routes.
#[test]
fn upgrades_to_http2_or_tls_are_not_passed_on() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        for protocol in ["h2c", "H2C", "TLS/1.0", "HTTP/2.0", "websocket, h2c"] {
            let answer = proxy
                .raw(format!(
                    "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, upgrade, http2-settings\r\nupgrade: {protocol}\r\n\
                     http2-settings: AAMAAABk\r\n\r\n"
                ))
                .await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(!answer.contains("upgrade:") && !answer.contains("settings"), "{protocol}: {answer}");
        }
    });
}

#[test]
fn an_unasked_switch_is_502() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            read_to_close(&mut stream).await;
        })
        .await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        assert_eq!(proxy.get("a", "/").await.status, 502);
    });
}

#[test]
fn http2_upstreams_get_a_plain_request() {
    run(async {
        let proxy = Setup::forwarding(Http2, &[backend_http2(echo).await]).start().await;
        let request =
            "GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n";
        let answer = proxy.raw(request).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("GET http://a/x HTTP/2.0"),
            "{answer}"
        );
    });
}

/// RFC 8441: a WebSocket on a stream of an HTTP/2 connection.
#[test]
fn extended_connect_reaches_http1_upstreams() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[websocket_echo().await]);
        setup.table.virtual_hosts[0].routes[0].matches = prefix("/chat");
        let proxy = setup.start().await;
        let mut client = proxy.http2().await;
        let ask = |path: &str| {
            Request::connect(format!("http://a{path}"))
                .extension(hyper::ext::Protocol::from_static("websocket"))
                .header("sec-websocket-version", "13")
                .body(full(""))
                .unwrap()
        };
        let mut response = client.send_request(ask("/chat")).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        assert!(!response.headers().contains_key("upgrade"));
        let stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
        let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
        let mut websocket = WebSocketStream::from_raw_socket(stream, role, None).await;
        websocket.send(Message::text("over HTTP/2")).await.unwrap();
        assert_eq!(websocket.next().await.unwrap().unwrap(), Message::text("over HTTP/2"));
        websocket.close(None).await.unwrap();
        assert_eq!(client.send_request(ask("/other")).await.unwrap().status(), 404);
    });
}

#[test]
fn an_upstream_that_breaks_ends_the_tunnel() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream.read_u8().await.unwrap();
        })
        .await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let mut stream = proxy.connect().await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"x").await.unwrap();
        assert_eq!(read_to_close(&mut stream).await, "");
    });
}
