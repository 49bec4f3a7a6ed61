//! HTTP/1.1: reuse, failure, upgrade.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use postern_upstream::{ConnectError, Failure, PoolConfig, Tried};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
};

use crate::{
    server::{OK, Server, raw, read_head, write},
    support::{ask, get, http1, local, pool, pool_with, refusing, request, send, text},
};

#[tokio::test]
async fn requests_after_one_another_share_a_connection() {
    local(async {
        let server = Server::http1().await;
        let (cluster, (pool, seen)) = (http1(&[server.address]), pool());
        for expected in [false, true, true, true] {
            let response = send(&pool, &cluster, get("/")).await.unwrap();
            assert_eq!(response.reused, expected);
            assert_eq!(response.endpoint().address(), server.address);
            assert_eq!(text(response).await, "1");
        }
        assert_eq!((seen.counts().connected, server.connections.get()), (1, 1));
        assert_eq!(cluster.endpoints()[0].active(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_last_used_connection_is_used_next() {
    local(async {
        let server = Server::http1().await;
        let (cluster, (pool, _)) = (http1(&[server.address]), pool());
        server.gate.add_permits(3);
        let three = || send(&pool, &cluster, get("/held"));
        let (a, b, c) = tokio::join!(three(), three(), three());
        assert_eq!(cluster.endpoints()[0].active(), 3);
        let mut last = String::new();
        for response in [b, a, c] {
            last = text(response.unwrap()).await;
        }
        for _ in 0..5 {
            assert_eq!(ask(&pool, &cluster, "/").await, last);
        }
        assert_eq!(server.connections.get(), 3);
    })
    .await;
}

#[tokio::test]
async fn idle_connections_close_after_their_time() {
    local(async {
        let server = Server::http1().await;
        let (pool, seen) = pool_with(PoolConfig {
            idle_timeout: Duration::from_millis(40),
            sweep_interval: Duration::from_millis(10),
            ..PoolConfig::default()
        });
        let cluster = http1(&[server.address]);
        assert_eq!(ask(&pool, &cluster, "/").await, "1");
        seen.until(|counts| counts.closed == 1).await;
        assert_eq!(ask(&pool, &cluster, "/").await, "2");
    })
    .await;
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_allowed() {
    local(async {
        let server = Server::http1().await;
        let (pool, seen) = pool_with(PoolConfig { max_idle_per_endpoint: 2, ..PoolConfig::default() });
        let cluster = http1(&[server.address]);
        server.gate.add_permits(3);
        let one = || ask(&pool, &cluster, "/held");
        tokio::join!(one(), one(), one());
        seen.until(|counts| counts.closed == 1).await;
        assert_eq!(seen.counts().connected, 3);
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_not_used() {
    local(async {
        let address = raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, OK).await;
        })
        .await;
        let (pool, seen) =
            pool_with(PoolConfig { sweep_interval: Duration::from_millis(10), ..PoolConfig::default() });
        let cluster = http1(&[address]);
        for round in 1..=20 {
            assert_eq!(ask(&pool, &cluster, "/").await, "ok");
            let posted = send(&pool, &cluster, request("POST", "/", "content")).await.unwrap();
            assert_eq!(
                text(posted).await,
                "ok",
                "it was closed when the answer was read, so nothing was sent"
            );
            seen.until(|counts| counts.closed == 2 * round).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_server_sends_unasked_is_no_answer() {
    local(async {
        let address = raw(|number, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, &OK.replace("ok", &format!("{number} "))).await;
            write(&mut stream, "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        for expected in ["1 ", "2 ", "3 "] {
            assert_eq!(ask(&pool, &cluster, "/").await, expected);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_closed_by_the_response_is_not_kept() {
    local(async {
        let address = raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end").await;
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        for _ in 0..5 {
            assert_eq!(ask(&pool, &cluster, "/").await, "until the end");
        }
        assert_eq!(seen.counts().connected, 5);
    })
    .await;
}

/// The n-th connection reads n requests, and closes instead of answering the last.
async fn closing_server() -> std::net::SocketAddr {
    raw(|number, mut stream| async move {
        for _ in 1..number {
            read_head(&mut stream).await;
            write(&mut stream, OK).await;
        }
        read_head(&mut stream).await;
    })
    .await
}

#[tokio::test]
async fn a_close_instead_of_a_response_is_an_error_on_a_new_connection() {
    local(async {
        let (cluster, (pool, _)) = (http1(&[closing_server().await]), pool());
        let mut tried = Tried::new();
        let mut error = pool.send(&cluster, get("/"), None, &mut tried).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::ConnectionClosed(_)), "{error:?}");
        assert!(!error.reused());
        assert!(error.take_request().is_some(), "it is still whole");
        assert!(tried.contains(error.endpoint().unwrap().id()));
        assert!(!cluster.endpoints()[0].is_set_aside(), "only failed connects set aside");
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_keep_alive_is_not_noticed_if_the_request_may_be_sent_again() {
    local(async {
        let (cluster, (pool, seen)) = (http1(&[closing_server().await]), pool());
        assert!(send(&pool, &cluster, get("/")).await.is_err());
        assert_eq!(ask(&pool, &cluster, "/").await, "ok");
        // The second connection closes; the third takes the request.
        assert_eq!(ask(&pool, &cluster, "/").await, "ok");
        assert_eq!(seen.counts().connected, 3);
        assert_eq!(ask(&pool, &cluster, "/").await, "ok");
        for (content, whole) in [("content", false), ("", true)] {
            let mut error = send(&pool, &cluster, request("POST", "/", content)).await.unwrap_err();
            assert!(matches!(error.failure(), Failure::ConnectionClosed(_)), "{error:?}");
            assert!(error.reused());
            assert_eq!(error.take_request().is_some(), whole);
            // The fourth connection answers three times.
            for _ in 0..3 {
                assert_eq!(ask(&pool, &cluster, "/").await, "ok");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_connect_goes_to_the_next_endpoint_at_once() {
    local(async {
        let server = Server::http1().await;
        let (cluster, (pool, seen)) = (http1(&[refusing(), server.address]), pool());
        for _ in 0..20 {
            ask(&pool, &cluster, "/").await;
        }
        assert_eq!(seen.counts().failed, 1, "then it is set aside");
        assert_eq!(server.requests.get(), 20);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_recovers_is_used_again() {
    local(async {
        let down = refusing();
        let server = Server::http1().await;
        let (cluster, (pool, seen)) = (http1(&[down, server.address]), pool());
        for _ in 0..2 {
            ask(&pool, &cluster, "/").await;
        }
        assert_eq!(seen.counts().failed, 1);
        let recovered = Server::http1_at(down).await;
        ask(&pool, &cluster, "/").await;
        assert_eq!(recovered.requests.get(), 0, "still set aside");
        tokio::time::pause();
        tokio::time::advance(Duration::from_millis(1100)).await;
        tokio::time::resume();
        for _ in 0..4 {
            ask(&pool, &cluster, "/").await;
        }
        assert_eq!(recovered.requests.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn when_all_refuse_each_is_asked_once_and_the_request_comes_back() {
    local(async {
        let addresses = [refusing(), refusing(), refusing()];
        let (cluster, (pool, seen)) = (http1(&addresses), pool());
        let mut tried = Tried::new();
        let posted = request("POST", "/here", "content");
        let mut error = pool.send(&cluster, posted, None, &mut tried).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::Connect(ConnectError::Io(_))), "{error}");
        assert_eq!(seen.counts().failed, 3);
        assert!(
            cluster
                .endpoints()
                .iter()
                .all(|endpoint| tried.contains(endpoint.id()) && endpoint.is_set_aside())
        );
        let returned = error.take_request().unwrap();
        assert_eq!(returned.uri().path(), "/here");
        assert_eq!(returned.into_body().collect().await.unwrap().to_bytes(), "content");
        // All are set aside: then they are tried nevertheless.
        assert!(send(&pool, &cluster, get("/")).await.is_err());
        assert_eq!(seen.counts().failed, 6);
    })
    .await;
}

#[tokio::test]
async fn a_cluster_without_endpoints_says_so() {
    local(async {
        let (cluster, (pool, _)) = (http1(&[]), pool());
        let mut error = send(&pool, &cluster, get("/")).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::NoEndpoints));
        assert!(error.endpoint().is_none());
        assert!(error.take_request().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_retry_prefers_an_endpoint_that_was_not_tried() {
    local(async {
        let (one, two) = (Server::http1().await, Server::http1().await);
        let (cluster, (pool, _)) = (http1(&[one.address, two.address]), pool());
        for _ in 0..10 {
            let mut tried = Tried::new();
            let first = pool.send(&cluster, get("/"), None, &mut tried).await.unwrap();
            tried.add(first.endpoint().id());
            let second = pool.send(&cluster, get("/"), None, &mut tried).await.unwrap();
            assert_ne!(first.endpoint().id(), second.endpoint().id());
            text(first).await;
            text(second).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_response_that_is_dropped_closes_its_connection() {
    local(async {
        let address = raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin").await;
            let _ = stream.read_u8().await;
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        let response = send(&pool, &cluster, get("/")).await.unwrap();
        assert_eq!(cluster.endpoints()[0].active(), 1);
        drop(response);
        assert_eq!(cluster.endpoints()[0].active(), 0);
        seen.until(|counts| counts.closed == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_connection() {
    local(async {
        let arrived = Rc::new(Notify::new());
        let seen_there = Rc::clone(&arrived);
        let address = raw(move |_, mut stream| {
            let seen_there = Rc::clone(&seen_there);
            async move {
                read_head(&mut stream).await;
                seen_there.notify_one();
                let _ = stream.read_u8().await;
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        tokio::select! {
            _ = send(&pool, &cluster, get("/")) => panic!("there is no response"),
            () = arrived.notified() => {}
        }
        assert_eq!(cluster.endpoints()[0].active(), 0);
        seen.until(|counts| counts.closed == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_request_given_up_during_the_connect_leaves_the_connection_for_the_next() {
    local(async {
        let server = Server::http1().await;
        let (cluster, (pool, seen)) = (http1(&[server.address]), pool());
        tokio::select! {
            biased;
            _ = send(&pool, &cluster, get("/")) => panic!("nothing was polled yet"),
            () = std::future::ready(()) => {}
        }
        seen.until(|counts| counts.connected == 1).await;
        let response = send(&pool, &cluster, get("/")).await.unwrap();
        assert_eq!(text(response).await, "1");
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_response_before_the_end_of_the_request_does_not_mix_up_the_connection() {
    local(async {
        let address = raw(|number, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, &OK.replace("ok", &format!("{number} "))).await;
            if number > 1 {
                return;
            }
            let mut rest = String::new();
            let _ = stream.read_to_string(&mut rest).await;
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        let (body, parts) = mpsc::unbounded_channel::<Bytes>();
        let upload = Request::post("/").header("host", "a").body(streamed(parts)).unwrap();
        let response = send(&pool, &cluster, upload).await.unwrap();
        assert_eq!(text(response).await, "1 ");
        assert_eq!(ask(&pool, &cluster, "/").await, "2 ", "the first connection is still sending");
        drop(body);
    })
    .await;
}

fn streamed(mut parts: mpsc::UnboundedReceiver<Bytes>) -> crate::support::Body {
    let stream = futures_util::stream::poll_fn(move |cx| {
        parts.poll_recv(cx).map(|part| part.map(|p| Ok(Frame::data(p))))
    });
    StreamBody::new(stream).boxed_unsync()
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    local(async {
        let address = raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "SSH-2.0-OpenSSH_9.6\r\n").await;
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        let error = send(&pool, &cluster, get("/")).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::Protocol(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_failing_request_body_is_told_from_a_failing_upstream() {
    local(async {
        let address = raw(|_, mut stream| async move {
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        let pieces = [Ok(Frame::data(Bytes::from("some"))), Err("the client is gone".into())];
        let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
        let upload = Request::post("/").header("host", "a").body(body).unwrap();
        let error = send(&pool, &cluster, upload).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::RequestBody(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    local(async {
        let address = raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin").await;
        })
        .await;
        let (cluster, (pool, _)) = (http1(&[address]), pool());
        let response = send(&pool, &cluster, get("/")).await.unwrap();
        assert!(response.response.into_body().collect().await.is_err());
        assert_eq!(cluster.endpoints()[0].active(), 0);
    })
    .await;
}

#[tokio::test]
async fn trailers_pass() {
    local(async {
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: sum\r\n\r\n2\r\nok\r\n0\r\nsum: 7\r\n\r\n";
        let address = raw(move |_, mut stream| async move {
            loop {
                read_head(&mut stream).await;
                write(&mut stream, chunks).await;
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        for _ in 0..2 {
            let asked = Request::get("/").header("host", "a").header("te", "trailers");
            let asked = asked.body(crate::support::body("")).unwrap();
            let response = send(&pool, &cluster, asked).await.unwrap();
            let body = response.response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["sum"], "7");
        }
        assert_eq!(seen.counts().connected, 1);
    })
    .await;
}

#[tokio::test]
async fn an_upgraded_connection_leaves_the_pool_and_counts_until_it_ends() {
    local(async {
        let address = raw(|_, mut stream| async move {
            let head = read_head(&mut stream).await;
            assert!(head.to_ascii_lowercase().contains("upgrade: echo"), "{head}");
            write(
                &mut stream,
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi",
            )
            .await;
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
        .await;
        let (cluster, (pool, seen)) = (http1(&[address]), pool());
        for round in 1..=2 {
            let asked = Request::get("/").header("host", "a").header("connection", "upgrade");
            let asked = asked.header("upgrade", "echo").body(crate::support::body("")).unwrap();
            let mut response = send(&pool, &cluster, asked).await.unwrap();
            assert_eq!(response.response.status(), 101);
            let upgrade = response.take_upgrade().unwrap();
            drop(response);
            let mut stream = upgrade.stream().await.unwrap();
            assert_eq!(cluster.endpoints()[0].active(), 1);
            let mut got = [0; 2];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"hi");
            stream.write_all(b"ab").await.unwrap();
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ab");
            drop(stream);
            assert_eq!(cluster.endpoints()[0].active(), 0);
            assert_eq!(seen.counts().connected, round);
        }
    })
    .await;
}
