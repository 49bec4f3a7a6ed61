//! HTTP/2: multiplexing, limits, GOAWAY.

use std::{future::poll_fn, rc::Rc, time::Duration};

use http::{Response, StatusCode};
use postern_snapshot::model::UpstreamProtocol;
use postern_upstream::{ConnectError, Failure, PoolConfig};
use tokio::{io::AsyncReadExt, sync::Notify};

use crate::{
    server::{Server, raw, write},
    support::{ask, cluster, get, http2, local, pool, pool_with, send, settings, text},
};

#[tokio::test]
async fn requests_share_one_connection_from_the_start() {
    local(async {
        let server = Server::http2(100).await;
        let (cluster, (pool, seen)) = (http2(&[server.address]), pool());
        server.gate.add_permits(50);
        let answers = (0..50).map(|_| ask(&pool, &cluster, "/held"));
        let answers = futures_util::future::join_all(answers).await;
        assert!(answers.iter().all(|answer| answer == "1"));
        assert_eq!((seen.counts().connected, server.connections.get()), (1, 1));
        assert_eq!(cluster.endpoints()[0].active(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_goes_over_further_connections() {
    local(async {
        let server = Server::http2(1).await;
        let (cluster, (pool, seen)) = (http2(&[server.address]), pool());
        server.gate.add_permits(5);
        let answers = (0..5).map(|_| send(&pool, &cluster, get("/held")));
        let responses: Vec<_> =
            futures_util::future::join_all(answers).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(seen.counts().connected, 5);
        let mut answers = Vec::new();
        for response in responses {
            answers.push(text(response).await);
        }
        answers.sort();
        assert_eq!(answers, ["1", "2", "3", "4", "5"]);
        // With one at a time, the first connection does all.
        for _ in 0..3 {
            assert_eq!(ask(&pool, &cluster, "/").await, "1");
        }
    })
    .await;
}

#[tokio::test]
async fn our_own_limit_of_streams_holds_too() {
    local(async {
        let server = Server::http2(100).await;
        let (pool, seen) = pool_with(PoolConfig { max_streams_per_connection: 2, ..PoolConfig::default() });
        let cluster = http2(&[server.address]);
        server.gate.add_permits(6);
        futures_util::future::join_all((0..6).map(|_| ask(&pool, &cluster, "/held"))).await;
        assert_eq!(seen.counts().connected, 3);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_response_frees_its_place() {
    local(async {
        let server = Server::http2(1).await;
        let (cluster, (pool, seen)) = (http2(&[server.address]), pool());
        for _ in 0..5 {
            drop(send(&pool, &cluster, get("/")).await.unwrap());
            assert_eq!(cluster.endpoints()[0].active(), 0);
        }
        assert_eq!(seen.counts().connected, 1);
    })
    .await;
}

#[tokio::test]
async fn idle_connections_close_and_busy_ones_do_not() {
    local(async {
        let server = Server::http2(100).await;
        let (pool, seen) = pool_with(PoolConfig {
            idle_timeout: Duration::from_millis(40),
            sweep_interval: Duration::from_millis(10),
            ..PoolConfig::default()
        });
        let cluster = http2(&[server.address]);
        let held = send(&pool, &cluster, get("/held"));
        tokio::pin!(held);
        tokio::select! {
            _ = &mut held => panic!("it is held"),
            () = tokio::time::sleep(Duration::from_millis(150)) => {}
        }
        server.gate.add_permits(1);
        assert_eq!(text(held.await.unwrap()).await, "1");
        seen.until(|counts| counts.closed == 1).await;
    })
    .await;
}

/// A server by the h2 crate, for what hyper's does not do.
async fn h2_server<F>(
    serve: impl Fn(usize, h2::server::Connection<tokio::net::TcpStream, bytes::Bytes>) -> F + 'static,
) -> std::net::SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let serve = Rc::new(serve);
    raw(move |number, stream| {
        let serve = Rc::clone(&serve);
        async move { serve(number, h2::server::handshake(stream).await.unwrap()).await }
    })
    .await
}

fn ok() -> Response<()> {
    Response::builder().status(StatusCode::NO_CONTENT).body(()).unwrap()
}

#[tokio::test]
async fn after_a_goaway_requests_go_elsewhere_and_those_under_way_end() {
    local(async {
        let (finish, arrived) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (gate, there) = (Rc::clone(&finish), Rc::clone(&arrived));
        let address = h2_server(move |number, mut connection| {
            let (gate, there) = (Rc::clone(&gate), Rc::clone(&there));
            async move {
                if number > 1 {
                    while let Some(request) = connection.accept().await {
                        request.unwrap().1.send_response(ok(), true).unwrap();
                    }
                    return;
                }
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                connection.graceful_shutdown();
                there.notify_one();
                tokio::task::spawn_local(async move {
                    gate.notified().await;
                    respond.send_response(ok(), true).unwrap();
                });
                while let Some(Ok((_, mut late))) = connection.accept().await {
                    late.send_reset(h2::Reason::INTERNAL_ERROR);
                }
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http2(&[address]), pool());
        let first = send(&pool, &cluster, get("/"));
        tokio::pin!(first);
        let second = async {
            arrived.notified().await;
            // Until the GOAWAY is here, the first connection is used.
            loop {
                match send(&pool, &cluster, get("/")).await {
                    Ok(_) => break,
                    Err(error) => assert!(!matches!(error.failure(), Failure::Connect(_)), "{error:?}"),
                }
            }
        };
        tokio::select! {
            _ = &mut first => panic!("it is held"),
            () = second => {}
        }
        assert_eq!(seen.counts().connected, 2);
        finish.notify_one();
        assert_eq!(first.await.unwrap().response.status(), StatusCode::NO_CONTENT);
        seen.until(|counts| counts.closed == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_stream_is_told_from_a_reset_one() {
    local(async {
        let address = h2_server(|_, mut connection| async move {
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                respond.send_reset(match request.uri().path() {
                    "/refused" => h2::Reason::REFUSED_STREAM,
                    _ => h2::Reason::INTERNAL_ERROR,
                });
            }
        })
        .await;
        let (cluster, (pool, seen)) = (http2(&[address]), pool());
        let error = send(&pool, &cluster, get("/refused")).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::RefusedStream(_)), "{error:?}");
        let error = send(&pool, &cluster, get("/reset")).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::StreamReset(_)), "{error:?}");
        assert_eq!(seen.counts().connected, 1, "the connection is as good as before");
    })
    .await;
}

#[tokio::test]
async fn streams_beyond_the_goaway_were_refused() {
    local(async {
        let address = h2_server(|_, mut connection| async move {
            let (_, respond) = connection.accept().await.unwrap().unwrap();
            // GOAWAY with the last stream that was accepted, and then the end.
            connection.abrupt_shutdown(h2::Reason::NO_ERROR);
            let _ = poll_fn(|cx| connection.poll_closed(cx)).await;
            drop(respond);
        })
        .await;
        let (cluster, (pool, _)) = (http2(&[address]), pool());
        let error = send(&pool, &cluster, get("/")).await.unwrap_err();
        assert!(!matches!(error.failure(), Failure::RefusedStream(_)), "it was accepted: {error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_fails_the_connect() {
    local(async {
        let address = raw(|_, mut stream| async move {
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            write(&mut stream, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let (cluster, (pool, seen)) = (http2(&[address]), pool());
        let mut error = send(&pool, &cluster, get("/")).await.unwrap_err();
        assert!(matches!(error.failure(), Failure::Connect(ConnectError::Handshake(_))), "{error:?}");
        assert!(error.take_request().is_some());
        assert_eq!(seen.counts().failed, 1);
    })
    .await;
}

#[tokio::test]
async fn a_silent_peer_fails_the_connect_in_its_time_and_for_all_that_wait() {
    local(async {
        let address = raw(|_, mut stream| async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let mut settings = settings(UpstreamProtocol::Http2);
        settings.connect_timeout = Duration::from_millis(50);
        let (cluster, (pool, seen)) = (cluster(settings, &[address]), pool());
        let failed = futures_util::future::join_all((0..10).map(|_| send(&pool, &cluster, get("/")))).await;
        for outcome in failed {
            let error = outcome.unwrap_err();
            assert!(matches!(error.failure(), Failure::Connect(ConnectError::Timeout(_))), "{error:?}");
        }
        assert_eq!(seen.counts().failed, 1);
    })
    .await;
}

#[tokio::test]
async fn a_refused_connect_goes_to_the_next_endpoint_for_all_that_wait() {
    local(async {
        let server = Server::http2(100).await;
        let (cluster, (pool, _)) = (http2(&[crate::support::refusing(), server.address]), pool());
        futures_util::future::join_all((0..10).map(|_| ask(&pool, &cluster, "/"))).await;
        assert_eq!(server.requests.get(), 10);
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}
