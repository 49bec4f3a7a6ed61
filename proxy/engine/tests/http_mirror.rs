//! Copies of requests: who gets what, and that nothing of it reaches the client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use http_support::*;
use hyper::body::{Frame, Incoming};
use postern_snapshot::{
    ClusterName,
    model::{
        Buffer, CircuitBreakers, Cluster, Forward, HeaderOps, Mirror, PathRewrite, RetryCondition,
        RetryPolicy, RouteAction, UpstreamProtocol,
        UpstreamProtocol::{Http1, Http2},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

const FIRST: &str = "outbound|80||first.default.svc";
const SECOND: &str = "outbound|80||second.default.svc";

fn mirror(cluster: &str, per_million: u32) -> Mirror {
    Mirror { cluster: ClusterName::new(cluster), per_million }
}

fn to(mirrors: Vec<Mirror>) -> Forward {
    Forward { mirrors, ..forward() }
}

/// A route to one backend with one mirror.
fn setup(main: SocketAddr, other: SocketAddr, forward: Forward) -> Setup {
    let mut setup = Setup::routing(Http1, &[main], route(RouteAction::Forward(forward)));
    setup.add_cluster(FIRST, cluster(Http1), &[other]);
    setup
}

/// A backend that tells what it got, as [`echo`] writes it, and answers with what nobody should see.
async fn recorder(protocol: UpstreamProtocol) -> (SocketAddr, UnboundedReceiver<String>) {
    let (sender, receiver) = unbounded_channel();
    let answer = move |request: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            let text = echo(request).await.into_body().collect().await.unwrap().to_bytes();
            let _ = sender.send(String::from_utf8(text.to_vec()).unwrap());
            Response::builder().status(StatusCode::IM_A_TEAPOT).body(full("of the mirror")).unwrap()
        }
    };
    let address = match protocol {
        Http1 => backend(answer).await,
        _ => backend_http2(answer).await,
    };
    (address, receiver)
}

fn header<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let head = text.split("\n\n").next().unwrap();
    head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

/// The value of a counter.
fn counted(proxy: &Proxy, name: &str, label: &str) -> u64 {
    let text = proxy.metrics.render();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Waits until a mirror failed for this reason.
async fn failed(proxy: &Proxy, reason: &str) {
    let label = format!("reason=\"{reason}\"");
    while counted(proxy, "postern_mirror_failures_total", &label) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The Gateway API's HTTPRouteRequestMirror and HTTPRouteRequestMultipleMirrors.
#[test]
fn mirrors_get_what_the_route_changes_and_not_what_the_target_changes() {
    run(async {
        let main = backend(echo).await;
        let (first, mut first_got) = recorder(Http1).await;
        let (second, mut second_got) = recorder(Http1).await;
        let mut forward = to(vec![mirror(FIRST, 1_000_000), mirror(SECOND, 1_000_000)]);
        forward.path_rewrite = Some(PathRewrite::Full("/rewritten".into()));
        forward.targets[0].request_headers =
            HeaderOps { set: vec![("x-target".into(), "yes".into())], ..HeaderOps::default() };
        let mut setup = setup(main, first, forward);
        setup.add_cluster(SECOND, cluster(Http1), &[second]);
        setup.table.virtual_hosts[0].routes[0].request_headers = HeaderOps {
            remove: vec!["x-header-remove".into()],
            set: vec![("x-header-set".into(), "set-overwrites-values".into())],
            add: vec![
                ("x-header-add".into(), "header-val-1".into()),
                ("x-header-add-append".into(), "header-val-2".into()),
            ],
        };
        let proxy = setup.start().await;
        let request = Request::post("/mirror?id=1")
            .header("host", "a.example:8080")
            .header("x-header-remove", "remove-val")
            .header("x-header-add-append", "append-val-1")
            .body(full("the body"))
            .unwrap();
        let answer = proxy.send(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.upstream_line(), "POST /rewritten?id=1 HTTP/1.1");
        assert_eq!(answer.upstream_header("host"), ["a.example:8080"]);
        assert_eq!(answer.upstream_header("x-target"), ["yes"]);
        for got in [first_got.recv().await.unwrap(), second_got.recv().await.unwrap()] {
            assert!(got.starts_with("POST /rewritten?id=1 HTTP/1.1\n"), "{got}");
            assert!(got.ends_with("\n\nthe body"), "{got}");
            assert_eq!(header(&got, "host"), ["a.example-shadow:8080"]);
            assert_eq!(header(&got, "x-header-set"), ["set-overwrites-values"]);
            assert_eq!(header(&got, "x-header-add"), ["header-val-1"]);
            assert_eq!(header(&got, "x-header-add-append"), ["append-val-1", "header-val-2"]);
            assert!(header(&got, "x-header-remove").is_empty());
            assert!(header(&got, "x-target").is_empty());
            assert_eq!(header(&got, "x-request-id"), answer.upstream_header("x-request-id"));
        }
        assert_eq!(counted(&proxy, "postern_mirrored_requests_total", ""), 2);
    });
}

#[test]
fn a_mirror_may_speak_another_protocol() {
    run(async {
        let main = backend(echo).await;
        let (other, mut got) = recorder(Http2).await;
        let forward =
            Forward { host_rewrite: Some("rewritten.example".into()), ..to(vec![mirror(FIRST, 1_000_000)]) };
        let mut setup = setup(main, other, forward);
        setup.add_cluster(FIRST, cluster(Http2), &[other]);
        let proxy = setup.start().await;
        let answer = proxy.get("a.example", "/x").await;
        assert_eq!(answer.upstream_header("host"), ["rewritten.example"]);
        let got = got.recv().await.unwrap();
        assert!(got.starts_with("GET http://rewritten.example-shadow/x HTTP/2.0\n"), "{got}");
    });
}

/// The Gateway API's HTTPRouteRequestPercentageMirror.
#[test]
fn a_share_of_the_requests_is_drawn() {
    run(async {
        for per_million in [200_000, 500_000] {
            let main = backend(echo).await;
            let seen = Rc::new(Cell::new(0));
            let count = Rc::clone(&seen);
            let other = backend(move |_| {
                count.set(count.get() + 1);
                async { Response::new(full("")) }
            })
            .await;
            let proxy = setup(main, other, to(vec![mirror(FIRST, per_million)])).start().await;
            let requests = 500;
            let mut client = proxy.http1().await;
            for _ in 0..requests {
                let request = Request::get("/").header("host", "a.example").body(full("")).unwrap();
                Answer::of(client.send_request(request).await.unwrap()).await;
                client.ready().await.unwrap();
            }
            let sent = counted(&proxy, "postern_mirrored_requests_total", "");
            // Five standard deviations: once in 1.7 million runs it is further away.
            let share = f64::from(per_million) / 1e6;
            let deviation = (f64::from(requests) * share * (1.0 - share)).sqrt();
            let away = (sent as f64 - f64::from(requests) * share).abs();
            assert!(away < 5.0 * deviation, "{sent} of {requests} for {share}");
            while seen.get() < sent {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
}

#[test]
fn a_mirror_that_is_not_there_changes_nothing() {
    run(async {
        let main = backend(echo).await;
        let forward = to(vec![mirror(FIRST, 1_000_000), mirror("outbound|80||missing", 1_000_000)]);
        let proxy = setup(main, nobody().await, forward).start().await;
        assert!(proxy.refused.is_empty());
        let request = Request::put("/").header("host", "a.example").body(full("the body")).unwrap();
        let answer = proxy.send(request).await;
        assert_eq!((answer.status, answer.upstream_body()), (200, "the body"));
        failed(&proxy, "connect").await;
    });
}

/// The main upstream takes 8 MiB while the mirror reads nothing.
#[test]
fn a_mirror_that_does_not_read_is_given_up() {
    run(async {
        let main = backend(|request: Request<Incoming>| async {
            let length = request.into_body().collect().await.unwrap().to_bytes().len();
            Response::new(full(length.to_string()))
        })
        .await;
        let (ended, mut mirror_ended) = unbounded_channel();
        let other = raw_backend(move |mut stream| {
            let ended = ended.clone();
            async move {
                // Reads the head and then no more until the proxy has given it up.
                let _ = read_until(&mut stream, "\r\n\r\n").await;
                let _ = ended.send(stream);
            }
        })
        .await;
        let proxy = setup(main, other, to(vec![mirror(FIRST, 1_000_000)])).start().await;
        let length = 8 * 1024 * 1024;
        let request = Request::post("/").header("host", "a.example").body(full(vec![b'x'; length])).unwrap();
        let answer = proxy.send(request).await;
        assert_eq!((answer.status, answer.body), (200, length.to_string()));
        failed(&proxy, "slow").await;
        // It is cut off, and cannot take what came for the whole.
        let mut stream = mirror_ended.recv().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.len() < length, "{}", rest.len());
    });
}

#[test]
fn a_mirror_that_does_not_answer_is_given_up_in_time() {
    run(async {
        let main = backend(echo).await;
        let other = backend(|_| std::future::pending()).await;
        let forward =
            Forward { timeout: Some(Duration::from_millis(50)), ..to(vec![mirror(FIRST, 1_000_000)]) };
        let proxy = setup(main, other, forward).start().await;
        let answer = proxy.get("a.example", "/").await;
        assert_eq!(answer.status, 200);
        failed(&proxy, "timeout").await;
    });
}

/// Each piece is sent when both have the one before: nothing is gathered.
#[test]
fn a_body_streams_to_both() {
    run(async {
        let pieces = |sender: tokio::sync::mpsc::UnboundedSender<usize>| {
            move |request: Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    let mut body = request.into_body();
                    let mut sum = 0;
                    while let Some(frame) = body.frame().await {
                        match frame.unwrap().into_data() {
                            Ok(data) => {
                                sum += data.len();
                                let _ = sender.send(sum);
                            }
                            Err(frame) => {
                                assert_eq!(frame.trailers_ref().unwrap()["x-sum"], "1");
                                let _ = sender.send(0);
                            }
                        }
                    }
                    Response::new(full("done"))
                }
            }
        };
        let (main_sender, mut main_got) = unbounded_channel();
        let (mirror_sender, mut mirror_got) = unbounded_channel();
        let main = backend_http2(pieces(main_sender)).await;
        let other = backend_http2(pieces(mirror_sender)).await;
        let mut setup = setup(main, other, to(vec![mirror(FIRST, 1_000_000)]));
        setup.add_cluster(CLUSTER, cluster(Http2), &[main]);
        setup.add_cluster(FIRST, cluster(Http2), &[other]);
        let proxy = setup.start().await;
        let (body, frames) = unbounded_channel::<Frame<Bytes>>();
        let frames = futures_util::stream::unfold(frames, |mut frames| async {
            let frame = frames.recv().await?;
            Some((Ok::<_, hyper::Error>(frame), frames))
        });
        let request =
            Request::post("http://a.example/").body(StreamBody::new(frames).boxed_unsync()).unwrap();
        let mut client = proxy.http2().await;
        let answer = tokio::task::spawn_local(async move { client.send_request(request).await.unwrap() });
        let piece = Bytes::from(vec![b'x'; 256 * 1024]);
        let mut sum = 0;
        for _ in 0..32 {
            body.send(Frame::data(piece.clone())).unwrap();
            sum += piece.len();
            for got in [&mut main_got, &mut mirror_got] {
                while got.recv().await.unwrap() < sum {}
            }
        }
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-sum"),
            http::HeaderValue::from_static("1"),
        )]);
        body.send(Frame::trailers(trailers)).unwrap();
        drop(body);
        assert_eq!(Answer::of(answer.await.unwrap()).await.body, "done");
        assert_eq!((main_got.recv().await, mirror_got.recv().await), (Some(0), Some(0)));
    });
}

#[test]
fn a_request_that_is_tried_again_is_copied_once() {
    run(async {
        let tries = Rc::new(Cell::new(0));
        let count = Rc::clone(&tries);
        let main = backend(move |request: Request<Incoming>| {
            count.set(count.get() + 1);
            let is_last = count.get() == 3;
            async move {
                let mut response = echo(request).await;
                if !is_last {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                response
            }
        })
        .await;
        let (other, mut got) = recorder(Http1).await;
        let retry = RetryPolicy {
            attempts: 2,
            per_try_timeout: None,
            conditions: vec![RetryCondition::ServerError],
            status_codes: vec![],
            backoff: Some(Duration::from_millis(1)),
            ignore_previous_hosts: true,
        };
        let forward = Forward { retry: Some(retry), ..to(vec![mirror(FIRST, 1_000_000)]) };
        let proxy = setup(main, other, forward).start().await;
        let request = Request::post("/").header("host", "a.example").body(full("the body")).unwrap();
        let answer = proxy.send(request).await;
        assert_eq!((answer.status, answer.upstream_body(), tries.get()), (200, "the body", 3));
        assert!(got.recv().await.unwrap().ends_with("\n\nthe body"));
        assert_eq!(counted(&proxy, "postern_mirrored_requests_total", ""), 1);
    });
}

#[test]
fn the_circuit_breaker_of_the_mirror_counts() {
    run(async {
        let main = backend(echo).await;
        let other = backend(|_| std::future::pending()).await;
        let mut setup = setup(main, other, to(vec![mirror(FIRST, 1_000_000)]));
        let circuit_breakers = CircuitBreakers { max_requests: Some(1), ..CircuitBreakers::default() };
        setup.add_cluster(FIRST, Cluster { circuit_breakers, ..cluster(Http1) }, &[other]);
        let proxy = setup.start().await;
        assert_eq!(proxy.get("a.example", "/").await.status, 200);
        while counted(&proxy, "postern_mirror_failures_total", "reason=\"overflow\"") == 0 {
            assert_eq!(proxy.get("a.example", "/").await.status, 200);
        }
    });
}

#[test]
fn a_client_that_breaks_off_leaves_no_whole_copy() {
    run(async {
        let main = backend(echo).await;
        let (sender, mut got) = unbounded_channel();
        let other = raw_backend(move |mut stream| {
            let sender = sender.clone();
            async move {
                let _ = sender.send(read_until(&mut stream, "half-").await);
                let _ = sender.send(read_to_close(&mut stream).await);
            }
        })
        .await;
        let proxy = setup(main, other, to(vec![mirror(FIRST, 1_000_000)])).start().await;
        let mut stream = proxy.connect().await;
        let request = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 10\r\n\r\nhalf-";
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = got.recv().await.unwrap();
        assert!(head.contains("content-length: 10\r\n"), "{head}");
        drop(stream);
        assert_eq!(got.recv().await.unwrap(), "");
        failed(&proxy, "incomplete").await;
    });
}

#[test]
fn a_request_that_is_buffered_is_copied_whole() {
    run(async {
        let main = backend(echo).await;
        let (other, mut got) = recorder(Http1).await;
        let mut setup = setup(main, other, to(vec![mirror(FIRST, 1_000_000)]));
        setup.filters.buffer = Some(Buffer { max_request_bytes: 100 });
        let proxy = setup.start().await;
        let chunked = "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                       4\r\nbody\r\n0\r\n\r\n";
        let answer = proxy.raw(chunked).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let got = got.recv().await.unwrap();
        assert_eq!(header(&got, "content-length"), ["4"]);
        assert!(got.ends_with("\n\nbody"), "{got}");
    });
}

#[test]
fn what_switches_protocols_is_not_copied() {
    run(async {
        let main = raw_backend(|mut stream| async move {
            let _ = read_until(&mut stream, "\r\n\r\n").await;
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let proxy = setup(main, nobody().await, to(vec![mirror(FIRST, 1_000_000)])).start().await;
        let request =
            "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        assert!(proxy.raw(request).await.starts_with("HTTP/1.1 101"));
        assert_eq!(counted(&proxy, "postern_mirrored_requests_total", ""), 0);
    });
}
