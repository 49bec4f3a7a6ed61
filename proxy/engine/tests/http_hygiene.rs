//! Requests that are not what they should be, on the level of bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use http::Request;
use http_support::*;
use postern_snapshot::model::{HttpSettings, UpstreamProtocol::Http1};

async fn proxy() -> Proxy {
    Setup::forwarding(Http1, &[backend(echo).await]).start().await
}

fn status(response: &str) -> &str {
    response.get(9..12).unwrap_or("closed")
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_refused() {
    run(async {
        let proxy = proxy().await;
        for (request, expected) in [
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost:\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: user@a\r\n\r\n", "400"),
            ("GET relative HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
            ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", "400"),
            ("G@T / HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
            ("GET / HTTP/3.0\r\nhost: a\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", "400"),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", "400"),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc", "400"),
            ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n", "400"),
            ("GET / HTTP/1.0\r\nhost: a\r\n\r\n", "426"),
        ] {
            let response = proxy.raw(request).await;
            let got = status(&response);

            assert_eq!(got, expected, "{request:?} → {response:?}");
        }
    });
}

#[test]
fn what_is_right_passes() {
    run(async {
        let proxy = proxy().await;
        for (request, line) in [
            ("GET http://a/x HTTP/1.1\r\nhost: a\r\n", "GET /x HTTP/1.1"),
            ("GET http://A/x HTTP/1.1\r\nhost: a\r\n", "GET /x HTTP/1.1"),
            ("OPTIONS * HTTP/1.1\r\nhost: a\r\n", "OPTIONS * HTTP/1.1"),
            ("GET / HTTP/1.1\r\nhost: [::1]:80\r\n", "GET / HTTP/1.1"),
            ("BREW /pot HTTP/1.1\r\nhost: a\r\n", "BREW /pot HTTP/1.1"),
        ] {
            let response = proxy.raw(format!("{request}connection: close\r\n\r\n")).await;
            assert_eq!(status(&response), "200", "{request:?} → {response:?}");
            assert!(response.contains(line), "{request:?} → {response:?}");
        }
    });
}

/// The classic: one side reads `content-length`, the other `transfer-encoding`. The upstream must get one framing, and
/// what comes after must not be taken for a request.
#[test]
fn chunked_wins_over_a_length_and_the_connection_ends() {
    run(async {
        let proxy = proxy().await;
        for order in [
            "content-length: 6\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 6",
        ] {
            let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
            let request = format!("POST /one HTTP/1.1\r\nhost: a\r\n{order}\r\n\r\n0\r\n\r\n{smuggled}");
            let response = proxy.raw(request).await;
            assert_eq!(status(&response), "200", "{response}");
            assert!(response.contains("POST /one"), "{response}");
            assert!(!response.contains("content-length: 6"), "{response}");
            assert!(!response.contains("/smuggled"), "{response}");
        }
    });
}

#[test]
fn connect_has_no_route() {
    run(async {
        let proxy = proxy().await;
        let response = proxy.raw("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nconnection: close\r\n\r\n").await;
        assert_eq!(status(&response), "404", "{response}");
    });
}

#[test]
fn heads_are_limited_in_size_and_number() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.settings = HttpSettings { max_request_headers_kb: Some(2), ..HttpSettings::default() };
        let small = setup.start().await;
        let large = proxy().await;
        let get = |fields: String| format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
        let long = |kib: usize| get(format!("x-long: {}\r\n", "x".repeat(kib * 1024)));
        assert_eq!(status(&small.raw(long(1)).await), "200");
        assert_eq!(status(&small.raw(long(3)).await), "431");
        assert_eq!(status(&large.raw(long(50)).await), "200");
        assert_eq!(status(&large.raw(long(62)).await), "431");
        assert_eq!(status(&large.raw(long(500)).await), "431");
        let many = |count: usize| get((0..count).map(|i| format!("x-{i}: 1\r\n")).collect());
        assert_eq!(status(&large.raw(many(90)).await), "200");
        assert_eq!(status(&large.raw(many(101)).await), "431");
    });
}

#[test]
fn heads_over_http2_are_limited_too() {
    run(async {
        let proxy = proxy().await;
        let get = |headers: &[(String, String)]| {
            let mut request = Request::get("http://a/");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request.body(full("")).unwrap()
        };
        let many: Vec<_> = (0..101).map(|i| (format!("x-{i}"), "1".to_owned())).collect();
        let answer = Answer::of(proxy.http2().await.send_request(get(&many)).await.unwrap()).await;
        assert_eq!(answer.status, 431);
        let large: Vec<_> = (0..7).map(|i| (format!("x-{i}"), "x".repeat(10_000))).collect();
        let answer = proxy.http2().await.send_request(get(&large)).await.unwrap();
        assert_eq!(answer.status(), 431);
        let fits: Vec<_> = (0..5).map(|i| (format!("x-{i}"), "x".repeat(10_000))).collect();
        assert_eq!(proxy.http2().await.send_request(get(&fits)).await.unwrap().status(), 200);
    });
}

#[test]
fn authority_and_host_must_agree_over_http2() {
    run(async {
        let proxy = proxy().await;
        for (host, status) in [("a", 200), ("A", 200), ("b", 400)] {
            let request = Request::get("http://a/").header("host", host).body(full("")).unwrap();
            let answer = proxy.http2().await.send_request(request).await.unwrap();
            assert_eq!(answer.status(), status, "{host}");
        }
    });
}

#[test]
fn an_answer_does_not_wait_for_the_rest_of_a_request() {
    run(async {
        use tokio::io::AsyncWriteExt as _;
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.table = hosts(&["other.example"], vec![]);
        let proxy = setup.start().await;
        let mut stream = proxy.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nonly a part";
        stream.write_all(head.as_bytes()).await.unwrap();
        let response = read_to_close(&mut stream).await;
        assert_eq!(status(&response), "404", "{response}");
    });
}
