//! How connections end when the proxy does, and how they live through a reload.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use http::Request;
use http_support::*;
use postern_snapshot::model::{DirectResponse, ResponseBody, RouteAction, UpstreamProtocol::Http1};
use tokio::{io::AsyncWriteExt as _, sync::Notify};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Answers when it is told to.
async fn waiting() -> (std::net::SocketAddr, Rc<Notify>, Rc<Notify>) {
    let (came, go) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
    let signals = (Rc::clone(&came), Rc::clone(&go));
    let address = backend(move |request| {
        let (came, go) = signals.clone();
        async move {
            came.notify_one();
            go.notified().await;
            echo(request).await
        }
    })
    .await;
    (address, came, go)
}

#[test]
fn a_request_under_way_is_answered_and_its_connection_closed() {
    run(async {
        let (address, came, go) = waiting().await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let mut stream = proxy.connect().await;
        stream.write_all(GET).await.unwrap();
        came.notified().await;
        proxy.drain.start();
        tokio::task::yield_now().await;
        go.notify_one();
        let response = read_to_close(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("connection: close\r\n"), "{response}");
    });
}

#[test]
fn an_idle_connection_gets_a_last_answer_if_it_asks_in_time() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        let mut asks = proxy.connect().await;
        asks.write_all(GET).await.unwrap();
        read_until(&mut asks, "x-envoy-attempt-count").await;
        let mut silent = proxy.connect().await;
        silent.write_all(GET).await.unwrap();
        read_until(&mut silent, "x-envoy-attempt-count").await;
        let start = Instant::now();
        proxy.drain.start();
        tokio::time::sleep(Duration::from_millis(50)).await;
        asks.write_all(GET).await.unwrap();
        let response = read_to_close(&mut asks).await;
        assert!(response.contains("connection: close\r\n"), "{response}");
        assert!(start.elapsed() < Duration::from_millis(800));
        assert_eq!(read_to_close(&mut silent).await, "");
        proxy.drain.run(Duration::from_secs(5)).await;
        assert!(start.elapsed() < Duration::from_secs(3));
    });
}

#[test]
fn http2_connections_say_goaway_and_finish_their_streams() {
    run(async {
        let (address, came, go) = waiting().await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let (mut client, connection) = h2::client::handshake(proxy.connect().await).await.unwrap();
        let connection = tokio::task::spawn_local(connection);
        let request = || Request::get("http://a/").body(()).unwrap();
        let (answer, _) = client.send_request(request(), true).unwrap();
        came.notified().await;
        proxy.drain.start();
        // After GOAWAY there are no new streams.
        while client.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        go.notify_one();
        let mut body = answer.await.unwrap().into_body();
        while let Some(data) = body.data().await {
            let length = data.unwrap().len();
            body.flow_control().release_capacity(length).unwrap();
        }
        drop((body, client));
        connection.await.unwrap().unwrap();
        proxy.drain.run(Duration::from_secs(5)).await;
    });
}

#[test]
fn what_does_not_end_by_itself_is_cut_off() {
    run(async {
        let (address, came, _go) = waiting().await;
        let mut setup = Setup::forwarding(Http1, &[address]);
        setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS%");
        let proxy = setup.start().await;
        let mut one = proxy.connect().await;
        one.write_all(GET).await.unwrap();
        came.notified().await;
        let mut client = proxy.http2().await;
        let request = Request::get("http://a/").body(full("")).unwrap();
        let two = tokio::task::spawn_local(async move { client.send_request(request).await });
        came.notified().await;
        let start = Instant::now();
        proxy.drain.run(Duration::from_millis(100)).await;
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(read_to_close(&mut one).await, "");
        assert!(two.await.unwrap().is_err());
        proxy.log_lines(2).await;
    });
}

#[test]
fn tunnels_have_the_grace_period() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[address]);
        setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS%");
        let proxy = setup.start().await;
        let mut stream = proxy.connect().await;
        let ask = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        stream.write_all(ask).await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        let drain = proxy.drain.clone();
        let draining = tokio::task::spawn_local(async move { drain.run(Duration::from_millis(300)).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"still here").await.unwrap();
        read_until(&mut stream, "still here").await;
        assert_eq!(read_to_close(&mut stream).await, "");
        draining.await.unwrap();
        assert_eq!(proxy.log_line().await, "101 DT");
    });
}

#[test]
fn a_reload_reaches_open_connections_and_no_request_under_way() {
    run(async {
        let (address, came, go) = waiting().await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let mut client = proxy.http2().await;
        let mut http1 = proxy.http1().await;
        let old = {
            let mut client = client.clone();
            let request = Request::get("http://a/").body(full("")).unwrap();
            tokio::task::spawn_local(async move { client.send_request(request).await.unwrap() })
        };
        came.notified().await;
        let direct = DirectResponse { status: 203, body: Some(ResponseBody::Text("new".into())) };
        proxy.reload(&hosts(&["*"], vec![route(RouteAction::DirectResponse(direct))]));
        let request = Request::get("http://a/").body(full("")).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 203);
        let request = Request::get("/").header("host", "a").body(full("")).unwrap();
        assert_eq!(http1.send_request(request).await.unwrap().status(), 203);
        go.notify_one();
        assert_eq!(old.await.unwrap().status(), 200);
    });
}

/// 200 reloads under load, and every request gets the old or the new answer.
#[test]
fn nothing_fails_while_routes_change() {
    run(async {
        let proxy = Rc::new(Setup::forwarding(Http1, &[backend(echo).await]).start().await);
        let stop = Rc::new(Cell::new(false));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (proxy, stop) = (Rc::clone(&proxy), Rc::clone(&stop));
                tokio::task::spawn_local(async move {
                    let mut client = proxy.http1().await;
                    let mut count = 0;
                    while !stop.get() {
                        client.ready().await.unwrap();
                        let request = Request::get("/").header("host", "a").body(full("")).unwrap();
                        let answer = Answer::of(client.send_request(request).await.unwrap()).await;
                        assert!(matches!(answer.status, 200 | 203), "{}", answer.status);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let direct = DirectResponse { status: 203, body: None };
        let tables = [
            hosts(&["*"], vec![route(RouteAction::DirectResponse(direct))]),
            hosts(&["*"], vec![route(RouteAction::Forward(forward()))]),
        ];
        for number in 0..200 {
            proxy.reload(&tables[number % 2]);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.set(true);
        for client in clients {
            assert!(client.await.unwrap() > 20);
        }
    });
}
