//! What happens when an upstream fails, and when it is tried again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_support::*;
use postern_snapshot::model::{
    RetryCondition, RetryPolicy, Route, RouteAction,
    UpstreamProtocol::{Http1, Http2},
};
use tokio::io::AsyncWriteExt as _;

const LOG: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%";

fn policy(conditions: &[RetryCondition], status_codes: &[u16]) -> RetryPolicy {
    RetryPolicy {
        attempts: 2,
        per_try_timeout: None,
        conditions: conditions.to_vec(),
        status_codes: status_codes.to_vec(),
        backoff: Some(Duration::from_millis(1)),
        ignore_previous_hosts: true,
    }
}

fn retrying(policy: RetryPolicy) -> Route {
    let mut to = forward();
    to.retry = Some(policy);
    route(RouteAction::Forward(to))
}

/// Fails so often, then echoes; counts what it got.
async fn failing(times: u32, status: u16) -> (std::net::SocketAddr, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let address = backend(move |request| {
        counted.set(counted.get() + 1);
        let fails = counted.get() <= times;
        async move {
            let mut response = echo(request).await;
            if fails {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
            }
            response
        }
    })
    .await;
    (address, count)
}

/// Reads a request and closes without an answer.
async fn closing() -> (std::net::SocketAddr, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let address = raw_backend(move |mut stream| {
        counted.set(counted.get() + 1);
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
        }
    })
    .await;
    (address, count)
}

#[test]
fn a_refused_connect_goes_to_the_next_endpoint_at_once() {
    run(async {
        let addresses = [nobody().await, nobody().await, backend(echo).await];
        let proxy = Setup::forwarding(Http1, &addresses).start().await;
        for _ in 0..4 {
            assert_eq!(proxy.get("a", "/").await.status, 200);
        }
    });
}

#[test]
fn when_none_can_be_connected_it_is_503_uf() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[nobody().await]);
        setup.access_log =
            Some("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%");
        let proxy = setup.start().await;
        let answer = proxy.get("a", "/").await;
        assert_eq!(answer.status, 503);
        let start = "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
                     failure, transport failure reason: ";
        assert!(answer.body.starts_with(start), "{}", answer.body);
        assert_eq!(answer.header("content-type"), "text/plain");
        let line = proxy.log_line().await;
        assert!(
            line.starts_with("UF upstream_reset_before_response_started{remote_connection_failure} "),
            "{line}"
        );
    });
}

#[test]
fn a_close_before_the_response_is_503_uc() {
    run(async {
        let (address, _) = closing().await;
        let mut setup = Setup::forwarding(Http1, &[address]);
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        assert_eq!(proxy.get("a", "/").await.status, 503);
        let expected = "503 UC upstream_reset_before_response_started{connection_termination} 1";
        assert_eq!(proxy.log_line().await, expected);
    });
}

#[test]
fn what_is_not_http_is_502() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[address]);
        setup.access_log = Some("%RESPONSE_FLAGS%");
        let proxy = setup.start().await;
        assert_eq!(proxy.get("a", "/").await.status, 502);
        assert_eq!(proxy.log_line().await, "UPE");
    });
}

#[test]
fn statuses_are_retried_until_attempts_are_used_up() {
    run(async {
        for (fails, status, attempts, flags) in [(1, 200, 2, "-"), (2, 200, 3, "-"), (3, 503, 3, "URX")] {
            let (address, count) = failing(fails, 503).await;
            let route = retrying(policy(&[], &[503]));
            let mut setup = Setup::routing(Http1, &[address], route);
            setup.access_log = Some(LOG);
            let proxy = setup.start().await;
            let answer = proxy.get("a", "/x").await;
            assert_eq!((answer.status, count.get()), (status, attempts));
            assert_eq!(answer.upstream_header("x-envoy-attempt-count"), [attempts.to_string()]);
            assert_eq!(answer.upstream_line(), "GET /x HTTP/1.1");
            assert_eq!(proxy.log_line().await, format!("{status} {flags} via_upstream {attempts}"));
        }
    });
}

#[test]
fn istios_default_conditions_do_not_retry_statuses_or_closes() {
    run(async {
        let default = policy(
            &[
                RetryCondition::ConnectFailure,
                RetryCondition::RefusedStream,
                RetryCondition::Cancelled,
                RetryCondition::Unavailable,
            ],
            &[],
        );
        let (address, count) = failing(9, 503).await;
        let proxy = Setup::routing(Http1, &[address], retrying(default.clone())).start().await;
        assert_eq!((proxy.get("a", "/").await.status, count.get()), (503, 1));
        let (address, count) = closing().await;
        let proxy = Setup::routing(Http1, &[address], retrying(default)).start().await;
        assert_eq!((proxy.get("a", "/").await.status, count.get()), (503, 1));
    });
}

#[test]
fn a_close_is_retried_on_reset_at_another_endpoint_with_the_same_body() {
    run(async {
        let (bad, bad_count) = closing().await;
        let good = backend(echo).await;
        let proxy = Setup::routing(Http1, &[bad, good], retrying(policy(&[RetryCondition::Reset], &[])))
            .start()
            .await;
        for _ in 0..4 {
            let request = Request::post("/").header("host", "a").body(full("the body")).unwrap();
            let answer = proxy.send(request).await;
            assert_eq!((answer.status, answer.upstream_body()), (200, "the body"));
        }
        assert!(bad_count.get() >= 1);
    });
}

#[test]
fn large_bodies_pass_but_are_not_kept_for_a_retry() {
    run(async {
        let (address, count) = failing(1, 503).await;
        let proxy = Setup::routing(Http1, &[address], retrying(policy(&[], &[503]))).start().await;
        let body = "x".repeat(200_000);
        let post = || Request::post("/").header("host", "a").body(full(body.clone())).unwrap();
        let answer = proxy.send(post()).await;
        assert_eq!((answer.status, count.get()), (503, 1));
        assert_eq!(answer.upstream_body().len(), 200_000);
        let answer = proxy.send(post()).await;
        assert_eq!((answer.status, answer.upstream_body().len()), (200, 200_000));
    });
}

#[test]
fn retries_prefer_an_endpoint_that_was_not_tried() {
    run(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut addresses = Vec::new();
        for number in 0..3 {
            let seen = Rc::clone(&seen);
            addresses.push(
                backend(move |_| {
                    seen.borrow_mut().push(number);
                    async { Response::builder().status(503).body(full("")).unwrap() }
                })
                .await,
            );
        }
        let proxy = Setup::routing(Http1, &addresses, retrying(policy(&[], &[503]))).start().await;
        assert_eq!(proxy.get("a", "/").await.status, 503);
        let mut seen = seen.borrow().clone();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    });
}

#[test]
fn grpc_statuses_in_the_head_are_retried() {
    run(async {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let address = backend_http2(move |_| {
            counted.set(counted.get() + 1);
            let status = if counted.get() < 3 { "14" } else { "0" };
            async move { Response::builder().header("grpc-status", status).body(full("")).unwrap() }
        })
        .await;
        let proxy = Setup::routing(Http2, &[address], retrying(policy(&[RetryCondition::Unavailable], &[])))
            .start()
            .await;
        let request = Request::post("http://a/s/m").header("content-type", "application/grpc");
        let response = proxy.http2().await.send_request(request.body(full("msg")).unwrap()).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "0");
        assert_eq!(count.get(), 3);
    });
}

/// An upstream that says GOAWAY for what it has not looked at: the request goes again, over another connection.
#[test]
fn refused_streams_are_retried() {
    run(async {
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        let address = raw_backend(move |stream| {
            counted.set(counted.get() + 1);
            let refuses = counted.get() == 1;
            async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    if refuses {
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                    } else {
                        respond.send_response(Response::new(()), true).unwrap();
                    }
                }
            }
        })
        .await;
        let refused = retrying(policy(&[RetryCondition::RefusedStream], &[]));
        let mut setup = Setup::routing(Http2, &[address], refused);
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        // The first connection refuses all three tries.
        assert_eq!(proxy.get("a", "/").await.status, 503);
        let expected = "503 UR,URX upstream_reset_before_response_started{remote_refused_stream_reset} 3";
        assert_eq!(proxy.log_line().await, expected);
    });
}

#[test]
fn retries_are_counted() {
    run(async {
        let (address, _) = failing(2, 503).await;
        let proxy = Setup::routing(Http1, &[address], retrying(policy(&[], &[503]))).start().await;
        proxy.get("a", "/").await;
        let metrics = proxy.metrics.render();
        let line =
            metrics.lines().find(|line| line.contains("retr") && line.contains(CLUSTER)).unwrap_or_default();
        assert!(line.ends_with(" 2"), "{line:?} in\n{metrics}");
    });
}
