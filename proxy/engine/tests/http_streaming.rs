//! Bodies stream in both directions, each side waits for the other, and clients may go at any time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, channel::Channel};
use http_support::*;
use postern_snapshot::model::UpstreamProtocol::{Http1, Http2};
use tokio::{io::AsyncWriteExt as _, sync::oneshot, time::timeout};

/// A body that is sent piece by piece.
fn channel() -> (http_body_util::channel::Sender<Bytes, hyper::Error>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

#[test]
fn pieces_pass_as_they_come_in_both_directions() {
    run(async {
        for upstream in [Http1, Http2] {
            // Echoes each piece at once.
            let piecewise = |request: Request<hyper::body::Incoming>| async move {
                let frames = request.into_body().into_data_stream();
                let frames = futures_util::StreamExt::map(frames, |piece| piece.map(Frame::data));
                Response::new(StreamBody::new(frames).boxed_unsync())
            };
            let address = match upstream {
                Http1 => backend(piecewise).await,
                _ => backend_http2(piecewise).await,
            };
            let proxy = Setup::forwarding(upstream, &[address]).start().await;
            for http2 in [false, true] {
                let (mut sender, body) = channel();
                let uri = if http2 { "http://a/" } else { "/" };
                let mut request = Request::post(uri).body(body).unwrap();
                sender.send_data("one".into()).await.unwrap();
                let mut response = if http2 {
                    proxy.http2().await.send_request(request).await.unwrap()
                } else {
                    request.headers_mut().insert("host", "a".parse().unwrap());
                    proxy.http1().await.send_request(request).await.unwrap()
                };
                for piece in ["one", "two", "three"] {
                    if piece != "one" {
                        sender.send_data(piece.into()).await.unwrap();
                    }
                    let frame = response.frame().await.unwrap().unwrap();
                    assert_eq!(frame.into_data().unwrap(), piece);
                }
                drop(sender);
                // HTTP/2 may end with a frame of nothing.
                let rest = response.collect().await.unwrap();
                assert!(rest.trailers().is_none() && rest.to_bytes().is_empty());
            }
        }
    });
}

/// A client that does not read makes the upstream wait; nothing piles up between them.
#[test]
fn a_slow_client_slows_the_upstream_down() {
    run(async {
        for http2 in [false, true] {
            let sent = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&sent);
            let address = backend(move |_| {
                let counted = Arc::clone(&counted);
                async move {
                    let pieces = futures_util::stream::repeat_with(move || {
                        counted.fetch_add(64 * 1024, Relaxed);
                        Ok(Frame::data(Bytes::from(vec![0; 64 * 1024])))
                    });
                    let pieces = futures_util::StreamExt::take(pieces, 4000);
                    Response::new(StreamBody::new(pieces).boxed_unsync())
                }
            })
            .await;
            let proxy = Setup::forwarding(Http1, &[address]).start().await;
            let mut response = if http2 {
                let request = Request::get("http://a/").body(full("")).unwrap();
                proxy.http2().await.send_request(request).await.unwrap()
            } else {
                let request = Request::get("/").header("host", "a").body(full("")).unwrap();
                proxy.http1().await.send_request(request).await.unwrap()
            };
            response.frame().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            // Socket buffers hold some MiB; the whole would be 250 MiB.
            let before = sent.load(Relaxed);
            assert!(before < 32 * 1024 * 1024, "{before} bytes were sent to a client that does not read");
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(sent.load(Relaxed), before, "the upstream waits");
            let rest = response.collect().await.unwrap().to_bytes();
            assert!(rest.len() > 200 * 1024 * 1024);
        }
    });
}

#[test]
fn a_slow_upstream_slows_the_client_down() {
    run(async {
        for http2 in [false, true] {
            let (go, wait) = oneshot::channel::<()>();
            let wait = Rc::new(Cell::new(Some(wait)));
            let address = backend(move |request| {
                let wait = wait.take().unwrap();
                async move {
                    wait.await.unwrap();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Response::new(full(body.len().to_string()))
                }
            })
            .await;
            let proxy = Setup::forwarding(Http1, &[address]).start().await;
            let (mut sender, body) = channel();
            let uri = if http2 { "http://a/" } else { "/" };
            let request = Request::post(uri).body(body).unwrap();
            let response = if http2 {
                let mut client = proxy.http2().await;
                tokio::task::spawn_local(async move { client.send_request(request).await.unwrap() })
            } else {
                let mut client = proxy.http1().await;
                let mut request = request;
                request.headers_mut().insert("host", "a".parse().unwrap());
                tokio::task::spawn_local(async move { client.send_request(request).await.unwrap() })
            };
            let piece = Bytes::from(vec![0; 64 * 1024]);
            let mut sent = 0;
            while timeout(Duration::from_millis(200), sender.send_data(piece.clone())).await.is_ok() {
                sent += piece.len();
                assert!(
                    sent < 64 * 1024 * 1024,
                    "{sent} bytes were taken for an upstream that does not read"
                );
            }
            go.send(()).unwrap();
            drop(sender);
            let answer = Answer::of(response.await.unwrap()).await;
            let got: usize = answer.body.parse().unwrap();
            assert!(got >= sent, "{got} of {sent}");
        }
    });
}

#[test]
fn a_client_that_goes_takes_its_request_along() {
    run(async {
        for http2 in [false, true] {
            let (gone, went) = oneshot::channel::<()>();
            let (came, come) = oneshot::channel::<()>();
            let signals = Rc::new(Cell::new(Some((came, gone))));
            let address = raw_backend(move |mut stream| {
                let signals = signals.take();
                async move {
                    read_until(&mut stream, "\r\n\r\n").await;
                    let Some((came, gone)) = signals else { return };
                    came.send(()).unwrap();
                    read_to_close(&mut stream).await;
                    gone.send(()).unwrap();
                }
            })
            .await;
            let mut setup = Setup::forwarding(Http1, &[address]);
            setup.access_log =
                Some("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER%");
            let proxy = setup.start().await;
            let waiting = if http2 {
                let mut client = proxy.http2().await;
                let request = Request::get("http://a/").body(full("")).unwrap();
                tokio::task::spawn_local(async move { client.send_request(request).await.map(|_| ()) })
            } else {
                let mut client = proxy.http1().await;
                let request = Request::get("/").header("host", "a").body(full("")).unwrap();
                tokio::task::spawn_local(async move { client.send_request(request).await.map(|_| ()) })
            };
            come.await.unwrap();
            waiting.abort();
            went.await.unwrap();
            let line = proxy.log_line().await;
            assert_eq!(line, format!("0 DC downstream_remote_disconnect {CLUSTER}"));
        }
    });
}

#[test]
fn a_response_that_breaks_off_breaks_off_for_the_client() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly a part").await.unwrap();
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[address]);
        setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%");
        let proxy = setup.start().await;
        let request = Request::get("/").header("host", "a").body(full("")).unwrap();
        let response = proxy.http1().await.send_request(request).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
        let expected = "200 UC upstream_reset_after_response_started{connection_termination} 11";
        assert_eq!(proxy.log_line().await, expected);
    });
}

#[test]
fn the_client_is_told_to_continue_when_the_upstream_is_there() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        let mut stream = proxy.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let first = read_until(&mut stream, "\r\n\r\n").await;
        assert_eq!(first, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").await.unwrap();
        let response = read_to_close(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("body") && !response.contains("expect:"), "{response}");
    });
}

#[test]
fn the_client_is_not_told_to_continue_when_there_is_no_route() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.table = hosts(&["other"], vec![]);
        let proxy = setup.start().await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        let response = proxy.raw(head).await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        let one =
            "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
        let response =
            proxy.raw(format!("{one}GET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let places: Vec<_> = ["GET /1", "POST /2", "GET /3"].map(|line| response.find(line)).into();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{response}");
    });
}
