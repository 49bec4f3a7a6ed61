//! Time limits of requests and connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use http_support::*;
use postern_snapshot::model::{
    HttpSettings, RetryCondition, RetryPolicy, Route, RouteAction, UpstreamProtocol::Http1,
};
use tokio::{io::AsyncWriteExt as _, time::sleep};

const LOG: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%";

fn limited(timeout: u64, retry: Option<RetryPolicy>) -> Route {
    let mut to = forward();
    to.timeout = Some(Duration::from_millis(timeout));
    to.retry = retry;
    route(RouteAction::Forward(to))
}

async fn never_answering() -> (std::net::SocketAddr, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let address = backend(move |_| {
        counted.set(counted.get() + 1);
        std::future::pending()
    })
    .await;
    (address, count)
}

/// A body that sends some and then nothing more.
fn stalling(first: &'static str) -> Body {
    let first = futures_util::stream::once(async move { Ok(Frame::data(Bytes::from(first))) });
    let never = futures_util::stream::pending();
    StreamBody::new(futures_util::StreamExt::chain(first, never)).boxed_unsync()
}

#[test]
fn no_answer_within_the_routes_timeout_is_504() {
    run(async {
        let (address, _) = never_answering().await;
        let mut setup = Setup::routing(Http1, &[address], limited(50, None));
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        let start = Instant::now();
        let answer = proxy.get("a", "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (504, "upstream request timeout"));
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert_eq!(proxy.log_line().await, "504 UT response_timeout 1");
    });
}

#[test]
fn each_try_has_a_limit_of_its_own() {
    run(async {
        let retry = |conditions: &[RetryCondition]| RetryPolicy {
            attempts: 2,
            per_try_timeout: Some(Duration::from_millis(30)),
            conditions: conditions.to_vec(),
            status_codes: vec![],
            backoff: Some(Duration::from_millis(1)),
            ignore_previous_hosts: true,
        };
        for (conditions, tries, log) in [
            (&[RetryCondition::Reset][..], 3, "504 UT,URX upstream_per_try_timeout 3"),
            (&[RetryCondition::ConnectFailure], 1, "504 UT upstream_per_try_timeout 1"),
        ] {
            let (address, count) = never_answering().await;
            let mut setup = Setup::routing(Http1, &[address], limited(10_000, Some(retry(conditions))));
            setup.access_log = Some(LOG);
            let proxy = setup.start().await;
            assert_eq!(proxy.get("a", "/").await.status, 504);
            assert_eq!(count.get(), tries);
            assert_eq!(proxy.log_line().await, log);
        }
    });
}

#[test]
fn the_routes_timeout_covers_all_tries() {
    run(async {
        let (address, _) = never_answering().await;
        let retry = RetryPolicy {
            attempts: 100,
            per_try_timeout: Some(Duration::from_millis(20)),
            conditions: vec![RetryCondition::Reset],
            status_codes: vec![],
            backoff: Some(Duration::from_millis(1)),
            ignore_previous_hosts: true,
        };
        let mut setup = Setup::routing(Http1, &[address], limited(150, Some(retry)));
        setup.access_log = Some("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
        let proxy = setup.start().await;
        assert_eq!(proxy.get("a", "/").await.status, 504);
        assert_eq!(proxy.log_line().await, "UT response_timeout");
    });
}

#[test]
fn the_timeout_covers_the_response_to_its_end() {
    run(async {
        let address = backend(|_| async { Response::new(stalling("some")) }).await;
        let mut setup = Setup::routing(Http1, &[address], limited(80, None));
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        let request = Request::get("/").header("host", "a").body(full("")).unwrap();
        let response = proxy.http1().await.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err());
        assert_eq!(proxy.log_line().await, "200 UT response_timeout 1");
    });
}

#[test]
fn the_timeout_begins_when_the_whole_request_is_there() {
    run(async {
        let proxy = Setup::routing(Http1, &[backend(echo).await], limited(100, None)).start().await;
        let mut stream = proxy.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 6\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for byte in ["a", "b", "c", "d", "e", "f"] {
            sleep(Duration::from_millis(40)).await;
            stream.write_all(byte.as_bytes()).await.unwrap();
        }
        let response = read_to_close(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert!(response.contains("abcdef"));
    });
}

#[test]
fn slow_heads_are_cut_off_and_idle_connections_are_not() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.settings = HttpSettings {
            request_headers_timeout: Some(Duration::from_millis(100)),
            idle_timeout: Some(Duration::from_millis(400)),
            ..HttpSettings::default()
        };
        let proxy = setup.start().await;

        // From the first byte of a new connection, and of one that has served a request.
        for warm in [false, true] {
            let mut stream = proxy.connect().await;
            if warm {
                stream.write_all(b"GET /first HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                read_until(&mut stream, "/first").await;
                sleep(Duration::from_millis(150)).await;
            }
            let start = Instant::now();
            stream.write_all(b"GET / HTT").await.unwrap();
            let rest = read_to_close(&mut stream).await;
            assert!(!rest.contains("200 OK"), "{rest}");
            let took = start.elapsed();
            assert!(
                took >= Duration::from_millis(90) && took < Duration::from_millis(380),
                "{warm}: {took:?}"
            );
        }

        let mut stream = proxy.connect().await;
        sleep(Duration::from_millis(250)).await;
        stream.write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        read_until(&mut stream, "GET /x").await;
        let start = Instant::now();
        read_to_close(&mut stream).await;
        assert!(start.elapsed() >= Duration::from_millis(380), "{:?}", start.elapsed());
    });
}

#[test]
fn a_request_under_way_is_not_idle() {
    run(async {
        let slow = backend(|request| async {
            sleep(Duration::from_millis(300)).await;
            echo(request).await
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[slow]);
        setup.settings = HttpSettings {
            request_headers_timeout: Some(Duration::from_millis(50)),
            idle_timeout: Some(Duration::from_millis(100)),
            ..HttpSettings::default()
        };
        let proxy = setup.start().await;
        assert_eq!(proxy.get("a", "/").await.status, 200);
        let request = Request::get("http://a/").body(full("")).unwrap();
        assert_eq!(proxy.http2().await.send_request(request).await.unwrap().status(), 200);
    });
}

#[test]
fn idle_http2_connections_end() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.settings =
            HttpSettings { idle_timeout: Some(Duration::from_millis(100)), ..HttpSettings::default() };
        let proxy = setup.start().await;
        let mut client = proxy.http2().await;
        let request = Request::get("http://a/").body(full("")).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 200);
        while client.ready().await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    });
}
