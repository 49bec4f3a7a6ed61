//! Requests that are sent on whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, channel::Channel};
use http_support::*;
use postern_snapshot::model::{
    Buffer, HttpFilters, RetryCondition, RetryPolicy, RouteAction, RouteBuffer,
    UpstreamProtocol::{Http1, Http2},
};

fn most(max_request_bytes: u32) -> HttpFilters {
    HttpFilters { buffer: Some(Buffer { max_request_bytes }), ..HttpFilters::default() }
}

fn post(body: impl Into<Bytes>) -> Request<Body> {
    Request::post("/").header("host", "a.example").body(full(body)).unwrap()
}

/// A body in chunks that come one after the other.
fn chunks(chunks: &'static [&'static str]) -> Request<Body> {
    let (mut sender, body) = Channel::<Bytes, hyper::Error>::new(1);
    tokio::task::spawn_local(async move {
        for chunk in chunks {
            if sender.send_data(Bytes::from(*chunk)).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    Request::post("/").header("host", "a.example").body(body.boxed_unsync()).unwrap()
}

#[test]
fn the_upstream_gets_it_whole_and_with_its_length() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.filters = most(10);
        let proxy = setup.start().await;
        let answer = proxy.send(chunks(&["one", "two", "four"])).await;
        assert_eq!((answer.status, answer.upstream_body()), (200, "onetwofour"));
        assert_eq!(answer.upstream_header("content-length"), ["10"]);
        assert!(answer.upstream_header("transfer-encoding").is_empty());
        assert_eq!(
            proxy.get("a.example", "/").await.status,
            200,
            "without a body there is nothing to wait for"
        );
    });
}

#[test]
fn nothing_is_sent_before_all_of_it_is_here() {
    run(async {
        let requests = Rc::new(Cell::new(0));
        let count = Rc::clone(&requests);
        let backend = backend(move |request| {
            count.set(count.get() + 1);
            echo(request)
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.filters = most(1000);
        let proxy = setup.start().await;
        // This client gives up in the middle.
        let mut stream = proxy.connect().await;
        let half = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, half).await.unwrap();
        // The proxy asks for the body, so it has begun to wait for it.
        read_until(&mut stream, "100 Continue").await;
        drop(stream);
        assert_eq!(proxy.send(post("body")).await.upstream_body(), "body");
        assert_eq!(requests.get(), 1);
    });
}

#[test]
fn one_that_is_too_long_is_refused() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[nobody().await]);
        setup.filters = most(10);
        setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%");
        let proxy = setup.start().await;
        let told = proxy
            .raw("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n")
            .await;
        assert!(told.starts_with("HTTP/1.1 413 ") && told.contains("connection: close"), "{told}");
        assert!(told.ends_with("Payload Too Large"), "{told}");
        let counted = proxy.send(chunks(&["12345", "67890", "1"])).await;
        assert_eq!((counted.status, counted.body.as_str()), (413, "Payload Too Large"));
        for line in proxy.log_lines(2).await {
            assert_eq!(line, "413 request_payload_too_large");
        }
    });
}

#[test]
fn routes_may_say_otherwise() {
    run(async {
        let to = |path: &str, buffer| {
            let mut route = route(RouteAction::Forward(forward()));
            route.matches = prefix(path);
            route.filters.buffer = buffer;
            route
        };
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.table.virtual_hosts[0].routes = vec![
            to("/stream", Some(RouteBuffer::Disabled)),
            to("/large", Some(RouteBuffer::Buffer(Buffer { max_request_bytes: 4 }))),
            to("/", None),
        ];
        setup.filters = most(2);
        let proxy = setup.start().await;
        for (path, status) in [("/stream", 200), ("/large", 200), ("/", 413)] {
            let request = Request::post(path).header("host", "a").body(full("four")).unwrap();
            assert_eq!(proxy.send(request).await.status, status, "{path}");
        }
    });
}

#[test]
fn it_can_be_sent_again_and_over_http2() {
    run(async {
        let answered = Rc::new(Cell::new(false));
        let backend = backend_http2(move |request: Request<hyper::body::Incoming>| {
            let first = !answered.replace(true);
            async move {
                if first {
                    return Response::builder().status(503).body(full("")).unwrap();
                }
                echo(request).await
            }
        })
        .await;
        let mut action = forward();
        action.retry = Some(RetryPolicy {
            attempts: 1,
            per_try_timeout: None,
            conditions: vec![RetryCondition::ServerError],
            status_codes: vec![],
            backoff: Some(std::time::Duration::from_millis(1)),
            ignore_previous_hosts: true,
        });
        let mut setup = Setup::routing(Http2, &[backend], route(RouteAction::Forward(action)));
        setup.filters = most(1000);
        let answer = setup.start().await.send(chunks(&["some", "thing"])).await;
        assert_eq!((answer.status, answer.upstream_body()), (200, "something"));
        assert_eq!(answer.upstream_header("content-length"), ["9"]);
    });
}
